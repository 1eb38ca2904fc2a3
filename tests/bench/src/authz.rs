//! The server for ext_authz. It says yes as fast as a server can, so that the comparison is not with a slow server.
//!
//! One thread for each of Envoy's connections reads a request and writes fixed bytes. The threads' CPU time is counted,
//! because an external check costs it too.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use crate::{Error, Result, cpu};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Size limit of a request in bytes. Envoy's requests have a few hundred.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// A running server. Its threads live as long as Envoy's connections.
#[derive(Debug)]
pub struct Authz {
    address: SocketAddr,
    /// The kernel's files with the CPU time of each thread.
    threads: Arc<Mutex<Vec<String>>>,
}

impl Authz {
    /// Starts a server on a free port of loopback.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let threads = Arc::<Mutex<Vec<String>>>::default();
        let known = Arc::clone(&threads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = Arc::clone(&known);
                thread::spawn(move || {
                    // `/proc/thread-self` names the thread that reads it.
                    if let Ok(link) = fs::read_link("/proc/thread-self") {
                        let path = format!("/proc/{}/schedstat", link.display());
                        known.lock().unwrap_or_else(PoisonError::into_inner).push(path);
                    }
                    // An error means that Envoy has closed the connection.
                    let _ = serve(stream);
                });
            }
        });
        Ok(Self { address, threads })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time of its threads so far.
    pub fn cpu_time(&self) -> Duration {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().filter_map(|path| cpu::read(path)).sum()
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; MAX_REQUEST_BYTES];
    let mut held = 0;
    loop {
        let free = buffer.get_mut(held..).unwrap_or_default();
        let read = stream.read(free)?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        // Envoy sends one request at a time, and these requests have no body.
        if buffer.get(..held).unwrap_or_default().ends_with(b"\r\n\r\n") {
            stream.write_all(ANSWER)?;
            held = 0;
        }
    }
}

//! A Redis server for one test: on a free port of loopback, with its files in `target/stack/<name>`. It writes nothing
//! to disk, reads no configuration of the machine, and does not touch a Redis that runs as a service.

use std::{fs, net::SocketAddr, time::Duration};

use keygate_e2e::{Error, artifacts, deadline::eventually, ports, process::Process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

/// How long the server may take to answer. It loads no data, so this is the time that a slow machine needs to start a
/// process.
const STARTING: Duration = Duration::from_secs(30);

/// A running server. It is killed when it is dropped, and by the kernel when this process dies.
pub struct Redis {
    port: u16,
    process: Process,
}

impl Redis {
    /// Starts an empty server, and waits until it answers.
    pub async fn start(name: &str) -> Self {
        let folder = artifacts::root().join("target/stack").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let port = ports::free().unwrap();
        let mut command = Command::new(artifacts::redis_server().unwrap());
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.current_dir(&folder);
        let mut process = Process::start("redis-server", command, folder.join("redis.log")).unwrap();
        let (answered, _) = eventually("Redis to answer", STARTING, async || match process.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => ping(port).await.map(Ok),
        })
        .await
        .unwrap();
        answered.unwrap();
        Self { port, process }
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub async fn kill(&mut self) {
        self.process.kill().await;
    }
}

async fn ping(port: u16) -> keygate_e2e::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(Error::io("connecting to Redis"))?;
    stream.write_all(b"PING\r\n").await.map_err(Error::io("asking Redis"))?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.map_err(Error::io("reading Redis's answer"))?;
    if &answer == b"+PONG\r\n" {
        Ok(())
    } else {
        Err(Error::unexpected("PING", "+PONG", String::from_utf8_lossy(&answer)))
    }
}

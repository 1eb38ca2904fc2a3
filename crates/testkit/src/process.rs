//! A child process whose output goes to a file, and that never outlives its parent.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{prctl, signal},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::{Error, Result};

/// How long a process may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(5);
/// How much of a log an error shows.
const LOG_TAIL_BYTES: usize = 4_000;

/// A running (or ended) program. It is killed when this value is dropped, and by the kernel when this process dies.
pub struct Process {
    program: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` and appends its output to the file `log`.
    pub fn start(program: &'static str, mut command: Command, log: PathBuf) -> Result<Self> {
        let open = || File::options().create(true).append(true).open(&log);
        let output = open().map_err(Error::io(format!("opening {}", log.display())))?;
        let errors = output.try_clone().map_err(Error::io("opening a log twice"))?;
        // It has a process group of its own. So an interrupt from the terminal reaches only the stack, which ends its
        // parts in order.
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).kill_on_drop(true);
        die_with_parent(command.as_std_mut());
        let child = command.spawn().map_err(Error::io(format!("starting {program}")))?;
        Ok(Self { program, child, log })
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Exited {
                program: self.program,
                status: status.to_string(),
                log: tail(&read(&self.log)).to_owned(),
            }),
            Err(error) => Err(Error::Io { what: format!("asking for {}", self.program), error }),
        }
    }

    /// Waits until it ends by itself. Returns its exit status, or `None` if it does not end within `within`.
    pub async fn ended(&mut self, within: Duration) -> Option<std::process::ExitStatus> {
        tokio::time::timeout(within, self.child.wait()).await.ok()?.ok()
    }

    /// Ends it with SIGTERM, as an operator does, and by force if that takes too long.
    pub async fn stop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended by itself already. Then there is nothing to stop.
            let _ = signal::kill(Pid::from_raw(pid), signal::Signal::SIGTERM);
        }
        if self.ended(ENDING).await.is_none() {
            self.kill().await;
        }
    }

    /// Ends it with SIGKILL, like a crash.
    pub async fn kill(&mut self) {
        // The only possible error is that it has already ended.
        let _ = self.child.kill().await;
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }
}

impl Drop for Process {
    /// Kills it and waits until it is gone, so that no process is left after a stack was dropped.
    fn drop(&mut self) {
        let begun = Instant::now();
        // An error means that it has already ended.
        let _ = self.child.start_kill();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < ENDING {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Makes the kernel kill the program of `command` when the thread that starts it ends.
pub fn die_with_parent(command: &mut std::process::Command) {
    let parent = nix::unistd::getpid();
    let dies_with_parent = move || {
        prctl::set_pdeathsig(signal::Signal::SIGKILL)?;
        // The parent may have died before the line above. Then the signal would never be sent.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(std::io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid.
    unsafe { command.pre_exec(dies_with_parent) };
}

/// The text of a file. Bytes that are not UTF-8 are replaced. A missing file is empty.
pub fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(LOG_TAIL_BYTES);
    (start..=log.len()).find_map(|start| log.get(start..)).unwrap_or_default()
}

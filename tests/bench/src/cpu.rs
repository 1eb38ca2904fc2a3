//! CPU time of a process, exact to the nanosecond where the process is idle.
//!
//! The kernel accounts a thread's time in `schedstat` when it switches the thread out: what a running thread has used
//! since is missing. So the time is read when two readings, a moment apart, say the same.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// Between two readings. Long against what is left to do after the last answer (some 50 µs), short against a slice.
const MOMENT: Duration = Duration::from_micros(400);
/// How long a process may take to become idle. Keygate's ticks keep no thread busy for as long as that.
const SETTLING: Duration = Duration::from_secs(10);

/// The CPU time used so far by all threads of an idle process.
pub fn settled(process: u32) -> Result<Duration> {
    let begun = Instant::now();
    let mut last = used(process)?;
    loop {
        thread::sleep(MOMENT);
        let now = used(process)?;
        if now == last {
            return Ok(now);
        }
        last = now;
        if begun.elapsed() > SETTLING {
            let expected = "an idle process";
            return Err(Error::unexpected(format!("process {process}"), expected, format!("busy for {SETTLING:?}")));
        }
    }
}

/// The CPU time used so far by all threads of a process that may be busy: up to a tick of the kernel's is missing.
pub fn used(process: u32) -> Result<Duration> {
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(&folder).map_err(Error::io(format!("reading {folder}")))?;
    // A thread that ends meanwhile takes its time along; Envoy's live as long as it does.
    Ok(threads.flatten().filter_map(|thread| read(&thread.path().join("schedstat").to_string_lossy())).sum())
}

/// How busy the machine has been in the last minute, in threads that ran or wanted to.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// The first number of a `schedstat` file: nanoseconds on the CPU.
pub fn read(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

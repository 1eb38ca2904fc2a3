//! CPU time of a process, exact to the nanosecond if the process is idle.
//!
//! The kernel adds a thread's time to `schedstat` when it switches the thread out. Time that a running thread has used
//! since is missing. So the result is valid only when two readings, a moment apart, are equal.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// Pause between two readings. Long compared with the work after the last answer (some 50 µs), short compared with a
/// slice.
const MOMENT: Duration = Duration::from_micros(400);
/// Time limit for a process to become idle. Keygate's ticks never keep a thread busy that long.
const SETTLING: Duration = Duration::from_secs(10);

/// The CPU time so far of all threads of an idle process.
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

/// The CPU time so far of all threads of a process that may be busy. Up to one tick of the kernel may be missing.
pub fn used(process: u32) -> Result<Duration> {
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(&folder).map_err(Error::io(format!("reading {folder}")))?;
    // The time of a thread that ends meanwhile is lost. Envoy's threads live as long as Envoy.
    Ok(threads.flatten().filter_map(|thread| read(&thread.path().join("schedstat").to_string_lossy())).sum())
}

/// How busy the machine was in the last minute, in threads that ran or wanted to run.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// The first number of a `schedstat` file: nanoseconds on the CPU.
pub fn read(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

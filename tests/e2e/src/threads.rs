//! CPU time of each thread of a process: how much it worked, and how long it waited for a processor.
//!
//! The kernel adds the time of a running thread when it switches the thread out, so up to a tick may be missing.

use std::{collections::BTreeMap, time::Duration};

use procfs::process::{Process, Schedstat};

use crate::{Error, Result};

/// The CPU time of each thread so far, by the thread's name. The first thread is `main`. Threads with the same name are
/// added up.
pub fn used(process: u32) -> Result<BTreeMap<String, Duration>> {
    of_each(process, |schedule| schedule.sum_exec_runtime)
}

/// How long each thread was ready but had no processor. The names are those of [`used`].
pub fn waited(process: u32) -> Result<BTreeMap<String, Duration>> {
    of_each(process, |schedule| schedule.run_delay)
}

fn of_each(process: u32, nanoseconds: impl Fn(&Schedstat) -> u64) -> Result<BTreeMap<String, Duration>> {
    let failed = |error: procfs::ProcError| {
        Error::unexpected(format!("threads of process {process}"), "to be seen", error.to_string())
    };
    let id = i32::try_from(process).unwrap_or(i32::MAX);
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    for task in Process::new(id).map_err(failed)?.tasks().map_err(failed)? {
        // The thread may have ended meanwhile.
        let Ok(task) = task else { continue };
        let (Ok(stat), Ok(schedule)) = (task.stat(), task.schedstat()) else { continue };
        let name = if task.tid == id { "main".to_owned() } else { stat.comm };
        let known = times.entry(name).or_default();
        *known = known.saturating_add(Duration::from_nanos(nanoseconds(&schedule)));
    }
    Ok(times)
}

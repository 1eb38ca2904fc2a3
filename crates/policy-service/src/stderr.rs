//! Messages for the operator. If a message cannot be written, it is lost. A full disk, a closed pipe or a file at its
//! size limit must not end the program (`eprintln!` would), and must not turn a success into a failure. `program` sets
//! up the log by the same rule.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr, if possible.
pub fn say(words: impl Display) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

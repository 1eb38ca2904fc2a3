//! Words for the operator. What cannot be written is lost: a full disk, a closed pipe or a file at the limit of its size must
//! not end the program (as `eprintln!` does), and must not make a failure of something that is done. The log of the service
//! is made in `main`, by the same rule.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr, if that is possible.
pub fn say(words: impl Display) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

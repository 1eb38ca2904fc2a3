//! Lines of the log, as the core hands them to the shell. How they are written is the shell's business.

/// How loud a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the record.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody has to act.
    Error,
}

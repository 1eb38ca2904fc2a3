//! What pages consist of. A part knows nothing of routes and rows: it is given what it shows.

pub mod badge;
pub mod chart;
pub mod confirm;
pub mod field;
pub mod late;
pub mod listed;
pub mod receipt;
pub mod table;
pub mod time;

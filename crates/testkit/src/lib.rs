//! What the tests of this workspace share: programs that end with their test, deadlines instead of pauses, free ports, and a
//! small HTTP client, and a PostgreSQL of their own. It knows nothing of keygate: what a stack is made of is known in `tests/e2e`.

pub mod deadline;
pub mod error;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod process;

pub use error::{Error, Result};

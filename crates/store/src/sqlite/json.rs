//! Lists as JSON: SQLite has no arrays, and reads them with `json_each`.

use serde::Serialize;

use super::fault::Fault;
use management::port::Error;

/// A value as JSON, for a statement.
pub fn json(value: &(impl Serialize + ?Sized)) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Error::Damaged("a parameter that is no JSON").into())
}

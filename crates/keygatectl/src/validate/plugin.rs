//! Plugin configurations, by the filter's own reader. They stand in a file of their own, as JSON.

use std::path::Path;

use keygate::config;

use crate::{documents::read::Misplaced, failure::Failure};

/// A plugin configuration in a file.
#[derive(Debug)]
pub struct Plugin {
    file: std::path::PathBuf,
    /// The configuration as the filter gets it.
    pub json: String,
}

impl Plugin {
    /// Reads it as the filter does. Variables that it names are not looked up.
    pub fn check(&self) -> Result<(), Misplaced> {
        let read = config::parse(self.json.as_bytes(), &|_| Some(b"not looked up".to_vec()));
        read.map(drop).map_err(|error| Misplaced {
            file: self.file.clone(),
            line: error.position.line,
            column: error.position.column,
            field: None,
            detail: error.to_string(),
        })
    }
}

/// The plugin configurations of a file.
pub fn find(file: &Path, text: &str) -> Result<Vec<Plugin>, Failure> {
    Ok(vec![Plugin { file: file.to_owned(), json: text.to_owned() }])
}

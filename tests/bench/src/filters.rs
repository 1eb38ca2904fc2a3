//! The Wasm modules that are compared. The Makefile builds them.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The files of the modules.
#[derive(Clone, Debug)]
pub struct Filters {
    /// keygate.
    pub keygate: PathBuf,
    /// Another build of keygate to compare with.
    pub baseline: Option<PathBuf>,
    /// The filter that does nothing.
    pub noop: PathBuf,
    /// keygate's work, written plainly.
    pub plain: PathBuf,
    /// keygate's host calls.
    pub calls: PathBuf,
}

impl Filters {
    /// keygate, optionally a second build, and the others in `folder`. All files must exist.
    pub fn find(keygate: &Path, baseline: Option<&Path>, folder: &Path) -> Result<Self> {
        let other = |name: &str| existing(&folder.join(name));
        Ok(Self {
            keygate: existing(keygate)?,
            baseline: baseline.map(existing).transpose()?,
            noop: other("bench_noop.wasm")?,
            plain: other("bench_plain.wasm")?,
            calls: other("bench_calls.wasm")?,
        })
    }
}

fn existing(path: &Path) -> Result<PathBuf> {
    // Envoy runs in another folder.
    path.canonicalize()
        .map_err(|_| Error::Missing { path: path.to_owned(), remedy: "run `make bench`, which builds it" })
}

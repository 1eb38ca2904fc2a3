//! The Wasm modules that are compared. Nothing is built from here: the Makefile does that.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where the modules are.
#[derive(Clone, Debug)]
pub struct Filters {
    /// keygate.
    pub keygate: PathBuf,
    /// Another keygate, to be measured beside it.
    pub baseline: Option<PathBuf>,
    /// The filter that does nothing.
    pub noop: PathBuf,
    /// keygate's work, done plainly.
    pub plain: PathBuf,
    /// keygate's host calls.
    pub calls: PathBuf,
}

impl Filters {
    /// keygate, perhaps a second one, and the others in `folder`; all must be there.
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
    // Envoy is started elsewhere.
    path.canonicalize()
        .map_err(|_| Error::Missing { path: path.to_owned(), remedy: "run `make bench`, which builds it" })
}

//! Which keygate this is: the version, and the commit that it was built from. Compares no versions.
//!
//! The commit is not compiled in. `tools/trim` writes it into the linked module, so a commit that changes no source compiles
//! nothing, and the same commit gives the same bytes.

use std::hint::black_box;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The log line at configuration up to the commit. Joining strings takes 200 bytes less of the module than `format!`.
pub const CONFIGURED: &str = concat!("keygate ", env!("CARGO_PKG_VERSION"), " (commit ");
/// What callouts say of who asks.
pub const USER_AGENT: &str = concat!("keygate/", env!("CARGO_PKG_VERSION"));

/// A mark that `tools/trim` looks for, the commit, and blanks: 64 bytes, of which 49 hold a whole hash and `-modified`. The mark
/// must be in the module once, so no other constant holds it.
static PLACE: [u8; 64] = *b"keygate-commit=unknown                                          ";

/// The commit that the module was built from, or `unknown`.
pub fn commit() -> &'static str {
    // The compiler must not know what stands there.
    let place = str::from_utf8(black_box(&PLACE)).unwrap_or_default();
    place.split_once('=').unwrap_or_default().1.trim_ascii_end()
}

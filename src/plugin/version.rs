//! The version of keygate, and the commit of the build. Does not compare versions.
//!
//! The commit is not compiled in. `tools/trim` writes it into the linked module. So a commit that changes no source
//! needs no compilation, and the same commit gives the same bytes.
//! nothing, and the same commit gives the same bytes.

use std::hint::black_box;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The log line at configuration, up to the commit. Joining strings makes the module 200 bytes smaller than `format!`.
pub const CONFIGURED: &str = concat!("keygate ", env!("CARGO_PKG_VERSION"), " (commit ");
/// `user-agent` of callouts.
pub const USER_AGENT: &str = concat!("keygate/", env!("CARGO_PKG_VERSION"));

/// A marker that `tools/trim` searches for, then the commit, then blanks: 64 bytes, of which 49 hold a whole hash and
/// `-modified`. The marker must be in the module exactly once, so no other constant may contain it.
static PLACE: [u8; 64] = *b"keygate-commit=unknown                                          ";

/// The commit that the module was built from, or `unknown`.
pub fn commit() -> &'static str {
    // The compiler must not assume the value in the source, because `tools/trim` changes it.
    let place = str::from_utf8(black_box(&PLACE)).unwrap_or_default();
    place.split_once('=').unwrap_or_default().1.trim_ascii_end()
}

//! The program, which is `policy_service::program`, with its version. All else is in the library: this file reads the commit, so
//! a new commit compiles this file and nothing else.

use std::{process::ExitCode, sync::LazyLock};

/// The version and the commit of this build. Cargo alone knows no commit; `make build` does.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} (commit {})", env!("CARGO_PKG_VERSION"), option_env!("KEYGATE_COMMIT").unwrap_or("unknown"))
});

fn main() -> ExitCode {
    policy_service::program::run(&VERSION)
}

//! The `policy-service` binary: calls `policy_service::program` with the version. Only this file reads the commit, so a
//! new commit recompiles nothing else.

use std::{process::ExitCode, sync::LazyLock};

/// The version and the commit of this build. Cargo does not know the commit; `make build` passes it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} (commit {})", env!("CARGO_PKG_VERSION"), option_env!("KEYGATE_COMMIT").unwrap_or("unknown"))
});

fn main() -> ExitCode {
    policy_service::program::run(&VERSION)
}

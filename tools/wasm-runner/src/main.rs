//! `wasm-bindgen-test-runner`, which runs wasm32 tests in Node: the program of wasm-bindgen-cli, built from crates that the
//! Cargo.lock beside this pins. Its own Cargo.lock can name crates that a registry does not show yet. It adds nothing.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())?)
}

//! `wasm-bindgen-test-runner`, which runs wasm32 tests in Node. This is the program of wasm-bindgen-cli, built from the
//! crates that the Cargo.lock in this folder pins. wasm-bindgen-cli's own Cargo.lock can name crates that a registry
//! does not have yet. Adds nothing.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())?)
}

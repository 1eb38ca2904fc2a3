//! Tells V8 which way the branches of a module usually go: `hint IN.wasm OUT.wasm CONFIGURATION…`.
//!
//! What a request does not touch lies between what it does: each rule that refuses, each header that is not there. V8 sets
//! the code behind a branch apart if the section `metadata.code.branch_hint` says that it is rarely taken; then a request
//! touches fewer lines of the processor's cache. Which ones are, is found by playing usual requests through the module
//! under each configuration, and written down for V8 to believe: hints change nothing of what the module does.
//!
//! It runs after everything else that changes code. It knows of Envoy what playing needs, and nothing of what is measured.

#![allow(clippy::arithmetic_side_effects, reason = "what overflows where a module is built ends that, and no more")]

mod branches;
mod host;
mod play;

use std::{env, fs, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output, configurations @ ..] = arguments.as_slice() else {
        eprintln!("usage: hint IN.wasm OUT.wasm CONFIGURATION...");
        return ExitCode::from(2);
    };
    match hint(input, output, configurations) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hint: {input}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hint(input: &str, output: &str, configurations: &[String]) -> Result<(), String> {
    let module = fs::read(input).map_err(|error| error.to_string())?;
    let counting = branches::with_counters(&module)?;
    let mut counts = branches::Counts::new();
    for configuration in configurations {
        for (branch, count) in play::play(&counting, configuration)? {
            counts.entry(branch).or_default().add(count);
        }
    }
    let hinted = branches::with_hints(&module, &counts)?;
    fs::write(output, hinted).map_err(|error| format!("{output}: {error}"))
}

//! Adds hints for V8 about the usual direction of branches: `hint IN.wasm OUT.wasm CONFIGURATION…`.
//!
//! In the compiled code, instructions that a request does not need lie between those that it needs: each rule that
//! refuses, each header that is absent. If the section `metadata.code.branch_hint` says that a branch is rarely taken,
//! V8 moves the code behind it away. Then a request touches fewer cache lines of the processor. This tool plays usual
//! requests through the module under each configuration to find the rare branches, and writes the section. Hints do not
//! change what the module does.
//!
//! The tool must run after all other tools that change code. It knows as much of Envoy as playing needs, and nothing
//! about the benchmarks.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the build of a module and nothing else")]

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

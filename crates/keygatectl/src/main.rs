//! The program `keygatectl`. All of it is in the library; this file reads the arguments and ends with the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    keygatectl::run(std::env::args_os())
}

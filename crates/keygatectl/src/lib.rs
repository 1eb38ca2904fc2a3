//! `keygatectl`: the command line of keygate. A thin program around this library.
//!
//! - [`cli`]: the commands with their options, help and examples
//! - [`commands`]: what they do, a file each
//! - [`client`]: HTTP to the policy service, by the types of the rules (`crates/management`)
//! - [`documents`]: a policy as YAML in a folder: export, diff, apply
//! - [`validate`]: files are checked as the filter and the service read them
//! - [`output`]: tables, JSON, notes, progress
//! - [`plain`]: texts of others, which may not steer the terminal
//! - [`failure`]: errors and exit codes
//! - [`files`]: reading files up to a limit
//!
//! Nothing here decides what is allowed. The service does, by the same rules that check documents here.

pub mod cli;
pub mod client;
pub mod commands;
pub mod documents;
pub mod failure;
pub mod fields;
pub mod files;
pub mod kinds;
pub mod operations;
pub mod output;
pub mod plain;
pub mod secret;
pub mod settings;
pub mod times;
pub mod validate;

use std::{ffi::OsString, process::ExitCode};

use self::{
    cli::Cli,
    failure::{Failure, Outcome, USAGE},
    output::Screen,
};

/// Runs a command line, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::read(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // If nobody reads the help, there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let mut screen = Screen::new(cli.global.output);
    let outcome = commands::run(cli, &mut screen);
    ExitCode::from(end(outcome, &mut screen))
}

fn end(outcome: Outcome, screen: &mut Screen) -> u8 {
    let outcome = outcome.and_then(|done| screen.flush().map(|()| done));
    match outcome {
        Ok(done) => done.code(),
        Err(failure) => {
            // What was written before the error is shown before it.
            let _ = screen.flush();
            if !matches!(failure, Failure::Closed) {
                output::error(&failure.to_string());
            }
            failure.code()
        }
    }
}

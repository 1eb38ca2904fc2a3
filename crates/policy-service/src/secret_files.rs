//! Secrets from files. Each argument with a secret value has a second variable `…_FILE`: the path of a file with the
//! value, as orchestrators mount secrets.
//!
//! Secret arguments are those that hide the values of their variables in the help. A file is read once, at the start.
//! This file does not know the purpose of the secrets.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use clap::{ArgMatches, Command, parser::ValueSource};

/// Maximum length of such a file, in bytes. The longest secret is a list of 1,000 gateways: two texts of 1,024 bytes
/// and two separators each, 2,050,000 bytes.
const MAX_FILE_BYTES: u64 = 2_050_000;
/// The suffix of the second variable.
const SUFFIX: &str = "_FILE";

/// Why a file with a secret is rejected. The message names variables and paths, and never the file's content.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// Both the value and its file are given.
    #[error("{0} and {0}{SUFFIX} (or the argument) are both given; expected one of them")]
    Both(String),
    /// The variable is set but empty.
    #[error("{0} is empty; expected the path of a file that holds the value of {1}")]
    NoPath(String, String),
    /// The file cannot be read.
    #[error("{0}: {1} cannot be read: {2}")]
    Unreadable(String, PathBuf, io::Error),
    /// The file is too long for a secret.
    #[error("{0}: {1} has more than {MAX_FILE_BYTES} bytes")]
    TooLarge(String, PathBuf),
    /// The file is not UTF-8.
    #[error("{0}: {1} is not UTF-8")]
    NoText(String, PathBuf),
    /// The file is empty.
    #[error("{0}: {1} is empty; expected the value of {2} in it")]
    Empty(String, PathBuf, String),
}

/// The variable that names the file of a secret.
pub fn variable_of_file(variable: &str) -> String {
    format!("{variable}{SUFFIX}")
}

/// The values from files, for the arguments of one subcommand.
#[derive(Debug, Default)]
pub struct Files {
    /// The arguments whose values come from files, with their variables.
    given: Vec<(String, String)>,
    wrong: Option<Wrong>,
}

impl Files {
    /// Gives `command` the values from files. `name` is the subcommand that will run. Errors are kept for
    /// [`Files::check`], so that `--help` and errors of arguments come first.
    pub fn read(command: Command, name: &str) -> (Command, Self) {
        let mut files = Self::default();
        if command.find_subcommand(name).is_none() {
            return (command, files);
        }
        let command = command.mut_subcommand(name, |sub| {
            let secrets: Vec<(String, String)> = sub.get_arguments().filter_map(secret).collect();
            secrets.into_iter().fold(sub, |sub, (id, variable)| match env::var_os(variable_of_file(&variable)) {
                Some(path) => files.add(sub, id, variable, path),
                None => sub,
            })
        });
        (command, files)
    }

    fn add(&mut self, command: Command, id: String, variable: String, path: OsString) -> Command {
        let value = value_of(&variable, PathBuf::from(path)).unwrap_or_else(|wrong| {
            self.wrong.get_or_insert(wrong);
            // A placeholder; `check` rejects it.
            "-".to_owned()
        });
        self.given.push((id.clone(), variable));
        command.mut_arg(id, |argument| argument.required(false).default_value(value).hide_default_value(true))
    }

    /// Reports what is wrong with the files or in combination with them.
    pub fn check(self, matches: &ArgMatches) -> Result<(), Wrong> {
        let Some((_, matches)) = matches.subcommand() else { return Ok(()) };
        for (id, variable) in self.given {
            if matches.value_source(&id) != Some(ValueSource::DefaultValue) {
                return Err(Wrong::Both(variable));
            }
        }
        self.wrong.map_or(Ok(()), Err)
    }
}

/// The id and the variable of an argument with a secret value.
fn secret(argument: &clap::Arg) -> Option<(String, String)> {
    let variable = argument.get_env().filter(|_| argument.is_hide_env_values_set())?;
    Some((argument.get_id().to_string(), variable.to_str()?.to_owned()))
}

fn value_of(variable: &str, path: PathBuf) -> Result<String, Wrong> {
    let name = variable_of_file(variable);
    if path.as_os_str().is_empty() {
        return Err(Wrong::NoPath(name, variable.to_owned()));
    }
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(count) if u64::try_from(count).unwrap_or(u64::MAX) > MAX_FILE_BYTES => Err(Wrong::TooLarge(name, path)),
        Ok(_) => {
            let Ok(text) = String::from_utf8(bytes) else { return Err(Wrong::NoText(name, path)) };
            match text.trim_end_matches(['\n', '\r']) {
                "" => Err(Wrong::Empty(name, path, variable.to_owned())),
                text => Ok(text.to_owned()),
            }
        }
        Err(error) => Err(Wrong::Unreadable(name, path, error)),
    }
}

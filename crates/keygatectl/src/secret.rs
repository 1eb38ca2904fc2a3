//! Keys and tokens: read from a file, from standard input or from a prompt. They reach no argument and no `Debug`.

use std::{
    fmt, fs,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

use crate::failure::Failure;

/// Bytes of a secret. The service accepts keys of 4,096 bytes; the rest is for the line break.
const MAX_SECRET_BYTES: u64 = 4_096 + 2;

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A secret, if the text is one word.
    pub fn of(text: &str, what: &str) -> Result<Self, Failure> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Failure::Usage(format!("{what} is empty")));
        }
        if text.chars().any(|letter| letter.is_control() || letter == ' ') {
            return Err(Failure::Usage(format!(
                "{what} has a blank, a line break or a control character; expected one word"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads it from a file, or from standard input for `-`.
    pub fn read(path: &Path, what: &str) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let most = MAX_SECRET_BYTES.saturating_add(1);
        if path == Path::new("-") {
            if io::stdin().is_terminal() {
                return Self::ask(what);
            }
            io::stdin().take(most).read_to_end(&mut bytes)?;
        } else {
            let file = fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
            file.take(most).read_to_end(&mut bytes).map_err(|error| Failure::file(path, &error))?;
        }
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_SECRET_BYTES) {
            return Err(Failure::Usage(format!("{what} has more than 4096 bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| Failure::Usage(format!("{what} is not UTF-8")))?;
        Self::of(&text, what)
    }

    /// Asks for it at the terminal, without echo.
    pub fn ask(what: &str) -> Result<Self, Failure> {
        let text = rpassword::prompt_password(format!("{what}: ")).map_err(|error| {
            Failure::Usage(format!("{what} is needed, and there is no terminal to ask at ({error}); pipe it in"))
        })?;
        Self::of(&text, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_word_and_shows_nothing_of_itself() {
        assert_eq!(Secret::of("kg_live_1\r\n", "the key").unwrap().reveal(), "kg_live_1");
        assert!(!format!("{:?}", Secret::of("kg_live_1", "the key").unwrap()).contains("kg_"));
        for bad in ["", "\n", "two words", "two\nlines", "tab\t"] {
            let said = Secret::of(bad, "the key").unwrap_err().to_string();
            assert!(said.starts_with("the key ") && (bad.len() < 2 || !said.contains(bad)), "{said}");
        }
    }
}

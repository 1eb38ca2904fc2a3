//! What a person or a script sees: tables and texts on a terminal, JSON for scripts, notes and progress on stderr.
//!
//! With `--output json` nothing but JSON reaches stdout. Texts of the service cannot steer the terminal ([`plain`]).

pub mod details;
pub mod progress;
pub mod table;

use std::{
    borrow::Cow,
    io::{self, BufRead as _, BufWriter, IsTerminal as _, Read as _, Write},
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

pub use crate::plain::plain;
use crate::{cli::Format, failure::Failure};

/// Texts are not broken into lines that are shorter than this.
const LEAST_ROOM: usize = 20;

/// Where output goes.
pub struct Screen {
    /// JSON for a script, or text for a person.
    pub is_json: bool,
    /// Columns of the terminal; `None` if stdout is none, and nothing is cut.
    pub width: Option<usize>,
    out: Box<dyn Write>,
}

impl Screen {
    /// The screen of this process.
    pub fn new(format: Format) -> Self {
        let is_json = format == Format::Json;
        let stdout = io::stdout();
        let size = || terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
        let width = size().filter(|width| *width > 0);
        let out: Box<dyn Write> = match is_json {
            true => Box::new(BufWriter::new(stdout.lock())),
            false => Box::new(BufWriter::new(anstream::stdout().lock())),
        };
        Self { is_json, width, out }
    }

    /// A line for a person.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// A text after a beginning of so many columns. On a terminal its lines are broken between words, and all begin in
    /// the same column.
    pub fn wrapped(&mut self, begin: &str, columns: usize, text: &str) -> Result<(), Failure> {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(columns).max(LEAST_ROOM));
        let mut lines = wrap(text, room).into_iter();
        self.line(&format!("{begin}{}", lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| self.line(&format!("{}{line}", " ".repeat(columns))))
    }

    /// A document for a script.
    pub fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.out, document).map_err(io::Error::from)?;
        Ok(writeln!(self.out)?)
    }

    /// A document on one line, which is there at once.
    pub fn json_line(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, document).map_err(io::Error::from)?;
        writeln!(self.out)?;
        self.flush()
    }

    /// Part of a document.
    pub fn raw(&mut self, text: &str) -> Result<(), Failure> {
        Ok(write!(self.out, "{text}")?)
    }

    /// Shows what was written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// A text in lines of so many columns, broken between words. A word that is longer stays whole.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0_usize;
    for word in text.split(' ') {
        let width = anstream::adapter::strip_str(word).to_string().width();
        let with_word = used.saturating_add(1).saturating_add(width);
        match lines.last_mut() {
            Some(line) if with_word <= columns || used == 0 => {
                line.push(' ');
                line.push_str(word);
                used = with_word;
            }
            _ => {
                lines.push(word.to_owned());
                used = width;
            }
        }
    }
    lines
}

/// Lines for a person that are no result.
pub fn note(text: &str) {
    tell(Style::new(), "", text);
}

/// A line with styles, of which every other part is [`plain`] already.
pub fn note_styled(line: &str) {
    // If nobody reads stderr, there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// An error.
pub fn error(text: &str) {
    tell(bold(AnsiColor::Red), "error:", text);
}

/// A warning.
pub fn warning(text: &str) {
    tell(bold(AnsiColor::Yellow), "warning:", text);
}

/// Writes to stderr. What the text quotes of a file or of the service cannot steer the terminal.
fn tell(style: Style, word: &str, text: &str) {
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(plain).collect();
    let word = if word.is_empty() { String::new() } else { format!("{style}{word}{style:#} ") };
    // If nobody reads stderr, there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{word}{}", lines.join("\n"));
}

fn bold(colour: AnsiColor) -> Style {
    colour.on_default().bold()
}

/// The style of a state or an outcome.
pub fn style_of(word: &str) -> Style {
    match word {
        "UNBLOCKED" | "ACTIVE" | "PUBLISHED" | "live" | "allow" | "allowed" | "passed" | "complete" => {
            AnsiColor::Green.on_default()
        }
        "BLOCKED" | "REVOKED" | "REJECTED" | "deny" | "refused" | "gone" => AnsiColor::Red.on_default(),
        "PROD_ONLY_BLOCKED"
        | "ON_HOLD"
        | "TIER_UPDATE_PENDING"
        | "DELETE_PENDING"
        | "silent"
        | "unknown"
        | "not complete"
        | "DEPRECATED" => AnsiColor::Yellow.on_default(),
        "skipped" | "RETIRED" | "CREATED" => Style::new().dimmed(),
        _ => Style::new(),
    }
}

/// A word in its style.
pub fn styled(word: &str) -> String {
    let style = style_of(word);
    format!("{style}{}{style:#}", plain(word))
}

/// A heading.
pub fn heading(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// Side information.
pub fn dim(text: &str) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}

/// Whether there is a terminal to ask at.
pub fn is_asked() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question at the terminal. Without one, the answer must be given as `--yes`.
pub fn confirm(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !is_asked() {
        return Err(Failure::Usage(format!("{question}\n  there is no terminal to ask at; --yes says yes")));
    }
    let _ = write!(anstream::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().take(100).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_green_or_yellow() {
        for (word, color) in [("complete", AnsiColor::Green), ("not complete", AnsiColor::Yellow)] {
            assert_eq!(style_of(word), color.on_default(), "{word}");
        }
    }

    #[test]
    fn a_text_is_broken_between_words() {
        for (text, columns, expected) in [
            ("", 10, vec![""]),
            ("one two three", 80, vec!["one two three"]),
            ("one two three", 7, vec!["one two", "three"]),
            ("one two three", 3, vec!["one", "two", "three"]),
            ("/a/long/path of it", 5, vec!["/a/long/path", "of it"]),
            ("  indented text", 10, vec!["  indented", "text"]),
            ("日本 日本", 5, vec!["日本", "日本"]),
            ("\u{1b}[31mred\u{1b}[0m two", 7, vec!["\u{1b}[31mred\u{1b}[0m two"]),
        ] {
            assert_eq!(wrap(text, columns), expected, "{text} {columns}");
        }
    }
}

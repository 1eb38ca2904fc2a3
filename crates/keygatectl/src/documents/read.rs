//! The documents of a folder, each with its file and line. Errors are collected, so that all of them are told at once.
//!
//! A line that begins with `---` ends a document: YAML permits no such line inside one. So each document is read by
//! itself, and a file of any size needs the memory of one document.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use management::port::Kind;
use serde_json::Value;

use super::row::{Invalid, Row};
use crate::{failure::Failure, files, output::progress};

/// Bytes of a file: 300,000 rows of 200 bytes.
pub const MAX_POLICY_FILE_BYTES: u64 = 64 << 20;
/// Bytes of a document: ten times the largest row that is usual, an API with a thousand hosts.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Bytes of all files: three million rows of 300 bytes. They are held in memory.
const MAX_FOLDER_BYTES: u64 = 1 << 30;
/// Files of a folder: an application each for a large company.
const MAX_POLICY_FILES: usize = 100_000;
/// Folders inside folders.
const MAX_FOLDERS_DEEP: usize = 16;
/// Lists and objects inside each other. Rows have four.
const MAX_DOCUMENT_DEPTH: usize = 32;
/// Errors that are told each.
const MOST_ERRORS: usize = 50;

/// Where a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the file, see [`Documents::files`].
    pub file: u32,
    /// The line that it begins with, counted from 1.
    pub line: u32,
}

/// A row as a line of an import, and where it came from.
#[derive(Clone, Debug)]
pub struct Found {
    pub kind: Kind,
    pub id: Box<str>,
    pub line: Box<str>,
    pub place: Place,
}

/// The documents of a folder.
#[derive(Debug, Default)]
pub struct Documents {
    pub files: Vec<PathBuf>,
    pub rows: Vec<Found>,
}

/// An error at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub field: Option<String>,
    pub detail: String,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, field, detail } = self;
        write!(f, "{}:{line}:{column}: ", file.display())?;
        match field {
            Some(field) => write!(f, "{field}: {detail}"),
            None => write!(f, "{detail}"),
        }
    }
}

/// The YAML files of a folder, in the order of their names; or the file itself.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let meta = fs::metadata(folder).map_err(|error| Failure::file(folder, &error))?;
    if meta.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    collect(folder, MAX_FOLDERS_DEEP, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let error = |error| Failure::file(folder, &error);
    for entry in fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let of_type = entry.file_type().map_err(error)?;
        if is_hidden {
            continue;
        }
        if of_type.is_dir() {
            let depth = depth.checked_sub(1);
            let depth = depth
                .ok_or_else(|| Failure::Other(format!("{}: too many folders inside each other", path.display())))?;
            collect(&path, depth, found)?;
        } else if is_yaml(&path) && (of_type.is_file() || of_type.is_symlink()) {
            found.push(path);
        }
        if found.len() > MAX_POLICY_FILES {
            return Err(Failure::Other(format!("{} has more than {MAX_POLICY_FILES} files", folder.display())));
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Reads a file, up to the limit.
pub fn text(path: &Path) -> Result<String, Failure> {
    files::text(path, MAX_POLICY_FILE_BYTES, "put its documents into several files")
}

/// Reads and checks all documents of a folder. Any error is a failure.
pub fn read(folder: &Path) -> Result<Documents, Failure> {
    let (documents, errors) = read_all(folder)?;
    if errors.is_empty() { Ok(documents) } else { Err(told(errors.iter().map(ToString::to_string).collect())) }
}

/// The same; an empty folder is an error as well, because more likely it is the wrong one.
pub fn read_some(folder: &Path) -> Result<Documents, Failure> {
    let documents = read(folder)?;
    match documents.rows.is_empty() {
        true => Err(Failure::Usage(format!("{} has no documents", folder.display()))),
        false => Ok(documents),
    }
}

/// Reads and checks all documents of a folder, and returns those without an error, and the errors. Two documents for one
/// object are an error.
pub fn read_all(folder: &Path) -> Result<(Documents, Vec<Misplaced>), Failure> {
    let found = self::files(folder)?;
    let bar = progress::of(found.len(), "reading files");
    let (mut documents, mut errors, mut bytes) = (Documents::default(), Vec::new(), 0_u64);
    for path in found {
        let text = text(&path)?;
        bytes = bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        if bytes > MAX_FOLDER_BYTES {
            return Err(Failure::Other(format!(
                "{} has more than {MAX_FOLDER_BYTES} bytes of documents",
                folder.display()
            )));
        }
        let file = u32::try_from(documents.files.len()).unwrap_or(u32::MAX);
        for part in parts(&text) {
            match part.row(&path) {
                Ok(None) => {}
                Ok(Some(row)) => documents.rows.push(Found {
                    kind: row.kind,
                    id: row.id.as_str().into(),
                    line: row.line().into(),
                    place: Place { file, line: u32::try_from(part.first_line).unwrap_or(u32::MAX) },
                }),
                Err(error) => errors.push(error),
            }
        }
        documents.files.push(path);
        bar.add(1);
    }
    bar.end();
    errors.extend(documents.twice());
    Ok((documents, errors))
}

/// Errors as one failure: the first of them, and the number of the others.
pub fn told(mut errors: Vec<String>) -> Failure {
    let more = errors.len().saturating_sub(MOST_ERRORS);
    errors.truncate(MOST_ERRORS);
    if more > 0 {
        errors.push(format!("and {more} more"));
    }
    Failure::Many(errors)
}

impl Documents {
    /// Where a document stands, as `file:line`.
    pub fn place(&self, place: Place) -> String {
        let file = usize::try_from(place.file).ok().and_then(|file| self.files.get(file));
        format!("{}:{}", file.map(|file| file.display().to_string()).unwrap_or_default(), place.line)
    }

    /// An error for each document whose object has another document before it.
    fn twice(&self) -> Vec<Misplaced> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let row = |place: &usize| self.rows.get(*place);
        let key = |place: &usize| row(place).map(|row| (row.kind.number(), &row.id, *place));
        order.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
        let pairs = order.windows(2).filter_map(|pair| Some((row(pair.first()?)?, row(pair.last()?)?)));
        let twice = pairs.filter(|(one, other)| (one.kind, &one.id) == (other.kind, &other.id));
        let error = |(one, other): (&Found, &Found)| Misplaced {
            file: usize::try_from(other.place.file)
                .ok()
                .and_then(|file| self.files.get(file))
                .cloned()
                .unwrap_or_default(),
            line: usize::try_from(other.place.line).unwrap_or_default(),
            column: 1,
            field: Some("id".to_owned()),
            detail: format!("another document of this {} stands at {}", one.kind.noun(), self.place(one.place)),
        };
        twice.map(error).collect()
    }
}

/// A document as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    pub text: &'t str,
    /// The line of the file that it begins with.
    pub first_line: usize,
}

/// The documents of a file.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1_usize;
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let (mut end, mut lines) = (0_usize, 0_usize);
        for piece in rest.split_inclusive('\n') {
            let is_mark = piece
                .strip_prefix("---")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
            if is_mark {
                let part = Part { text: rest.get(..end)?, first_line: line };
                // What follows on the line of the mark belongs to the next document.
                rest = rest.get(end.saturating_add(3)..)?;
                line = line.saturating_add(lines);
                return Some(part);
            }
            end = end.saturating_add(piece.len());
            lines = lines.saturating_add(1);
        }
        is_over = true;
        Some(Part { text: rest, first_line: line })
    })
}

impl Part<'_> {
    /// Its value; `None` if it has only comments and blanks.
    pub fn value(&self, file: &Path) -> Result<Option<Value>, Misplaced> {
        // A directive such as %YAML stands before the mark of its document.
        let has_content = |line: &str| {
            !line.trim().is_empty()
                && !line.trim_start().starts_with('#')
                && !line.starts_with('%')
                && line.trim() != "..."
        };
        if !self.text.lines().any(has_content) {
            return Ok(None);
        }
        if self.text.len() > MAX_DOCUMENT_BYTES {
            return Err(self.at(
                file,
                1,
                1,
                Invalid { field: None, detail: format!("the document has more than {MAX_DOCUMENT_BYTES} bytes") },
            ));
        }
        if self.text.contains('!') {
            self.refuse_tags(file)?;
        }
        // Aliases could make much of few bytes, and rows need none.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: MAX_DOCUMENT_DEPTH, max_aliases: 100 },
        };
        match serde_saphyr::from_str_with_options::<Value>(self.text, options) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let place = error.location();
                let (line, column) = place.map_or((1, 1), |place| {
                    (usize::try_from(place.line()).unwrap_or(1), usize::try_from(place.column()).unwrap_or(1))
                });
                let detail = error.to_string();
                let detail = without_place(detail.lines().next().unwrap_or_default()).to_owned();
                Err(self.at(file, line, column, Invalid { field: None, detail }))
            }
        }
    }

    /// Tags such as `!ENV` would be dropped, and their text taken as it stands.
    fn refuse_tags(&self, file: &Path) -> Result<(), Misplaced> {
        match convert::yaml::parse(self.text) {
            Err(fault) if fault.found.contains("tag") => {
                let place = |value: u64| usize::try_from(value).unwrap_or(1);
                let detail = format!("found {}; expected {}", fault.found, fault.expected);
                Err(self.at(file, place(fault.line), place(fault.column), Invalid { field: None, detail }))
            }
            _ => Ok(()),
        }
    }

    /// Its row, checked; `None` if it has only comments and blanks.
    pub fn row(&self, file: &Path) -> Result<Option<Row>, Misplaced> {
        let Some(value) = self.value(file)? else { return Ok(None) };
        let row = Row::of(value).and_then(|row| row.check().map(|()| row));
        row.map(Some).map_err(|invalid| {
            let (line, column) = self.place_of(invalid.field.as_deref());
            self.at(file, line, column, invalid)
        })
    }

    fn at(&self, file: &Path, line: usize, column: usize, Invalid { field, detail }: Invalid) -> Misplaced {
        let line = self.first_line.saturating_add(line.saturating_sub(1));
        Misplaced { file: file.to_owned(), line, column, field, detail }
    }

    /// The line and column of a field: that of its name, after the names that lead to it. A field that is not there has
    /// the place of the object that lacks it.
    fn place_of(&self, field: Option<&str>) -> (usize, usize) {
        let first = self.text.lines().position(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let mut found = (first.unwrap_or(0), 0);
        let mut from = 0_usize;
        for name in field.unwrap_or_default().split(['.', '[']).filter(|name| !name.ends_with(']')) {
            let lines = self.text.lines().enumerate().skip(from);
            let place = lines.filter_map(|(number, line)| Some((number, column_of(line, name)?))).next();
            let Some(place) = place else { break };
            found = place;
            from = place.0;
        }
        (found.0.saturating_add(1), found.1.saturating_add(1))
    }
}

/// The message of the reader without the place that it begins with.
fn without_place(message: &str) -> &str {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    match message.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((place, rest)) if place.contains(" column ") => rest,
        _ => message,
    }
}

/// Where a line has this name of a field.
fn column_of(line: &str, name: &str) -> Option<usize> {
    let names = [format!("{name}:"), format!("\"{name}\":"), format!("'{name}':")];
    names.iter().find_map(|written| {
        let column = line.find(written.as_str())?;
        let before = line.get(..column)?;
        before.chars().all(|letter| letter.is_whitespace() || matches!(letter, '-' | '{' | ',')).then_some(column)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let path = Path::new("a.yaml");
        parts(text).filter_map(|part| part.row(path).err()).map(|error| error.to_string()).collect()
    }

    #[test]
    fn documents_are_told_apart_and_keep_their_lines() {
        let text = "# all\n---\nkind: plan\nid: gold\n--- # the next\nkind: plan\nid: \"---\"\n...\n---\n---\nkind: plan\nid: >-\n  a\n  --- b\n";
        let rows: Vec<(usize, String)> = parts(text)
            .filter_map(|part| part.row(Path::new("a.yaml")).unwrap().map(|row| (part.first_line, row.id)))
            .collect();
        assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5, 10]);
        assert_eq!(rows[0].1, "gold");
        assert_eq!(rows[1].1, "---");
    }

    #[test]
    fn an_error_has_its_line_and_column() {
        for (text, expected) in [
            ("kind: plan\nid: gold\nlimit: []\n", "a.yaml:3:1: limit: there is no such field; did you mean limits?"),
            ("---\nkind: plan\nid: gold\nlimits:\n  - requests: 5\n    per: week\n", "a.yaml:6:5: limits[0].per: "),
            (
                "---\nkind: subscription\nid: s\napplication: a\napi: b\nblock:\n  until: soon\n",
                "a.yaml:7:3: block.until: ",
            ),
            ("---\n\n# no kind\nid: gold\n", "a.yaml:4:1: kind: it is missing"),
            ("kind: plan\nid: [\n", "a.yaml:"),
            ("kind: plan\nkind: api\nid: a\n", "a.yaml:2:1"),
        ] {
            let found = errors(text);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{text}{found:?}");
        }
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_refused() {
        assert_eq!(errors(&format!("kind: plan\nid: {}\n", "x".repeat(MAX_DOCUMENT_BYTES))).len(), 1);
        assert_eq!(errors(&format!("kind: plan\nid: gold\nlimits: {}{}\n", "[".repeat(100), "]".repeat(100))).len(), 1);
        let mut bomb = "kind: plan\nid: gold\na0: &a0 [x]\n".to_owned();
        for number in 1..40 {
            let before = format!("*a{}", number - 1);
            bomb.push_str(&format!("a{number}: &a{number} [{before}, {before}, {before}, {before}]\n"));
        }
        assert_eq!(errors(&bomb).len(), 1);
    }
}

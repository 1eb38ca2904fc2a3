//! Reads inputs, compares with golden files, and imports rows into a database of their own.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use convert::{Converted, Error, Input, Kind, Options, convert};
use management::{
    import::{Import, Outcome, Place, Row, Told},
    port::{self, Act, Actor, Origin, Store},
};
use store::{Settings, SqliteStore};

/// 2026-01-01T00:00:00Z.
pub const NOW: i64 = 1_767_225_600;

pub fn options() -> Options {
    Options { now: NOW, ..Options::default() }
}

pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files `tests/inputs/{names}`.
pub fn inputs(names: &[&str]) -> Vec<Input> {
    let read = |name: &&str| {
        let path = folder().join("tests/inputs").join(name);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Input { name: (*name).to_owned(), bytes }
    };
    names.iter().map(read).collect()
}

pub fn of_text(kind: Kind, text: &str) -> Result<Converted, Vec<Error>> {
    convert(kind, &[Input { name: "input".to_owned(), bytes: text.as_bytes().to_vec() }], &options())
}

/// All that was made, as text: rows, then what people are told.
pub fn text(converted: &Converted) -> String {
    let mut text = String::new();
    for row in &converted.rows {
        writeln!(text, "{}", row.line().unwrap()).unwrap();
    }
    for loss in &converted.losses {
        writeln!(text, "loss: {loss}").unwrap();
    }
    for error in &converted.errors {
        writeln!(text, "error: {error}").unwrap();
    }
    for note in &converted.notes {
        writeln!(text, "note: {note}").unwrap();
    }
    text
}

/// Compares `text` with `tests/golden/{name}`, or writes that file.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = folder().join("tests/golden").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        return fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differing = expected.lines().map(Some).chain([None]).zip(text.lines().map(Some).chain([None]));
    let differing = differing.enumerate().find(|(_, (was, is))| was != is);
    assert!(
        differing.is_none() && expected == text,
        "{name} is not what it was: {differing:?}; if that is meant: GOLDEN=write cargo test -p convert"
    );
}

/// What the import refused: the row and why.
#[derive(Default)]
pub struct Heard(pub Vec<String>);

impl Told for Heard {
    fn refuse(&mut self, place: Place, kind: Option<port::Kind>, field: Option<&str>, because: &str) {
        self.0.push(format!("{place:?} {kind:?} {field:?}: {because}"));
    }

    fn add(&mut self, _: usize) {}
}

/// A new SQLite database in a folder of its own.
pub async fn database() -> (Store, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", place.path().join("policy.db").display());
    (Arc::new(SqliteStore::open(&url, Settings::default()).await.unwrap()), place)
}

/// Imports lines, as `POST /v1/import` does.
pub async fn import(store: &Store, lines: &[String]) -> (Outcome, Vec<String>) {
    let act = || Act {
        actor: Actor::administrator(),
        now: NOW,
        random: |bytes| {
            bytes.fill(7);
            Ok(())
        },
        origin: Origin::default(),
    };
    let mut heard = Heard::default();
    let mut import = Import::new(store, management::import::Options::default(), &act, &mut heard);
    for (number, line) in lines.iter().enumerate() {
        import.add(Row::of_line(number as u64 + 1, line).unwrap()).await.unwrap();
    }
    let outcome = import.finish().await.unwrap();
    (outcome, heard.0)
}

/// Imports what was converted into a new database that has `before`. Nothing may be refused, and a second import changes
/// nothing.
pub async fn import_all(converted: &Converted, before: &[&str]) {
    let (store, _place) = database().await;
    let before: Vec<String> = before.iter().map(|line| (*line).to_owned()).collect();
    let lines: Vec<String> = converted.rows.iter().map(|row| row.line().unwrap()).collect();
    for (lines, is_first) in [(before, true), (lines.clone(), true), (lines, false)] {
        let (outcome, refused) = import(&store, &lines).await;
        assert_eq!(refused, Vec::<String>::new());
        let made: u64 = outcome.counts.values().map(|count| count.made).sum();
        let changed: u64 = outcome.counts.values().map(|count| count.changed).sum();
        let expected = if is_first { lines.len() as u64 } else { 0 };
        assert_eq!((made, changed), (expected, 0), "{:?}", outcome.counts);
    }
}

/// Neither rows nor findings have any of these texts.
#[track_caller]
pub fn assert_hidden(converted: &Result<Converted, Vec<Error>>, secrets: &[&str]) {
    let shown = match converted {
        Ok(converted) => format!("{}{converted:?}", text(converted)),
        Err(errors) => format!("{errors:?}{}", errors.iter().map(ToString::to_string).collect::<String>()),
    };
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

//! CSV: a line for each key or subscription, with the columns by name in the first line.
//!
//! A line names an application and, if they are not empty, its owner, an API that it is subscribed to with plan and
//! state, and a key with its type, state and end. An application may have several lines. A key opens the APIs of its own
//! lines; a key on a line without an API opens all APIs of its application.

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use keygate::{
    digest::Digest,
    policy::{self, MAX_UNIX_SECONDS},
};
use management::{
    keys::{KeyState, KeyType},
    subscriptions::SubscriptionState,
};

use crate::{
    Input,
    draft::{Draft, Grant, Subscribed},
    finding::{Error, Spot, shown, word_shown},
    id,
};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Application,
    Owner,
    Api,
    Key,
    Sha256,
    Type,
    Plan,
    State,
    ExpiresAt,
}

const COLUMNS: [(&str, Column); 9] = [
    ("application", Column::Application),
    ("owner", Column::Owner),
    ("api", Column::Api),
    ("key", Column::Key),
    ("sha256", Column::Sha256),
    ("type", Column::Type),
    ("plan", Column::Plan),
    ("state", Column::State),
    ("expires_at", Column::ExpiresAt),
];
/// Parts of column names that speak of an end or a block. A column with such a name is never ignored.
const RESTRICTING: [&str; 10] = ["activ", "allow", "block", "disab", "enab", "end", "expir", "revok", "stat", "valid"];
/// Number of changed letters up to which a column's name counts as misspelt.
const MISSPELT: usize = 2;
/// Bytes of a line. The longest key has 4096 bytes, and seven other columns have at most 256.
const MAX_LINE_BYTES: usize = 64 << 10;

/// The words of the states of a key.
const KEY_STATES: [(&str, KeyState); 2] = [("ACTIVE", KeyState::Active), ("REVOKED", KeyState::Revoked)];
/// The words of the types of a key.
const KEY_TYPES: [(&str, KeyType); 2] = [("PRODUCTION", KeyType::Production), ("SANDBOX", KeyType::Sandbox)];

/// What the column `state` says.
#[derive(Clone, Copy, Debug, Default)]
struct States {
    subscription: Option<SubscriptionState>,
    key: Option<KeyState>,
}

/// What is wrong in a cell: the column, what was found, what is expected.
struct Wrong(Column, String, String);

/// Reads all files into the draft.
pub fn read_all(draft: &mut Draft<'_>, inputs: &[Input]) -> Result<(), Vec<Error>> {
    for input in inputs {
        let file = draft.open(&input.name);
        read(draft, file, &input.bytes)?;
    }
    Ok(())
}

fn read(draft: &mut Draft<'_>, file: usize, bytes: &[u8]) -> Result<(), Vec<Error>> {
    let text = crate::text::read(draft, file, bytes)?;
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut header: Option<Header> = None;
    loop {
        let spot = Spot { file, line: reader.position().line(), column: 0 };
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(vec![unreadable(draft, spot, &error)]),
        }
        let raw = text.get(byte_of(&record)..byte(reader.position())).unwrap_or_default();
        let (spot, raw) = without_empty_lines(spot, raw);
        if raw.len() > MAX_LINE_BYTES {
            let (found, expected) = (format!("a line of {} bytes", raw.len()), format!("at most {MAX_LINE_BYTES}"));
            return Err(vec![draft.error_at(spot, "", &found, &expected)]);
        }
        match &header {
            None => header = Some(Header::read(draft, spot, &record)?),
            Some(header) => {
                header.count_extra(draft, spot, &record);
                if let Err(Wrong(column, found, expected)) = header.take(draft, spot, &record) {
                    let place = header.place(column);
                    let spot = Spot { column: column_of(raw, place), ..spot };
                    draft.refuse(spot, word(column), &found, &expected);
                }
            }
        }
        draft.check_room()?;
    }
    if header.is_none() {
        let spot = Spot { file, line: 1, column: 1 };
        return Err(vec![draft.error_at(spot, "", "an empty file", "a first line with the names of the columns")]);
    }
    Ok(())
}

fn unreadable(draft: &Draft<'_>, spot: Spot, error: &csv::Error) -> Error {
    // The text of the library's error could hold what stands in the line.
    let found = match error.kind() {
        ErrorKind::Utf8 { .. } => "bytes that are not UTF-8",
        _ => "a line that is not CSV",
    };
    draft.error_at(spot, "", found, "comma-separated values in UTF-8, in double quotes where they hold a comma")
}

/// The library counts empty lines before a record to it.
fn without_empty_lines(spot: Spot, raw: &str) -> (Spot, &str) {
    let record = raw.trim_start_matches(['\r', '\n']);
    let empty = raw.get(..raw.len().saturating_sub(record.len())).unwrap_or_default();
    let lines = empty.bytes().fold(0_u64, |lines, byte| lines.saturating_add(u64::from(byte == b'\n')));
    (Spot { line: spot.line.saturating_add(lines), ..spot }, record)
}

fn byte(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

fn byte_of(record: &StringRecord) -> usize {
    record.position().map_or(0, byte)
}

/// The column, in characters from 1, at which the field with this number begins.
fn column_of(raw: &str, place: usize) -> u64 {
    let (mut field, mut column, mut is_quoted) = (0, 1_u64, false);
    for character in raw.chars() {
        if field == place {
            break;
        }
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => field = field.saturating_add(1),
            _ => {}
        }
        column = column.saturating_add(1);
    }
    column
}

fn word(column: Column) -> &'static str {
    COLUMNS.iter().find(|(_, other)| *other == column).map_or("", |(word, _)| word)
}

fn words<T: Copy>(words: &[(&'static str, T)]) -> String {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// The columns of a file.
struct Header {
    columns: Vec<Option<Column>>,
}

impl Header {
    fn read(draft: &mut Draft<'_>, spot: Spot, record: &StringRecord) -> Result<Self, Vec<Error>> {
        let mut columns = Vec::new();
        let mut errors = Vec::new();
        for (place, name) in record.iter().enumerate() {
            let spot = Spot { column: u64::try_from(place).unwrap_or(u64::MAX).saturating_add(1), ..spot };
            match known(name) {
                Ok(column) if column.is_some() && columns.contains(&column) => {
                    errors.push(draft.error_at(spot, name.trim(), "a column twice", "each column once"));
                }
                Ok(column) => {
                    if column.is_none() {
                        let what = format!("the column {}", shown(name));
                        let instead = format!("rename it if it is one of {}", words(&COLUMNS));
                        draft.lose(spot, "", what, "keygate has nothing of this name", &instead);
                    }
                    columns.push(column);
                }
                Err(expected) => {
                    errors.push(draft.error_at(spot, "", &format!("the column {}", shown(name)), &expected));
                }
            }
        }
        if errors.is_empty() && !columns.contains(&Some(Column::Application)) {
            let expected = format!("a first line with column names, application among them: {}", words(&COLUMNS));
            errors.push(draft.error_at(spot, "", "no column application", &expected));
        }
        if errors.is_empty() { Ok(Self { columns }) } else { Err(errors) }
    }

    fn place(&self, column: Column) -> usize {
        self.columns.iter().position(|other| *other == Some(column)).unwrap_or_default()
    }

    fn cell<'r>(&self, record: &'r StringRecord, column: Column) -> &'r str {
        let place = self.columns.iter().position(|other| *other == Some(column));
        place.and_then(|place| record.get(place)).unwrap_or_default()
    }

    /// A line with more fields than there are columns is probably one with a comma that has no quotes.
    fn count_extra(&self, draft: &mut Draft<'_>, spot: Spot, record: &StringRecord) {
        if record.len() != self.columns.len() && record.iter().any(|field| !field.is_empty()) {
            let found = format!("{} fields", record.len());
            let expected = format!("{}, as in the first line; a value with a comma needs quotes", self.columns.len());
            draft.refuse(spot, "", &found, &expected);
        }
    }

    fn take(&self, draft: &mut Draft<'_>, spot: Spot, record: &StringRecord) -> Result<(), Wrong> {
        if record.len() != self.columns.len() || record.iter().all(str::is_empty) {
            return Ok(());
        }
        let cell = |column| Some(self.cell(record, column).trim()).filter(|text| !text.is_empty());
        let Some(name) = cell(Column::Application) else {
            return Err(Wrong(Column::Application, "no application".to_owned(), "its name".to_owned()));
        };
        let api = cell(Column::Api);
        let read = self.read_values(record);
        let (digest, key_type, states, expires_at) = match read {
            Ok(read) => read,
            Err(wrong) => {
                // What is wrong may be the state that blocks it.
                if let Some(api) = api {
                    draft.refuse_subscription(spot, &id::of_name(name), &id::of_name(api));
                }
                return Err(wrong);
            }
        };
        let plan = cell(Column::Plan);
        if api.is_none() && (plan.is_some() || states.subscription.is_some()) {
            let column = if plan.is_some() { Column::Plan } else { Column::State };
            let expected = "an API on the same line: plan and state are those of a subscription";
            return Err(Wrong(column, "a plan or state without an API".to_owned(), expected.to_owned()));
        }
        if digest.is_none() && (key_type.is_some() || states.key.is_some() || expires_at.is_some()) {
            let column = if key_type.is_some() { Column::Type } else { Column::Key };
            let expected = "a key on the same line: type, end and the states ACTIVE and REVOKED are those of a key";
            return Err(Wrong(column, "what is said of a key, without a key".to_owned(), expected.to_owned()));
        }
        let application = draft.application(spot, "application", name, cell(Column::Owner));
        let mut apis = None;
        if let Some(api) = api {
            let api = id::of_name(api);
            let said = Subscribed { plan: plan.map(id::of_name), state: states.subscription, reason: None };
            draft.subscribe(spot, "", &application, &api, said);
            apis = Some([api].into());
        }
        if let Some(digest) = digest {
            let grant = Grant { application, apis, key_type, state: states.key, expires_at, ..Grant::default() };
            draft.digest(spot, "key", digest, grant);
        }
        Ok(())
    }

    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn read_values(
        &self,
        record: &StringRecord,
    ) -> Result<(Option<Digest>, Option<KeyType>, States, Option<i64>), Wrong> {
        let digest = self.digest(record)?;
        let cell = |column| Some(self.cell(record, column).trim()).filter(|text| !text.is_empty());
        let key_type = cell(Column::Type).map(|text| one_of(Column::Type, text, &KEY_TYPES)).transpose()?;
        let states = cell(Column::State).map(states).transpose()?.unwrap_or_default();
        let expires_at = cell(Column::ExpiresAt).map(time).transpose()?;
        Ok((digest, key_type, states, expires_at))
    }

    fn digest(&self, record: &StringRecord) -> Result<Option<Digest>, Wrong> {
        let (key, sha256) = (self.cell(record, Column::Key), self.cell(record, Column::Sha256).trim());
        let of_key = match key {
            "" => None,
            key => Some(
                crate::key::digest(key)
                    .map_err(|invalid| Wrong(Column::Key, invalid.found().to_owned(), invalid.expected()))?,
            ),
        };
        let given = match sha256 {
            "" => None,
            text => Some(Digest::from_hex(text).ok_or_else(|| {
                let found = format!("{} bytes that are no digest", text.len());
                Wrong(Column::Sha256, found, "64 hexadecimal digits".to_owned())
            })?),
        };
        match (of_key, given) {
            (Some(one), Some(other)) if one != other => {
                let expected = "the SHA-256 of the key, or one of the two columns alone";
                Err(Wrong(Column::Sha256, "the digest of another key".to_owned(), expected.to_owned()))
            }
            (one, other) => Ok(one.or(other)),
        }
    }
}

/// The column of this name; `None` for one that keygate does not know; or what is expected instead of it.
fn known(name: &str) -> Result<Option<Column>, String> {
    let name = name.trim().to_lowercase();
    if let Some((_, column)) = COLUMNS.iter().find(|(word, _)| *word == name) {
        return Ok(Some(*column));
    }
    if name.contains([';', '\t', '|']) {
        return Err(format!("commas between the columns {}", words(&COLUMNS)));
    }
    let similar = COLUMNS.iter().min_by_key(|(word, _)| strsim::osa_distance(word, &name));
    let similar = similar.filter(|(word, _)| strsim::osa_distance(word, &name) <= MISSPELT);
    let is_restricting = RESTRICTING.iter().any(|part| name.contains(part));
    match similar {
        Some((word, _)) => Err(format!("the column {word}? One of {}", words(&COLUMNS))),
        None if is_restricting => Err(format!(
            "one of {}; a column that may speak of a block or an end is not passed over: rename or remove it",
            words(&COLUMNS)
        )),
        None => Ok(None),
    }
}

fn one_of<T: Copy>(column: Column, text: &str, of: &[(&'static str, T)]) -> Result<T, Wrong> {
    let found = of.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
    found.ok_or_else(|| Wrong(column, word_shown(text), format!("one of {}", words(of))))
}

/// The state of a subscription, or that of a key. No word is both.
fn states(text: &str) -> Result<States, Wrong> {
    let of_subscription = policy::SubscriptionState::WORDS.map(|(word, _)| (word, ()));
    if let Some((word, ())) = of_subscription.iter().find(|(word, ())| word.eq_ignore_ascii_case(text)) {
        let state = serde_json::from_value((*word).into()).map_err(|_| unknown_state(text))?;
        return Ok(States { subscription: Some(state), key: None });
    }
    let key = one_of(Column::State, text, &KEY_STATES).map_err(|_| unknown_state(text))?;
    Ok(States { subscription: None, key: Some(key) })
}

fn unknown_state(text: &str) -> Wrong {
    let words = policy::SubscriptionState::WORDS.map(|(word, _)| word).join(", ");
    let expected = format!("the state of the subscription ({words}) or of the key (ACTIVE, REVOKED)");
    Wrong(Column::State, word_shown(text), expected)
}

fn time(text: &str) -> Result<i64, Wrong> {
    let seconds = text.parse::<i64>().ok().filter(|seconds| (0..=MAX_UNIX_SECONDS).contains(seconds));
    seconds.ok_or_else(|| {
        let expected = format!("Unix time in seconds, such as 1767225600, at most {MAX_UNIX_SECONDS}");
        Wrong(Column::ExpiresAt, word_shown(text), expected)
    })
}

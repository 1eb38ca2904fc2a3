//! Files of other products. Somebody else wrote them, and they hold keys.

use std::{fs, path::Path};

use convert::{
    Converted, Error, Input, Kind, Options, convert,
    yaml::{self, Node, Value},
};

/// Shorter texts occur by chance.
const TELLING_BYTES: usize = 8;

fn run(kind: Kind, bytes: &[u8]) -> Result<Converted, Vec<Error>> {
    let input = Input { name: "file".to_owned(), bytes: bytes.to_vec() };
    convert(kind, &[input], &Options { now: 1_748_736_123, ..Options::default() })
}

/// The first byte is the kind, the rest is a file. It is converted or refused, the same each time; what people are told
/// cannot change a terminal, and holds no key.
pub fn check(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let found = run(kind, file);
    assert_eq!(found, run(kind, file), "the same file gives two results");
    let mut told: Vec<String> = Vec::new();
    match &found {
        Ok(converted) => {
            told.extend(converted.losses.iter().map(ToString::to_string));
            told.extend(converted.errors.iter().map(ToString::to_string));
            for row in &converted.rows {
                let line = row.line().unwrap();
                management_reads(&line);
                told.push(line);
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            told.extend(errors.iter().map(ToString::to_string));
        }
    }
    for line in &told {
        assert!(!line.contains(char::is_control), "control characters in {line:?}");
    }
    if let Ok(text) = std::str::from_utf8(file)
        && let Ok(documents) = yaml::parse(text)
    {
        let mut secrets = Vec::new();
        documents.iter().for_each(|document| keys(document, &mut secrets));
        // A text that the file has at another place, too, is none that only a key has.
        secrets.retain(|key| key.len() >= TELLING_BYTES && text.matches(key.as_str()).count() == 1);
        for key in &secrets {
            assert!(told.iter().all(|line| !line.contains(key.as_str())), "{key} in {told:?}");
        }
    }
}

/// A row is one line, an object that begins with its kind or has one.
fn management_reads(line: &str) {
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    assert!(row["kind"].is_string() && row["id"].is_string(), "{line}");
}

/// The values of fields that hold a key.
fn keys(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::Text { .. } => {}
        Value::List(items) => items.iter().for_each(|item| keys(item, found)),
        Value::Map(entries) => {
            for entry in entries {
                match &entry.value.value {
                    Value::Text { text, .. } if entry.name == "key" => found.push(text.clone()),
                    _ => keys(&entry.value, found),
                }
            }
        }
    }
}

/// The inputs of the converter's own tests.
pub fn seeds() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/convert/tests/inputs");
    let mut seeds = Vec::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let folder = fs::read_dir(root.join(kind.word())).expect("a folder of inputs");
        let mut paths: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            let file = fs::read(path).expect("an input");
            seeds.push([&[u8::try_from(number).expect("few kinds")][..], &file].concat());
        }
    }
    seeds
}

//! The constants of a source tree, by name, with their values as numbers. It reads text in rustfmt's format: integers,
//! sums, products, shifts, other constants and `Duration`s. A duration is a number of milliseconds.

use std::{collections::BTreeMap, fs, path::Path};

/// A constant: the file that declares it, and its expression.
struct Declared {
    file: String,
    expression: String,
}

impl Declared {
    /// Whether the other one stands in the same file of another database, with the same value.
    fn is_twin_of(&self, other: &Self) -> bool {
        let place = |file: &str| file.replace("/sqlite/", "/*/").replace("/postgres/", "/*/");
        self.expression == other.expression && self.file != other.file && place(&self.file) == place(&other.file)
    }
}

pub struct Constants(BTreeMap<String, Vec<Declared>>);

impl Constants {
    pub fn read(folders: &[&Path]) -> Self {
        let mut found = Self(BTreeMap::new());
        let mut left: Vec<_> = folders.iter().map(|folder| folder.to_path_buf()).collect();
        while let Some(path) = left.pop() {
            if path.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                found.add(&path);
            }
        }
        found
    }

    fn add(&mut self, path: &Path) {
        let text = fs::read_to_string(path).expect("a source is text");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for declaration in text.split("const ").skip(1) {
            let Some((head, rest)) = declaration.split_once(" = ") else { continue };
            let Some((name, _)) = head.split_once(':') else { continue };
            let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            let Some((expression, _)) = rest.split_once(';').filter(|_| is_name) else { continue };
            let file = path.with_extension("").display().to_string();
            let declared =
                Declared { file: file.trim_end_matches("/mod").to_owned(), expression: expression.to_owned() };
            self.0.entry(name.to_owned()).or_default().push(declared);
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of `NAME`, or of `file::NAME` if several files have one.
    pub fn value(&self, name: &str) -> Result<u128, String> {
        let (place, name) = name.rsplit_once("::").unwrap_or(("", name));
        let place = place.replace("::", "/");
        let declared = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let found: Vec<_> = declared.iter().filter(|declared| declared.file.ends_with(&place)).collect();
        match found[..] {
            // Each database has a file for the same purpose, with the same limits.
            [one, ref others @ ..] if others.iter().all(|other| one.is_twin_of(other)) => {
                self.sum(&one.expression).ok_or_else(|| format!("{name} = {} is no number", one.expression))
            }
            _ => Err(format!("{} constants have the name {place}::{name}", found.len())),
        }
    }

    fn sum(&self, text: &str) -> Option<u128> {
        let text = text.trim().trim_start_matches("Duration::from_millis");
        if let Some(seconds) = text.strip_prefix("Duration::from_secs") {
            return Some(self.sum(seconds)? * 1_000);
        }
        // The operator with the lowest precedence comes first.
        let parts = split(text, &[" << "]).or_else(|| split(text, &[" - ", " + "])).or_else(|| split(text, &[" * "]));
        let Some((left, operator, right)) = parts else { return self.one(text) };
        let (left, right) = (self.sum(left)?, self.sum(right)?);
        match operator {
            " - " => left.checked_sub(right),
            " + " => left.checked_add(right),
            " << " => left.checked_shl(u32::try_from(right).ok()?),
            _ => left.checked_mul(right),
        }
    }

    fn one(&self, text: &str) -> Option<u128> {
        if let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            return self.sum(inside);
        }
        text.replace('_', "").parse().ok().or_else(|| self.value(text).ok())
    }
}

/// The text around the last of the operators that is not in parentheses.
fn split<'t>(text: &'t str, operators: &[&'static str]) -> Option<(&'t str, &'static str, &'t str)> {
    let found = operators.iter().flat_map(|operator| text.match_indices(operator).map(|(at, _)| (at, *operator)));
    let outside = found.filter(|(at, _)| text[..*at].matches('(').count() == text[..*at].matches(')').count());
    outside.max_by_key(|(at, _)| *at).map(|(at, operator)| (&text[..at], operator, &text[at + operator.len()..]))
}

#[test]
fn an_expression_is_counted_out() {
    let text = "const A: u8 = 3;\nconst B: u64 = (1 << 5) - 1;\nconst C: Duration = Duration::from_secs(2);\n\
                pub const D: u64 = 31 * A * 1_000;\nconst E: Duration = Duration::from_millis(100);\nconst F: &str = \"x\";\n\
                const G: u64 = 8 + 1 << 2;";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("constants");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("a.rs"), text).expect("a file");
    let constants = Constants::read(&[&folder]);
    for (name, expected) in [("A", 3), ("B", 31), ("C", 2_000), ("D", 93_000), ("E", 100), ("G", 36), ("a::A", 3)] {
        assert_eq!(constants.value(name), Ok(expected), "{name}");
    }
    for name in ["F", "H", "b::A"] {
        assert!(constants.value(name).is_err(), "{name}");
    }
}

//! Typed access to a JSON tree. Each value knows its path, and each error names it.
//!
//! This file knows only shapes and ranges. [`super::parse`] knows what they mean.

use super::{
    error::{Expected, Fault, FoundValue, Problem},
    json::{Member, Node, Value},
    place::Path,
};
use crate::{
    naming::{self, shown},
    policy::MAX_TEXT_BYTES,
};

/// Conditions on a string.
pub(super) struct Rule {
    pub min: usize,
    /// In bytes, like `min`.
    pub max: usize,
    /// Description for messages, as in "a string of 1 to 9 bytes, …".
    pub of: &'static str,
    pub holds: fn(&str) -> bool,
}

impl Rule {
    pub fn expected(&self) -> Expected {
        Expected::Text { min: self.min, max: self.max, of: self.of }
    }

    pub fn fits(&self, text: &str) -> bool {
        (self.min..=self.max).contains(&text.len()) && (self.holds)(text)
    }
}

/// An id, a name of a cluster or a key of metadata.
pub(super) const TEXT: Rule = Rule {
    min: 1,
    max: MAX_TEXT_BYTES,
    of: "without control characters",
    holds: |text| !text.chars().any(char::is_control),
};

/// The offset in the text and the path of a value.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub at: usize,
    pub path: Path,
}

impl Location {
    pub fn fault(&self, problem: Problem) -> Fault {
        Fault::new(self.at, &self.path, problem)
    }

    /// An error about `text`, a string or a field's name at this place.
    pub fn unexpected_text(&self, text: &str, expected: Expected) -> Fault {
        self.fault(Problem::Unexpected { found: FoundValue::string(text, &self.path), expected })
    }
}

impl FoundValue {
    /// Describes a value at `path`.
    fn value(value: &Value<'_>, path: &Path) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(value) => Self::Boolean((!path.is_hidden()).then_some(*value)),
            Value::Number(text) => {
                Self::Number { length: text.chars().count(), text: (!path.is_hidden()).then(|| shown(text)) }
            }
            Value::String(text) => Self::string(text, path),
            Value::List(entries) => Self::List { entries: entries.len() },
            Value::Object(members) => Self::Object { fields: members.len() },
        }
    }
}

/// A value and its place.
pub(super) struct Item<'n> {
    pub place: Location,
    pub value: &'n Value<'n>,
}

impl<'n> Item<'n> {
    pub fn root(node: &'n Node<'n>) -> Self {
        Self::new(node, Path::root())
    }

    fn new(node: &'n Node<'n>, path: Path) -> Self {
        Self { place: Location { at: node.at, path }, value: &node.value }
    }

    /// Describes the value for a message.
    pub fn found(&self) -> FoundValue {
        FoundValue::value(self.value, &self.place.path)
    }

    pub fn refuse(&self, expected: Expected) -> Fault {
        self.place.fault(Problem::Unexpected { found: self.found(), expected })
    }

    /// Like [`Item::refuse`], for a place where a list or an object is expected.
    fn refuse_container(&self, expected: Expected) -> Fault {
        self.place.fault(Problem::Unexpected { found: self.found().without_content(), expected })
    }

    pub fn boolean(&self) -> Result<bool, Fault> {
        match self.value {
            Value::Boolean(value) => Ok(*value),
            _ => Err(self.refuse(Expected::Is("true or false"))),
        }
    }

    /// Reads a whole number in any JSON spelling. Some tools write `5e3` or `5.0` where the input was `5000` or `5`.
    pub fn integer(&self, min: u64, max: u64) -> Result<u64, Fault> {
        match self.value {
            Value::Number(text) => whole(text).filter(|number| (min..=max).contains(number)),
            _ => None,
        }
        .ok_or_else(|| self.refuse(Expected::Integer { min, max }))
    }

    pub fn text(&self, rule: &Rule) -> Result<&'n str, Fault> {
        match self.value {
            Value::String(text) if rule.fits(text) => Ok(text),
            _ => Err(self.refuse(rule.expected())),
        }
    }

    pub fn one_of<T: Copy>(&self, choices: &[(&'static str, T)]) -> Result<T, Fault> {
        match self.value {
            Value::String(text) => choices.iter().find(|(name, _)| text == name).map(|(_, choice)| *choice),
            _ => None,
        }
        .ok_or_else(|| self.refuse(Expected::OneOf(choices.iter().map(|(name, _)| *name).collect())))
    }

    /// The entries of a list with `min` to `max` entries. `of` describes them for messages.
    pub fn list(&self, of: &'static str, min: usize, max: usize) -> Result<Vec<Item<'n>>, Fault> {
        let expected = Expected::List { of, min, max };
        match self.value {
            Value::List(entries) if (min..=max).contains(&entries.len()) => {
                let entry = |(index, node)| Item::new(node, self.place.path.index(index));
                Ok(entries.iter().enumerate().map(entry).collect())
            }
            _ => Err(self.refuse_container(expected)),
        }
    }

    /// The fields of an object whose field names the operator chooses: at most `max`. `of` describes them for messages.
    pub fn map(&self, of: &'static str, max: usize) -> Result<Vec<ObjectField<'n>>, Fault> {
        self.entries()
            .filter(|entries| entries.len() <= max)
            .ok_or_else(|| self.refuse_container(Expected::Map { of, max }))
    }

    /// An object with fields from `allowed` only, each at most once.
    pub fn object(&self, allowed: &[&'static str]) -> Result<Object<'n>, Fault> {
        let entries = self.entries().ok_or_else(|| self.refuse_container(Expected::Object(allowed.to_vec())))?;
        // The loop ends at the first unknown or repeated name, so it runs at most `allowed.len()` + 1 times.
        let mut seen = Vec::with_capacity(allowed.len());
        for entry in &entries {
            let Some(known) = allowed.iter().find(|name| **name == entry.name) else {
                return Err(entry.unknown(allowed));
            };
            if seen.contains(known) {
                return Err(entry.name_place.fault(Problem::Twice));
            }
            seen.push(*known);
        }
        Ok(Object { place: self.place.clone(), entries })
    }

    fn entries(&self) -> Option<Vec<ObjectField<'n>>> {
        match self.value {
            Value::Object(members) => {
                Some(members.iter().map(|member| ObjectField::new(member, &self.place.path)).collect())
            }
            _ => None,
        }
    }
}

/// The value of a whole JSON number. `None` if it is not whole, is negative, or is too large.
fn whole(text: &str) -> Option<u64> {
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [before, behind].concat();
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let cut = i64::try_from(digits.len().checked_sub(significant.len())?).ok()?;
    let zeros = exponent.parse::<i64>().ok()?.checked_add(cut)?.checked_sub(i64::try_from(behind.len()).ok()?)?;
    if is_negative {
        return None;
    }
    significant.parse::<u64>().ok()?.checked_mul(10u64.checked_pow(u32::try_from(zeros).ok()?)?)
}

/// One field of an object.
pub(super) struct ObjectField<'n> {
    pub name: &'n str,
    pub name_place: Location,
    pub item: Item<'n>,
}

impl<'n> ObjectField<'n> {
    fn new(member: &'n Member<'n>, outer: &Path) -> Self {
        let path = outer.field(&member.name);
        let name_place = Location { at: member.at, path: path.clone() };
        Self { name: &member.name, name_place, item: Item::new(&member.node, path) }
    }

    /// The error for this field's name if only the names in `allowed` may be used.
    pub fn unknown(&self, allowed: &[&'static str]) -> Fault {
        let is_hidden = self.name_place.path.is_hidden();
        let close = if is_hidden { None } else { naming::nearest(self.name, allowed) };
        self.name_place.fault(Problem::UnknownField { allowed: allowed.to_vec(), close })
    }
}

/// An object whose field names have been checked.
pub(super) struct Object<'n> {
    pub place: Location,
    entries: Vec<ObjectField<'n>>,
}

impl<'n> Object<'n> {
    /// The field `name`, if it was given.
    pub fn find(&self, name: &'static str) -> Option<&Item<'n>> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.item)
    }

    /// The field `name`, which is required or has a default.
    pub fn field(&self, name: &'static str) -> Result<&Item<'n>, Fault> {
        self.find(name).ok_or_else(|| Fault::new(self.place.at, &self.place.path.field(name), Problem::Missing))
    }

    /// All fields, in the order of the text.
    pub fn entries(&self) -> &[ObjectField<'n>] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_be_spelt_in_any_way() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("0e9", Some(0)),
            ("-0", Some(0)),
            ("-0.0e3", Some(0)),
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5e0", Some(5)),
            ("50e-1", Some(5)),
            ("3600000", Some(3_600_000)),
            ("3.6e+06", Some(3_600_000)),
            ("3.6E6", Some(3_600_000)),
            ("3600000.0", Some(3_600_000)),
            ("0.5e1", Some(5)),
            ("1.50e1", Some(15)),
            ("18446744073709551615", Some(u64::MAX)),
            ("5.5", None),
            ("5e-1", None),
            ("0.1", None),
            ("3.61e1", None),
            ("-5", None),
            ("-5.0", None),
            ("18446744073709551616", None),
            ("1e20", None),
            ("1e99999999999", None),
            ("1e-99999999999999999999", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }
}

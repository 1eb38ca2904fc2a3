//! Finds out what a rejected row is about. The filter leaves the row out, and an older row for the same thing must not
//! allow anything either. So the code that applies the page has to know what the row was about. A row that does not say
//! so concerns nothing.

use std::fmt;

use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Text, list::RowKind, text::Str};
use crate::digest::Digest;

/// What a rejected row is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Concerns {
    /// Unknown.
    #[default]
    Nothing,
    /// The key with this digest.
    Key(Digest),
    /// The application with this id.
    Application(Text<'static>),
    Subscription {
        /// The application's id.
        application: Text<'static>,
        /// The API's id.
        api: Text<'static>,
    },
}

impl fmt::Display for Concerns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing known"),
            // Not even the digest of a key may reach a log.
            Self::Key(_) => f.write_str("a key"),
            Self::Application(id) => write!(f, "application \"{}\"", id.as_str()),
            Self::Subscription { application, api } => {
                write!(f, "application \"{}\" and API \"{}\"", application.as_str(), api.as_str())
            }
        }
    }
}

impl Concerns {
    /// Reads the identifying fields of a row of this kind, whatever is wrong with the rest of the row.
    pub fn of(kind: RowKind, json: &str) -> Self {
        let concerns = match kind {
            RowKind::Key => {
                let [digest] = strings(json, ["sha256"]);
                digest.and_then(|digest| Digest::from_hex(&digest.0)).map(Self::Key)
            }
            RowKind::Application => {
                let [id] = strings(json, ["id"]);
                id.and_then(text).map(Self::Application)
            }
            RowKind::Subscription => {
                let [application, api] = strings(json, ["application", "api"]);
                let pair = application.and_then(text).zip(api.and_then(text));
                pair.map(|(application, api)| Self::Subscription { application, api })
            }
        };
        concerns.unwrap_or_default()
    }
}

fn text(text: Str<'_>) -> Option<Text<'static>> {
    Text::new(text.0).ok().map(Text::into_owned)
}

/// The strings in these fields of an object. If a field is given twice, the last one counts. A value that is not a
/// string counts as missing.
fn strings<'a, const N: usize>(json: &'a str, fields: [&str; N]) -> [Option<Str<'a>>; N] {
    struct Fields<'f, const N: usize>([&'f str; N]);
    impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
        type Value = [Option<Str<'de>>; N];
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [const { None }; N];
            while let Some((Str(name), value)) = map.next_entry::<_, &'de RawValue>()? {
                let place = self.0.iter().position(|field| **field == *name);
                if let Some(place) = place.and_then(|place| found.get_mut(place)) {
                    *place = serde_json::from_str(value.get()).ok();
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Fields(fields)).unwrap_or([const { None }; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_still_has_the_subject_that_it_names() {
        let text = |text: &str| Text::new(text.to_owned()).unwrap();
        let digest = Digest::of(b"key");
        let key = format!(r#"{{"id": [], "sha256": "{}", "application": 1e999, "id": 2}}"#, digest.to_hex());
        let pair = Concerns::Subscription { application: text("a"), api: text("b") };
        for (kind, json, expected) in [
            (RowKind::Key, &*key, Concerns::Key(digest)),
            (RowKind::Key, r#"{"sha256": "00"}"#, Concerns::Nothing),
            (RowKind::Key, r#"{"sha256": ["00"]}"#, Concerns::Nothing),
            (RowKind::Application, r#"{"name": "", "id": "\u0061", "id2": "b"}"#, Concerns::Application(text("a"))),
            (RowKind::Application, r#"{"id": "a", "id": "b"}"#, Concerns::Application(text("b"))),
            (RowKind::Application, r#"{"id": ""}"#, Concerns::Nothing),
            (RowKind::Application, r#"{"id": null}"#, Concerns::Nothing),
            (RowKind::Application, r#"["a"]"#, Concerns::Nothing),
            (RowKind::Application, r#""a""#, Concerns::Nothing),
            (RowKind::Application, "", Concerns::Nothing),
            (RowKind::Application, r#"{"id": "a""#, Concerns::Nothing),
            (RowKind::Subscription, r#"{"api": "b", "state": 7, "application": "a"}"#, pair),
            (RowKind::Subscription, r#"{"application": "a"}"#, Concerns::Nothing),
        ] {
            assert_eq!(Concerns::of(kind, json), expected, "{json}");
        }
    }
}

//! What a row speaks of that cannot be used. It is left out, and what it spoke of must not be allowed by an older row
//! either, so whoever applies the page has to know what that was. A row that does not say so concerns nothing.

use std::fmt;

use serde_json::{Map, Value};

use super::{Digest, Text, page::RowKind};

/// What a row that is left out speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Concerns {
    /// It cannot be known.
    #[default]
    Nothing,
    /// The key of this digest.
    Key(Digest),
    /// The application of this id.
    Application(Text<'static>),
    /// A subscription.
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
            // Not even its digest belongs into a log.
            Self::Key(_) => f.write_str("a key"),
            Self::Application(id) => write!(f, "application \"{}\"", id.as_str()),
            Self::Subscription { application, api } => {
                write!(f, "application \"{}\" and API \"{}\"", application.as_str(), api.as_str())
            }
        }
    }
}

impl Concerns {
    /// Reads what identifies a row of this kind, whatever is wrong with the rest of it.
    pub fn of(kind: RowKind, json: &str) -> Self {
        let Ok(row) = serde_json::from_str::<Map<String, Value>>(json) else { return Self::Nothing };
        let string = |field: &str| row.get(field)?.as_str();
        let text = |field: &str| Text::new(string(field)?.to_owned()).ok();
        let concerns = match kind {
            RowKind::Key => string("sha256").and_then(Digest::from_hex).map(Self::Key),
            RowKind::Application => text("id").map(Self::Application),
            RowKind::Subscription => {
                text("application").zip(text("api")).map(|(application, api)| Self::Subscription { application, api })
            }
        };
        concerns.unwrap_or_default()
    }
}

//! A row of an import, of the type that the import reads.

use management::{
    apis::Api,
    applications::Application,
    deny_policies::DenyPolicy,
    keys::Key,
    plans::Plan,
    port::{Kind, audit::Subject},
    subscriptions::Subscription,
};
use serde_json::{Map, Value};

/// A row.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Row {
    Plan(Plan),
    Api(Api),
    Application(Application),
    Subscription(Subscription),
    Key(Key),
    DenyPolicy(DenyPolicy),
}

impl Row {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plan(_) => Kind::Plan,
            Self::Api(_) => Kind::Api,
            Self::Application(_) => Kind::Application,
            Self::Subscription(_) => Kind::Subscription,
            Self::Key(_) => Kind::Key,
            Self::DenyPolicy(_) => Kind::DenyPolicy,
        }
    }

    /// The word of its kind in an import.
    pub fn word(&self) -> &'static str {
        Subject::Row(self.kind()).word()
    }

    /// Its id.
    pub fn id(&self) -> &str {
        let id = match self {
            Self::Plan(row) => &row.id,
            Self::Api(row) => &row.id,
            Self::Application(row) => &row.id,
            Self::Subscription(row) => &row.id,
            Self::Key(row) => &row.id,
            Self::DenyPolicy(row) => &row.id,
        };
        id.as_deref().unwrap_or_default()
    }

    /// Its fields, without those that it does not have.
    pub fn document(&self) -> serde_json::Result<Map<String, Value>> {
        let document = match self {
            Self::Plan(row) => serde_json::to_value(row),
            Self::Api(row) => serde_json::to_value(row),
            Self::Application(row) => serde_json::to_value(row),
            Self::Subscription(row) => serde_json::to_value(row),
            Self::Key(row) => serde_json::to_value(row),
            Self::DenyPolicy(row) => serde_json::to_value(row),
        }?;
        let mut fields = match document {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.retain(|_, value| !value.is_null());
        Ok(fields)
    }

    /// The line of an import: its fields and its kind.
    pub fn line(&self) -> serde_json::Result<String> {
        let mut fields = self.document()?;
        fields.insert("kind".to_owned(), self.word().into());
        serde_json::to_string(&fields)
    }
}

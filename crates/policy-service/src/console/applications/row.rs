//! An application, as `/v1` answers it.

use serde::Deserialize;

use super::super::rows::Block;

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Application {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub block: Option<Block>,
    #[serde(default)]
    pub plan: Option<String>,
    #[serde(default)]
    pub used_up_until: Option<i64>,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub etag: Option<String>,
}

impl Application {
    /// What people call it.
    pub fn title(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }

    pub fn state(&self) -> &str {
        self.state.as_deref().unwrap_or("ACTIVE")
    }

    pub fn is_blocked(&self) -> bool {
        self.state() == "BLOCKED"
    }

    pub fn etag(&self) -> &str {
        self.etag.as_deref().unwrap_or_default()
    }
}

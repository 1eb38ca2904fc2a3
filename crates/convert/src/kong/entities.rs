//! The entities of decK files, nested or flat, with the names by which they refer to each other.

use std::collections::HashMap;

use super::{
    consumer::{self, Consumer},
    service::{self, Route, Service},
};
use crate::{
    draft::Draft,
    finding::{Error, Spot, shown},
    yaml::{At, Object},
};

/// A plugin and the entities that it is restricted to.
#[derive(Clone)]
pub struct Plugin<'n> {
    pub name: String,
    pub spot: Spot,
    pub at: String,
    pub config: Option<At<'n>>,
    pub scope: Scope,
}

/// The names of the entities that a plugin is restricted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub service: Option<String>,
    pub route: Option<String>,
    pub consumer: Option<String>,
    pub group: Option<String>,
}

/// All entities.
#[derive(Default)]
pub struct Entities<'n> {
    pub services: Vec<Service>,
    pub routes: Vec<Route>,
    pub consumers: Vec<Consumer>,
    pub plugins: Vec<Plugin<'n>>,
    /// The consumer groups of each consumer, by the name under which the file refers to it.
    pub members: HashMap<String, Vec<String>>,
    /// The places of consumers, by each of their names.
    pub by_name: HashMap<String, usize>,
}

impl<'n> Entities<'n> {
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.routes.is_empty() && self.consumers.is_empty()
    }

    /// Reads a document.
    pub fn read(&mut self, draft: &mut Draft<'_>, at: &At<'n>) -> Result<(), Vec<Error>> {
        let Some(mut fields) = at.object(draft) else { return Ok(()) };
        fields.ignore(&["_format_version", "_transform", "_info", "_comment", "_ignore", "_konnect"]);
        if let Some(at) = fields.take(&["_workspace"]) {
            at.lose(draft, "the workspace", "keygate has one set of rows", "convert one workspace at a time");
        }
        for at in fields.list(draft, &["services"]) {
            service::read(draft, self, &at);
            draft.check_room()?;
        }
        for at in fields.list(draft, &["routes"]) {
            service::read_route(draft, self, &at, None);
            draft.check_room()?;
        }
        for at in fields.list(draft, &["consumer_groups"]) {
            self.read_group(draft, &at);
        }
        for at in fields.list(draft, &["consumers"]) {
            consumer::read(draft, self, &at);
            draft.check_room()?;
        }
        for name in consumer::CREDENTIALS {
            for at in fields.list(draft, &[name]) {
                consumer::read_flat(draft, self, name, &at);
                draft.check_room()?;
            }
        }
        self.plugins(draft, &mut fields, &Scope::default());
        for (name, at) in fields.rest() {
            let what = format!("{} of the file", shown(name));
            let why = "keygate has rules about keys only";
            at.lose(draft, what, why, "carry it over into Envoy's configuration if it is still needed");
        }
        Ok(())
    }

    /// Reads the plugins among the fields of an entity.
    pub fn plugins(&mut self, draft: &mut Draft<'_>, fields: &mut Object<'n>, around: &Scope) {
        for at in fields.list(draft, &["plugins"]) {
            let Some(mut fields) = at.object(draft) else { continue };
            let Some(name) = fields.text(draft, &["name"]) else {
                at.refuse(draft, "the name of a plugin");
                continue;
            };
            let mut scope = around.clone();
            for (field, place) in [
                ("service", &mut scope.service),
                ("route", &mut scope.route),
                ("consumer", &mut scope.consumer),
                ("consumer_group", &mut scope.group),
            ] {
                if let Some(at) = fields.take(&[field]) {
                    *place = reference(draft, &at);
                }
            }
            let is_enabled = fields.truth(draft, &["enabled"]).unwrap_or(true);
            let config = fields.take(&["config"]);
            if let Some(at) = fields.take(&["condition"]) {
                at.lose(draft, "the condition of a plugin", "keygate has no such expressions", "");
            }
            if let Some(at) = fields.take(&["_config"]) {
                at.refuse(draft, "the configuration itself under config, as deck file render writes it");
            }
            lose_labels(draft, &mut fields);
            fields.ignore(&["instance_name", "ordering", "protocols", "run_on"]);
            fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of plugins");
            if is_enabled {
                let name = name.to_owned();
                self.plugins.push(Plugin { name, spot: at.spot(), at: at.path.clone(), config, scope });
            } else {
                at.lose(draft, format!("the plugin {}", shown(name)), "it is not enabled", "");
            }
        }
    }

    fn read_group(&mut self, draft: &mut Draft<'_>, at: &At<'n>) {
        let Some(mut fields) = at.object(draft) else { return };
        let Some(name) = fields.text(draft, &["name"]).or_else(|| fields.text(draft, &["id"])).map(str::to_owned)
        else {
            at.refuse(draft, "the name of a consumer group");
            return;
        };
        for at in fields.list(draft, &["consumers"]) {
            if let Some(consumer) = reference(draft, &at) {
                self.members.entry(consumer).or_default().push(name.clone());
            }
        }
        let scope = Scope { group: Some(name), ..Scope::default() };
        self.plugins(draft, &mut fields, &scope);
        lose_labels(draft, &mut fields);
        fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of consumer groups");
    }
}

/// The name in a reference: a text, or an object with a name or an id.
pub fn reference(draft: &mut Draft<'_>, at: &At<'_>) -> Option<String> {
    let Some(mut fields) = at.fields() else { return at.text(draft).map(str::to_owned) };
    let name = fields.take(&["username", "name", "id", "custom_id"]);
    match name {
        Some(name) => name.text(draft).map(str::to_owned),
        None => {
            at.refuse(draft, "a name or an id");
            None
        }
    }
}

/// What only tells entities apart for people.
pub fn lose_labels(draft: &mut Draft<'_>, fields: &mut Object<'_>) {
    if let Some(at) = fields.take(&["tags"]) {
        draft.tally(at.spot(), &at.path, "tags", "keygate's rows have none", "");
    }
    fields.ignore(&["id", "created_at", "updated_at"]);
}

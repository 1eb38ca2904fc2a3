//! A connection manager: its filter and its routes with their overrides.

use std::collections::BTreeMap;

use super::{FILTER, OVERRIDE, WRAPPER, filter::Auth, is_filter, is_of};
use crate::{
    draft::Draft,
    finding::Spot,
    routes::PathOf,
    yaml::{At, Object, Value},
};

/// What holds on a route instead of the filter's configuration.
#[derive(Clone, Debug)]
pub enum Override {
    /// The filter is switched off.
    Off,
    /// Another configuration, by its number in [`Manager::overrides`].
    Auth(usize),
}

/// A route with its match.
#[derive(Clone, Debug)]
pub struct Taken {
    pub hosts: Option<Vec<String>>,
    pub path: PathOf,
    pub name: String,
    pub spot: Spot,
    pub at: String,
    /// `None`: as everywhere.
    pub instead: Option<Override>,
}

/// A connection manager.
#[derive(Debug)]
pub struct Manager {
    pub name: String,
    pub spot: Spot,
    pub at: String,
    pub base: Auth,
    /// The filter is off where no override switches it on.
    pub is_off: bool,
    /// Each with its name and place.
    pub overrides: Vec<(String, Spot, String, Auth)>,
    pub routes: Vec<Taken>,
    /// Its routes are in none of the files.
    pub has_unknown_routes: bool,
}

/// The overrides of a level, if it has one for the filter.
type Level = Option<Override>;

impl Manager {
    /// A filter without a connection manager.
    pub fn alone(at: &At<'_>, base: Auth) -> Self {
        Self {
            name: String::new(),
            spot: at.spot(),
            at: at.path.clone(),
            base,
            is_off: false,
            overrides: Vec::new(),
            routes: Vec::new(),
            has_unknown_routes: false,
        }
    }

    /// Reads a connection manager. `elsewhere` are route configurations that it may name.
    pub fn read(draft: &mut Draft<'_>, at: &At<'_>, elsewhere: &[At<'_>]) -> Option<Self> {
        let mut fields = at.object(draft)?;
        let filters = fields.list(draft, &["http_filters", "httpFilters"]);
        let mut found = None;
        for filter in filters {
            let Some(mut fields) = filter.object(draft) else { continue };
            let typed = fields.take(&["typed_config", "typedConfig"]);
            let Some(typed) = typed.filter(|typed| is_filter(typed.node, false)) else { continue };
            if found.is_some() {
                filter.refuse(draft, "one api_key_auth in a chain; keygate decides once");
                return None;
            }
            let name = fields.text(draft, &["name"]).unwrap_or_default().to_owned();
            let is_off = fields.truth(draft, &["disabled"]).unwrap_or_default();
            let fields = typed.object(draft)?;
            let auth = Auth::read(draft, fields);
            found = Some((name, is_off, auth));
        }
        let Some((filter, is_off, base)) = found else {
            at.lose(
                draft,
                "an override of api_key_auth",
                &format!("no filter in http_filters has the type {FILTER}"),
                "give the file that has the filter's configuration",
            );
            return None;
        };
        let prefix = fields.text(draft, &["stat_prefix", "statPrefix"]).unwrap_or_default().to_owned();
        let mut manager = Self { base, is_off, ..Self::alone(at, Auth::default()) };
        let own = fields.take(&["route_config", "routeConfig"]);
        let own = own.or_else(|| manager.find_routes(draft, &mut fields, elsewhere));
        if let Some(own) = own {
            let name = manager.read_routes(draft, &own, &filter);
            manager.name = if name.is_empty() { prefix } else { name };
        } else {
            manager.has_unknown_routes = true;
            manager.name = prefix;
        }
        Some(manager)
    }

    /// The route configuration that the manager gets from elsewhere.
    fn find_routes<'n>(&self, draft: &mut Draft<'_>, fields: &mut Object<'_>, elsewhere: &[At<'n>]) -> Option<At<'n>> {
        let mut rds = fields.take(&["rds"])?.object(draft)?;
        let wanted = rds.text(draft, &["route_config_name", "routeConfigName"])?.to_owned();
        let is_wanted = |at: &&At<'_>| {
            let Some(mut fields) = at.fields() else { return false };
            let name = fields.take(&["name"]);
            matches!(name.map(|at| &at.node.value), Some(Value::Text { text, .. }) if *text == wanted)
        };
        elsewhere.iter().find(is_wanted).cloned()
    }

    /// Reads a route configuration. Returns its name.
    fn read_routes(&mut self, draft: &mut Draft<'_>, at: &At<'_>, filter: &str) -> String {
        let Some(mut fields) = at.object(draft) else { return String::new() };
        let name = fields.text(draft, &["name"]).unwrap_or_default().to_owned();
        let outer = self.level(draft, &mut fields, filter, "");
        for host in fields.list(draft, &["virtual_hosts", "virtualHosts"]) {
            let Some(mut fields) = host.object(draft) else { continue };
            let host_name = fields.text(draft, &["name"]).unwrap_or_default().to_owned();
            let domains = fields.texts(draft, &["domains"]).unwrap_or_default();
            let hosts = (!domains.contains(&"*")).then(|| domains.into_iter().map(str::to_owned).collect::<Vec<_>>());
            let middle = self.level(draft, &mut fields, filter, &host_name).or_else(|| outer.clone());
            if let Some(matcher) = fields.take(&["matcher"]) {
                let instead = middle.clone();
                self.routes.push(Taken {
                    hosts: hosts.clone(),
                    path: PathOf::Other,
                    name: host_name.clone(),
                    spot: matcher.spot(),
                    at: matcher.path.clone(),
                    instead,
                });
            }
            for route in fields.list(draft, &["routes"]) {
                self.read_route(draft, &route, filter, &host_name, hosts.as_ref(), middle.as_ref());
            }
        }
        name
    }

    fn read_route(
        &mut self,
        draft: &mut Draft<'_>,
        at: &At<'_>,
        filter: &str,
        host: &str,
        hosts: Option<&Vec<String>>,
        middle: Option<&Override>,
    ) {
        let Some(mut fields) = at.object(draft) else { return };
        let path = fields.take(&["match"]).map_or(PathOf::Other, |at| path_of(draft, &at));
        let own = fields.text(draft, &["name"]).unwrap_or_default();
        let name = match (own, &path) {
            ("", PathOf::Prefix(path) | PathOf::Segments(path) | PathOf::Exact(path)) => format!("{host}{path}"),
            ("", PathOf::Other) => format!("{host}/{}", at.path.rsplit('.').next().unwrap_or_default()),
            (own, _) => format!("{host}/{own}"),
        };
        let inner = self.level(draft, &mut fields, filter, &name);
        let is_split = self.refuse_split(draft, &mut fields);
        let instead = if is_split {
            // Each cluster has its own callers, so nobody may call all of them.
            let nobody = Auth { credentials: Some(BTreeMap::new()), ..Auth::default() };
            self.overrides.push((name.clone(), at.spot(), at.path.clone(), nobody));
            Some(Override::Auth(self.overrides.len().saturating_sub(1)))
        } else {
            inner.or_else(|| middle.cloned())
        };
        self.routes.push(Taken {
            hosts: hosts.cloned(),
            path: if is_split { PathOf::Other } else { path },
            name,
            spot: at.spot(),
            at: at.path.clone(),
            instead,
        });
    }

    /// Whether a part of the route's traffic has an override of its own.
    fn refuse_split(&self, draft: &mut Draft<'_>, fields: &mut Object<'_>) -> bool {
        let Some(action) = fields.take(&["route"]) else { return false };
        let Some(mut fields) = action.fields() else { return false };
        let Some(split) = fields.take(&["weighted_clusters", "weightedClusters"]) else { return false };
        if !super::holds_filter(split.node) {
            return false;
        }
        let why = "a request is decided before its cluster is drawn by weight";
        split.lose(
            draft,
            "the overrides of weighted clusters",
            why,
            "use the same clients for all clusters of a route",
        );
        true
    }

    /// The override of a level.
    fn level(&mut self, draft: &mut Draft<'_>, fields: &mut Object<'_>, filter: &str, name: &str) -> Level {
        let mut overrides =
            fields.take(&["typed_per_filter_config", "typedPerFilterConfig"])?.object(draft)?.rest().into_iter();
        let (_, at) = overrides.find(|(name, _)| *name == filter)?;
        self.read_override(draft, &at, name)
    }

    fn read_override(&mut self, draft: &mut Draft<'_>, at: &At<'_>, name: &str) -> Level {
        if is_of(at.node, WRAPPER) {
            let mut fields = at.object(draft)?;
            let is_off = fields.truth(draft, &["disabled"]).unwrap_or_default();
            if is_off {
                return Some(Override::Off);
            }
            let inner = fields.take(&["config"])?;
            return self.read_override(draft, &inner, name);
        }
        if !is_of(at.node, OVERRIDE) {
            at.refuse(draft, &format!("an object of the type {OVERRIDE} or {WRAPPER}"));
            return None;
        }
        let fields = at.object(draft)?;
        let auth = Auth::read_override(draft, fields);
        self.overrides.push((name.to_owned(), at.spot(), at.path.clone(), auth));
        Some(Override::Auth(self.overrides.len().saturating_sub(1)))
    }
}

/// The paths that a match takes. Any further condition makes it one that keygate does not have.
fn path_of(draft: &mut Draft<'_>, at: &At<'_>) -> PathOf {
    let Some(mut fields) = at.object(draft) else { return PathOf::Other };
    let prefix = fields.text(draft, &["prefix"]).map(str::to_owned);
    let segments = fields.text(draft, &["path_separated_prefix", "pathSeparatedPrefix"]).map(str::to_owned);
    let exact = fields.text(draft, &["path"]).map(str::to_owned);
    let has_case = fields.truth(draft, &["case_sensitive", "caseSensitive"]).unwrap_or(true);
    let has_more = !fields.rest().is_empty();
    match (prefix, segments, exact) {
        _ if has_more => PathOf::Other,
        (Some(prefix), None, None) if has_case || prefix == "/" => PathOf::Prefix(prefix),
        (None, Some(prefix), None) if has_case => PathOf::Segments(prefix),
        (None, None, Some(path)) if has_case => PathOf::Exact(path),
        _ => PathOf::Other,
    }
}

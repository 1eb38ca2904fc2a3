//! Rows and notes of connection managers.

use std::collections::{BTreeMap, BTreeSet};

use keygate::digest::Digest;
use management::apis::{Match, Security};

use super::{
    filter::{Auth, Credential, Forwarding},
    manager::{Manager, Override},
};
use crate::{
    draft::{Draft, Grant, Subscribed},
    finding::{Error, Spot, shown},
    id,
    plugin::{ApiOf, Plugin},
    routes::{Callers, Fit, Route, fits},
};

/// The name of what has no name.
const NAMELESS: &str = "default";
/// Routes in a note. The others are counted.
const MAX_NAMED: usize = 500;

/// An API of a connection manager: the same callers on all its routes.
struct Group {
    id: String,
    callers: Callers,
    spot: Spot,
    at: String,
}

/// Writes all of them.
pub fn write(draft: &mut Draft<'_>, managers: Vec<Manager>, api: Option<&str>) -> Result<(), Vec<Error>> {
    let is_alone = managers.len() == 1;
    let mut names = BTreeSet::new();
    for mut manager in managers {
        if let Some(api) = api.filter(|_| is_alone) {
            api.clone_into(&mut manager.name);
        }
        if manager.name.is_empty() {
            NAMELESS.clone_into(&mut manager.name);
        }
        let name = manager.name.clone();
        for number in 2.. {
            if names.insert(manager.name.clone()) {
                break;
            }
            manager.name = format!("{name}-{number}");
        }
        one(draft, &manager, is_alone)?;
    }
    Ok(())
}

fn one(draft: &mut Draft<'_>, manager: &Manager, is_alone: bool) -> Result<(), Vec<Error>> {
    let base_id = draft.id(manager.spot, &manager.at, "the API", &manager.name);
    let mut groups = groups(draft, manager, &base_id);
    let routes: Vec<Route> = manager
        .routes
        .iter()
        .filter_map(|taken| {
            let group = groups.get(number_of(manager, taken.instead.as_ref()))?;
            let (hosts, path) = (taken.hosts.clone(), taken.path.clone());
            Some(Route { hosts, path, has_conditions: false, callers: group.callers.clone(), api: group.id.clone() })
        })
        .collect();
    let is_one = manager.overrides.is_empty() && manager.routes.iter().all(|taken| taken.instead.is_none());
    let api_of = if manager.has_unknown_routes {
        let why = "its routes are in none of the files, so their overrides are not known";
        let instead = "give the route configuration as a file too";
        draft.lose(manager.spot, &manager.at, "the matches of the API", why, instead);
        ApiOf::RouteMetadata
    } else if is_one {
        if is_alone { ApiOf::Match } else { ApiOf::Fixed(base_id.clone()) }
    } else if is_alone {
        matches_of(draft, manager, &routes)
    } else {
        ApiOf::RouteMetadata
    };
    let mut used: BTreeSet<String> = routes.iter().map(|route| route.api.clone()).collect();
    if is_one || manager.has_unknown_routes {
        used.extend(groups.get(number_of(manager, None)).map(|group| group.id.clone()));
    }
    groups.retain(|group| used.contains(&group.id));
    for group in &groups {
        let security = if group.callers == Callers::All { Some(Security::None) } else { None };
        draft.api(group.spot, &group.at, &group.id, None, security);
    }
    if api_of == ApiOf::Match {
        if let (true, Some(group)) = (is_one, groups.first()) {
            draft.add_match(&group.id, Match { hosts: None, path: "/".to_owned() });
        }
        for (route, found) in routes.iter().zip(fits(&routes)).filter(|_| !is_one) {
            if let Some(found) = route.as_match().filter(|_| found != Fit::Shadowed) {
                draft.add_match(&route.api, found);
            }
        }
    }
    keys(draft, manager, &groups)?;
    note(draft, manager, &routes, api_of);
    Ok(())
}

/// The number of a route's group: the filter's own, that of no filter, those of the overrides.
fn number_of(manager: &Manager, instead: Option<&Override>) -> usize {
    match instead {
        None if manager.is_off => 1,
        None => 0,
        Some(Override::Off) => 1,
        Some(Override::Auth(number)) => number.saturating_add(2),
    }
}

fn groups(draft: &mut Draft<'_>, manager: &Manager, base_id: &str) -> Vec<Group> {
    let Manager { spot, at, base, .. } = manager;
    let callers = callers(draft, *spot, at, base, None, manager.is_off);
    let base_group = Group { id: base_id.to_owned(), callers, spot: *spot, at: at.clone() };
    let open =
        Group { id: id::of_names(&[base_id, "without a key"]), callers: Callers::All, spot: *spot, at: at.clone() };
    let mut groups = vec![base_group, open];
    for (number, (name, spot, at, auth)) in manager.overrides.iter().enumerate() {
        let name = if name.is_empty() { format!("override {number}") } else { name.clone() };
        let callers = self::callers(draft, *spot, at, base, Some(auth), false);
        lose_places(draft, *spot, at, base, auth);
        let id = fresh_id(draft, &groups, base_id, &name);
        groups.push(Group { id, callers, spot: *spot, at: at.clone() });
    }
    groups
}

/// The id of a part of a connection manager. No other API has it.
fn fresh_id(draft: &Draft<'_>, groups: &[Group], base_id: &str, name: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    let wanted = format!("{base_id}{slash}{name}");
    let mut id = id::of_name(&wanted);
    for number in 2.. {
        if !draft.apis.contains_key(&id) && groups.iter().all(|group| group.id != id) {
            break;
        }
        id = id::of_name(&format!("{wanted}-{number}"));
    }
    id
}

/// What an override says of places and forwarding has no row, because a plugin has one configuration.
fn lose_places(draft: &mut Draft<'_>, spot: Spot, at: &str, base: &Auth, auth: &Auth) {
    let why = "a plugin reads and forwards in one way on all its routes";
    if auth.sources.is_some() && auth.sources != base.sources {
        let instead = "give the plugin the places of all routes, or these routes a listener of their own";
        draft.lose(spot, at, "key_sources of an override", why, instead);
    }
    let plain = Forwarding { header: None, hides_credential: false };
    // An override without forwarding hands nothing on, whatever the filter says.
    if auth.forwarding.as_ref().unwrap_or(&plain) != base.forwarding.as_ref().unwrap_or(&plain) {
        let instead = "set the header or remove it by a header mutation of the route";
        draft.lose(spot, at, "forwarding of an override, which may be none", why, instead);
    }
}

fn credentials<'a>(base: &'a Auth, auth: Option<&'a Auth>) -> Option<&'a BTreeMap<Digest, Credential>> {
    auth.and_then(|auth| auth.credentials.as_ref()).or(base.credentials.as_ref())
}

fn callers(draft: &mut Draft<'_>, spot: Spot, at: &str, base: &Auth, auth: Option<&Auth>, is_off: bool) -> Callers {
    let credentials = credentials(base, auth);
    let sources = auth.and_then(|auth| auth.sources.as_ref()).or(base.sources.as_ref());
    let (Some(credentials), Some(_)) = (credentials, sources) else {
        // A filter without them is common where overrides have them.
        if auth.is_some() || !is_off {
            let why = "without credentials or without key_sources Envoy refuses every request";
            draft.lose(spot, at, "the clients of these routes", why, "nobody may call them in keygate either");
        }
        return Callers::Keys(BTreeSet::new());
    };
    let allowed = auth.map(|auth| &auth.allowed);
    for client in allowed.into_iter().flatten() {
        if !credentials.values().any(|credential| credential.client == *client) {
            let what = format!("the allowed client {}", shown(client));
            draft.lose(spot, at, what, "it has no key among the credentials of these routes", "");
        }
    }
    let is_allowed = |credential: &Credential| {
        allowed.is_none_or(|allowed| allowed.is_empty() || allowed.contains(&credential.client))
    };
    let digests = credentials.iter().filter(|(_, credential)| is_allowed(credential));
    Callers::Keys(digests.map(|(digest, _)| *digest).collect())
}

/// Whether matches say what the routes say. What they do not say is told of.
fn matches_of(draft: &mut Draft<'_>, manager: &Manager, routes: &[Route]) -> ApiOf {
    let mut api_of = ApiOf::Match;
    for (found, of) in fits(routes).into_iter().zip(&manager.routes) {
        let what = format!("the route {}", shown(&of.name));
        match found {
            Fit::Same => {}
            Fit::Narrows(why) => {
                draft.lose(of.spot, &of.at, what, &why, "name the API in the route's metadata if such requests exist");
            }
            Fit::Widens(why) => {
                let instead = "name the API of each route in its metadata, as the note says";
                draft.lose(of.spot, &of.at, what, &why, instead);
                api_of = ApiOf::RouteMetadata;
            }
            Fit::Shadowed => draft.lose(of.spot, &of.at, what, "an earlier route takes all its requests", ""),
        }
    }
    api_of
}

/// Applications, subscriptions and keys.
fn keys(draft: &mut Draft<'_>, manager: &Manager, groups: &[Group]) -> Result<(), Vec<Error>> {
    let lists = [Some(&manager.base)].into_iter().chain(manager.overrides.iter().map(|(.., auth)| Some(auth)));
    let mut credentials: Vec<_> = lists.flatten().filter_map(|auth| auth.credentials.as_ref()).flatten().collect();
    // In the order of the files, so that keys are numbered in it.
    credentials.sort_by_key(|(_, credential)| (credential.spot.file, credential.spot.line, credential.spot.column));
    for (digest, credential) in credentials {
        let Credential { client, spot, path } = credential;
        let application = draft.application(*spot, path, client, None);
        let opens = |group: &&Group| matches!(&group.callers, Callers::Keys(keys) if keys.contains(digest));
        let apis: BTreeSet<String> = groups.iter().filter(opens).map(|group| group.id.clone()).collect();
        if apis.is_empty() && !draft.keys.contains_key(digest) {
            let what = format!("the access of the client {}", shown(client));
            draft.lose(*spot, path, what, "no route allows it", "its key is carried over and opens nothing");
        }
        for api in &apis {
            if !draft.subscriptions.contains_key(&(application.clone(), api.clone())) {
                draft.subscribe(*spot, path, &application, api, Subscribed::default());
            }
        }
        draft.digest(*spot, path, *digest, Grant { application, apis: Some(apis), ..Grant::default() });
        draft.check_room()?;
    }
    Ok(())
}

fn note(draft: &mut Draft<'_>, manager: &Manager, routes: &[Route], api_of: ApiOf) {
    let first = manager.overrides.iter().find_map(|(.., auth)| auth.sources.as_ref());
    let sources = manager.base.sources.as_ref().or(first).cloned().unwrap_or_default();
    let forwarding = manager.base.forwarding.clone();
    let Forwarding { header, hides_credential } =
        forwarding.unwrap_or(Forwarding { header: None, hides_credential: false });
    let needs_metadata = api_of == ApiOf::RouteMetadata;
    let plugin = Plugin {
        sources,
        api: api_of,
        application_header: header,
        key_header: None,
        shows_credential: !hides_credential,
    };
    let place = draft.file(manager.spot.file).to_owned();
    let text = plugin.text();
    draft.notes.push(format!(
        "Configuration of the plugin that stands where api_key_auth of {:?} stood ({place}), for a run in shadow mode:\n{text}",
        manager.name
    ));
    if !needs_metadata || routes.is_empty() {
        return;
    }
    let mut lines =
        vec!["Each of these routes must name its API, or keygate refuses its requests as api_not_found:".to_owned()];
    for (route, taken) in routes.iter().zip(&manager.routes).take(MAX_NAMED) {
        let [namespace, key] = crate::plugin::ROUTE_METADATA;
        let line = taken.spot.line;
        let api = serde_json::Value::from(route.api.as_str());
        lines.push(format!("{place}:{line}: metadata: {{filter_metadata: {{{namespace}: {{{key}: {api}}}}}}}"));
    }
    match routes.len().saturating_sub(MAX_NAMED) {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    draft.notes.push(lines.join("\n"));
}

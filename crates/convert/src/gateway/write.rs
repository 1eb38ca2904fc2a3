//! Rows and notes of policies.

use std::collections::{BTreeMap, BTreeSet};

use keygate::digest::Digest;

use super::{
    policy::{Policy, Target},
    route::{Found, Routes, full_name},
    secret::{ClientKey, Secrets},
};
use crate::{
    draft::{Draft, Grant, Subscribed},
    finding::{Error, Spot, shown},
    id,
    plugin::{ApiOf, Plugin},
    routes::{Callers, Fit, PathOf, Route, fits},
};

/// A policy at one of its targets.
struct Attached<'p> {
    policy: &'p Policy,
    target: &'p Target,
    api: String,
    callers: Callers,
}

/// Routes of all kinds, with the places that people are told.
#[derive(Default)]
struct Listed {
    routes: Vec<Route>,
    spots: Vec<(Spot, String, String)>,
}

/// Writes all of them.
pub fn write(
    draft: &mut Draft<'_>,
    policies: Vec<Policy>,
    secrets: &Secrets<'_>,
    routes: &Routes,
) -> Result<(), Vec<Error>> {
    let mut attached: Vec<Attached<'_>> = Vec::new();
    for policy in &policies {
        let clients = clients(draft, policy, secrets);
        let callers = Callers::Keys(clients.values().map(|(_, key)| key.digest).collect());
        let mut apis = BTreeSet::new();
        for target in &policy.targets {
            let api = id::of_name(&api_name(policy, target));
            if let Some(first) = attached.iter().find(|held| held.api == api) {
                let found = format!("a second policy of the same target, beside {}", shown(&first.policy.name));
                draft.refuse(target.spot, &target.at, &found, "one policy for a target; this one is left out");
                continue;
            }
            draft.api(target.spot, &target.at, &api, None, None);
            apis.insert(api.clone());
            attached.push(Attached { policy, target, api, callers: callers.clone() });
        }
        keys(draft, clients, &apis)?;
    }
    let listed = list(draft, &attached, routes);
    let needs_plugins = match_all(draft, &attached, &listed);
    notes(draft, &attached, needs_plugins);
    Ok(())
}

/// The name of a target's API. Namespaces are in lower case, so a kind is none.
fn api_name(policy: &Policy, target: &Target) -> String {
    let name = full_name(&policy.namespace, &target.name);
    let section = target.section.as_ref().map_or_else(String::new, |section| format!("/{section}"));
    match target.kind.as_str() {
        "HTTPRoute" => format!("{name}{section}"),
        kind => format!("{kind}/{name}{section}"),
    }
}

/// The clients of a policy's Secrets. Of two keys of one client the first counts, as in Envoy Gateway.
fn clients(draft: &mut Draft<'_>, policy: &Policy, secrets: &Secrets<'_>) -> BTreeMap<Digest, (String, ClientKey)> {
    let mut names = BTreeSet::new();
    let mut clients: BTreeMap<Digest, (String, ClientKey)> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for (namespace, name, spot, at) in &policy.secrets {
        let Some(found) = secrets.read(draft, namespace, name) else {
            let found = format!("the Secret {}, which is in none of the files", shown(&full_name(namespace, name)));
            draft.refuse(*spot, at, &found, "the Secret as a document of one of the files");
            continue;
        };
        for (client, key) in found {
            if !names.insert(client.clone()) {
                let what = format!("a second key of the client {}", shown(&client));
                let why = "Envoy Gateway takes the one of the first Secret";
                draft.lose(key.spot, &key.path, what, why, "");
                continue;
            }
            if let Some((first, _)) = clients.get(&key.digest) {
                let found =
                    format!("the key of the client {}, which is that of {} as well", shown(&client), shown(first));
                draft.refuse(key.spot, &key.path, &found, "a key that only one client has; it is left out for both");
                refused.insert(key.digest);
                continue;
            }
            clients.insert(key.digest, (client, key));
        }
    }
    clients.retain(|digest, _| !refused.contains(digest));
    clients
}

fn keys(
    draft: &mut Draft<'_>,
    clients: BTreeMap<Digest, (String, ClientKey)>,
    apis: &BTreeSet<String>,
) -> Result<(), Vec<Error>> {
    // In the order of the files, so that keys are numbered in it.
    let mut clients: Vec<_> = clients.into_iter().collect();
    clients.sort_by_key(|(_, (_, key))| (key.spot.file, key.spot.line, key.spot.column));
    for (digest, (client, ClientKey { spot, path, .. })) in clients {
        let application = draft.application(spot, &path, &client, None);
        for api in apis {
            if !draft.subscriptions.contains_key(&(application.clone(), api.clone())) {
                draft.subscribe(spot, &path, &application, api, Subscribed::default());
            }
        }
        draft.digest(spot, &path, digest, Grant { application, apis: Some(apis.clone()), ..Grant::default() });
        draft.check_room()?;
    }
    Ok(())
}

/// All routes with the policies that decide on them, the most specific first, as Gateways look at them.
fn list(draft: &mut Draft<'_>, attached: &[Attached<'_>], routes: &Routes) -> Listed {
    let mut all: Vec<(Route, (Spot, String, String))> = Vec::new();
    for route in &routes.found {
        for rule in &route.rules {
            let decided = decided_by(attached, route, rule.name.as_deref());
            let (callers, api) = match decided {
                Some(attached) => (attached.callers.clone(), attached.api.clone()),
                None => (Callers::All, String::new()),
            };
            for (path, has_conditions) in &rule.paths {
                let name = full_name(&route.namespace, &route.name);
                let (hosts, path, has_conditions) = (route.hosts.clone(), path.clone(), *has_conditions);
                let place = (route.spot, route.at.clone(), name);
                all.push((Route { hosts, path, has_conditions, callers: callers.clone(), api: api.clone() }, place));
            }
        }
    }
    all.sort_by_key(|(route, _)| match &route.path {
        PathOf::Exact(_) => (0, 0),
        PathOf::Segments(path) | PathOf::Prefix(path) => (1, usize::MAX.saturating_sub(path.len())),
        PathOf::Other => (2, 0),
    });
    for Attached { target, policy, .. } in attached {
        let is_there = routes.found.iter().any(|route| concerns(policy, target, route));
        if target.kind != "Gateway" && !is_there {
            let found = format!("{} {}, which is in none of the files", target.kind, shown(&target.name));
            draft.refuse(target.spot, &target.at, &found, "the route as a document of one of the files");
        }
    }
    let (routes, spots) = all.into_iter().unzip();
    Listed { routes, spots }
}

fn concerns(policy: &Policy, target: &Target, route: &Found) -> bool {
    if target.kind == "Gateway" {
        return route.gateways.contains(&(policy.namespace.clone(), target.name.clone()));
    }
    (target.kind.as_str(), target.name.as_str(), policy.namespace.as_str())
        == (route.kind.as_str(), route.name.as_str(), route.namespace.as_str())
}

/// The policy that decides: that of the rule, of the route, of its Gateway.
fn decided_by<'a, 'p>(attached: &'a [Attached<'p>], route: &Found, rule: Option<&str>) -> Option<&'a Attached<'p>> {
    let of = |held: &&Attached<'_>| concerns(held.policy, held.target, route);
    let of_route = |held: &&Attached<'_>| of(held) && held.target.kind != "Gateway";
    let section = |held: &Attached<'_>| held.target.section.clone();
    let rule = attached.iter().filter(of_route).find(|held| rule.is_some() && section(held).as_deref() == rule);
    let whole = || attached.iter().filter(of_route).find(|held| section(held).is_none());
    // A listener's policy is that of the Gateway here; the rows have one API for each.
    rule.or_else(whole).or_else(|| attached.iter().filter(of).find(|held| held.target.kind == "Gateway"))
}

/// Gives each API its matches. Returns whether plugins must tell the APIs apart instead.
fn match_all(draft: &mut Draft<'_>, attached: &[Attached<'_>], listed: &Listed) -> bool {
    let Listed { routes, spots } = listed;
    let mut needs_plugins = false;
    let fits = fits(routes);
    for ((route, (spot, at, name)), found) in routes.iter().zip(spots).zip(&fits) {
        let what = format!("a rule of the route {}", shown(name));
        match found {
            Fit::Same => {}
            // Nothing of it is protected today.
            _ if route.api.is_empty() => {}
            Fit::Narrows(why) => draft.lose(*spot, at, what, why, "give its plugin the fixed API, as in the note"),
            Fit::Shadowed => draft.lose(*spot, at, what, "another rule takes all its requests", ""),
            Fit::Widens(why) => {
                draft.lose(*spot, at, what, why, "give each target a plugin with its API, as in the notes");
                needs_plugins = true;
            }
        }
    }
    // A listener has no match of its own, and an API without a policy's routes none at all.
    let has_sections = attached.iter().any(|held| held.target.kind == "Gateway" && held.target.section.is_some());
    let gateways = attached.iter().filter(|held| held.target.kind == "Gateway").count();
    needs_plugins |= has_sections || gateways > 1;
    if needs_plugins {
        return true;
    }
    for (route, found) in routes.iter().zip(&fits).filter(|(route, _)| !route.api.is_empty()) {
        if let Some(matching) = route.as_match().filter(|_| *found != Fit::Shadowed) {
            draft.add_match(&route.api, matching);
        }
    }
    // A Gateway decides on the routes that are in none of the files too.
    let is_root = |route: &Route| route.hosts.is_none() && route.path == PathOf::Segments("/".to_owned());
    for held in attached.iter().filter(|held| held.target.kind == "Gateway") {
        if !routes.iter().any(is_root) {
            draft.add_match(&held.api, management::apis::Match { hosts: None, path: "/".to_owned() });
        }
    }
    false
}

/// The configuration of a plugin for each target, or one for all whose configuration is the same.
fn notes(draft: &mut Draft<'_>, attached: &[Attached<'_>], needs_plugins: bool) {
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for Attached { policy, target, api, .. } in attached {
        let plugin = Plugin {
            sources: policy.sources.clone(),
            api: if needs_plugins { ApiOf::Fixed(api.clone()) } else { ApiOf::Match },
            application_header: policy.header.clone(),
            key_header: None,
            shows_credential: !policy.sanitizes,
        };
        let text = plugin.text();
        let section = target.section.as_ref().map_or_else(String::new, |section| format!(", section {section:?}"));
        let name = format!("{} {:?}{section}", target.kind, full_name(&policy.namespace, &target.name));
        match texts.iter_mut().find(|(held, _)| *held == text) {
            Some((_, names)) => names.push(name),
            None => texts.push((text, vec![name])),
        }
    }
    for (text, names) in texts {
        let names = names.join(", ");
        draft.notes.push(format!(
            "Configuration of the plugin in an EnvoyExtensionPolicy for {names}, for a run in shadow mode:\n{text}"
        ));
    }
}

//! Rows and notes of decK's entities.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use management::{
    apis::{ApiState, Security},
    deny_policies::DenyType,
};

use super::{
    consumer::Consumer,
    entities::{Entities, Plugin},
    limits,
    rules::{self, ACL, ADDRESSES, Acl, KEY_AUTH, KeyAuth, LIMITS, OTHER_AUTH, Place},
    service::Route,
};
use crate::{
    draft::{Draft, Grant, Subscribed},
    finding::{Error, Spot, shown},
    id,
    limits::MAX_ROWS,
    plugin::{ApiOf, Plugin as Note},
    routes::{self, Callers, Fit, PathOf, fits},
};

/// An API: a service, or a route with rules of its own.
struct Made<'e> {
    id: String,
    place: Place<'e>,
    spot: Spot,
    at: String,
    key_auth: Option<KeyAuth>,
    acl: Option<Acl>,
    /// Nobody may call it: its callers are known by something else than a key.
    is_closed: bool,
    /// The consumers that may call it, by their number.
    consumers: BTreeSet<usize>,
}

/// Writes all of them.
pub fn write(draft: &mut Draft<'_>, entities: &Entities<'_>) -> Result<(), Vec<Error>> {
    let mut made: Vec<Made<'_>> = Vec::new();
    let mut of_route = Vec::new();
    for route in &entities.routes {
        of_route.push(api_of(draft, entities, route, &mut made));
        draft.check_room()?;
    }
    for service in &entities.services {
        if !entities.routes.iter().any(|route| is_of(route.service.as_ref(), &service.names)) {
            draft.lose(service.spot, &service.at, "a service", "it has no route, so no request reaches it", "");
        }
    }
    let mut subscriptions = 0_usize;
    for (number, consumer) in entities.consumers.iter().enumerate() {
        let groups = groups_of(entities, consumer);
        for api in &mut made {
            let passes = api.acl.as_ref().is_none_or(|acl| acl.passes(&consumer.groups, &groups));
            if api.key_auth.is_some() && !api.is_closed && passes {
                api.consumers.insert(number);
                subscriptions = subscriptions.saturating_add(1);
            }
        }
        if subscriptions > MAX_ROWS {
            let found = format!("more than {MAX_ROWS} subscriptions, because each consumer may call each service");
            let expected = "fewer of them: convert some of the services at a time, or restrict them by acl";
            return Err(vec![draft.error_at(consumer.spot, &consumer.at, &found, expected)]);
        }
    }
    match_all(draft, entities, &made, &of_route);
    let plans = plans(draft, entities);
    consumers(draft, entities, &made, &plans)?;
    others(draft, entities);
    notes(draft, &made);
    Ok(())
}

fn is_of(name: Option<&String>, names: &[String]) -> bool {
    name.is_some_and(|name| names.contains(name))
}

fn groups_of<'e>(entities: &'e Entities<'_>, consumer: &Consumer) -> Vec<&'e str> {
    let groups = consumer.names.iter().filter_map(|name| entities.members.get(name)).flatten();
    groups.map(String::as_str).collect()
}

/// The number of a route's API. It is made if it is the first of its service, or has rules of its own.
fn api_of<'e>(draft: &mut Draft<'_>, entities: &'e Entities<'_>, route: &'e Route, made: &mut Vec<Made<'e>>) -> usize {
    let service = entities.services.iter().find(|service| is_of(route.service.as_ref(), &service.names));
    let names = service.map_or(&[][..], |service| service.names.as_slice());
    let place = Place { service: names, route: &route.names };
    let own = entities.plugins.iter().any(|plugin| {
        let decides = plugin.name == KEY_AUTH
            || plugin.name == ACL
            || LIMITS.contains(&plugin.name.as_str())
            || OTHER_AUTH.contains(&plugin.name.as_str());
        decides && is_of(plugin.scope.route.as_ref(), &route.names)
    });
    let label = route.names.first().map_or("", String::as_str);
    let (name, place, spot, at) = match service.and_then(|service| Some((service, service.names.first()?))) {
        Some((service, name)) if !own => {
            let place = Place { service: names, route: &[] };
            (name.clone(), place, service.spot, service.at.clone())
        }
        Some((_, name)) => (format!("{name}/{label}"), place, route.spot, route.at.clone()),
        None => (label.to_owned(), place, route.spot, route.at.clone()),
    };
    let id = id::of_name(&name);
    if let Some(number) = made.iter().position(|api| api.id == id && api.at == at) {
        return number;
    }
    let is_known = made.iter().any(|api| api.id == id);
    let id = if is_known { id::of_names(&[&name, &at]) } else { id };
    let key_auth = rules::of_place(entities, &[KEY_AUTH], place);
    let others = rules::of_place(entities, &OTHER_AUTH, place);
    if let Some(other) = others {
        let (why, instead) = match key_auth {
            Some(_) => ("keygate checks the key alone", "check the other credential by a filter of Envoy"),
            None => ("keygate knows keys only, so its API is open to nobody", "issue keys for its callers"),
        };
        let what = format!("{} on the API {id:?}", other.name);
        draft.lose(other.spot, &other.at, what, why, instead);
    }
    let acl = rules::of_place(entities, &[ACL], place);
    let api = Made {
        id,
        place,
        spot,
        at,
        acl: acl.map(|acl| rules::acl(draft, acl.config.as_ref())),
        is_closed: key_auth.is_none() && others.is_some(),
        key_auth: key_auth.map(|plugin| rules::key_auth(draft, plugin.config.as_ref())),
        consumers: BTreeSet::new(),
    };
    let is_open = api.key_auth.is_none() && !api.is_closed;
    draft.api(api.spot, &api.at, &api.id, None, is_open.then_some(Security::None));
    if service.is_some_and(|service| !service.is_enabled)
        && let Some(entry) = draft.apis.get_mut(&api.id)
    {
        entry.row.state = Some(ApiState::Retired);
    }
    made.push(api);
    made.len().saturating_sub(1)
}

/// Gives each API the hosts and paths of its routes, if all of them can be told apart by these.
fn match_all(draft: &mut Draft<'_>, entities: &Entities<'_>, made: &[Made<'_>], of_route: &[usize]) {
    let digests = |api: &Made<'_>| {
        let keys = api.consumers.iter().filter_map(|number| entities.consumers.get(*number)).flat_map(|it| &it.keys);
        keys.map(|key| key.digest).collect()
    };
    let callers: Vec<Callers> = made
        .iter()
        .map(|api| match api.key_auth.is_none() && !api.is_closed {
            true => Callers::All,
            false => Callers::Keys(digests(api)),
        })
        .collect();
    let mut all: Vec<(routes::Route, &Route)> = Vec::new();
    for (route, number) in entities.routes.iter().zip(of_route) {
        let (Some(api), Some(callers)) = (made.get(*number), callers.get(*number)) else { continue };
        for path in &route.paths {
            let taken = routes::Route {
                hosts: route.hosts.clone(),
                path: path.clone(),
                has_conditions: route.has_conditions,
                callers: callers.clone(),
                api: api.id.clone(),
            };
            all.push((taken, route));
        }
    }
    // Kong takes a route with more conditions first, and then the longest path.
    all.sort_by_key(|(route, _)| match &route.path {
        PathOf::Prefix(path) | PathOf::Segments(path) | PathOf::Exact(path) => {
            (!route.has_conditions, usize::MAX.saturating_sub(path.len()))
        }
        PathOf::Other => (false, 0),
    });
    let (all, of): (Vec<routes::Route>, Vec<&Route>) = all.into_iter().unzip();
    let fits = fits(&all);
    let mut needs_metadata = false;
    for (found, route) in fits.iter().zip(&of) {
        let what = format!("a path of the route {}", shown(route.names.first().map_or("", String::as_str)));
        match found {
            Fit::Same => {}
            Fit::Narrows(why) => draft.lose(route.spot, &route.at, what, why, "make matches that fit, if this matters"),
            Fit::Shadowed => draft.lose(route.spot, &route.at, what, "another route takes all its requests", ""),
            Fit::Widens(why) => {
                let instead = "name the API of each route in its metadata, as the note says";
                draft.lose(route.spot, &route.at, what, why, instead);
                needs_metadata = true;
            }
        }
    }
    if needs_metadata {
        let [namespace, key] = crate::plugin::ROUTE_METADATA;
        draft.notes.push(format!(
            "No API has a match, because hosts and paths alone do not tell these routes apart. Give each route of Envoy the \
             metadata {{filter_metadata: {{{namespace}: {{{key}: ID}}}}}} with the id of its API, and the plugin \
             \"api\": {{\"route_metadata\": [\"{namespace}\", \"{key}\"]}}."
        ));
        return;
    }
    for (route, found) in all.iter().zip(&fits) {
        if let Some(matching) = route.as_match().filter(|_| *found != Fit::Shadowed) {
            draft.add_match(&route.api, matching);
        }
    }
}

/// The plans of all limiting plugins, by their place in the list of plugins.
fn plans(draft: &mut Draft<'_>, entities: &Entities<'_>) -> BTreeMap<String, String> {
    let limiting = entities.plugins.iter().filter(|plugin| LIMITS.contains(&plugin.name.as_str()));
    limiting.filter_map(|plugin| Some((key_of(plugin), limits::plan(draft, plugin)?))).collect()
}

fn key_of(plugin: &Plugin<'_>) -> String {
    format!("{} {}", plugin.spot.file, plugin.at)
}

fn consumers(
    draft: &mut Draft<'_>,
    entities: &Entities<'_>,
    made: &[Made<'_>],
    plans: &BTreeMap<String, String>,
) -> Result<(), Vec<Error>> {
    let limiting = ByConsumer::of(entities, &LIMITS);
    let restricting = ByConsumer::of(entities, &[ADDRESSES]);
    for (number, consumer) in entities.consumers.iter().enumerate() {
        let Some(name) = consumer.names.first() else { continue };
        let application = draft.application(consumer.spot, &consumer.at, name, None);
        let groups = groups_of(entities, consumer);
        let mut apis = BTreeSet::new();
        for api in made.iter().filter(|api| api.consumers.contains(&number)) {
            let limiting = rules::of_consumer(limiting.plugins(consumer), api.place, &consumer.names, &groups);
            let plan = limiting.and_then(|plugin| plans.get(&key_of(plugin)).cloned());
            // What is not restricted to a service or route counts all requests of the consumer.
            let is_general = limiting.is_some_and(|it| it.scope.service.is_none() && it.scope.route.is_none());
            if is_general {
                plan_of_application(draft, consumer, &application, plan.as_ref());
            }
            let plan = plan.filter(|_| !is_general);
            draft.subscribe(
                consumer.spot,
                &consumer.at,
                &application,
                &api.id,
                Subscribed { plan, ..Subscribed::default() },
            );
            apis.insert(api.id.clone());
        }
        if apis.is_empty() && !consumer.keys.is_empty() {
            let what = format!("the access of the consumer {}", shown(name));
            let why = "no service or route with key-auth is open to it";
            draft.lose(consumer.spot, &consumer.at, what, why, "its keys are carried over and open nothing");
        }
        let permitted_ips = permitted(draft, &restricting, consumer);
        for key in &consumer.keys {
            let grant = Grant {
                application: application.clone(),
                id: key.id.as_deref().map(id::of_name),
                apis: apis.is_empty().then(BTreeSet::new),
                expires_at: key.expires_at,
                permitted_ips: permitted_ips.clone(),
                ..Grant::default()
            };
            draft.digest(key.spot, &key.at, key.digest, grant);
        }
        draft.check_room()?;
    }
    Ok(())
}

fn plan_of_application(draft: &mut Draft<'_>, consumer: &Consumer, application: &str, plan: Option<&String>) {
    let Some(entry) = draft.applications.get_mut(application) else { return };
    match (&entry.row.plan, plan) {
        (Some(held), Some(plan)) if held != plan => {
            let what = format!("the limit {plan:?} of the application {application:?}");
            draft.lose(consumer.spot, &consumer.at, what, "it has another one already", "");
        }
        (None, Some(plan)) => entry.row.plan = Some(plan.clone()),
        _ => {}
    }
}

/// Plugins with some names, by the consumer that they name. There may be as many as consumers.
struct ByConsumer<'e, 'n> {
    general: Vec<&'e Plugin<'n>>,
    own: HashMap<&'e str, Vec<&'e Plugin<'n>>>,
}

impl<'e, 'n> ByConsumer<'e, 'n> {
    fn of(entities: &'e Entities<'n>, names: &[&str]) -> Self {
        let (mut general, mut own) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for plugin in entities.plugins.iter().filter(|plugin| names.contains(&plugin.name.as_str())) {
            match &plugin.scope.consumer {
                Some(consumer) => own.entry(consumer.as_str()).or_default().push(plugin),
                None => general.push(plugin),
            }
        }
        Self { general, own }
    }

    fn own(&self, consumer: &'e Consumer) -> impl Iterator<Item = &'e Plugin<'n>> {
        consumer.names.iter().filter_map(|name| self.own.get(name.as_str())).flatten().copied()
    }

    fn plugins(&self, consumer: &'e Consumer) -> impl Iterator<Item = &'e Plugin<'n>> {
        self.own(consumer).chain(self.general.iter().copied())
    }
}

/// The addresses that a consumer may come from.
fn permitted<'e>(
    draft: &mut Draft<'_>,
    restricting: &ByConsumer<'e, '_>,
    consumer: &'e Consumer,
) -> Option<Vec<String>> {
    let is_general = |plugin: &&Plugin<'_>| plugin.scope.service.is_none() && plugin.scope.route.is_none();
    let plugin = restricting.own(consumer).find(is_general)?;
    let found = rules::addresses(draft, plugin.config.as_ref());
    if !found.deny.is_empty() {
        let why = "keygate denies addresses for all applications, not for one";
        draft.lose(plugin.spot, &plugin.at, "denied addresses of a consumer", why, "");
    }
    (!found.allow.is_empty()).then_some(found.allow)
}

/// Plugins that are not about keys, groups or limits.
fn others(draft: &mut Draft<'_>, entities: &Entities<'_>) {
    for plugin in &entities.plugins {
        let name = plugin.name.as_str();
        if name == KEY_AUTH || name == ACL || LIMITS.contains(&name) || OTHER_AUTH.contains(&name) {
            continue;
        }
        if name == ADDRESSES {
            deny_addresses(draft, entities, plugin);
            continue;
        }
        let what = format!("the plugin {}", shown(name));
        let instead = "use a filter of Envoy, if it is still needed";
        draft.lose(plugin.spot, &plugin.at, what, "keygate decides about keys only", instead);
    }
}

fn deny_addresses(draft: &mut Draft<'_>, entities: &Entities<'_>, plugin: &Plugin<'_>) {
    let scope = &plugin.scope;
    let is_known = scope.consumer.as_ref().is_some_and(|name| entities.by_name.contains_key(name));
    let is_anywhere = scope.service.is_none() && scope.route.is_none() && scope.group.is_none();
    if is_anywhere && is_known {
        return;
    }
    if !is_anywhere || scope.consumer.is_some() {
        let why = "keygate has addresses for keys and for all requests, not for an API";
        let instead = "restrict them by a filter of Envoy (RBAC)";
        draft.lose(plugin.spot, &plugin.at, "addresses of a service, a route or a group", why, instead);
        return;
    }
    let found = rules::addresses(draft, plugin.config.as_ref());
    for value in &found.deny {
        let target = if value.contains('/') { DenyType::IpRange } else { DenyType::Ip };
        draft.deny(plugin.spot, target, "ip", value, false);
    }
    match found.allow.as_slice() {
        [] => {}
        [value] => {
            let target = if value.contains('/') { DenyType::IpRange } else { DenyType::Ip };
            draft.deny(plugin.spot, target, "ip", value, true);
        }
        _ => {
            let why = "an inverted deny policy has one range, and several together would deny everything";
            let instead = "restrict them by a filter of Envoy (RBAC)";
            draft.lose(plugin.spot, &plugin.at, "allowed addresses of all requests", why, instead);
        }
    }
}

/// A plugin configuration for all APIs with the same settings of `key-auth`.
fn notes(draft: &mut Draft<'_>, made: &[Made<'_>]) {
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for api in made {
        let Some(KeyAuth { sources, hides_credential }) = api.key_auth.clone() else { continue };
        let note = Note {
            sources,
            api: ApiOf::Match,
            application_header: Some("x-consumer-username".to_owned()),
            key_header: Some("x-credential-identifier".to_owned()),
            shows_credential: !hides_credential,
        };
        let (text, name) = (note.text(), format!("{:?}", api.id));
        match texts.iter_mut().find(|(held, _)| *held == text) {
            Some((_, names)) => names.push(name),
            None => texts.push((text, vec![name])),
        }
    }
    for (text, names) in texts {
        let names = names.join(", ");
        draft.notes.push(format!(
            "Configuration of a plugin that looks for keys where Kong does, for the APIs {names}, for a run in shadow \
             mode:\n{text}"
        ));
    }
}

//! Which plugin decides about a request, and what those about keys, groups and addresses say.

use super::entities::{Entities, Plugin, Scope};
use crate::{draft::Draft, plugin::Source, yaml::At};

/// The plugin that checks keys.
pub const KEY_AUTH: &str = "key-auth";
/// The plugin that checks groups.
pub const ACL: &str = "acl";
/// The plugins that limit requests.
pub const LIMITS: [&str; 2] = ["rate-limiting", "rate-limiting-advanced"];
/// The plugin that checks addresses.
pub const ADDRESSES: &str = "ip-restriction";
/// Plugins that know a consumer by something else than a key.
pub const OTHER_AUTH: [&str; 14] = [
    "basic-auth",
    "header-cert-auth",
    "hmac-auth",
    "jwt",
    "jwt-signer",
    "key-auth-enc",
    "ldap-auth",
    "ldap-auth-advanced",
    "mtls-auth",
    "oauth2",
    "oauth2-introspection",
    "openid-connect",
    "saml",
    "session",
];

/// A service and a route by all their names.
#[derive(Clone, Copy, Debug)]
pub struct Place<'e> {
    pub service: &'e [String],
    pub route: &'e [String],
}

impl Place<'_> {
    /// How closely a plugin is restricted to this place; `None` if it does not run here.
    fn closeness(&self, scope: &Scope) -> Option<u8> {
        let is_of = |name: &Option<String>, names: &[String]| name.as_ref().is_none_or(|name| names.contains(name));
        // A plugin of a route names the route's service too.
        let is_here = is_of(&scope.route, self.route) && is_of(&scope.service, self.service);
        let closeness = match (&scope.route, &scope.service) {
            (Some(_), _) => 2,
            (None, Some(_)) => 1,
            (None, None) => 0,
        };
        is_here.then_some(closeness)
    }
}

/// The plugin with one of these names that runs here for every consumer.
pub fn of_place<'e, 'n>(entities: &'e Entities<'n>, names: &[&str], place: Place<'_>) -> Option<&'e Plugin<'n>> {
    let general = |plugin: &&Plugin<'_>| plugin.scope.consumer.is_none() && plugin.scope.group.is_none();
    let named = entities.plugins.iter().filter(|plugin| names.contains(&plugin.name.as_str())).filter(general);
    let close = named.filter_map(|plugin| Some((place.closeness(&plugin.scope)?, plugin)));
    close.max_by_key(|(closeness, _)| *closeness).map(|(_, plugin)| plugin)
}

/// Which of these plugins runs for this consumer here. That of the consumer comes first, then that of a group, then the
/// others.
pub fn of_consumer<'e, 'n: 'e>(
    plugins: impl Iterator<Item = &'e Plugin<'n>>,
    place: Place<'_>,
    consumer: &[String],
    groups: &[&str],
) -> Option<&'e Plugin<'n>> {
    let rank = |plugin: &Plugin<'_>| {
        let Scope { consumer: of, group, .. } = &plugin.scope;
        let closeness = place.closeness(&plugin.scope)?;
        let who = match (of, group) {
            (Some(of), _) => consumer.contains(of).then_some(2_u8)?,
            (None, Some(group)) => groups.contains(&group.as_str()).then_some(1)?,
            (None, None) => 0,
        };
        // A plugin of a consumer alone comes before one of a route alone.
        Some((closeness > 0 && who > 0, who, closeness))
    };
    plugins.filter_map(|plugin| Some((rank(plugin)?, plugin))).max_by_key(|(rank, _)| *rank).map(|(_, plugin)| plugin)
}

/// What the plugin `key-auth` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAuth {
    pub sources: Vec<Source>,
    pub hides_credential: bool,
}

/// Reads `key-auth`.
pub fn key_auth(draft: &mut Draft<'_>, config: Option<&At<'_>>) -> KeyAuth {
    let fields = config.and_then(|at| at.object(draft));
    let (mut names, mut in_header, mut in_query, mut hides_credential) = (vec!["apikey"], true, true, false);
    if let Some(mut fields) = fields {
        names = fields.texts(draft, &["key_names"]).unwrap_or(names);
        in_header = fields.truth(draft, &["key_in_header"]).unwrap_or(true);
        in_query = fields.truth(draft, &["key_in_query"]).unwrap_or(true);
        hides_credential = fields.truth(draft, &["hide_credentials"]).unwrap_or_default();
        if let Some(at) = fields.take(&["key_in_body"])
            && at.truth(draft) == Some(true)
        {
            at.lose(draft, "keys in bodies", "keygate does not read bodies", "let clients send the key in a header");
        }
        if let Some(at) = fields.take(&["anonymous"]) {
            let why = "keygate allows no request without a key on an API that asks for keys";
            at.lose(draft, "the anonymous consumer", why, "make an API with security none for what everyone may call");
        }
        if let Some(at) = fields.take(&["run_on_preflight"])
            && at.truth(draft) == Some(false)
        {
            let instead = "set allow_preflight of the plugin configuration";
            at.lose(draft, "preflights without a key", "it is a setting of the plugin", instead);
        }
        if let Some(at) = fields.take(&["realm"]) {
            at.lose(
                draft,
                "the realm",
                "it is a setting of the plugin",
                "set replies.realm of the plugin configuration",
            );
        }
        fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of key-auth");
    }
    let mut sources = Vec::new();
    for name in names {
        if in_header {
            sources.push(Source::Header(name.to_lowercase()));
        }
        if in_query {
            sources.push(Source::Query(name.to_owned()));
        }
    }
    KeyAuth { sources, hides_credential }
}

/// What the plugin `acl` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    pub allow: Option<Vec<String>>,
    pub deny: Vec<String>,
    pub has_consumer_groups: bool,
}

impl Acl {
    /// Whether a consumer with these groups passes.
    pub fn passes(&self, acl_groups: &[String], consumer_groups: &[&str]) -> bool {
        let has = |group: &String| {
            acl_groups.contains(group) || self.has_consumer_groups && consumer_groups.contains(&group.as_str())
        };
        !self.deny.iter().any(has) && self.allow.as_ref().is_none_or(|allow| allow.iter().any(has))
    }
}

/// Reads `acl`. One that cannot be read lets nobody pass.
pub fn acl(draft: &mut Draft<'_>, config: Option<&At<'_>>) -> Acl {
    let Some(mut fields) = config.and_then(|at| at.object(draft)) else {
        return Acl { allow: Some(Vec::new()), ..Acl::default() };
    };
    let texts = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let allow = fields.texts(draft, &["allow", "whitelist"]).map(texts);
    let deny = fields.texts(draft, &["deny", "blacklist"]).map(texts).unwrap_or_default();
    let has_consumer_groups = fields.truth(draft, &["include_consumer_groups"]).unwrap_or_default();
    fields.ignore(&["hide_groups_header"]);
    if let Some(at) = fields.take(&["always_use_authenticated_groups"])
        && at.truth(draft) == Some(true)
    {
        at.lose(draft, "groups of other authentication", "keygate knows the groups of the file only", "");
    }
    fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of acl");
    let allow = allow.or_else(|| deny.is_empty().then(Vec::new));
    Acl { allow, deny, has_consumer_groups }
}

/// The addresses of `ip-restriction`.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
}

/// Reads `ip-restriction`.
pub fn addresses(draft: &mut Draft<'_>, config: Option<&At<'_>>) -> Addresses {
    let Some(mut fields) = config.and_then(|at| at.object(draft)) else { return Addresses::default() };
    let texts = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let allow = fields.texts(draft, &["allow", "whitelist"]).map(texts).unwrap_or_default();
    let deny = fields.texts(draft, &["deny", "blacklist"]).map(texts).unwrap_or_default();
    fields.ignore(&["status", "message"]);
    fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of ip-restriction");
    Addresses { allow, deny }
}

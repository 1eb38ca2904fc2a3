//! APIs.

use management::{
    apis::{ApiState, Match},
    keys::KeyType,
};

use super::Known;
use crate::{
    draft::Draft,
    finding::shown,
    id,
    yaml::{At, Object},
};

/// Fields of an API that say nothing about who may call it.
const FOR_PEOPLE: [&str; 40] = [
    "accessControl",
    "accessControlRoles",
    "additionalProperties",
    "additionalPropertiesMap",
    "apiType",
    "asyncTransportProtocols",
    "audience",
    "audiences",
    "authorizationHeader",
    "businessInformation",
    "cacheTimeout",
    "categories",
    "createdTime",
    "description",
    "enableSchemaValidation",
    "enableStore",
    "enableSubscriberVerification",
    "endpointImplementationType",
    "gatewayType",
    "gatewayVendor",
    "hasThumbnail",
    "isRevision",
    "keyManagers",
    "lastUpdatedTime",
    "lastUpdatedTimestamp",
    "maxTps",
    "mediationPolicies",
    "organizationId",
    "provider",
    "responseCachingEnabled",
    "revisionId",
    "revisionedApiId",
    "subscriptionAvailability",
    "subscriptionAvailableTenants",
    "tags",
    "transport",
    "type",
    "visibility",
    "visibleRoles",
    "visibleTenants",
];

/// Reads an API.
pub fn read(draft: &mut Draft<'_>, at: &At<'_>, known: &mut Known) {
    let Some(mut fields) = at.object(draft) else { return };
    let (mut name, mut version, mut uuid) = (None, None, None);
    if let Some(id) = fields.take(&["id", "uuid", "apiUUID"]) {
        // Exports of version 3 have name and version inside.
        match id.fields() {
            Some(mut inner) => {
                name = inner.text(draft, &["apiName", "name"]);
                version = inner.text(draft, &["version"]);
            }
            None => uuid = id.text(draft),
        }
    }
    let name = name.or_else(|| fields.text(draft, &["name", "apiName"]));
    let version = version.or_else(|| fields.text(draft, &["version"]));
    let (Some(name), Some(version)) = (name, version) else {
        at.refuse(draft, "an API with name and version");
        return;
    };
    let pair = (name.to_owned(), version.to_owned());
    if known.apis.contains_key(&pair) {
        at.refuse(draft, "an API of another name or version; this one is there already");
        return;
    }
    let joined = id::of_name(&format!("{name}-{version}"));
    let id = if draft.apis.contains_key(&joined) { id::of_names(&[name, version]) } else { joined };
    known.apis.insert(pair, id.clone());
    known.api_ids.extend(uuid.map(|uuid| (uuid.to_owned(), id.clone())));
    draft.api(at.spot(), &at.path, &id, Some(name), None);
    let version_shown = draft.text(at.spot(), &at.path, "the version", version);
    let state = fields.take(&["lifeCycleStatus", "status", "lcState"]).map(|at| state(draft, &at));
    let endpoints = endpoints(draft, &mut fields);
    let matches = matches(draft, &mut fields, version, known, &id);
    let plans = fields.texts(draft, &["policies", "availableTiers"]).unwrap_or_default();
    let plans: Vec<String> =
        plans.into_iter().filter(|plan| *plan != super::policy::UNLIMITED).map(id::of_name).collect();
    known.tiers.extend(plans.iter().cloned());
    if let Some(entry) = draft.apis.get_mut(&id) {
        entry.row.version = Some(version_shown);
        entry.row.state = state;
        entry.row.endpoints = endpoints;
        entry.row.plans = Some(plans).filter(|plans| !plans.is_empty());
        entry.row.matches = matches;
    }
    security(draft, &mut fields, known);
    operations(draft, &mut fields);
    fields.ignore(&FOR_PEOPLE);
    for (name, at) in fields.rest() {
        let what = format!("{} of the API", shown(name));
        at.lose(draft, what, "keygate's APIs have nothing like it", "say it in Envoy, if it is still needed");
    }
}

fn state(draft: &mut Draft<'_>, at: &At<'_>) -> ApiState {
    match at.text(draft) {
        Some("CREATED") => ApiState::Created,
        Some("PROTOTYPED" | "PRE-RELEASED") => ApiState::Prototyped,
        Some("PUBLISHED") => ApiState::Published,
        Some("BLOCKED") => ApiState::Blocked,
        Some("DEPRECATED") => ApiState::Deprecated,
        Some("RETIRED") => ApiState::Retired,
        _ => {
            at.refuse(
                draft,
                "CREATED, PROTOTYPED, PUBLISHED, BLOCKED, DEPRECATED or RETIRED; no request finds the API",
            );
            ApiState::Created
        }
    }
}

/// The key types for which there is an endpoint.
fn endpoints(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> Option<Vec<KeyType>> {
    let config = fields.take(&["endpointConfig"])?;
    let config = config.object(draft)?;
    let mut types = Vec::new();
    for (name, key_type) in [("production_endpoints", KeyType::Production), ("sandbox_endpoints", KeyType::Sandbox)] {
        if config.has(name) {
            types.push(key_type);
        }
    }
    // Other kinds of endpoints do not tell the two apart.
    Some(types).filter(|types| !types.is_empty())
}

fn matches(
    draft: &mut Draft<'_>,
    fields: &mut Object<'_>,
    version: &str,
    known: &mut Known,
    id: &str,
) -> Option<Vec<Match>> {
    let template = fields.text(draft, &["contextTemplate"]);
    let context = fields.text(draft, &["context"]);
    let is_default = fields.truth(draft, &["isDefaultVersion"]).unwrap_or_default();
    let context = template.or(context)?;
    let suffix = format!("/{version}");
    let (base, path) = if context.contains("{version}") {
        (context.replace("/{version}", ""), context.replace("{version}", version))
    } else if let Some(base) = context.strip_suffix(&suffix) {
        (base.to_owned(), context.to_owned())
    } else {
        (context.to_owned(), format!("{}{suffix}", context.trim_end_matches('/')))
    };
    let (base, path) = (absolute(&base), absolute(&path));
    known.contexts.insert(path.clone(), id.to_owned());
    let mut matches = vec![Match { hosts: None, path }];
    if is_default {
        matches.push(Match { hosts: None, path: base });
    }
    Some(matches)
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn security(draft: &mut Draft<'_>, fields: &mut Object<'_>, known: &mut Known) {
    if let Some(header) = fields.text(draft, &["apiKeyHeader"]).filter(|header| !header.is_empty()) {
        known.headers.insert(header.to_lowercase());
    }
    let Some(at) = fields.take(&["securityScheme", "apiSecurity"]) else { return };
    let schemes: Vec<&str> = if at.is_list() { at.texts(draft) } else { at.text(draft).into_iter().collect() };
    for scheme in schemes.iter().flat_map(|schemes| schemes.split(',')).map(str::trim) {
        match scheme {
            "api_key" | "oauth_basic_auth_api_key_mandatory" | "mutualssl_mandatory" | "" => {}
            "oauth2" => {
                let why = "keygate knows keys, not tokens";
                let instead = "issue keys to the applications, or check the tokens by Envoy's JWT filter";
                draft.tally(at.spot(), &at.path, "access by OAuth2 tokens", why, instead);
            }
            other => {
                let what = format!("the security scheme {}", shown(other));
                at.lose(draft, what, "keygate knows keys only", "check it by a filter of Envoy");
            }
        }
    }
}

fn operations(draft: &mut Draft<'_>, fields: &mut Object<'_>) {
    for name in ["apiThrottlingPolicy", "apiLevelPolicy"] {
        if let Some(at) = fields.take(&[name])
            && at.text(draft) != Some(super::policy::UNLIMITED)
        {
            let why = "keygate limits an application's requests to an API, not all requests to it";
            at.lose(draft, "the limit of an API", why, "limit them by Envoy's own rate limits");
        }
    }
    for operation in fields.list(draft, &["operations"]) {
        let Some(mut fields) = operation.object(draft) else { continue };
        if let Some(at) = fields.take(&["authType"])
            && at.text(draft) == Some("None")
        {
            let instead = "make an API of its own for it, with its path as match and security none";
            at.lose(draft, "an operation without a key", "an API asks for keys on all its paths", instead);
        }
        if let Some(at) = fields.take(&["throttlingPolicy"])
            && at.text(draft) != Some(super::policy::UNLIMITED)
        {
            let why = "keygate's plans count all operations together";
            draft.tally(at.spot(), &at.path, "limits of operations", why, "limit them by Envoy's own rate limits");
        }
        if let Some(at) = fields.take(&["scopes"])
            && at.is_list()
            && !at.list(draft).is_empty()
        {
            let why = "keys have no scopes";
            let instead = "give plans the operations that they allow";
            draft.tally(at.spot(), &at.path, "scopes of operations", why, instead);
        }
    }
}

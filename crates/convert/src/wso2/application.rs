//! Applications and their subscriptions.

use management::{applications::ApplicationState, subscriptions::SubscriptionState};

use super::{Known, policy::UNLIMITED};
use crate::{
    draft::{Draft, Subscribed},
    finding::shown,
    id,
    yaml::{At, Object},
};

/// Fields of an application that say nothing about what it may call.
const FOR_PEOPLE: [&str; 10] = [
    "attributes",
    "createdTime",
    "description",
    "groups",
    "groupId",
    "hashEnabled",
    "subscriptionCount",
    "subscriptionScopes",
    "tokenType",
    "updatedTime",
];

/// Reads an application with its subscriptions.
pub fn read(draft: &mut Draft<'_>, at: &At<'_>, known: &mut Known) {
    let Some(mut fields) = at.object(draft) else { return };
    let inner = fields.take(&["applicationInfo"]).and_then(|at| at.object(draft));
    let mut info = match inner {
        Some(info) => info,
        // Version 3 and the lists have all fields side by side.
        None => match at.object(draft) {
            Some(info) => info,
            None => return,
        },
    };
    let Some(id) = identify(draft, at, &mut info, known) else { return };
    info.ignore(&["subscribedAPIs", "subscribedApis"]);
    about(draft, &mut info, &id, known);
    for subscribed in fields.list(draft, &["subscribedAPIs", "subscribedApis"]) {
        subscription(draft, &subscribed, &id, known);
    }
}

/// Makes the application, or finds it. Returns its id.
fn identify(draft: &mut Draft<'_>, at: &At<'_>, fields: &mut Object<'_>, known: &mut Known) -> Option<String> {
    let uuid = fields.text(draft, &["applicationId", "uuid"]).map(str::to_owned);
    let name = fields.text(draft, &["name", "applicationName"]);
    let owner = fields.text(draft, &["owner", "subscriber", "subName"]);
    let by_uuid = uuid.as_ref().and_then(|uuid| known.application_ids.get(uuid)).cloned();
    let pair = name.zip(owner).map(|(name, owner)| (owner.to_owned(), name.to_owned()));
    let by_pair = pair.as_ref().and_then(|pair| known.applications.get(pair)).cloned();
    if let Some(id) = by_uuid.or(by_pair) {
        known.application_ids.extend(uuid.map(|uuid| (uuid, id.clone())));
        return Some(id);
    }
    let Some(name) = name.or(uuid.as_deref()) else {
        at.refuse(draft, "an application with a name or an applicationId");
        return None;
    };
    // Names are unique for an owner only: everyone has a DefaultApplication.
    let full = match (&uuid, owner) {
        (Some(uuid), _) => uuid.clone(),
        (None, Some(owner)) => id::of_names(&[owner, name]),
        (None, None) => name.to_owned(),
    };
    let id = draft.application(at.spot(), &at.path, &full, owner);
    let shown = draft.text(at.spot(), &at.path, "the application", name);
    if let Some(entry) = draft.applications.get_mut(&id) {
        entry.row.name = Some(shown).filter(|name| *name != id);
    }
    known.application_ids.extend(uuid.map(|uuid| (uuid, id.clone())));
    known.applications.insert(pair.unwrap_or_else(|| (String::new(), id.clone())), id.clone());
    Some(id)
}

fn about(draft: &mut Draft<'_>, fields: &mut Object<'_>, id: &str, known: &mut Known) {
    let plan = fields.text(draft, &["throttlingPolicy", "tier", "policy"]).filter(|plan| *plan != UNLIMITED);
    let plan = plan.map(id::of_name);
    known.tiers.extend(plan.clone());
    let status = fields.take(&["status"]);
    let is_approved = status.as_ref().is_none_or(|at| at.text(draft) == Some("APPROVED"));
    if let (Some(at), false) = (&status, is_approved) {
        at.lose(draft, "the state of the application", "only approved ones may call APIs", "it is BLOCKED; unblock it");
    }
    if let Some(entry) = draft.applications.get_mut(id) {
        entry.row.plan = plan.or(entry.row.plan.take());
        if !is_approved {
            entry.row.state = Some(ApplicationState::Blocked);
        }
    }
    // Lists in two forms, and a map from key managers to keys.
    for name in ["keys", "keyManagerWiseOAuthApp", "keyMappings"] {
        if let Some(at) = fields.take(&[name]) {
            let is_empty = at.is_list() && at.list(draft).is_empty();
            if !is_empty {
                let why = "consumer keys and secrets are for OAuth2 tokens, which keygate does not know";
                at.lose(draft, "keys of the application", why, "issue keys with keygatectl keys issue");
            }
        }
    }
    fields.ignore(&FOR_PEOPLE);
    fields.ignore(&["id", "subId", "tenantId", "groupIds", "tenantDomain", "organization"]);
    for (name, at) in fields.rest() {
        at.lose(
            draft,
            format!("{} of the application", shown(name)),
            "keygate's applications have nothing like it",
            "",
        );
    }
}

/// Reads a subscription of an application.
fn subscription(draft: &mut Draft<'_>, at: &At<'_>, application: &str, known: &mut Known) {
    let Some(mut fields) = at.object(draft) else { return };
    let state = fields.take(&["subscriptionStatus", "status", "subStatus"]);
    let Some(api) = api(draft, at, &mut fields, known) else { return };
    subscribe(draft, at, &mut fields, application, &api, state, known);
    fields.ignore(&["subscriptionId", "applicationId", "applicationInfo", "lastSubscribed", "isBlocked", "uuid"]);
    lose_rest(draft, fields);
}

/// Reads a subscription of a list.
pub fn read_subscription(draft: &mut Draft<'_>, at: &At<'_>, known: &mut Known) {
    let Some(mut fields) = at.object(draft) else { return };
    let state = fields.take(&["status", "subscriptionStatus", "subscriptionState"]);
    let Some(api) = api(draft, at, &mut fields, known) else { return };
    let info = fields.take(&["applicationInfo"]).and_then(|at| at.object(draft));
    let uuid = fields.text(draft, &["applicationUUID", "applicationId"]).map(str::to_owned);
    let held = uuid.as_ref().and_then(|uuid| known.application_ids.get(uuid)).cloned();
    let application = match (held, info) {
        (Some(id), Some(mut info)) => {
            if let Some(other) = identify(draft, at, &mut info, known).filter(|other| *other != id) {
                at.refuse(draft, &format!("one application, not {} and {}", shown(&id), shown(&other)));
                return;
            }
            id
        }
        (Some(id), None) => id,
        (None, Some(mut info)) => {
            let Some(id) = identify(draft, at, &mut info, known) else { return };
            about(draft, &mut info, &id, known);
            id
        }
        (None, None) => {
            at.refuse(draft, "an application that is in the files; export it as well");
            return;
        }
    };
    subscribe(draft, at, &mut fields, &application, &api, state, known);
    fields.ignore(&["subscriptionId", "subscriptionUUID", "appId", "tenantId", "tenantDomain", "redirectionParams"]);
    lose_rest(draft, fields);
}

fn lose_rest(draft: &mut Draft<'_>, mut fields: Object<'_>) {
    for (name, at) in fields.rest() {
        at.lose(
            draft,
            format!("{} of the subscription", shown(name)),
            "keygate's subscriptions have nothing like it",
            "",
        );
    }
}

/// The id of the API of a subscription.
fn api(draft: &mut Draft<'_>, at: &At<'_>, fields: &mut Object<'_>, known: &Known) -> Option<String> {
    let uuid = fields.take(&["apiUUID"]);
    let id = fields.take(&["apiId"]);
    let mut uuid = uuid.and_then(|at| at.text(draft).map(str::to_owned));
    let mut info = fields.take(&["apiInfo"]).and_then(|at| at.object(draft));
    if let Some(at) = id {
        match at.fields() {
            Some(inner) => info = Some(inner),
            // In the gateways' feed it is a number, and apiUUID stands beside it.
            None if uuid.is_none() => uuid = at.text(draft).map(str::to_owned),
            None => {}
        }
    }
    if let Some(id) = uuid.as_ref().and_then(|uuid| known.api_ids.get(uuid)) {
        return Some(id.clone());
    }
    let name = info.as_mut().and_then(|info| info.text(draft, &["apiName", "name"]));
    let version = info.as_mut().and_then(|info| info.text(draft, &["version"]));
    let Some((name, version)) = name.zip(version) else {
        let expected = "an API with name and version, or one that is in the files; a publisher's list of subscriptions does \
                        not name it, so take the list of the developer portal";
        at.refuse(draft, expected);
        return None;
    };
    let pair = (name.to_owned(), version.to_owned());
    Some(known.apis.get(&pair).cloned().unwrap_or_else(|| id::of_name(&format!("{name}-{version}"))))
}

fn subscribe(
    draft: &mut Draft<'_>,
    at: &At<'_>,
    fields: &mut Object<'_>,
    application: &str,
    api: &str,
    state: Option<At<'_>>,
    known: &mut Known,
) {
    let plan = fields.text(draft, &["throttlingPolicy", "tier", "usagePlan", "policyId", "policy"]);
    let plan = plan.filter(|plan| *plan != UNLIMITED).map(id::of_name);
    known.tiers.extend(plan.clone());
    if let Some(wanted) = fields.take(&["requestedThrottlingPolicy", "requestedTier"])
        && wanted.text(draft).map(id::of_name) != plan
    {
        let why = "keygate keeps the plan in force while a change waits";
        wanted.lose(draft, "the requested plan", why, "change the plan when the request is approved");
    }
    let state = match state {
        None => {
            let why = "an export of an application has no states of subscriptions";
            let instead =
                "give the list of subscriptions of the developer portal too, or block by hand what is blocked";
            draft.tally(at.spot(), &at.path, "whether subscriptions are blocked", why, instead);
            None
        }
        Some(at) => {
            let word = at.text(draft).unwrap_or_default();
            let read: Option<SubscriptionState> = serde_json::from_value(word.into()).ok();
            if read.is_none() {
                let words = keygate::policy::SubscriptionState::WORDS.map(|(word, _)| word).join(", ");
                at.refuse(draft, &format!("one of {words}; the subscription is left out"));
                draft.refuse_subscription(at.spot(), application, api);
                return;
            }
            read
        }
    };
    draft.subscribe(at.spot(), &at.path, application, api, Subscribed { plan, state, reason: None });
}

//! `gateways`: which of them follow the policy, and the credentials that they use.

use serde_json::{Map, Value, json};

use super::{access, get};
use crate::{
    cli::reads::{Gateways, GatewaysCommand, GatewaysList},
    client::{Client, Pair, path_of},
    failure::{Done, Outcome},
    kinds,
    output::{Screen, details, note, plain},
    times,
};

const PATH: &str = "/v1/gateways";
const CREDENTIALS: &str = "/v1/gateways/credentials";

/// Runs a command for gateways.
pub fn gateways(client: &Client, screen: &mut Screen, asked: &Gateways) -> Outcome {
    match &asked.command {
        None => get::list(screen, client.pages(PATH, &filters(&asked.list)), kinds::GATEWAYS, None, "gateways"),
        Some(GatewaysCommand::Forget { ids }) => {
            for id in ids {
                client.delete(&path_of(PATH, id), &[])?;
                if screen.is_json {
                    screen.json(&json!({ "id": id }))?;
                } else {
                    screen.line(&format!("gateway {} is off the list", plain(id)))?;
                }
            }
            Ok(Done::Well)
        }
        Some(GatewaysCommand::Credentials) => {
            get::list(screen, client.pages(CREDENTIALS, &[]), kinds::CREDENTIALS, None, "credentials")
        }
        Some(GatewaysCommand::Issue(asked)) => {
            let mut body = Map::new();
            body.insert("client_id".to_owned(), asked.client_id.clone().into());
            body.extend(asked.apis.clone().map(|apis| ("apis".to_owned(), apis.into())));
            body.extend(asked.expires_in.map(|span| ("expires_in".to_owned(), span.0.into())));
            let issued = client.post(CREDENTIALS, &[], &body)?.body;
            access::show_once(screen, &issued, "client_secret", "keygatectl gateways revoke")?;
            if !screen.is_json {
                let (id, until) = (access::id_of(&issued), access::until(&issued));
                note(&format!("credential {id} of {}, valid {until}", plain(&asked.client_id)));
            }
            Ok(Done::Well)
        }
        Some(GatewaysCommand::Scope { id, apis, all }) => {
            let apis = if *all { Value::Null } else { apis.clone().into() };
            let credential = client.put(&path_of(CREDENTIALS, id), &[], &json!({ "apis": apis }))?.body;
            if screen.is_json {
                screen.json(&credential)?;
            } else {
                details::object(screen, &credential, &[], times::now())?;
            }
            Ok(Done::Well)
        }
        Some(GatewaysCommand::Revoke { ids, yes }) => {
            access::revoke(client, screen, CREDENTIALS, ids, "credential", *yes)
        }
    }
}

fn filters(asked: &GatewaysList) -> Vec<Pair> {
    let given =
        [("state", &asked.state), ("client_id", &asked.client_id), ("instance", &asked.instance), ("q", &asked.q)];
    given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}

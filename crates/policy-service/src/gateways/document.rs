//! The form in which the database keeps a gateway: JSON. A later version may add fields; a form that cannot be read
//! leaves a gateway of which only its name is known.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use management::port::{
    Scope,
    gateways::{Gateway, GatewayRow, Holds, Proof, Refused, RefusedBecause},
};
use serde::{Deserialize, Serialize};

/// A larger scope is not kept. Another replica then waits for the gateway whatever was changed.
const MAX_SCOPE_BYTES: usize = 4_096;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    instance: Option<String>,
    process: String,
    version: Option<String>,
    workers: Option<u32>,
    lagging: Option<u32>,
    address: Option<IpAddr>,
    sees: Sees,
    epoch: Option<String>,
    holds: Held,
    refused: Option<(i64, String)>,
    heard_within: i64,
    expires_after: Option<i64>,
    retry_after: i64,
    /// It was silent when this was written.
    over: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sees {
    #[default]
    Unknown,
    All,
    Apis(BTreeSet<String>),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Held {
    Nothing,
    #[default]
    Unknown,
    Proven(String, i64, i64),
}

/// The row of a gateway that was heard of at `heard_at`. `is_over`: it is silent since.
pub fn row(id: &str, gateway: &Gateway, heard_at: i64, is_over: bool) -> GatewayRow {
    let sees = match &gateway.scope {
        None => Sees::Unknown,
        Some(Scope::All) => Sees::All,
        Some(Scope::Apis(apis)) => {
            let bytes: usize = apis.iter().map(|api| api.len().saturating_add(3)).sum();
            if bytes > MAX_SCOPE_BYTES { Sees::Unknown } else { Sees::Apis((**apis).clone()) }
        }
    };
    let holds = match &gateway.holds {
        Holds::Nothing => Held::Nothing,
        Holds::Unknown => Held::Unknown,
        Holds::Proven(Proof { epoch, revision, word }) => Held::Proven(epoch.clone(), *revision, *word),
    };
    let document = Document {
        instance: gateway.instance.clone(),
        process: gateway.process.clone(),
        version: gateway.version.clone(),
        workers: gateway.workers,
        lagging: gateway.lagging,
        address: gateway.address,
        sees,
        epoch: gateway.epoch.clone(),
        holds,
        refused: gateway.refused.map(|Refused { revision, reason }| (revision, reason.word().to_owned())),
        heard_within: gateway.heard_within,
        expires_after: gateway.expires_after,
        retry_after: gateway.retry_after,
        over: is_over,
    };
    GatewayRow {
        id: id.to_owned(),
        client_id: gateway.client_id.clone(),
        first_at: gateway.first_at,
        heard_at,
        // It consists of strings and numbers, so serialisation cannot fail.
        document: serde_json::to_string(&document).unwrap_or_default(),
    }
}

/// The gateway of a row, and whether it was silent when the row was written.
pub fn gateway(row: GatewayRow) -> (Gateway, bool) {
    let document: Document = serde_json::from_str(&row.document).unwrap_or_default();
    let scope = match document.sees {
        Sees::Unknown => None,
        Sees::All => Some(Scope::All),
        Sees::Apis(apis) => Some(Scope::Apis(Arc::new(apis))),
    };
    let holds = match document.holds {
        Held::Nothing => Holds::Nothing,
        Held::Unknown => Holds::Unknown,
        Held::Proven(epoch, revision, word) => Holds::Proven(Proof { epoch, revision, word }),
    };
    let refused = document.refused;
    let gateway = Gateway {
        client_id: row.client_id,
        instance: document.instance,
        process: document.process,
        version: document.version,
        workers: document.workers,
        lagging: document.lagging,
        address: document.address,
        scope,
        epoch: document.epoch,
        holds,
        refused: refused.map(|(revision, word)| Refused { revision, reason: RefusedBecause::parse(&word) }),
        heard_within: document.heard_within,
        expires_after: document.expires_after,
        retry_after: document.retry_after,
        first_at: row.first_at,
        heard_at: row.heard_at,
    };
    (gateway, document.over)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_read_as_it_was_written() {
        let mut gateway = Gateway {
            client_id: "c".to_owned(),
            instance: Some("ä".to_owned()),
            process: "p".to_owned(),
            version: Some("1".to_owned()),
            workers: Some(4),
            lagging: Some(1),
            address: "::1".parse().ok(),
            scope: Some(Scope::All),
            epoch: Some("e".to_owned()),
            holds: Holds::Proven(Proof { epoch: "d".to_owned(), revision: 5, word: -7 }),
            refused: Some(Refused { revision: 6, reason: RefusedBecause::Shrink }),
            heard_within: 30,
            expires_after: Some(0),
            retry_after: 2,
            first_at: 1,
            heard_at: 2,
        };
        let apis = |number: usize| Some(Scope::Apis(Arc::new((0..number).map(|it| format!("api-{it}")).collect())));
        for (scope, kept) in [(Some(Scope::All), true), (apis(0), true), (apis(100), true), (apis(1_000), false)] {
            gateway.scope = scope.clone();
            let read = super::gateway(row("id", &gateway, 2, false)).0;
            assert_eq!(read.scope, scope.filter(|_| kept));
            assert_eq!(Gateway { scope: None, ..read }, Gateway { scope: None, ..gateway.clone() });
        }
        for holds in [Holds::Nothing, Holds::Unknown] {
            gateway.holds = holds.clone();
            assert_eq!(super::gateway(row("id", &gateway, 2, false)).0.holds, holds);
        }
        assert!(super::gateway(row("id", &gateway, 2, true)).1 && !super::gateway(row("id", &gateway, 2, false)).1);
        // What cannot be read proves nothing.
        let damaged = super::gateway(GatewayRow { document: "{".to_owned(), ..row("id", &gateway, 2, true) }).0;
        assert_eq!((damaged.holds, damaged.scope, damaged.lagging), (Holds::Unknown, None, None));
    }
}

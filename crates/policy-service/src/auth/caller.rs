//! The extractor for callers: authenticates a request and looks up what the caller may do on its route.
//!
//! A route without a row in [`super::permission::TABLE`] rejects every caller.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, MatchedPath, Path},
    http::{StatusCode, request::Parts},
};

use super::{
    credentials::Credentials,
    gateway::Gateway,
    held::CSRF_TOKEN,
    identity::{Flaw, Identity},
    permission::{self, May, Operation, Who},
};
use crate::{
    clock::act_from,
    guesses::Peer,
    http::{problem::Problem, request_id::RequestId},
};
use management::port::{Act, Actor, Origin, Principal, answers::Once};

const TOKEN_CHALLENGE: &str = "Bearer realm=\"policy-service management\"";
const GATEWAY_CHALLENGE: &str = "Basic realm=\"policy-service feed\", charset=\"UTF-8\", Bearer";

/// The authenticated caller, who may use the route for some rows at least. The rules decide which rows these are.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Authenticated,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Authenticated {
    Principal { principal: Principal, expires_at: Option<i64> },
    Gateway(Gateway),
}

impl Caller {
    /// An act of this caller at the current time.
    pub fn act(self) -> Act {
        act_from(self.actor(), self.origin)
    }

    /// The caller, as the rules see it.
    pub fn actor(&self) -> Actor {
        match &self.who {
            Authenticated::Principal { principal, .. } => Actor::Principal(principal.clone()),
            // A gateway changes nothing of the policy. What follows from its reports is an act of the service.
            Authenticated::Gateway(_) => Actor::Service,
        }
    }

    /// The gateway that calls.
    pub fn gateway(self) -> Result<Gateway, Problem> {
        match self.who {
            Authenticated::Gateway(gateway) => Ok(gateway),
            Authenticated::Principal { .. } => Err(not_a_gateway(Flaw::Wrong)),
        }
    }

    /// The calling principal, and when its token or session expires.
    pub fn principal(&self) -> Result<(&Principal, Option<i64>), Problem> {
        match &self.who {
            Authenticated::Principal { principal, expires_at } => Ok((principal, *expires_at)),
            Authenticated::Gateway(_) => Err(not_a_principal(Flaw::Wrong)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let operation = permission::find(parts.method.as_str(), path).ok_or_else(nobody_may)?;
        let identity = parts.extensions.get::<Identity>().cloned().unwrap_or(Identity::Nobody(Flaw::Missing));
        let origin = Origin {
            address: parts.extensions.get::<Peer>().map(|peer| peer.0),
            request_id: parts.extensions.get::<RequestId>().map(|id| Arc::clone(&id.0)),
            once: parts.extensions.get::<Arc<Once>>().cloned(),
        };
        match (&operation.who, identity) {
            (_, Identity::Unknown(problem)) => Err(*problem),
            (Who::Anyone, _) => Err(nobody_may()),
            (Who::Gateways, Identity::Gateway(gateway)) => Ok(Self { who: Authenticated::Gateway(gateway), origin }),
            (Who::Gateways, Identity::Nobody(flaw)) => Err(not_a_gateway(flaw)),
            (Who::Gateways, Identity::Principal { .. }) => Err(not_a_gateway(Flaw::Wrong)),
            (Who::Roles(_), identity) if identity.is_forgeable(&parts.method) => Err(not_from_the_console()),
            (Who::Roles(_), Identity::Nobody(flaw)) => Err(not_a_principal(flaw)),
            (Who::Roles(_), Identity::Gateway(_)) => Err(not_a_principal(Flaw::Wrong)),
            (Who::Roles(_), Identity::Principal { principal, expires_at, .. }) => match operation.may(principal.role) {
                May::Yes | May::Own => Ok(Self { who: Authenticated::Principal { principal, expires_at }, origin }),
                May::Forbidden => Err(refused(parts, operation, principal).await),
                May::Hidden => Err(hidden()),
            },
        }
    }
}

/// The answer for a route without a row in the table, and for a route that is open without credentials.
fn nobody_may() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "nobody may use this route")
}

/// The answer to a change with a session's cookie alone.
fn not_from_the_console() -> Problem {
    let detail = format!("a change with a session needs the session's CSRF token in the header {CSRF_TOKEN}");
    Problem::new(StatusCode::FORBIDDEN, detail)
}

/// The refusal of a role. A row that it does not see counts as missing.
async fn refused(parts: &mut Parts, operation: &Operation, principal: Principal) -> Problem {
    let forbidden = format!("the role {} may not do this", principal.role.as_str());
    let forbidden = Problem::new(StatusCode::FORBIDDEN, forbidden);
    let (Some(kind), true) = (operation.kind, operation.path.contains("{id}")) else { return forbidden };
    let credentials = parts.extensions.get::<Credentials>().cloned();
    let id = Path::<String>::from_request_parts(parts, &()).await;
    let (Some(credentials), Ok(Path(id))) = (credentials, id) else { return hidden() };
    match credentials.sees(principal, kind, &id).await {
        Ok(true) => forbidden,
        Ok(false) => management::error::Error::not_found(kind, &id).into(),
        Err(error) => error.into(),
    }
}

/// The role sees nothing here, so the answer is that of a missing row.
fn hidden() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "your role sees nothing at this path")
}

fn not_a_principal(flaw: Flaw) -> Problem {
    let detail = match flaw {
        Flaw::Missing => "send a token as authorization: Bearer",
        Flaw::Unreadable => "the authorization header cannot be read; send Bearer and the token",
        Flaw::Wrong => "this is not a valid token",
        Flaw::Ended => "the session has ended; sign in again",
    };
    Problem::unauthorized(TOKEN_CHALLENGE, detail)
}

/// The credential of a gateway is good no more.
pub fn not_a_gateway_any_more() -> Problem {
    not_a_gateway(Flaw::Wrong)
}

fn not_a_gateway(flaw: Flaw) -> Problem {
    let detail = match flaw {
        Flaw::Missing => "send the gateway's credentials: HTTP Basic, or its secret as Bearer",
        Flaw::Unreadable => "the authorization header cannot be read; send Basic or Bearer",
        Flaw::Wrong | Flaw::Ended => "these are not the credentials of a gateway",
    };
    Problem::unauthorized(GATEWAY_CHALLENGE, detail)
}

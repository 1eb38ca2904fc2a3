//! Creates, changes and deletes tokens of principals and credentials of gateways.
//!
//! A secret exists in clear only in the answer that shows it. The database stores its SHA-256.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    sync::Arc,
};

use keygate::{
    digest::Digest,
    policy::{MAX_APIS, MAX_UNIX_SECONDS},
};

use super::{
    check,
    error::{Error, Thing},
    resource::new_id,
    tag::{self, Expected},
};
use crate::port::{
    Act, Actor, Principal, Role, Scope, Transaction,
    accounts::{Credential, SecretHash, Token},
    audit::{Action, Deed, Subject},
};

/// Maximum number of tokens, and of gateways' credentials, of one service: ten for each person of a large company.
const MAX_ACCOUNTS: i64 = 100_000;
/// Number of random bytes of a secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// The prefixes of secrets, so that scanners find them.
const TOKEN_PREFIX: &str = "kgt_";
const CREDENTIAL_PREFIX: &str = "kgg_";

/// A secret in clear, to be shown once. `Debug` does not show it.
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A new secret that begins with `prefix`.
    pub fn new(act: &Act, prefix: &str) -> Result<Self, Error> {
        let bytes: [u8; SECRET_BYTES] = act.random()?;
        let mut text = prefix.to_owned();
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// Its stored form.
    pub fn hash(&self) -> SecretHash {
        hash(&self.0)
    }
}

/// The stored form of a secret.
pub fn hash(secret: &str) -> SecretHash {
    SecretHash(Digest::of(secret.as_bytes()).to_hex())
}

/// Whether something with this end is still valid at `now`.
pub fn is_good(expires_at: Option<i64>, now: i64) -> bool {
    expires_at.is_none_or(|end| now < end)
}

/// The prefix of the subjects of people whom an identity provider names.
pub const OIDC_PREFIX: &str = "oidc:";

/// Whom a subject is kept for, if nobody may choose it for a token.
pub fn reserved(subject: &str) -> Option<&'static str> {
    if [Actor::Service.subject(), Actor::Import.subject()].contains(&subject) {
        return Some("the service itself");
    }
    subject.starts_with(OIDC_PREFIX).then_some("people who sign in at the identity provider")
}

/// Creates a token.
pub async fn make_token(
    change: &mut dyn Transaction,
    role: Role,
    subject: String,
    expires_in: Option<i64>,
) -> Result<(Token, Secret), Error> {
    check::text("subject", &subject)?;
    if let Some(whose) = reserved(&subject) {
        return Err(Error::invalid("subject", format!("{subject:?} is kept for {whose}; choose another")));
    }
    check_room(change.count_tokens().await?, "tokens")?;
    let secret = Secret::new(change.act(), TOKEN_PREFIX)?;
    let (created_at, expires_at) = life(change.act(), expires_in)?;
    let id = new_id(change.act(), "tok-")?;
    let token = Token { id, principal: Principal { role, subject }, created_at, expires_at };
    change.add_token(&token, &secret.hash()).await?;
    change.record(Deed::beside_policy(Action::Create, Subject::Token, &token.id, None, Some(token_shown(&token))));
    change.commit_without_revision();
    Ok((token, secret))
}

/// Deletes a token, if it is what `expected` says.
pub async fn revoke_token(change: &mut dyn Transaction, id: &str, expected: &Expected) -> Result<(), Error> {
    let token = change.remove_token(id).await?.ok_or_else(|| Error::no_such(Thing::Token, id))?;
    expected.check_account(Thing::Token, &token_shown(&token))?;
    change.record(Deed::beside_policy(Action::Delete, Subject::Token, id, Some(token_shown(&token)), None));
    change.commit_without_revision();
    Ok(())
}

/// Creates a gateway's credential.
pub async fn make_credential(
    change: &mut dyn Transaction,
    client_id: String,
    apis: Option<Vec<String>>,
    expires_in: Option<i64>,
) -> Result<(Credential, Secret), Error> {
    check::text("client_id", &client_id)?;
    // HTTP Basic ends the user name at the first colon.
    if client_id.contains(':') {
        return Err(Error::invalid("client_id", "expected a name without a colon"));
    }
    let scope = scope(apis)?;
    check_room(change.count_credentials().await?, "credentials of gateways")?;
    let secret = Secret::new(change.act(), CREDENTIAL_PREFIX)?;
    let (created_at, expires_at) = life(change.act(), expires_in)?;
    let credential = Credential { id: new_id(change.act(), "gwc-")?, client_id, scope, created_at, expires_at };
    change.add_credential(&credential, &secret.hash()).await?;
    let after = Some(credential_shown(&credential));
    change.record(Deed::beside_policy(Action::Create, Subject::GatewayCredential, &credential.id, None, after));
    change.commit_without_revision();
    Ok((credential, secret))
}

/// Changes the scope of a credential's gateway, if the credential is what `expected` says.
pub async fn set_scope(
    change: &mut dyn Transaction,
    id: &str,
    apis: Option<Vec<String>>,
    expected: &Expected,
) -> Result<Credential, Error> {
    let scope = scope(apis)?;
    let before = change.set_scope(id, &scope).await?;
    let before = before.ok_or_else(|| Error::no_such(Thing::GatewayCredential, id))?;
    expected.check_account(Thing::GatewayCredential, &credential_shown(&before))?;
    let after = Credential { scope, ..before.clone() };
    if before == after {
        return Ok(after);
    }
    let (was, is) = (Some(credential_shown(&before)), Some(credential_shown(&after)));
    change.record(Deed::beside_policy(Action::Replace, Subject::GatewayCredential, id, was, is));
    change.commit_without_revision();
    Ok(after)
}

/// Deletes a gateway's credential, if it is what `expected` says.
pub async fn revoke_credential(change: &mut dyn Transaction, id: &str, expected: &Expected) -> Result<(), Error> {
    let removed = change.remove_credential(id).await?;
    let removed = removed.ok_or_else(|| Error::no_such(Thing::GatewayCredential, id))?;
    let before = credential_shown(&removed);
    expected.check_account(Thing::GatewayCredential, &before)?;
    let before = Some(before);
    change.record(Deed::beside_policy(Action::Delete, Subject::GatewayCredential, id, before, None));
    change.commit_without_revision();
    Ok(())
}

fn check_room(count: i64, what: &str) -> Result<(), Error> {
    if count < MAX_ACCOUNTS {
        return Ok(());
    }
    Err(Error::conflict(format!("there are {MAX_ACCOUNTS} {what} already; delete those that nobody uses")))
}

/// The times of creation and expiry.
fn life(act: &Act, expires_in: Option<i64>) -> Result<(i64, Option<i64>), Error> {
    let Some(seconds) = expires_in else { return Ok((act.now, None)) };
    let end = act.now.checked_add(seconds).filter(|end| seconds > 0 && *end <= MAX_UNIX_SECONDS);
    let end = end.ok_or_else(|| {
        Error::invalid("expires_in", "expected a positive number of seconds, to the year 9999 at most")
    })?;
    Ok((act.now, Some(end)))
}

fn scope(apis: Option<Vec<String>>) -> Result<Scope, Error> {
    let Some(apis) = apis else { return Ok(Scope::All) };
    if apis.len() > MAX_APIS {
        return Err(Error::invalid("apis", format!("expected at most {MAX_APIS} ids")));
    }
    for (place, api) in apis.iter().enumerate() {
        check::text(&format!("apis[{place}]"), api)?;
    }
    Ok(Scope::Apis(Arc::new(apis.into_iter().collect::<BTreeSet<_>>())))
}

/// The APIs of a scope, as shown; `None` for all.
pub fn apis_of(scope: &Scope) -> Option<Vec<String>> {
    match scope {
        Scope::All => None,
        Scope::Apis(apis) => Some(apis.iter().cloned().collect()),
    }
}

/// The etag of a token.
pub fn etag_of_token(token: &Token) -> String {
    tag::of_account(&token_shown(token))
}

/// The etag of a gateway's credential.
pub fn etag_of_credential(credential: &Credential) -> String {
    tag::of_account(&credential_shown(credential))
}

fn token_shown(token: &Token) -> String {
    let Principal { role, subject } = &token.principal;
    serde_json::json!({"id": token.id, "role": role.as_str(), "subject": subject, "expires_at": token.expires_at})
        .to_string()
}

fn credential_shown(credential: &Credential) -> String {
    let Credential { id, client_id, scope, expires_at, .. } = credential;
    serde_json::json!({"id": id, "client_id": client_id, "apis": apis_of(scope), "expires_at": expires_at}).to_string()
}

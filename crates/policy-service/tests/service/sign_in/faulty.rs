//! A small identity provider that does as a test tells it, over real HTTP. It signs with a key of its own.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey as _,
    core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm},
};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};

/// What the provider does.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Fields of the discovery document that differ.
    pub document: Value,
    /// Claims of the ID token that differ; `null` removes one.
    pub claims: Value,
    /// Fields of the token's header that differ.
    pub header: Value,
    /// Fields of the answer of the token endpoint that differ; `null` removes one.
    pub answer: Value,
    /// Whether the signature is that of another key.
    pub forged: bool,
    /// Whether the signature is left out.
    pub unsigned: bool,
    /// The answer of the userinfo endpoint; `null` for none.
    pub info: Value,
    /// The status of the token endpoint, if it is none of success.
    pub status: Option<u16>,
    /// The path that does not answer, and the one that answers with a megabyte.
    pub silent: Option<&'static str>,
    pub large: Option<&'static str>,
}

#[derive(Debug, Default)]
pub struct Held {
    pub issuer: String,
    pub behaviour: Behaviour,
    /// The nonce of the sign-in under way.
    pub nonce: String,
    /// What the token endpoint got, and how often each path was asked.
    pub posted: Vec<(String, HeaderMap)>,
    pub asked: Vec<String>,
    key: Option<String>,
    kid: String,
}

/// The provider.
#[derive(Clone, Debug, Default)]
pub struct Faulty(pub Arc<Mutex<Held>>);

impl Faulty {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faulty = Self::at(&format!("http://{}", listener.local_addr().unwrap()));
        let router = faulty.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        faulty
    }

    /// A provider with this issuer that is not served yet.
    pub fn at(issuer: &str) -> Self {
        let faulty = Self::default();
        faulty.0.lock().unwrap().issuer = issuer.to_owned();
        faulty.rotate("first");
        faulty
    }

    pub fn issuer(&self) -> String {
        self.0.lock().unwrap().issuer.clone()
    }

    /// Takes another key.
    pub fn rotate(&self, kid: &str) {
        let mut held = self.0.lock().unwrap();
        held.key = Some(KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem());
        held.kid = kid.to_owned();
    }

    /// Does this from now on, for a sign-in with this nonce.
    pub fn behave(&self, nonce: &str, behaviour: Behaviour) {
        let mut held = self.0.lock().unwrap();
        held.nonce = nonce.to_owned();
        held.behaviour = behaviour;
    }

    pub fn router(&self) -> Router {
        let page = |held: &Held, path: &str, body: Value| -> Response {
            if held.behaviour.large == Some(path_of(path)) {
                let large = json!({"much": "x".repeat(1 << 20)});
                return Json(large).into_response();
            }
            Json(body).into_response()
        };
        let document = move |State(this): State<Self>| async move {
            this.hold("document").await;
            let held = this.0.lock().unwrap();
            page(&held, "document", held.document())
        };
        let keys = move |State(this): State<Self>| async move {
            this.hold("keys").await;
            let held = this.0.lock().unwrap();
            page(&held, "keys", json!({"keys": [held.signing_key().as_verification_key()]}))
        };
        let info = move |State(this): State<Self>, headers: HeaderMap| async move {
            this.hold("info").await;
            let held = this.0.lock().unwrap();
            assert_eq!(headers[header::AUTHORIZATION], "Bearer an-access-token");
            page(&held, "info", held.behaviour.info.clone())
        };
        let token = move |State(this): State<Self>, headers: HeaderMap, body: Bytes| async move {
            this.hold("token").await;
            let mut held = this.0.lock().unwrap();
            held.posted.push((String::from_utf8(body.to_vec()).unwrap(), headers));
            let answer = page(&held, "token", held.answer());
            match held.behaviour.status {
                Some(status) => (StatusCode::from_u16(status).unwrap(), answer).into_response(),
                None => answer,
            }
        };
        Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/info", get(info))
            .route("/token", post(token))
            .with_state(self.clone())
    }

    /// Counts a question, and gives no answer if the test says so.
    async fn hold(&self, path: &str) {
        let is_silent = {
            let mut held = self.0.lock().unwrap();
            held.asked.push(path.to_owned());
            held.behaviour.silent == Some(path_of(path))
        };
        if is_silent {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        }
    }
}

fn path_of(path: &str) -> &str {
    path
}

impl Held {
    fn document(&self) -> Value {
        let issuer = &self.issuer;
        let info = if self.behaviour.info.is_null() { Value::Null } else { json!(format!("{issuer}/info")) };
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth?of=tenant"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "userinfo_endpoint": info,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "EdDSA", "HS256", "none", "XS999"],
        });
        changed(document, &self.behaviour.document)
    }

    fn signing_key(&self) -> CoreEdDsaPrivateSigningKey {
        let key = self.key.as_deref().unwrap();
        CoreEdDsaPrivateSigningKey::from_ed25519_pem(key, Some(JsonWebKeyId::new(self.kid.clone()))).unwrap()
    }

    fn answer(&self) -> Value {
        let answer = json!({
            "access_token": "an-access-token", "token_type": "Bearer", "expires_in": 60, "id_token": self.token(),
        });
        changed(answer, &self.behaviour.answer)
    }

    fn token(&self) -> String {
        let now = policy_service::clock::unix_seconds();
        let claims = json!({
            "iss": self.issuer, "aud": "keygate", "sub": "alice", "role": "publisher", "nonce": self.nonce,
            "iat": now, "exp": now + 60,
        });
        let header = changed(json!({"alg": "EdDSA", "kid": self.kid, "typ": "JWT"}), &self.behaviour.header);
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(changed(claims, &self.behaviour.claims)));
        if self.behaviour.unsigned {
            return format!("{signed}.");
        }
        let forger = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
        let key = match self.behaviour.forged {
            true => CoreEdDsaPrivateSigningKey::from_ed25519_pem(&forger, None).unwrap(),
            false => self.signing_key(),
        };
        let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An object with some fields changed; `null` removes one.
fn changed(mut object: Value, changes: &Value) -> Value {
    let fields = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().into_iter().flatten() {
        fields.insert(name.clone(), value.clone());
    }
    fields.retain(|_, value| !value.is_null());
    object
}

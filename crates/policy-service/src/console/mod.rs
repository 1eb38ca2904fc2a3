//! The console: pages for people, at `/console`.
//!
//! In reading order: [`visit`] is a request of a person who is signed in, and [`v1`] how its page asks for rows and
//! changes them: by the routes of `/v1`. [`frame`] puts navigation around a page. [`parts`] has what pages consist of:
//! tables, fields, times, receipts. [`trouble`] makes a page of each problem. The other modules have the pages, by what
//! they are about. `docs/console.md` says how to add one.
//!
//! Pages work without scripts. The database is not asked here, except for figures beside rows that a route has answered
//! to this person already.

mod after_session;
mod apis;
mod applications;
mod audit;
mod catalogue;
mod credentials;
mod deny;
mod explain;
mod fields;
mod find;
mod form;
mod frame;
mod gateways;
mod history;
mod key_text;
mod keys;
mod mine;
mod parts;
mod plans;
mod receipts;
mod rows;
mod said;
mod secrets;
mod stale;
mod start;
mod subscriptions;
mod tokens;
mod trouble;
mod typed;
mod usage;
mod v1;
mod visit;
mod when;

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    middleware,
    routing::{any, get},
};
use management::port::Store;

use crate::{
    http::problem::Problem,
    signin::SignIn,
    web::{assets, headers, place::is_of_console},
};

/// What all pages share.
#[derive(Clone, Debug)]
pub struct Console(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sign_in: SignIn,
    store: Store,
    /// The routes of `/v1`.
    v1: Router,
}

impl Console {
    /// `v1` has the routes of `/v1` with their layers, but without those that prove who asks.
    pub fn new(sign_in: SignIn, store: Store, v1: Router) -> Self {
        Self(Arc::new(Shared { sign_in, store, v1 }))
    }

    /// Whether a path is the console's or below it.
    pub fn has(path: &str) -> bool {
        is_of_console(path)
    }

    /// The database, for figures beside rows that a route has answered to the person already.
    fn store(&self) -> &Store {
        &self.0.store
    }

    /// All pages, with those of a sign-in.
    pub fn router(self) -> Router {
        let (sign_in, store) = (self.0.sign_in.clone(), self.0.store.clone());
        let missing = || async { Problem::new(StatusCode::NOT_FOUND, "the console has no such page") };
        let pages = Router::new()
            .route("/console", get(start::page))
            .merge(apis::router())
            .merge(applications::router())
            .merge(audit::router())
            .merge(catalogue::router())
            .merge(credentials::router())
            .merge(deny::router())
            .merge(explain::router())
            .merge(find::router())
            .merge(gateways::router())
            .merge(history::router())
            .merge(keys::router())
            .merge(tokens::router())
            .merge(plans::router())
            .merge(receipts::router())
            .merge(subscriptions::router())
            .merge(usage::router())
            .route("/console/", get(start::from_slash))
            .route("/console/{*rest}", any(missing))
            .with_state(self.clone())
            .route(&format!("{}/{{name}}", assets::FOLDER), get(assets::serve))
            .method_not_allowed_fallback(trouble::not_allowed)
            .layer(middleware::from_fn_with_state(self.clone(), trouble::show));
        let signing = sign_in
            .router(store)
            .method_not_allowed_fallback(trouble::not_allowed)
            .layer(middleware::from_fn_with_state(self, trouble::show_people));
        pages.merge(signing).layer(middleware::from_fn(headers::harden))
    }
}

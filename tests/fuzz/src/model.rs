//! The policy in its simplest form: maps, changed row by row as the pages say. The store must contain the same.

use std::collections::BTreeMap;

use keygate::{
    digest::Digest,
    policy::{
        SubscriptionState,
        left_out::Concerns,
        page::{Page, Row},
        rows::{self, Api, DenyPolicy, Plan},
    },
    request::referer::RefererPattern,
    subject::{Application, Key, Restrictions, Subject, Subscription, Texts},
};

#[derive(Clone, Debug, Default)]
pub struct Model {
    keys: BTreeMap<Digest, Key<String>>,
    applications: BTreeMap<String, Application<String>>,
    subscriptions: BTreeMap<(String, String), Subscription<String>>,
    pub apis: BTreeMap<String, Api>,
    pub plans: BTreeMap<String, Plan>,
    pub deny_policies: BTreeMap<String, DenyPolicy>,
}

impl Model {
    /// Applies a page: first its removals, then its rows. A full policy begins with an empty model.
    pub fn apply(&mut self, page: &Page) {
        let removed = &page.removed;
        removed.keys.iter().for_each(|digest| drop(self.keys.remove(digest)));
        removed.applications.iter().for_each(|id| drop(self.applications.remove(id)));
        removed.subscriptions.iter().for_each(|pair| drop(self.subscriptions.remove(pair)));
        removed.apis.iter().for_each(|id| drop(self.apis.remove(id)));
        removed.plans.iter().for_each(|id| drop(self.plans.remove(id)));
        removed.deny_policies.iter().for_each(|id| drop(self.deny_policies.remove(id)));
        let lists = &page.catalogue;
        self.apis.extend(lists.apis.iter().map(|row| (row.id.as_str().to_owned(), row.clone())));
        self.plans.extend(lists.plans.iter().map(|row| (row.id.as_str().to_owned(), row.clone())));
        self.deny_policies.extend(lists.deny_policies.iter().map(|row| (row.id.as_str().to_owned(), row.clone())));
        for row in page.rows(0..usize::MAX, &mut Default::default()) {
            match row {
                Ok(Row::Key(row)) => drop(self.keys.insert(row.digest, key(&row))),
                Ok(Row::Application(row)) => {
                    let text = |text: Option<&str>| text.map(str::to_owned);
                    let application = Application {
                        name: text(row.name.as_ref().map(|text| text.as_str())),
                        owner: text(row.owner.as_ref().map(|text| text.as_str())),
                        state: row.state,
                        plan: text(row.plan.as_ref().map(|text| text.as_str())),
                        used_up_until: row.used_up_until,
                    };
                    self.applications.insert(row.id.as_str().to_owned(), application);
                }
                Ok(Row::Subscription(row)) => {
                    let plan = row.plan.as_ref().map(|plan| plan.as_str().to_owned());
                    let block = row.block.map(|block| block.map(|note| note.as_str().to_owned()));
                    let used_up_until = row.used_up_until;
                    let subscription = Subscription { state: row.state, plan, used_up_until, block };
                    let pair = (row.application.as_str().to_owned(), row.api.as_str().to_owned());
                    self.subscriptions.insert(pair, subscription);
                }
                Err(row) => self.leave_out(row.concerns),
            }
        }
    }

    fn leave_out(&mut self, concerns: Concerns) {
        match concerns {
            Concerns::Nothing => {}
            Concerns::Key(digest) => drop(self.keys.remove(&digest)),
            Concerns::Application(id) => drop(self.applications.remove(id.as_str())),
            Concerns::Subscription { application, api } => {
                let left_out = Subscription { state: SubscriptionState::LeftOut, ..Subscription::default() };
                let pair = (application.as_str().to_owned(), api.as_str().to_owned());
                self.subscriptions.insert(pair, left_out);
            }
        }
    }

    /// The subject of a key and an API.
    pub fn subject(&self, digest: &Digest, api: &str) -> Option<Subject> {
        let key = self.keys.get(digest)?;
        let application = self.applications.get(&key.application).map(|of| Application {
            name: of.name.as_deref().map(str::as_bytes),
            owner: of.owner.as_deref().map(str::as_bytes),
            state: of.state,
            plan: of.plan.as_deref().map(str::as_bytes),
            used_up_until: of.used_up_until,
        });
        let subscription = self.subscriptions.get(&(key.application.clone(), api.to_owned())).map(|of| Subscription {
            state: of.state,
            plan: of.plan.as_deref().map(str::as_bytes),
            used_up_until: of.used_up_until,
            block: of.block.as_ref().map(|block| block.as_ref().map(|note| note.as_bytes())),
        });
        let key = Key {
            id: key.id.as_bytes(),
            application: key.application.as_bytes(),
            key_type: key.key_type,
            state: key.state,
            not_before: key.not_before,
            expires_at: key.expires_at,
            restrictions: key.restrictions.clone(),
        };
        Some(Subject::new(key, application, subscription))
    }

    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.keys.keys()
    }

    /// All APIs that a row names.
    pub fn api_ids(&self) -> impl Iterator<Item = &str> {
        self.apis.keys().map(String::as_str).chain(self.subscriptions.keys().map(|(_, api)| api.as_str()))
    }
}

/// A list in the form of a record.
pub fn texts(texts: impl Iterator<Item = Vec<u8>>) -> Texts {
    let mut list = Texts::default();
    texts.for_each(|text| list.push(&text).expect("a text of a row is short"));
    list
}

/// A pattern in the form of a record.
pub fn packed(pattern: &RefererPattern) -> Vec<u8> {
    let mut packed = Vec::new();
    pattern.pack(&mut packed);
    packed
}

fn key(row: &rows::Key<'_>) -> Key<String> {
    let restrictions = Restrictions {
        apis: row.apis.as_ref().map(|apis| texts(apis.iter().map(|id| id.as_str().as_bytes().to_vec()))),
        permitted_ips: row.permitted_ips.clone(),
        permitted_referers: row.permitted_referers.as_ref().map(|patterns| texts(patterns.iter().map(packed))),
    };
    Key {
        id: row.id.as_str().to_owned(),
        application: row.application.as_str().to_owned(),
        key_type: row.key_type,
        state: row.state,
        not_before: row.not_before,
        expires_at: row.expires_at,
        restrictions: (restrictions != Restrictions::default()).then(|| Box::new(restrictions)),
    }
}

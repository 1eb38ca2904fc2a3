//! The policy in its plainest form: maps, changed row by row as the pages say. What the store holds must be this.

use std::collections::BTreeMap;

use keygate::{
    decision::{Application, Restrictions, Subject, Subscription},
    limit::quota::Bound,
    policy::{
        Digest, SubscriptionState,
        left_out::Concerns,
        page::{Page, Row},
        rows::{Api, DenyPolicy, Key, Plan},
    },
};

#[derive(Clone, Debug, Default)]
pub struct Model {
    keys: BTreeMap<Digest, Subject>,
    applications: BTreeMap<String, Application>,
    subscriptions: BTreeMap<(String, String), Subscription>,
    pub apis: BTreeMap<String, Api>,
    pub plans: BTreeMap<String, Plan>,
    pub deny_policies: BTreeMap<String, DenyPolicy>,
}

impl Model {
    /// Takes what a page removes, then what it brings. A full policy begins with an empty model.
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
        for row in page.rows(0..usize::MAX) {
            match row {
                Ok(Row::Key(row)) => drop(self.keys.insert(row.digest, subject(&row))),
                Ok(Row::Application(row)) => {
                    let text = |text: Option<&str>| text.map(Box::from);
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
                    let plan = row.plan.as_ref().map(|plan| plan.as_str().into());
                    let subscription = Subscription { state: row.state, plan, used_up_until: row.used_up_until };
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

    /// What is known of a key and an API.
    pub fn subject(&self, digest: &Digest, api: &str) -> Option<Subject> {
        let mut subject = self.keys.get(digest)?.clone();
        let id = &*subject.application_id;
        subject.subscription = self.subscriptions.get(&(id.to_owned(), api.to_owned())).cloned();
        subject.application = self.applications.get(id).cloned();
        Some(subject)
    }

    /// Digests of its keys.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.keys.keys()
    }

    /// Every API that a row names.
    pub fn api_ids(&self) -> impl Iterator<Item = &str> {
        self.apis.keys().map(String::as_str).chain(self.subscriptions.keys().map(|(_, api)| api.as_str()))
    }
}

fn subject(row: &Key<'_>) -> Subject {
    let restrictions = Restrictions {
        apis: row.apis.as_ref().map(|apis| apis.iter().map(|id| id.as_str().into()).collect()),
        permitted_ips: row.permitted_ips.clone(),
        permitted_referers: row.permitted_referers.clone(),
    };
    Subject {
        key_id: row.id.as_str().into(),
        application_id: row.application.as_str().into(),
        key_type: row.key_type,
        key_state: row.state,
        not_before: row.not_before,
        expires_at: row.expires_at,
        restrictions: (restrictions != Restrictions::default()).then(|| Box::new(restrictions)),
        application: None,
        subscription: None,
        quotas: Bound::default(),
    }
}

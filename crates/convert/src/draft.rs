//! Collects what the files say, until rows can be made of it ([`crate::finish`]).
//!
//! Several places of a file may speak of one row. Where they contradict each other the row is left out, because either
//! of them may be the one that permits too much.

use std::collections::{BTreeMap, BTreeSet};

use keygate::digest::Digest;
use management::{
    apis::{Api, Match, Security},
    applications::Application,
    deny_policies::{DenyPolicy, DenyType},
    keys::{KeyState, KeyType},
    plans::Plan,
    subscriptions::SubscriptionState,
};

use crate::{
    Options,
    finding::{Error, Loss, Spot, shown},
    id,
    limits::{MAX_FINDINGS, MAX_ROWS},
};

/// A row under construction and the first place that speaks of it.
#[derive(Debug)]
pub struct Entry<T> {
    pub row: T,
    pub spot: Spot,
    /// Two places contradict each other, or one of them cannot be read.
    pub is_refused: bool,
}

/// What is known of a subscription.
#[derive(Debug, Default)]
pub struct Subscribed {
    pub plan: Option<String>,
    pub state: Option<SubscriptionState>,
    /// What the block's record says of its reason.
    pub reason: Option<String>,
}

/// What is known of a key.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    pub application: String,
    /// Its id, where the file has one.
    pub id: Option<String>,
    /// The APIs that it opens. `None`: all that the application is subscribed to.
    pub apis: Option<BTreeSet<String>>,
    pub key_type: Option<KeyType>,
    pub state: Option<KeyState>,
    pub not_before: Option<i64>,
    pub expires_at: Option<i64>,
    pub permitted_ips: Option<Vec<String>>,
    pub permitted_referers: Option<Vec<String>>,
}

/// A key, with its number in the order of the files.
#[derive(Debug)]
pub struct KeyEntry {
    pub grant: Grant,
    pub spot: Spot,
    pub number: usize,
    pub is_refused: bool,
}

/// What the files say so far.
#[derive(Debug)]
pub struct Draft<'o> {
    pub options: &'o Options,
    files: Vec<String>,
    pub plans: BTreeMap<String, Entry<Plan>>,
    pub apis: BTreeMap<String, Entry<Api>>,
    pub applications: BTreeMap<String, Entry<Application>>,
    pub subscriptions: BTreeMap<(String, String), Entry<Subscribed>>,
    pub keys: BTreeMap<Digest, KeyEntry>,
    pub deny_policies: BTreeMap<String, Entry<DenyPolicy>>,
    pub losses: Vec<Loss>,
    pub errors: Vec<Error>,
    pub notes: Vec<String>,
    /// The number of each, and its place among the losses.
    tallies: BTreeMap<&'static str, (usize, usize)>,
}

impl<'o> Draft<'o> {
    /// Nothing yet.
    pub fn new(options: &'o Options) -> Self {
        Self {
            options,
            files: Vec::new(),
            plans: BTreeMap::new(),
            apis: BTreeMap::new(),
            applications: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            keys: BTreeMap::new(),
            deny_policies: BTreeMap::new(),
            losses: Vec::new(),
            errors: Vec::new(),
            notes: Vec::new(),
            tallies: BTreeMap::new(),
        }
    }

    /// Begins a file. Returns its number, for spots.
    pub fn open(&mut self, name: &str) -> usize {
        self.files.push(name.to_owned());
        self.files.len().saturating_sub(1)
    }

    /// The name of a file.
    pub fn file(&self, number: usize) -> &str {
        self.files.get(number).map(String::as_str).unwrap_or_default()
    }

    /// The number of a file.
    pub fn number_of(&self, name: &str) -> usize {
        self.files.iter().position(|held| held == name).unwrap_or_default()
    }

    /// A spot in words, as seen from another one.
    fn told(&self, spot: Spot, from: Spot) -> String {
        let Spot { file, line, .. } = spot;
        if file == from.file { format!("line {line}") } else { format!("line {line} of {}", self.file(file)) }
    }

    /// An error at a place.
    pub fn error_at(&self, spot: Spot, path: &str, found: &str, expected: &str) -> Error {
        Error::new(self.file(spot.file), spot, path, found, expected)
    }

    /// Tells of something wrong.
    pub fn refuse(&mut self, spot: Spot, path: &str, found: &str, expected: &str) {
        self.errors.push(self.error_at(spot, path, found, expected));
    }

    /// Tells of something that has no row.
    pub fn lose(&mut self, spot: Spot, path: &str, what: impl Into<String>, why: &str, instead: &str) {
        self.losses.push(Loss {
            file: self.file(spot.file).to_owned(),
            line: Some(spot.line).filter(|line| *line > 0),
            path: path.to_owned(),
            what: what.into(),
            why: why.to_owned(),
            instead: instead.to_owned(),
        });
    }

    /// Tells of something that many entries have, once: at the first place, with their number.
    pub fn tally(&mut self, spot: Spot, path: &str, what: &'static str, why: &str, instead: &str) {
        let held = self.tallies.entry(what).or_insert((0, self.losses.len()));
        held.0 = held.0.saturating_add(1);
        if held.0 == 1 {
            self.lose(spot, path, what, why, instead);
        }
    }

    /// Puts the numbers of what was tallied into its losses.
    pub fn count_tallies(&mut self) {
        for (what, (number, place)) in std::mem::take(&mut self.tallies) {
            if let Some(loss) = self.losses.get_mut(place).filter(|_| number > 1) {
                loss.what = format!("{what} ({number} places, of which this is the first)");
            }
        }
    }

    /// Fails if there are more rows or findings than the limits.
    pub fn check_room(&self) -> Result<(), Vec<Error>> {
        let rows =
            [self.plans.len(), self.apis.len(), self.applications.len(), self.subscriptions.len(), self.keys.len()];
        let limits = [
            (rows.into_iter().fold(0, usize::saturating_add), MAX_ROWS, "rows"),
            (self.losses.len(), MAX_FINDINGS, "losses"),
            (self.errors.len(), MAX_FINDINGS, "errors"),
        ];
        let Some((_, most, what)) = limits.into_iter().find(|(number, most, _)| number > most) else { return Ok(()) };
        let spot = Spot { file: self.files.len().saturating_sub(1), ..Spot::default() };
        let found = format!("more than {most} {what}");
        let expected = format!("at most {most}; split the files and convert them one by one");
        // The first errors say more than the limit alone.
        let first = self.errors.iter().take(10).cloned();
        Ok(()).and(Err(first.chain([self.error_at(spot, "", &found, &expected)]).collect()))
    }

    /// The id of a name. A name that is no valid id is told of.
    pub fn id(&mut self, spot: Spot, path: &str, noun: &str, name: &str) -> String {
        let id = id::of_name(name);
        if id != name {
            let what = format!("{noun} {} has the id {id:?}", shown(name));
            let why = "an id has 1 to 256 bytes without control characters, and no white space at its ends";
            self.lose(spot, path, what, why, "use this id in requests and configurations");
        }
        id
    }

    /// A name or owner as a valid text. Another one is told of.
    pub fn text(&mut self, spot: Spot, path: &str, noun: &str, name: &str) -> String {
        let text = id::display(name);
        if text != name {
            let what = format!("{noun} {} is {text:?} now", shown(name));
            let why = "a text has 1 to 256 bytes without control characters, and no white space at its ends";
            self.lose(spot, path, what, why, "");
        }
        text
    }

    /// An application of this name. Returns its id.
    pub fn application(&mut self, spot: Spot, path: &str, name: &str, owner: Option<&str>) -> String {
        let application = id::of_name(name);
        let owner = owner.map(|owner| self.text(spot, path, "the owner", owner));
        if let Some(held) = self.applications.get_mut(&application) {
            let first = held.spot;
            match (&held.row.owner, owner) {
                (Some(one), Some(other)) if *one != other => {
                    let found = format!("{} as owner, and {} at {}", shown(&other), shown(one), self.told(first, spot));
                    self.refuse(spot, path, &found, "one owner for an application; the first one is kept");
                }
                (None, owner @ Some(_)) => held.row.owner = owner,
                _ => {}
            }
            return application;
        }
        let id = self.id(spot, path, "the application", name);
        let row = Application {
            id: Some(id.clone()),
            name: Some(id::display(name)).filter(|display| *display != id),
            owner,
            state: None,
            record: None,
            plan: None,
            used_up_until: None,
            deleted: false,
            etag: None,
        };
        self.applications.insert(id.clone(), Entry { row, spot, is_refused: false });
        id
    }

    /// An API. Its matches follow.
    pub fn api(&mut self, spot: Spot, path: &str, id: &str, name: Option<&str>, security: Option<Security>) {
        let name = name.map(|name| self.text(spot, path, "the name", name));
        let row = Api {
            id: Some(id.to_owned()),
            name,
            version: None,
            state: None,
            matches: None,
            security,
            subscription_required: None,
            endpoints: None,
            owner: None,
            plans: None,
            approval: None,
            etag: None,
        };
        self.apis.entry(id.to_owned()).or_insert(Entry { row, spot, is_refused: false });
    }

    /// A match of an API.
    pub fn add_match(&mut self, id: &str, found: Match) {
        let Some(api) = self.apis.get_mut(id) else { return };
        let matches = api.row.matches.get_or_insert_default();
        if !matches.contains(&found) {
            matches.push(found);
        }
    }

    /// A deny policy. Its id is made of what it denies.
    pub fn deny(&mut self, spot: Spot, target: DenyType, word: &str, value: &str, invert: bool) {
        let not = if invert { ":not" } else { "" };
        let id = id::of_name(&format!("{word}{not}:{value}"));
        let invert = Some(invert);
        let row =
            DenyPolicy { id: Some(id.clone()), target, value: value.to_owned(), invert, etag: None, applies: None };
        self.deny_policies.entry(id).or_insert(Entry { row, spot, is_refused: false });
    }

    /// A subscription of an application to an API.
    pub fn subscribe(&mut self, spot: Spot, path: &str, application: &str, api: &str, said: Subscribed) {
        let pair = (application.to_owned(), api.to_owned());
        let Some(held) = self.subscriptions.get_mut(&pair) else {
            self.subscriptions.insert(pair, Entry { row: said, spot, is_refused: false });
            return;
        };
        let first = held.spot;
        let agree = agree(&mut held.row.plan, said.plan)
            & agree(&mut held.row.state, said.state)
            & agree(&mut held.row.reason, said.reason);
        if !agree {
            held.is_refused = true;
            let found = format!(
                "another plan or state of the subscription of {application:?} to {api:?} than at {}",
                self.told(first, spot)
            );
            self.refuse(spot, path, &found, "the same plan and state; the subscription is left out");
        }
    }

    /// Leaves a subscription out, because what is said of it cannot be read.
    pub fn refuse_subscription(&mut self, spot: Spot, application: &str, api: &str) {
        let pair = (application.to_owned(), api.to_owned());
        let fresh = || Entry { row: Subscribed::default(), spot, is_refused: true };
        self.subscriptions.entry(pair).or_insert_with(fresh).is_refused = true;
    }

    /// A key by its digest.
    pub fn digest(&mut self, spot: Spot, path: &str, digest: Digest, grant: Grant) {
        let number = self.keys.len();
        let Some(held) = self.keys.get_mut(&digest) else {
            self.keys.insert(digest, KeyEntry { grant, spot, number, is_refused: false });
            return;
        };
        let first = held.spot;
        if held.grant.application != grant.application {
            held.is_refused = true;
            let (one, other) = (held.grant.application.clone(), grant.application);
            let at = self.told(first, spot);
            let found = format!("the key of the application {other:?}, which is that of {one:?} at {at} as well");
            self.refuse(spot, path, &found, "a key that only one application has; the key is left out for both");
            return;
        }
        let Grant { id, apis, key_type, state, not_before, expires_at, permitted_ips, permitted_referers, .. } = grant;
        let held_grant = &mut held.grant;
        match (&mut held_grant.apis, apis) {
            (Some(held), Some(more)) => held.extend(more),
            (held, _) => *held = None,
        }
        let agree = agree(&mut held_grant.id, id)
            & agree(&mut held_grant.key_type, key_type)
            & agree(&mut held_grant.state, state)
            & agree(&mut held_grant.not_before, not_before)
            & agree(&mut held_grant.expires_at, expires_at)
            & agree(&mut held_grant.permitted_ips, permitted_ips)
            & agree(&mut held_grant.permitted_referers, permitted_referers);
        if !agree {
            held.is_refused = true;
            let application = held.grant.application.clone();
            let at = self.told(first, spot);
            let found = format!("the key of the application {application:?} at {at} with another type, state or time");
            self.refuse(spot, path, &found, "the same everywhere; the key is left out");
        }
    }
}

/// Takes what is said over, unless something is known already. Whether both say the same.
fn agree<T: PartialEq>(held: &mut Option<T>, said: Option<T>) -> bool {
    match (held.as_ref(), said) {
        (None, said) => {
            *held = said;
            true
        }
        (Some(held), Some(said)) => *held == said,
        (Some(_), None) => true,
    }
}

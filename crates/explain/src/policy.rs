//! The policy of an explanation: pages, taken as a gateway takes them from its feed.
//!
//! The pages go through the filter's own refresh into a store in memory. So a row that a gateway leaves out is left out
//! here, and a page that a gateway refuses is refused. The caller may leave out rows of keys, applications and
//! subscriptions that have nothing to do with the request, but never an API, a plan or a deny policy.

use std::collections::BTreeMap;

use keygate::{
    callout::{answer::Answer, lines::Lines},
    catalogue::Catalogue,
    config::InvalidConfig,
    digest::Digest,
    held::PolicyView,
    policy::{
        error::InvalidPage,
        list::CatalogueList,
        page::{CatalogueRows, Page, Row},
        rows::{DenyPolicy, DenyTarget},
        unknown::UnknownFields,
    },
    refresh::{Refresh, RefreshContext},
    shared::{key::SourceId, memory::Memory},
};

use crate::configuration;

/// The time at which the pages are taken, in milliseconds. It decides nothing: the explanation has a time of its own,
/// and the policy counts as confirmed just then.
const TAKEN_AT_MS: u64 = 1_748_736_000_000;
/// Turns of the refresh for one page. It needs some hundred for the largest.
const MAX_TURNS: usize = 1 << 20;

/// A policy, ready for explanations.
#[derive(Debug)]
pub struct Policy {
    pub(crate) memory: Memory,
    pub(crate) held: PolicyView,
    /// The row of each API as it stands in the page.
    apis: BTreeMap<String, String>,
    /// The deny policies, each on its own, so that the one that matches can be named.
    pub(crate) deny_policies: Vec<(DenyPolicy, Catalogue)>,
    /// The small lists without the deny policies of addresses, if there are such.
    pub(crate) without_addresses: Option<Catalogue>,
    /// The digest of each key, by its id.
    keys: BTreeMap<String, Digest>,
    /// Rows that gateways leave out, in the words of their log.
    pub(crate) left_out: Vec<String>,
}

/// Why pages are no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// A gateway refuses the page.
    #[error("page {0} is refused: {1}")]
    Page(usize, InvalidPage),
    /// The first page is a delta.
    #[error("page {0} is a delta; a full policy is needed")]
    Delta(usize),
    /// There are more or fewer pages than their `next` says.
    #[error("{0} pages are given, but their `next` does not lead from each to the one behind it")]
    Chain(usize),
    /// A gateway refuses the policy for another reason.
    #[error("a gateway refuses the policy: {0}")]
    Refused(String),
    /// The configuration that the refresh needs.
    #[error(transparent)]
    Configuration(#[from] InvalidConfig),
}

impl Policy {
    /// Takes the pages of one full policy, in their order.
    pub fn of(pages: Vec<Vec<u8>>) -> Result<Self, InvalidPolicy> {
        let mut policy = Self {
            memory: Memory::default(),
            // Without a secret nothing is cached, so each look-up reads the store.
            held: PolicyView::new(SourceId::new(Digest::of(b"explain")), None),
            apis: BTreeMap::new(),
            deny_policies: Vec::new(),
            without_addresses: None,
            keys: BTreeMap::new(),
            left_out: Vec::new(),
        };
        let (count, mut rows) = (pages.len(), CatalogueRows::default());
        for (number, body) in pages.iter().enumerate() {
            let number = number.saturating_add(1);
            let page = Page::scan(body.clone()).map_err(|why| InvalidPolicy::Page(number, why))?;
            if page.header.base.is_some() {
                return Err(InvalidPolicy::Delta(number));
            }
            if page.header.next.is_some() != (number < count) {
                return Err(InvalidPolicy::Chain(count));
            }
            policy.note(page, &mut rows);
        }
        policy.note_deny_policies(rows);
        policy.fetch(pages)?;
        Ok(policy)
    }

    /// The digest of the key with this id.
    pub fn digest_of(&self, id: &str) -> Option<Digest> {
        self.keys.get(id).copied()
    }

    /// The state of an API in the words of its row. `None` if the row has none.
    pub(crate) fn state_of(&self, api: &str) -> Option<String> {
        let row: serde_json::Value = serde_json::from_str(self.apis.get(api)?).ok()?;
        Some(row.get("state")?.as_str()?.to_owned())
    }

    /// Notes what sentences need and the store does not keep. Adds the small lists of the page to `rows`.
    fn note(&mut self, page: Page, rows: &mut CatalogueRows) {
        for (list, id, row) in page.catalogue_rows() {
            if list == CatalogueList::Apis {
                self.apis.insert(id.to_owned(), row.to_owned());
            }
        }
        for row in page.rows(0..page.len(), &mut UnknownFields::default()) {
            match row {
                Ok(Row::Key(key)) => drop(self.keys.insert(key.id.as_str().to_owned(), key.digest)),
                Ok(_) => {}
                Err(row) => self.left_out.push(format!("a row of `{}` is left out: {}", row.list, row.why)),
            }
        }
        let CatalogueRows { apis, plans, deny_policies } = page.catalogue;
        rows.apis.extend(apis);
        rows.plans.extend(plans);
        rows.deny_policies.extend(deny_policies);
    }

    fn note_deny_policies(&mut self, rows: CatalogueRows) {
        let CatalogueRows { apis, plans, deny_policies } = rows;
        let mut last: BTreeMap<String, DenyPolicy> = BTreeMap::new();
        for row in deny_policies {
            last.insert(row.id.as_str().to_owned(), row);
        }
        let is_range = |row: &DenyPolicy| matches!(row.target, DenyTarget::Range(_));
        if last.values().any(is_range) {
            let deny_policies = last.values().filter(|row| !is_range(row)).cloned().collect();
            self.without_addresses = Some(Catalogue::new(CatalogueRows { apis, plans, deny_policies }));
        }
        for row in last.into_values() {
            let alone = CatalogueRows { deny_policies: vec![row.clone()], ..CatalogueRows::default() };
            self.deny_policies.push((row, Catalogue::new(alone)));
        }
    }

    /// Gives the pages to the refresh, as answers to what it asks for.
    fn fetch(&mut self, pages: Vec<Vec<u8>>) -> Result<(), InvalidPolicy> {
        let mut refresh = Refresh::new(configuration::default()?.policy);
        let mut report = Lines::default();
        let mut pages = (1u32..).zip(pages);
        let mut asked = None;
        for _ in 0..MAX_TURNS {
            let mut context =
                RefreshContext { now_ms: TAKEN_AT_MS, held: &mut self.held, shared: &self.memory, report: &mut report };
            asked = match asked {
                Some(_) => {
                    let Some((token, body)) = pages.next() else { break };
                    let content_type = b"application/json".to_vec();
                    let answer = Answer { status: Some(200), content_type, body, ..Answer::default() };
                    refresh.sent(token);
                    refresh.answered(token, answer, &mut context)
                }
                None => match refresh.tick(0, &mut context) {
                    None if !refresh.is_busy() => break,
                    asked => asked,
                },
            };
        }
        if self.held.manifest().is_none() {
            let lines = report.lines.into_iter().map(|(_, line)| line);
            return Err(InvalidPolicy::Refused(lines.collect::<Vec<_>>().join("; ")));
        }
        Ok(())
    }
}

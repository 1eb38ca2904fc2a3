//! The small lists in shared data: APIs, plans and deny policies, as JSON rows in their original form.
//!
//! JSON needs no second format: a VM reads this entry like a page. Rows with the same id replace each other, so a delta
//! can change single rows.

use super::error::TooLong;
use crate::{
    index::List,
    policy::{
        MAX_PAGE_BYTES,
        list::CatalogueList,
        page::{CatalogueRows, Page},
        wire,
    },
    shared::{Corrupt, bytes},
};

/// The rows of the small lists by id, as JSON.
#[derive(Debug, Default)]
pub struct CatalogueJson {
    apis: List<String>,
    plans: List<String>,
    deny_policies: List<String>,
}

impl CatalogueJson {
    /// Applies the removals of a page, then adds its rows.
    pub fn apply(&mut self, page: &Page) -> Result<(), TooLong> {
        for (list, ids) in [
            (CatalogueList::Apis, &page.removed.apis),
            (CatalogueList::Plans, &page.removed.plans),
            (CatalogueList::DenyPolicies, &page.removed.deny_policies),
        ] {
            let rows = self.list(list);
            ids.iter().for_each(|id| rows.remove(id));
        }
        self.add(page, |_, _| true)
    }

    /// Adds those rows of a page that `wanted` selects.
    pub fn add(&mut self, page: &Page, wanted: impl Fn(CatalogueList, &str) -> bool) -> Result<(), TooLong> {
        for (list, id, json) in page.catalogue_rows().filter(|(list, id, _)| wanted(*list, id)) {
            let rows = self.list(list);
            rows.insert(id, json.to_owned());
            if rows.len() > list.limit() {
                return Err(TooLong { list: list.as_str(), limit: list.limit() });
            }
        }
        Ok(())
    }

    fn list(&mut self, list: CatalogueList) -> &mut List<String> {
        match list {
            CatalogueList::Apis => &mut self.apis,
            CatalogueList::Plans => &mut self.plans,
            CatalogueList::DenyPolicies => &mut self.deny_policies,
        }
    }

    /// Number of APIs.
    pub fn apis(&self) -> usize {
        self.apis.len()
    }

    /// The value to store under `key`.
    pub fn write(&self, key: &[u8], generation: u64) -> Result<Vec<u8>, TooLong> {
        let mut json = format!("{{\"format\":{}", wire::FORMAT);
        for (list, rows) in [
            (CatalogueList::Apis, &self.apis),
            (CatalogueList::Plans, &self.plans),
            (CatalogueList::DenyPolicies, &self.deny_policies),
        ] {
            json.push_str(",\"");
            json.push_str(list.as_str());
            json.push_str("\":[");
            for (index, (_, row)) in rows.entries().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                json.push_str(row);
            }
            json.push(']');
        }
        json.push('}');
        if json.len() > MAX_PAGE_BYTES {
            return Err(TooLong { list: "apis, plans and deny_policies together", limit: MAX_PAGE_BYTES });
        }
        let mut out = bytes::unsealed();
        out.extend(generation.to_le_bytes());
        out.extend_from_slice(json.as_bytes());
        bytes::seal(key, &mut out);
        Ok(out)
    }

    /// Reads the lists stored under `key`, to change them.
    pub fn read(key: &[u8], value: &[u8], generation: u64) -> Result<Self, Corrupt> {
        let page = page(key, value, generation)?;
        let mut lists = Self::default();
        lists.apply(&page).map_err(|_| Corrupt)?;
        Ok(lists)
    }
}

/// Reads the lists stored under `key`, for decisions.
pub fn read_rows(key: &[u8], value: &[u8], generation: u64) -> Result<CatalogueRows, Corrupt> {
    Ok(page(key, value, generation)?.catalogue)
}

/// The generation of the lists stored under `key`.
pub fn generation(key: &[u8], value: &[u8]) -> Result<u64, Corrupt> {
    bytes::open(key, value)?.u64()
}

fn page(key: &[u8], value: &[u8], generation: u64) -> Result<Page, Corrupt> {
    let mut reader = bytes::open(key, value)?;
    if reader.u64()? != generation {
        return Err(Corrupt);
    }
    Page::scan(reader.rest().to_vec()).map_err(|_| Corrupt)
}

//! The part of a policy that decides about one request, as pages in the form of the feed.
//!
//! Only the rows of the request are read: all APIs, plans and deny policies, and of the long lists what belongs to one
//! key. What the feed does without is left out here, too.

use keygate::policy::wire::FORMAT;
use serde_json::Value;

use super::{error::Error, stored::is_in_feed};
use crate::port::{Kind, Snapshot, Version};

/// Bytes of the documents of a page before the next page begins. A page has at most this and one document, far below
/// the 32 MiB of a page.
const PAGE_BYTES: usize = 8 << 20;

/// The policy of one request at a revision.
#[derive(Debug, Default)]
pub struct Part {
    /// Pages of a full policy.
    pub pages: Vec<Vec<u8>>,
    /// The row of the key.
    pub key: Option<Version>,
    /// The subscriptions of the key's application.
    pub subscriptions: Vec<Version>,
}

impl Part {
    /// The id of the subscription to this API.
    pub fn subscription_to(&self, api: &str) -> Option<&str> {
        let of_api = self.subscriptions.iter().find(|version| version.api.as_deref() == Some(api));
        of_api.map(|version| version.id.as_str())
    }
}

/// Finds the digest of a key by its id.
pub async fn digest_of(view: &mut dyn Snapshot, id: &str, at: i64) -> Result<Option<String>, Error> {
    let key = view.id_at(Kind::Key, id, at).await?;
    Ok(key.and_then(|key| text(&key.document, "sha256")))
}

/// Reads the part of a request with the key of this digest, or without a key.
pub async fn part(view: &mut dyn Snapshot, sha256: Option<&str>, at: i64) -> Result<Part, Error> {
    let mut rows = view.small_lists_at(at).await?;
    let key = match sha256 {
        Some(sha256) => view.identity_at(Kind::Key, sha256, at).await?,
        None => None,
    };
    let mut of_application = Vec::new();
    if let Some(application) = key.as_ref().and_then(|key| key.application.as_deref()) {
        of_application = view.application_at(application, at).await?;
    }
    rows.extend(key.iter().chain(&of_application).cloned());
    rows.retain(|row| is_in_feed(row.kind, &row.document));
    of_application.retain(|row| row.kind == Kind::Subscription);
    Ok(Part { pages: pages(&rows, at), key, subscriptions: of_application })
}

/// Writes pages with these rows.
fn pages(rows: &[Version], at: i64) -> Vec<Vec<u8>> {
    let mut cuts: Vec<Vec<&Version>> = vec![Vec::new()];
    let mut bytes = 0_usize;
    for row in rows {
        if bytes >= PAGE_BYTES {
            cuts.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(row.document.len());
        cuts.last_mut().into_iter().for_each(|page| page.push(row));
    }
    let count = cuts.len();
    let numbered = cuts.iter().zip(1_usize..);
    numbered.map(|(rows, number)| page(rows, at, (number < count).then_some(number)).into_bytes()).collect()
}

/// Stored documents are JSON as the feed shows them, so they are joined as they are.
fn page(rows: &[&Version], at: i64, next: Option<usize>) -> String {
    let mut page = format!("{{\"format\":{FORMAT},\"revision\":{at}");
    for kind in Kind::ALL {
        let documents = rows.iter().filter(|row| row.kind == kind).map(|row| row.document.as_str());
        let documents: Vec<_> = documents.collect();
        page.push_str(&format!(",\"{}\":[{}]", kind.list(), documents.join(",")));
    }
    if let Some(next) = next {
        page.push_str(&format!(",\"next\":\"?page={next}\""));
    }
    page.push('}');
    page
}

fn text(document: &str, field: &str) -> Option<String> {
    let document: Value = serde_json::from_str(document).ok()?;
    Some(document.get(field)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use keygate::policy::page::Page;
    use serde_json::json;

    use super::*;

    fn row(kind: Kind, id: usize, bytes: usize) -> Version {
        let document = json!({"id": format!("a-{id}"), "name": "n".repeat(200), "x": "x".repeat(bytes)}).to_string();
        Version {
            seq: 0,
            kind,
            id: String::new(),
            application: None,
            api: None,
            kept_block: None,
            kept_owner: None,
            state_before: None,
            beside: None,
            due: None,
            from_revision: 1,
            document,
        }
    }

    #[test]
    fn rows_are_written_into_pages_that_a_gateway_takes() {
        for (rows, expected) in [(0, 1), (1, 1), (3, 1), (20, 3)] {
            let rows: Vec<_> = (0..rows).map(|id| row(Kind::Api, id, 1 << 20)).collect();
            let pages = pages(&rows, 7);
            assert_eq!(pages.len(), expected);
            let read: Vec<_> = pages.into_iter().map(|page| Page::scan(page).unwrap()).collect();
            assert_eq!(read.iter().map(|page| page.catalogue.apis.len()).sum::<usize>(), rows.len());
            let is_last = |number: usize| number + 1 == read.len();
            for (number, page) in read.iter().enumerate() {
                assert_eq!((page.header.revision, page.header.next.is_none()), (Some(7), is_last(number)));
            }
        }
    }
}

//! Which new rows of an import a block of their owner holds back.
//!
//! A second application is no way round a block, also in an import. But the rows of a whole export must give the same
//! policy again, and there a subscription may be older than the block of its owner's other one. So a block that the import
//! itself states holds nothing back. Nothing here writes a row.

use std::collections::HashSet;

use crate::{
    error::Error,
    port::{Kind, NewRow, OwnersBlock, Transaction},
    resource::Resource,
};

/// Maximum number of stated blocks that are remembered. At 150 bytes each, 150 MB. Further ones hold rows back, as if the
/// import did not state them.
const MAX_STATED: usize = 1_000_000;

/// The blocks that the rows of an import state: the application, and the API of a subscription.
#[derive(Debug, Default)]
pub struct Stated(HashSet<(String, Option<String>)>);

impl Stated {
    /// Notes the block of a row, if it states one.
    pub fn note<R: Resource>(&mut self, sent: &R, row: &NewRow) {
        if sent.is_blocked()
            && self.0.len() < MAX_STATED
            && let Some(application) = &row.application
        {
            self.0.insert((application.clone(), row.api.clone()));
        }
    }

    /// Says for each of `rows` whether a block of its owner holds it back, if it is new.
    pub async fn hold_back<R: Resource>(
        &self,
        change: &mut dyn Transaction,
        rows: &[(&R, &NewRow)],
    ) -> Result<Vec<bool>, Error> {
        let owners = owners(change, rows).await?;
        let mut asked: Vec<&str> = owners.iter().flatten().map(String::as_str).collect();
        asked.sort_unstable();
        asked.dedup();
        if asked.is_empty() {
            return Ok(vec![false; rows.len()]);
        }
        let Some(blocks) = change.blocks_of(&asked).await? else {
            return one_by_one(change, rows, &owners).await;
        };
        let concerned = |owner: &Option<String>, row: &NewRow| {
            let mut blocks = blocks.iter().filter(|block| owner.as_ref() == Some(&block.owner));
            blocks.any(|block| concerns(block, row) && !self.states(block))
        };
        Ok(rows.iter().zip(&owners).map(|((_, row), owner)| concerned(owner, row)).collect())
    }

    fn states(&self, block: &OwnersBlock) -> bool {
        // The set has owned keys.
        self.0.contains(&(block.application.clone(), block.api.clone()))
    }
}

/// Whether a block of its owner concerns `row`: that of any application, or that of a subscription to the same API.
fn concerns(block: &OwnersBlock, row: &NewRow) -> bool {
    block.api.is_none() || (row.kind == Kind::Subscription && block.api == row.api)
}

/// The owners of those rows that are open.
async fn owners<R: Resource>(
    change: &mut dyn Transaction,
    rows: &[(&R, &NewRow)],
) -> Result<Vec<Option<String>>, Error> {
    let open = |sent: &R| sent.is_open();
    if R::KIND != Kind::Subscription {
        return Ok(rows.iter().map(|(sent, _)| sent.owner().filter(|_| open(sent)).map(str::to_owned)).collect());
    }
    let application = |sent: &R, row: &NewRow| row.application.clone().filter(|_| open(sent));
    let applications: Vec<Option<String>> = rows.iter().map(|(sent, row)| application(sent, row)).collect();
    let mut asked: Vec<&str> = applications.iter().flatten().map(String::as_str).collect();
    asked.sort_unstable();
    asked.dedup();
    if asked.is_empty() {
        return Ok(vec![None; rows.len()]);
    }
    let owners = change.owners_of(&asked).await?;
    Ok(applications.iter().map(|application| owners.get(application.as_ref()?).cloned()).collect())
}

/// The answer for owners with very many blocks: as for rows of clients, whatever the import states.
async fn one_by_one<R: Resource>(
    change: &mut dyn Transaction,
    rows: &[(&R, &NewRow)],
    owners: &[Option<String>],
) -> Result<Vec<bool>, Error> {
    let mut held = Vec::with_capacity(rows.len());
    for ((_, row), owner) in rows.iter().zip(owners) {
        held.push(match (owner, &row.application, &row.api) {
            (None, ..) => false,
            (Some(_), Some(application), Some(api)) => change.is_owner_blocked(application, api).await?,
            (Some(owner), ..) => change.has_blocked_application(owner).await?,
        });
    }
    Ok(held)
}

//! The small lists of a page: APIs, plans and deny policies. Each row is read as a whole, because a page without it
//! could allow too much. A match or an operation that can never apply is left out of its row and reported.
//!
//! [`crate::store::lists`] keeps these lists, and [`crate::catalogue`] interprets them.

use std::ops::Range;

use serde_json::value::RawValue;

use super::{
    error::{InvalidPage, RejectedRow},
    left_out::Concerns,
    list::CatalogueList,
    object::Read,
    raw::{parse, place},
    rows::{Api, DenyPolicy, InvalidRow, Plan, Problem},
    unknown::UnknownFields,
    wire,
};

#[derive(Debug, Default, PartialEq)]
pub struct CatalogueRows {
    pub apis: Vec<Api>,
    pub plans: Vec<Plan>,
    pub deny_policies: Vec<DenyPolicy>,
}

pub trait CatalogueRow {
    fn id(&self) -> &str;

    /// The parts that are left out of this row.
    fn left_out(&self) -> Option<InvalidRow> {
        None
    }
}

impl CatalogueRow for Api {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn left_out(&self) -> Option<InvalidRow> {
        never_apply("match", self.left_out)
    }
}

impl CatalogueRow for Plan {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn left_out(&self) -> Option<InvalidRow> {
        never_apply("operations", self.left_out)
    }
}

impl CatalogueRow for DenyPolicy {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

fn never_apply(field: &'static str, parts: usize) -> Option<InvalidRow> {
    (parts > 0).then_some(InvalidRow { field, problem: Problem::NeverApply(parts) })
}

/// Reads the rows of the small lists, one list after the other.
pub(super) struct CatalogueReader<'p> {
    pub body: &'p str,
    /// List, id and place of each row.
    pub places: Vec<(CatalogueList, String, Range<usize>)>,
    /// Rows with parts that are left out.
    pub left_out: Vec<RejectedRow>,
    pub unknown: &'p mut UnknownFields,
}

type Raw<'p> = Option<Vec<&'p RawValue>>;

impl<'p> CatalogueReader<'p> {
    pub fn read_all(
        &mut self,
        apis: Raw<'p>,
        plans: Raw<'p>,
        deny_policies: Raw<'p>,
    ) -> Result<CatalogueRows, InvalidPage> {
        Ok(CatalogueRows {
            apis: self.read::<wire::ApiRow<'_>, Api>(CatalogueList::Apis, apis)?,
            plans: self.read::<wire::PlanRow<'_>, Plan>(CatalogueList::Plans, plans)?,
            deny_policies: self
                .read::<wire::DenyPolicyRow<'_>, DenyPolicy>(CatalogueList::DenyPolicies, deny_policies)?,
        })
    }

    fn read<W, T>(&mut self, list: CatalogueList, rows: Raw<'p>) -> Result<Vec<T>, InvalidPage>
    where
        W: Read<'p>,
        T: TryFrom<W, Error = InvalidRow> + CatalogueRow,
    {
        let rows = rows.unwrap_or_default();
        if rows.len() > list.limit() {
            return Err(InvalidPage::TooManyRows { list: list.as_str(), limit: list.limit() });
        }
        let mut values = Vec::with_capacity(rows.len());
        for raw in rows {
            let place = place(self.body, raw);
            self.unknown.enter(list.as_str(), Some(place.start));
            let bad = |why| {
                let offset = Some(place.start);
                RejectedRow { list: list.as_str(), offset, why, concerns: Concerns::Nothing }
            };
            let value: T = parse(raw.get(), self.unknown).map_err(|why| InvalidPage::Row(Box::new(bad(why))))?;
            self.left_out.extend(value.left_out().map(bad));
            self.places.push((list, value.id().to_owned(), place));
            values.push(value);
        }
        Ok(values)
    }
}

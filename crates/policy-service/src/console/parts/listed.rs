//! Lists in pages: the rows from `/v1`, links to the page before and after, and how many rows there are.
//!
//! The database finds the rows of a page by its cursor, forwards and backwards, so a page deep in a list costs no more than
//! the first.

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::table::counted;
use crate::{
    console::{rows::List, visit::Visit},
    http::problem::Problem,
    routes::list::cursor_at,
    web::place::query,
};

/// Rows of a page. With 1 KB a row in HTML a page has some 60 KB.
pub const ROWS: usize = 50;

/// Which list is shown.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its path in `/v1`.
    pub path: &'a str,
    /// The field that it is sorted by: `id`, or one that `/v1` sorts by under the field's name.
    pub sort: &'a str,
    /// Filters: the parameter of `/v1`, and its value; empty ones are left out.
    pub filters: &'a [(&'a str, &'a str)],
    /// Rows of a page.
    pub rows: usize,
}

/// A page of a list.
#[derive(Debug)]
pub struct Listed<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows the whole list has.
    pub total: u64,
    /// The cursors of the page before and of the page after.
    before: Option<String>,
    after: Option<String>,
    /// What is wrong with a filter.
    wrong: Option<String>,
}

impl<T: DeserializeOwned> Listed<T> {
    /// Reads the page that the address asks for (`cursor`, `back`).
    pub async fn read(visit: &Visit, asked: Asked<'_>) -> Result<Self, Problem> {
        let (cursor, is_back) = (visit.asked.get("cursor"), visit.asked.has("back"));
        let (forwards, backwards) = (asked.sort.to_owned(), format!("-{}", asked.sort));
        let limit = asked.rows.to_string();
        let sort = if is_back { &backwards } else { &forwards };
        let paging = [("sort", sort.as_str()), ("limit", &limit), ("cursor", cursor)];
        let pairs: Vec<_> = asked.filters.iter().chain(&paging).copied().collect();
        let list = match visit.v1.read::<List<Value>>(&format!("{}{}", asked.path, query(&pairs))).await {
            Ok(list) => list,
            // A filter that cannot be used finds nothing, and the page says what would be right.
            Err(problem) if problem.status() == StatusCode::BAD_REQUEST && is_filter(&problem, &asked) => {
                let wrong = Some(problem.to_string());
                return Ok(Self { items: Vec::new(), total: 0, before: None, after: None, wrong });
            }
            Err(problem) => return Err(problem),
        };
        let List { mut items, next, total } = list;
        if is_back {
            items.reverse();
        }
        let at = |row: Option<&Value>, sort: &str| row.map(|row| cursor_at(sort, key(row, asked.sort), key(row, "id")));
        let (before, after) = match (is_back, cursor.is_empty()) {
            (true, _) => (next, at(items.last(), &forwards)),
            (false, true) => (None, next),
            (false, false) => (at(items.first(), &backwards), next),
        };
        let rows = items.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        let items = rows.map_err(|error| {
            tracing::error!(%error, "a row of a list cannot be read by a page");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why")
        })?;
        Ok(Self { items, total: total.unwrap_or_default(), before, after, wrong: None })
    }

    /// The line below a list: how many rows there are, and the pages before and after. `place` is the address of the page,
    /// and `kept` its filters.
    pub fn pages(&self, place: &str, kept: &[(&str, &str)], one: &str, several: &str) -> Markup {
        let to = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = kept.iter().chain(pairs).copied().collect();
            format!("{place}{}", query(&pairs))
        };
        html! {
            div.pages {
                span { (counted(self.total, one, several)) @if self.before.is_some() || self.after.is_some() { " in all" } }
                @if self.before.is_some() || self.after.is_some() {
                    nav aria-label="Pages" { ul {
                        @if let Some(cursor) = &self.before {
                            li { a href=(to(&[])) { "First" } }
                            li { a rel="prev" href=(to(&[("cursor", cursor), ("back", "1")])) { "Previous" } }
                        }
                        @if let Some(cursor) = &self.after {
                            li { a rel="next" href=(to(&[("cursor", cursor)])) { "Next" } }
                        }
                    } }
                }
            }
        }
    }

    /// What is wrong with a filter, as a message.
    pub fn wrong(&self) -> Markup {
        html! { @if let Some(wrong) = &self.wrong { p.alert role="alert" { bdi { (wrong) } } } }
    }

    /// Whether the list has rows, on this page or another.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.total == 0
    }
}

fn key<'r>(row: &'r Value, field: &str) -> &'r str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn is_filter(problem: &Problem, asked: &Asked<'_>) -> bool {
    problem.wrong_field().is_some_and(|field| asked.filters.iter().any(|(name, _)| *name == field))
}

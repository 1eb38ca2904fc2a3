//! The entries that fit the filters, as a file: CSV for tables, NDJSON for programs.
//!
//! A value that a program for tables would take for a formula gets an apostrophe before it.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;

use super::{
    super::{rows::List, visit::Visit},
    entry::{Entry, filters},
};
use crate::{http::problem::Problem, web::place::query};

/// Entries of a file. Ten pages of `/v1`, some MB.
pub const MAX_AUDIT_FILE_ENTRIES: usize = 10_000;
/// Bytes of a file. An entry may have 1 MB.
const MAX_AUDIT_FILE_BYTES: usize = 33_554_432;
/// Entries of a page of `/v1`, the most that it has.
const PAGE: &str = "1000";

const COLUMNS: [&str; 12] =
    ["seq", "at", "actor", "role", "address", "request_id", "action", "kind", "id", "revision", "reason", "changed"];

/// The entries as CSV (RFC 4180).
pub async fn csv(visit: Visit) -> Result<Response, Problem> {
    let line = |entry: &Value| {
        let entry: Entry = serde_json::from_value(entry.clone()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let changed = |row: &Option<Value>| row.as_ref().map_or_else(|| "null".to_owned(), Value::to_string);
        let cells = [
            entry.seq.to_string(),
            entry.at.to_string(),
            entry.actor.clone(),
            text(&entry.role),
            text(&entry.address),
            text(&entry.request_id),
            entry.action.clone(),
            entry.kind.clone(),
            text(&entry.id),
            entry.revision.map(|revision| revision.to_string()).unwrap_or_default(),
            text(&entry.reason),
            format!("{{\"before\":{},\"after\":{}}}", changed(&entry.before), changed(&entry.after)),
        ];
        format!("{}\r\n", cells.map(|cell| quoted(&cell)).join(","))
    };
    let more = "\"more entries fit the filter; narrow it by its times\"\r\n";
    let text = collected(&visit, format!("{}\r\n", COLUMNS.join(",")), line, more).await?;
    Ok(file(text, "text/csv; charset=utf-8", "attachment; filename=\"audit.csv\""))
}

/// The entries as NDJSON, an entry a line.
pub async fn lines(visit: Visit) -> Result<Response, Problem> {
    let more = "{\"more\":true}\n";
    let text = collected(&visit, String::new(), |entry| format!("{entry}\n"), more).await?;
    Ok(file(text, "application/x-ndjson", "attachment; filename=\"audit.ndjson\""))
}

fn file(text: String, media_type: &'static str, name: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, name), (header::CACHE_CONTROL, "no-store")];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
}

/// The text of all entries that fit, or of the latest of them with a line that says so.
async fn collected(
    visit: &Visit,
    mut text: String,
    line: impl Fn(&Value) -> String,
    more: &str,
) -> Result<String, Problem> {
    let filters = filters(&visit.asked)
        .map_err(|_| Problem::new(axum::http::StatusCode::BAD_REQUEST, "a time of the filter cannot be read"))?;
    let (mut cursor, mut count) = (String::new(), 0_usize);
    loop {
        let paging = [("sort", "-seq"), ("limit", PAGE), ("cursor", cursor.as_str())];
        let pairs: Vec<_> = filters.iter().map(|(name, value)| (*name, value.as_str())).chain(paging).collect();
        let list: List<Value> = visit.v1.read(&format!("/v1/audit{}", query(&pairs))).await?;
        for entry in &list.items {
            text.push_str(&line(entry));
            count = count.saturating_add(1);
            if text.len() > MAX_AUDIT_FILE_BYTES {
                text.push_str(more);
                return Ok(text);
            }
        }
        match list.next {
            None => return Ok(text),
            Some(_) if count >= MAX_AUDIT_FILE_ENTRIES => {
                text.push_str(more);
                return Ok(text);
            }
            Some(next) => cursor = next,
        }
    }
}

fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_text_and_no_formula() {
        for (cell, expected) in
            [("a", "\"a\""), ("a\"b,c\n", "\"a\"\"b,c\n\""), ("=1+1", "\"'=1+1\""), ("@x", "\"'@x\""), ("", "\"\"")]
        {
            assert_eq!(quoted(cell), expected);
        }
    }
}

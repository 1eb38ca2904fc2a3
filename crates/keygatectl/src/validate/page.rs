//! A policy page, by the filter's own reader: what refuses the page, which rows a gateway leaves out, and which fields it
//! ignores. A field that a gateway ignores is an error here: people who write `expires` mean `expires_at`.

use std::path::Path;

use keygate::policy::{page::Page, unknown::UnknownFields};

use crate::documents::read::Misplaced;

/// Errors that are told each.
const MAX_ERRORS: usize = 1_000;

/// What is wrong with a page.
pub fn check(file: &Path, text: String) -> Vec<Misplaced> {
    let at = |offset: Option<usize>, field: Option<&str>, detail: String| {
        let (line, column) = place(&text, offset.unwrap_or(0), field);
        Misplaced { file: file.to_owned(), line, column, field: None, detail }
    };
    let page = match Page::scan(text.clone().into_bytes()) {
        Ok(page) => page,
        Err(error) => {
            let said = error.to_string();
            let (line, column) = said_place(&said).unwrap_or((1, 1));
            return vec![Misplaced { file: file.to_owned(), line, column, field: None, detail: format!("a gateway refuses the page: {said}") }];
        }
    };
    let mut errors: Vec<Misplaced> = Vec::new();
    let left_out = |list: &str, why: &str| format!("`{list}`: a gateway leaves this row out: {why}");
    for row in &page.left_out {
        let why = row.why.to_string();
        errors.push(at(row.offset, quoted(&why), left_out(row.list, &why)));
    }
    let mut unknown: Vec<String> = page.unknown.fields().iter().map(ToString::to_string).collect();
    for number in 0..page.len() {
        let mut of_row = UnknownFields::default();
        let bad: Vec<_> = page.rows(number..number.saturating_add(1), &mut of_row).filter_map(Result::err).collect();
        for row in bad {
            let why = row.why.to_string();
            errors.push(at(row.offset, quoted(&why), left_out(row.list, &why)));
        }
        unknown.extend(of_row.fields().iter().map(ToString::to_string));
        if errors.len().saturating_add(unknown.len()) > MAX_ERRORS {
            break;
        }
    }
    for field in unknown {
        let offset = field.split_once("row at byte ").and_then(|(_, rest)| {
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        });
        let name = quoted(&field).map(str::to_owned);
        let said = match field.split_once("; did you mean ") {
            Some((_, meant)) => format!("; did you mean {meant}"),
            None => String::new(),
        };
        let what = name.as_deref().unwrap_or("a field");
        errors.push(at(offset, name.as_deref(), format!("a gateway ignores the field `{what}`{said}")));
    }
    errors.sort_by_key(|error| (error.line, error.column));
    errors
}

/// The first name in backticks.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1).map(|name| name.split(['.', '[']).next().unwrap_or(name))
}

/// The line and column of a byte, or of a field of the object that begins there.
fn place(text: &str, offset: usize, field: Option<&str>) -> (usize, usize) {
    let rest = text.get(offset..).unwrap_or_default();
    let found = field.and_then(|field| rest.find(&format!("\"{field}\""))).unwrap_or(0);
    let before = text.get(..offset.saturating_add(found)).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    (line, column)
}

/// The place that a message of the reader ends with: `at line 3 column 5`.
fn said_place(said: &str) -> Option<(usize, usize)> {
    let (_, rest) = said.rsplit_once("line ")?;
    let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit()).filter(|part| !part.is_empty());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_that_a_gateway_ignores_are_errors_with_their_place() {
        let page = "{\"format\": 1,\n \"denyPolicies\": [],\n \"keys\": [\n  {\"id\": \"k\", \"sha256\": \"77\", \"application\": \"a\"},\n  \
                    {\"sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\",\n   \"id\": \"j\", \"application\": \"a\", \"expires\": 1}]}";
        let found: Vec<String> = check(Path::new("p.json"), page.to_owned()).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("p.json:2:2: ") && found[0].contains("did you mean `deny_policies`?"), "{found:?}");
        assert!(found[1].starts_with("p.json:4:"), "{found:?}");
        assert!(found[2].starts_with("p.json:6:35: ") && found[2].contains("did you mean `expires_at`?"), "{found:?}");
    }

    #[test]
    fn a_page_that_is_refused_says_why_and_where() {
        for (page, part) in [
            ("{\"format\": 2}", "format"),
            ("{\"format\": 1,\n \"keys\": 7}", ":2:"),
            ("", "empty"),
            ("{\"format\": 1, \"plans\": [{\"id\": \"\"}]}", "plans"),
        ] {
            let found: Vec<String> = check(Path::new("p.json"), page.to_owned()).iter().map(ToString::to_string).collect();
            assert!(found.len() == 1 && found[0].contains(part), "{page} {found:?}");
        }
    }
}

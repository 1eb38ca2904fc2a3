//! Describes JSON errors without repeating anything of the JSON. A page may contain anything, and logs must not repeat
//! it.
//!
//! The caller decides where the description goes and what happens then.

/// serde_json's message without the offending value. `of` says what line and column are relative to, such as ` of the
/// row`. Empty: relative to the body.
pub fn describe(error: &serde_json::Error, of: &str) -> String {
    let message = error.to_string();
    let place = format!("line {} column {}{of}", error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Io => "cannot be read",
        serde_json::error::Category::Data => {
            return match without_value(&message) {
                Some(what) => format!("{what} ({place})"),
                None => format!("has a wrong value ({place})"),
            };
        }
    };
    format!("{what} ({place})")
}

/// Removes the value from a message about a value of the wrong kind. Keeps the name of a field that keygate knows, or
/// what was expected. Both markers are searched from the end, because the value precedes them and may contain them too.
fn without_value(message: &str) -> Option<&str> {
    let (text, _) = split_at_last(message, " at line ").unwrap_or((message, ""));
    if text.starts_with("missing field") || text.starts_with("duplicate field") {
        return Some(text);
    }
    let (before, _) = split_at_last(text, "expected ")?;
    text.get(before.len()..)
}

fn split_at_last<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    text.split_at_checked(text.as_bytes().windows(mark.len()).rposition(|bytes| bytes == mark.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use crate::policy::page::Page;

    #[test]
    fn an_error_does_not_repeat_the_wrong_value() {
        let values = [
            r#""hunter2""#,
            r#""expected hunter2""#,
            r#"", expected hunter2 at line 7""#,
            r#""missing field hunter2""#,
            r#"{"hunter2": 1}"#,
            "1.5",
        ];
        for value in values {
            let row = format!(r#"{{"id": "hunter2", "name": "hunter2", "used_up_until": {value}}}"#);
            let page = Page::scan(format!(r#"{{"format": 1, "applications": [{row}]}}"#).into_bytes()).unwrap();
            let told = page.rows(0..1, &mut Default::default()).next().unwrap().unwrap_err().why.to_string();
            assert!(told.starts_with("expected i64 (line 1 column ") && !told.contains("hunter2"), "{value}: {told}");

            let told = Page::scan(format!(r#"{{"format": {value}}}"#).into_bytes()).unwrap_err().to_string();
            let expected = "the body is not a policy page: expected u64 (line 1 column ";
            assert!(told.starts_with(expected) && !told.contains("hunter2"), "{value}: {told}");
        }
        for (page, expected) in [
            (r#"{"format": 1, "format": "hunter2"}"#, "duplicate field `format` (line 1 column 22)"),
            ("{}", "missing field `format` (line 1 column 2)"),
        ] {
            let told = Page::scan(page.into()).unwrap_err().to_string();
            assert_eq!(told, format!("the body is not a policy page: {expected}"));
        }
    }
}

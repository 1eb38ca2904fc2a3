//! `validate`: files are checked as the filter and the service read them, without a service.
//!
//! - [`page`]: a policy page, by the filter's own reader
//! - [`plugin`]: plugin configurations, in JSON or where they stand in YAML ([`convert::yaml`]), by the filter's own reader
//! - documents of `export`, by the rules of the service ([`crate::documents`])

pub mod page;
pub mod plugin;

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    cli::reads::Validate,
    documents::read::{self, Misplaced},
    failure::{Done, Failure, Outcome},
    output::{Screen, plain},
};

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Checked {
    /// What it is, in words.
    pub what: String,
    pub errors: Vec<Misplaced>,
}

/// Checks files. What is wrong with one of them does not keep the others from being checked.
pub fn validate(screen: &mut Screen, asked: &Validate) -> Outcome {
    let mut errors: Vec<String> = Vec::new();
    let mut told: Vec<Value> = Vec::new();
    for path in &asked.files {
        let checked = match check(path) {
            Ok(checked) => checked,
            // It cannot be read, so there is no place in it.
            Err(failure) => {
                let detail = failure.to_string();
                told.push(json!({ "file": path, "line": null, "column": null, "field": null, "detail": detail }));
                errors.push(detail);
                continue;
            }
        };
        for error in &checked.errors {
            told.push(json!({
                "file": error.file, "line": error.line, "column": error.column, "field": error.field, "detail": error.detail
            }));
        }
        errors.extend(checked.errors.iter().map(ToString::to_string));
        if !screen.is_json && checked.errors.is_empty() {
            screen.line(&format!("{}: {}, valid", plain(&path.display().to_string()), checked.what))?;
        }
    }
    if screen.is_json {
        screen.json(&json!({ "valid": errors.is_empty(), "errors": told }))?;
    }
    if errors.is_empty() { Ok(Done::Well) } else { Err(read::told(errors)) }
}

/// Checks a file, or a folder of documents.
pub fn check(path: &Path) -> Result<Checked, Failure> {
    if path.is_dir() {
        let (documents, errors) = read::read_all(path)?;
        let (rows, files) = (documents.rows.len(), documents.files.len());
        return match rows {
            0 if errors.is_empty() => Err(Failure::Other(format!("{} has no documents", path.display()))),
            _ => Ok(Checked { what: format!("{rows} documents in {files} files"), errors }),
        };
    }
    let text = read::text(path)?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let is_json = text.trim_start().starts_with('{');
    let is_page = (is_json || !is_yaml) && is_page(&text);
    if is_yaml && !is_page {
        return yaml(path, &text);
    }
    match is_page {
        true => Ok(Checked { what: "a policy page".to_owned(), errors: page::check(path, text) }),
        false => plugins(path, plugin::find(path, &text)?),
    }
}

/// Whether a JSON text is a policy page rather than a plugin configuration.
fn is_page(text: &str) -> bool {
    let of_pages = [
        "format",
        "epoch",
        "revision",
        "apis",
        "applications",
        "keys",
        "subscriptions",
        "plans",
        "deny_policies",
        "poll",
    ];
    let fields: Result<serde_json::Map<String, Value>, _> = serde_json::from_str(text);
    match fields {
        Ok(fields) => of_pages.iter().any(|name| fields.contains_key(*name)),
        // What cannot be read is what it begins like.
        Err(_) => text.get(..200).unwrap_or(text).contains("\"format\""),
    }
}

/// YAML: documents of an export, or manifests with plugin configurations. A file that has a row has nothing but rows, as
/// `apply` reads it.
fn yaml(path: &Path, text: &str) -> Result<Checked, Failure> {
    let has_row = read::parts(text).any(|part| matches!(part.value(path), Ok(Some(value)) if is_document(&value)));
    if !has_row {
        let found = plugin::find(path, text)?;
        let unreadable = || read::parts(text).find_map(|part| part.value(path).err());
        return match found.is_empty().then(unreadable).flatten() {
            Some(error) => Ok(Checked { what: String::new(), errors: vec![error] }),
            None => plugins(path, found),
        };
    }
    let (mut rows, mut errors) = (0_usize, Vec::new());
    for part in read::parts(text) {
        match part.row(path) {
            Ok(None) => {}
            Ok(Some(_)) => rows = rows.saturating_add(1),
            Err(error) => errors.push(error),
        }
    }
    let what = if rows == 1 { "1 document".to_owned() } else { format!("{rows} documents") };
    Ok(Checked { what, errors })
}

/// Whether a YAML document is a row of an export. Kubernetes writes its kinds in capitals.
fn is_document(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.starts_with(|letter: char| letter.is_ascii_lowercase()))
        && value.get("apiVersion").is_none()
}

fn plugins(path: &Path, found: Vec<plugin::Plugin>) -> Result<Checked, Failure> {
    if found.is_empty() {
        return Err(Failure::Other(format!(
            "{}: neither a policy page, nor a plugin configuration, nor a document of `export`",
            path.display()
        )));
    }
    let what = if found.len() == 1 {
        "1 plugin configuration".to_owned()
    } else {
        format!("{} plugin configurations", found.len())
    };
    Ok(Checked { what, errors: found.iter().filter_map(|plugin| plugin.check().err()).collect() })
}

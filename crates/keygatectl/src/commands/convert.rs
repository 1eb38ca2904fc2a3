//! `convert`: the files of other products become documents for `apply`. What could not be carried over is told on stderr.

use std::path::Path;

use convert::{Converted, Input, Kind, Options};
use serde_json::{Value, json};

use crate::{
    cli::apply::Convert,
    documents::{self, read, row::Row},
    failure::{Done, Failure, Outcome},
    files, kinds,
    output::{self, Screen, note, plain},
    times,
};

/// Converts files.
pub fn convert(screen: &mut Screen, asked: &Convert) -> Outcome {
    let kind: Kind = asked.from.parse().map_err(|error: String| Failure::Usage(format!("KIND: {error}")))?;
    let inputs = asked.files.iter().map(|path| input(path)).collect::<Result<Vec<_>, _>>()?;
    let options = Options { now: times::now(), api: asked.api.clone(), owner: asked.owner.clone() };
    documents::prepare(&asked.out, asked.force)?;
    let converted = convert::convert(kind, &inputs, &options).map_err(told)?;
    let rows = rows(&converted)?;
    let written = documents::write_rows(&asked.out, rows)?;
    for loss in &converted.losses {
        output::warning(&plain(&loss.to_string()));
    }
    for text in &converted.notes {
        // The lines after the first can be copied: they are a configuration, or metadata of routes.
        let lines: Vec<_> = text.lines().map(plain).collect();
        note(&format!("note: {}", lines.join("\n")));
    }
    if screen.is_json {
        screen.json(&json!({
            "rows": written.rows, "files": written.files,
            "losses": converted.losses.iter().map(loss).collect::<Vec<_>>(),
            "errors": converted.errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "notes": converted.notes
        }))?;
    } else {
        let losses = match converted.losses.len() {
            0 if !converted.errors.is_empty() => "some of it could not be read".to_owned(),
            0 => "all was carried over".to_owned(),
            1 => "1 thing was not carried over".to_owned(),
            more => format!("{more} things were not carried over"),
        };
        screen.line(&format!("{written} of {}; {losses}", asked.out.display()))?;
    }
    screen.flush()?;
    if converted.errors.is_empty() { Ok(Done::Well) } else { Err(told(converted.errors)) }
}

fn input(path: &Path) -> Result<Input, Failure> {
    let most = u64::try_from(convert::limits::MAX_BYTES).unwrap_or(u64::MAX);
    let bytes = files::bytes(path, most, "split it")?;
    Ok(Input { name: path.display().to_string(), bytes })
}

fn told(errors: Vec<convert::Error>) -> Failure {
    read::told(errors.iter().map(|error| plain(&error.to_string()).into_owned()).collect())
}

/// The rows as documents have them.
fn rows(converted: &Converted) -> Result<Vec<Row>, Failure> {
    let row = |row: &convert::Row| {
        let mut fields = row.document().map_err(|error| Failure::Other(error.to_string()))?;
        fields.insert("kind".to_owned(), kinds::word(row.kind()).into());
        Row::of(fields.into())
            .map_err(|error| Failure::Other(format!("a row that was made is not valid: {}", error.detail)))
    };
    converted.rows.iter().map(row).collect()
}

fn loss(loss: &convert::Loss) -> Value {
    json!({ "file": loss.file, "line": loss.line, "path": loss.path, "what": loss.what, "why": loss.why, "instead": loss.instead })
}

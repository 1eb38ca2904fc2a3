//! `create` and `replace`: documents become objects one by one, with the rights of the token's role. `apply` sends all at
//! once, and is for administrators.

use management::port::Kind;

use super::receipt;
use crate::{
    cli::changes::Documents,
    client::{Client, path_of},
    documents::{read, row::Row},
    failure::{Done, Failure, Outcome, Refusal},
    kinds,
    output::{self, Screen},
};

/// What is done with the object of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Create,
    Replace,
}

/// Writes the objects of files and folders. The first one that is refused ends the command.
pub fn write(client: &Client, screen: &mut Screen, asked: &Documents, how: Write) -> Outcome {
    receipt::check(asked.wait)?;
    let mut rows: Vec<(Row, String)> = Vec::new();
    for path in &asked.files {
        let documents = read::read_some(path)?;
        for found in &documents.rows {
            let place = documents.place(found.place);
            rows.push((row_of(&found.line, &place)?, place));
        }
    }
    // What others name comes before them.
    rows.sort_by_key(|(row, _)| order(row.kind));
    let mut done = Done::Well;
    for (row, place) in &rows {
        let path = kinds::path(row.kind);
        let answer = match how {
            Write::Create => client.post(path, &[], &row.fields),
            Write::Replace => client.put(&path_of(path, &row.id), &[], &row.fields),
        };
        let answer = answer.map_err(|failure| Failure::Other(format!("{place}: {}", advised(failure, how))))?;
        if !screen.is_json {
            let what = if how == Write::Create { "made" } else { "replaced" };
            screen.line(&format!("{} {} is {what}", row.kind.noun(), output::plain(&row.id)))?;
            screen.flush()?;
        }
        let receipt = receipt::wait(client, asked.wait, &answer);
        if receipt::end(screen, &answer.body, receipt, Done::Well)? == Done::Incomplete {
            done = Done::Incomplete;
        }
    }
    Ok(done)
}

/// The service names the request that changes what is there; here it is a command.
fn advised(failure: Failure, how: Write) -> Failure {
    match failure {
        Failure::Refused(refusal) if refusal.status == 409 && how == Write::Create => {
            let advice = Some("`keygatectl replace` changes an object that is there");
            Failure::Refused(Refusal { advice, ..refusal })
        }
        other => other,
    }
}

fn row_of(line: &str, place: &str) -> Result<Row, Failure> {
    let wrong = |detail: &str| Failure::Other(format!("{place}: {detail}"));
    let value = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
    let row = Row::of(value).map_err(|invalid| wrong(&invalid.detail))?;
    match row.kept {
        true => Err(wrong("only apply writes the block of something that was deleted")),
        false => Ok(row),
    }
}

fn order(kind: Kind) -> u8 {
    match kind {
        Kind::Plan => 0,
        Kind::Api => 1,
        Kind::Application => 2,
        Kind::Key => 3,
        Kind::Subscription => 4,
        Kind::DenyPolicy => 5,
    }
}

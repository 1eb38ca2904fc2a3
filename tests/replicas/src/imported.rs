//! A million rows through `POST /v1/import`: the connection is cut, the service is killed, and the whole is sent again.
//! Then the feed must hold exactly the rows. Other changes go on meanwhile, and none may be refused.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{Error, Result, http::Ask};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    changes::{Client, digest},
    database::{Database, Kind},
    figures::Delays,
    replicas::{GATEWAY, Replicas, TOKEN},
    row,
};

/// How long one import may take.
const PATIENCE: Duration = Duration::from_secs(3_000);
/// How long another request may take.
const SOON: Duration = Duration::from_secs(10);
/// Pause between two changes beside the import.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines that are sent at once.
const BLOCK: u64 = 500;
/// Rows before the others: the plan and the APIs.
const FIRST: u64 = 11;

/// Where the sending of an import ends.
enum End {
    /// With the last row.
    Whole,
    /// After so many rows the connection is cut.
    Cut(u64),
    /// After so many rows the service is killed.
    Killed(u64),
}

/// Imports `rows` rows with faults. Returns whether all that had to hold did.
pub async fn measure(kind: Kind, rows: u64, service: &Path) -> Result<bool> {
    let database = Database::start(kind, service).await?;
    let replicas = Replicas::start(&database, 1).await?;
    let address = replicas.addresses[0];
    send(&replicas, rows, End::Cut(rows / 3)).await?;
    send(&replicas, rows, End::Killed(rows * 2 / 3)).await?;
    let begun = Instant::now();
    let ended = AtomicBool::new(false);
    let importing = async {
        let answer = send(&replicas, rows, End::Whole).await;
        ended.store(true, Ordering::Relaxed);
        answer
    };
    let (answer, beside) = tokio::join!(importing, change_beside(address, &ended));
    let (answer, (delays, refused)) = (answer?, beside?);
    let took = begun.elapsed();
    let tell = |measure: &str, text: String| row(kind, measure, text);
    let count = |answer: &Value, word: &str| -> u64 {
        let lists = answer["counts"].as_object().into_iter().flatten();
        lists.filter_map(|(_, counts)| counts[word].as_u64()).sum()
    };
    let (made, unchanged) = (count(&answer, "made"), count(&answer, "unchanged"));
    tell(
        &format!("import of {rows} rows over HTTP, after a cut connection and a SIGKILL"),
        format!("{:.0} s, {made} made, {unchanged} there already", took.as_secs_f64()),
    );
    tell("changes beside that import", format!("{delays}; {refused} refused"));
    let begun = Instant::now();
    let again = send(&replicas, rows, End::Whole).await?;
    tell("the same import once more, nothing to change", format!("{:.0} s", begun.elapsed().as_secs_f64()));
    tell("memory of the service at most", format!("{} MB", replicas.peak_memory(0).await? / 1_000_000));
    let progress = replicas.logs().await.matches("rows of an import were written").count();
    let (held, wrong) = in_the_feed(address, rows).await?;
    tell("rows in the feed; others", format!("{held}; {wrong}; {progress} log lines about the progress"));
    // Each row was taken, and sending all once more changes nothing.
    let is_whole = made + unchanged == rows && answer["refused_total"] == 0 && count(&again, "unchanged") == rows;
    Ok(is_whole && refused == 0 && held == rows && wrong == 0 && progress > 0)
}

/// The row of this number, as a line of an import without its end.
fn line(number: u64) -> Value {
    let Some(place) = number.checked_sub(FIRST) else {
        return match number {
            0 => json!({"kind": "plan", "id": "gold", "limits": [{"requests": 100, "per": "minute"}]}),
            api => json!({"kind": "api", "id": format!("api-{api}"), "match": [{"path": format!("/{api}")}]}),
        };
    };
    let group = place / 4;
    let application = format!("app-{group}");
    match place % 4 {
        0 => json!({"kind": "application", "id": application, "owner": format!("owner-{}", group % 10_000)}),
        1 => json!({"kind": "subscription", "id": format!("s-{group}"), "application": application,
            "api": format!("api-{}", group % 10 + 1), "plan": "gold"}),
        _ => json!({"kind": "key", "id": format!("k-{place}"), "application": application, "sha256": digest(place)}),
    }
}

/// Sends an import, over a connection of its own. Returns the answer to a whole one.
async fn send(replicas: &Replicas, rows: u64, end: End) -> Result<Value> {
    let address = replicas.addresses[0];
    let broken = Error::io("an import over HTTP");
    let mut stream = TcpStream::connect(address).await.map_err(Error::io("connecting"))?;
    let result = tokio::time::timeout(PATIENCE, write(&mut stream, rows, &end)).await;
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(answer_of(&mut stream).await.map_or_else(|_| broken(error), unexpected)),
        Err(_) => return Err(unexpected("no answer in time".to_owned())),
    }
    match end {
        End::Cut(_) => Ok(Value::Null),
        End::Killed(_) => replicas.kill(0).await.map(|()| Value::Null),
        End::Whole => {
            let answer = tokio::time::timeout(PATIENCE, answer_of(&mut stream)).await;
            let answer = answer.map_err(|_| unexpected("no answer in time".to_owned()))??;
            match answer.split_once("\r\n\r\n") {
                Some((head, body)) if head.starts_with("HTTP/1.1 200") => {
                    serde_json::from_str(body).map_err(|_| unexpected(answer.clone()))
                }
                _ => Err(unexpected(answer)),
            }
        }
    }
}

async fn write(stream: &mut TcpStream, rows: u64, end: &End) -> std::io::Result<()> {
    let last = match end {
        End::Whole => rows,
        End::Cut(rows) | End::Killed(rows) => *rows,
    };
    let head = format!(
        "POST /v1/import?label=bench HTTP/1.1\r\nhost: h\r\nauthorization: {TOKEN}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    for first in (0..last).step_by(BLOCK as usize) {
        let lines: String = (first..last.min(first + BLOCK)).map(|number| format!("{}\n", line(number))).collect();
        stream.write_all(format!("{:x}\r\n{lines}\r\n", lines.len()).as_bytes()).await?;
    }
    if matches!(end, End::Whole) { stream.write_all(b"0\r\n\r\n").await } else { Ok(()) }
}

async fn answer_of(stream: &mut TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(Error::io("reading the answer to an import"))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn unexpected(found: String) -> Error {
    Error::Unexpected { what: "an import".to_owned(), expected: "200".to_owned(), found }
}

/// Changes one plan again and again until the import has ended. Returns the delays, and how many changes were refused.
async fn change_beside(address: SocketAddr, ended: &AtomicBool) -> Result<(Delays, usize)> {
    let mut client = Client::new(&[address]);
    let (mut delays, mut refused) = (Vec::new(), 0);
    for number in 1_u64.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let plan = json!({"id": "beside", "limits": [{"requests": number, "per": "hour"}]});
        let (method, path) = if number == 1 { ("POST", "/v1/plans") } else { ("PUT", "/v1/plans/beside") };
        let ask = Ask::new(method, path).header("authorization", TOKEN).json(plan);
        let begun = Instant::now();
        let answer = client.send(0, &ask, SOON).await?;
        delays.push(begun.elapsed());
        if !answer.status.is_success() {
            eprintln!("a change beside the import: {answer}");
            refused += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok((Delays::of(&delays), refused))
}

/// Compares the feed with the rows. Returns how many it has, and how many others, or the same again.
async fn in_the_feed(address: SocketAddr, rows: u64) -> Result<(u64, u64)> {
    let mut client = Client::new(&[address]);
    let mut found = vec![false; usize::try_from(rows).unwrap_or_default()];
    let (mut wrong, mut path) = (0, "/v1/policy".to_owned());
    loop {
        let answer = client.send(0, &Ask::get(&path).header("authorization", GATEWAY), SOON).await?;
        let page = answer.json();
        for list in ["plans", "apis", "applications", "keys", "subscriptions", "deny_policies"] {
            for row in page[list].as_array().into_iter().flatten().filter(|row| row["id"] != "beside") {
                let number = number_of(list, row).and_then(|number| usize::try_from(number).ok());
                match number.and_then(|number| found.get_mut(number)) {
                    Some(found) if !*found => *found = true,
                    _ => wrong += 1,
                }
            }
        }
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None if page["poll"].is_string() => break,
            None => return Err(unexpected(answer.to_string())),
        }
    }
    Ok((found.iter().filter(|found| **found).count() as u64, wrong))
}

/// The number of a row of the feed, if it says in every field what its line says.
fn number_of(list: &str, row: &Value) -> Option<u64> {
    let after = |field: &str, prefix: &str| row[field].as_str()?.strip_prefix(prefix)?.parse::<u64>().ok();
    let number = match list {
        "plans" => 0,
        "apis" => after("id", "api-")?,
        "applications" => after("id", "app-")? * 4 + FIRST,
        "subscriptions" => after("application", "app-")? * 4 + 1 + FIRST,
        "keys" => after("id", "k-")? + FIRST,
        _ => return None,
    };
    let line = line(number);
    let same = |field: &&str| line[*field] == row[*field];
    let fields = ["application", "api", "plan", "sha256", "owner", "limits", "match"];
    fields.iter().all(same).then_some(number)
}

//! The commands that an operator runs on a large database: `check` and `backup`, and the start of the service.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use testkit::{Error, Result, http::Ask};

use crate::{
    changes::Client,
    database::{Database, Kind},
    replicas::{GATEWAY, Replicas},
    row,
};

/// How long the first page may take after the service answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a service. Tells when it answers, and when the first page of the feed has come.
pub async fn start(database: &Database) -> Result<Replicas> {
    let begun = Instant::now();
    let replicas = Replicas::start(database, 1).await?;
    let healthy = begun.elapsed();
    let mut client = Client::new(&replicas.addresses);
    let page = client.send(0, &Ask::get("/v1/policy").header("authorization", GATEWAY), PATIENCE).await?;
    if !page.status.is_success() {
        return Err(Error::unexpected("the first page", "200", page.to_string()));
    }
    row(
        database.kind,
        "start of the service, which checks each stored row: /healthz answers; the first page of the feed has come",
        format!("{:.1} s; {:.1} s", healthy.as_secs_f64(), begun.elapsed().as_secs_f64()),
    );
    Ok(replicas)
}

/// Runs `policy-service check`.
pub fn check(database: &Database) -> Result<()> {
    let took = run(database, &["check", "--database", &database.url])?;
    row(database.kind, "policy-service check", format!("{:.1} s", took.as_secs_f64()));
    Ok(())
}

/// Runs `policy-service backup`, which is for SQLite only.
pub fn backup(database: &Database) -> Result<()> {
    if database.kind != Kind::Sqlite {
        return Ok(());
    }
    let file = database.folder.path().join("backup.db");
    let took = run(database, &["backup", "--database", &database.url, &file.display().to_string()])?;
    let size = std::fs::metadata(&file).map_err(Error::io("looking at the backup"))?.len();
    // The disk need not hold two databases for the rest of the run.
    remove(&file)?;
    row(
        database.kind,
        "policy-service backup, beside the service",
        format!("{:.1} s, {} MB", took.as_secs_f64(), size / 1_000_000),
    );
    Ok(())
}

fn run(database: &Database, arguments: &[&str]) -> Result<Duration> {
    let begun = Instant::now();
    let mut command = Command::new(&database.service);
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.map_err(Error::io("starting policy-service"))?;
    if status.success() {
        return Ok(begun.elapsed());
    }
    Err(Error::unexpected(arguments.join(" "), "success", status.to_string()))
}

fn remove(file: &Path) -> Result<()> {
    std::fs::remove_file(file).map_err(Error::io("removing the backup"))
}

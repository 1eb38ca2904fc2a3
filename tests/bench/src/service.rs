//! The real policy service with the population in its database. The database is filled once and kept.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use keygate_e2e::{artifacts, policy_service::PolicyService, ports};

use crate::{Error, Result, population::Population};

/// Pages between two lines of progress.
const PAGES_PER_LINE: usize = 50;

/// A service that serves the population. If this build of the service cannot use the database, it is created again.
pub async fn start(folder: &Path, population: Population) -> Result<PolicyService> {
    let folder = folder.join(format!("policy-{}", population.keys()));
    let complete = folder.join("complete");
    if complete.exists() {
        match PolicyService::start(&folder, ports::free()?).await {
            Ok(service) => return Ok(service),
            Err(error) => eprintln!("the database is created again, because the service does not start on it: {error}"),
        }
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
    import(&folder, population)?;
    fs::write(&complete, "").map_err(Error::io("noting that the database is complete"))?;
    PolicyService::start(&folder, ports::free()?).await
}

fn import(folder: &Path, population: Population) -> Result<()> {
    let database: PathBuf = folder.join("policy.db");
    let mut child = Command::new(artifacts::policy_service()?)
        .args(["import", "--database", &format!("sqlite:{}", database.display()), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("starting the import"))?;
    let mut input = child.stdin.take().ok_or_else(|| Error::unexpected("the import", "an input", "none"))?;
    for number in 0..population.pages() {
        let page = population.page(number, "");
        // If the import has ended early, the code below reports why.
        if writeln!(input, "{page}").is_err() {
            break;
        }
        if number % PAGES_PER_LINE == 0 {
            eprintln!("filling the policy service: page {number} of {}", population.pages());
        }
    }
    drop(input);
    let status = child.wait().map_err(Error::io("waiting for the import"))?;
    if status.success() { Ok(()) } else { Err(Error::unexpected("the import", "success", status.to_string())) }
}

//! A PostgreSQL of its own for tests: a server in a temporary folder, on a free port of loopback and a socket in that folder,
//! never the system's. It ends with the process that started it, whatever ends that, and leaves nothing.
//!
//! One server serves all tests of a process ([`Postgres::shared`]), each in a database of its own. Tests that stop a server
//! start one for themselves. The programs are those of Debian's package `postgresql` (`tools/need postgresql`).

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::unistd::{Uid, User};

use crate::{Error, Result, ports, process::read};

/// How long a server may take to start or to end.
const SOON: Duration = Duration::from_secs(30);
/// The user of the database whom the server lets in without a password.
const USER: &str = "keygate";
/// PostgreSQL refuses to run as root. Then it runs as the first of these that there is.
const OTHERS: [&str; 2] = ["postgres", "nobody"];
/// Runs a server until its own input ends, so also when the process at the other end of it is killed. Then removes the
/// folder, unless it was told to keep it.
const KEEPER: &str = r#"
folder=$1; shift
"$@" </dev/null &
read -r word
kill -QUIT $!; wait $!
[ "$word" = keep ] || rm -rf "$folder""#;
/// No test outlives the machine, so nothing has to reach the disk.
const FAST: [&str; 2] = ["fsync=off", "full_page_writes=off"];

/// A server.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    /// The shell that runs the server; none while it is stopped.
    keeper: Option<Child>,
    made: AtomicU32,
}

impl Postgres {
    /// The server that all tests of this process share. It is quick, and forgets everything when the machine stops.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<std::result::Result<Postgres, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start(&FAST).map_err(|error| error.to_string()));
        shared.as_ref().map_err(|error| Error::Io {
            what: "starting the shared PostgreSQL".to_owned(),
            error: std::io::Error::other(error.clone()),
        })
    }

    /// Starts a server with these settings, as `fsync=off`.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let made = tempfile::Builder::new().prefix("keygate-pg-").tempdir().map_err(Error::io("making a folder"))?;
        let mut server = Self {
            programs,
            folder: made.keep(),
            port: ports::free()?,
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            keeper: None,
            made: AtomicU32::new(0),
        };
        if let Some(user) = other_user() {
            let owned = chown(&server.folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()));
            owned.map_err(Error::io("giving a folder to another user"))?;
        }
        let mut initdb = server.as_other("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username", USER, "-D"]);
        run(initdb.arg(server.data()))?;
        server.resume()?;
        Ok(server)
    }

    /// A new database. Returns its URL.
    pub fn database(&self) -> Result<String> {
        let name = format!("test_{}", self.made.fetch_add(1, Ordering::Relaxed));
        run(self.client("createdb").args(["-T", "template0"]).arg(&name))?;
        Ok(self.url(&name))
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the socket, and with room for files of programs that belong to this server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs SQL in a database. Returns what it answers, a row a line.
    pub fn sql(&self, database: &str, text: &str) -> Result<String> {
        let mut psql = self.client("psql");
        run(psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]))
    }

    /// A program that speaks to this server, as `pg_dump`.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        let port = self.port.to_string();
        command.env("PGHOST", "127.0.0.1").env("PGPORT", port).env("PGUSER", USER).env_remove("PGDATABASE");
        command
    }

    /// Ends the server at once, as a machine that fails. Its files stay.
    pub fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // A keeper that is gone has nothing to keep.
            let _ = keeper.stdin.take().map(|mut input| input.write_all(b"keep\n"));
            ended(&mut keeper);
        }
    }

    /// Starts it again.
    pub fn resume(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.log_file());
        let log = log.map_err(Error::io("opening a log"))?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&self.folder);
        let server = self.as_other("postgres");
        keeper.arg(server.get_program()).args(server.get_args());
        keeper.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
        let port = self.port.to_string();
        keeper.args(["-h", "127.0.0.1", "-p", &port, "-c", "max_connections=200"]);
        for setting in &self.settings {
            keeper.args(["-c", setting]);
        }
        let errors = log.try_clone().map_err(Error::io("opening a log twice"))?;
        // Its own group: an interrupt from the terminal ends the tests, and the end of the tests ends the server.
        keeper.stdin(Stdio::piped()).stdout(log).stderr(errors).process_group(0);
        self.keeper = Some(keeper.spawn().map_err(Error::io("starting PostgreSQL"))?);
        let begun = Instant::now();
        while run(self.client("pg_isready").args(["-q", "-d", "postgres"])).is_err() {
            if begun.elapsed() > SOON {
                return Err(Error::Exited {
                    program: "postgres",
                    status: "it does not answer".to_owned(),
                    log: self.log(),
                });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        read(&self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program of the server, as a user who may run it.
    fn as_other(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let Some(user) = other_user() else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups", "--"]).arg(program);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            ended(&mut keeper);
        }
        // The keeper has done it, unless the server was stopped before.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ended(keeper: &mut Child) {
    let begun = Instant::now();
    while matches!(keeper.try_wait(), Ok(None)) && begun.elapsed() < SOON {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whom the server runs as when this process is root's.
fn other_user() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    OTHERS.iter().find_map(|name| User::from_name(name).ok().flatten())
}

/// The folder of the server's programs: `POSTGRES_BIN`, or the latest that Debian's packages have brought.
fn programs() -> Result<PathBuf> {
    const DEBIAN: &str = "/usr/lib/postgresql";
    if let Some(folder) = std::env::var_os("POSTGRES_BIN") {
        return Ok(folder.into());
    }
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(DEBIAN).into_iter().flatten().flatten() {
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let folder = entry.path().join("bin");
        found.extend(version.filter(|_| folder.join("postgres").exists()).map(|version| (version, folder)));
    }
    found.sort();
    let missing = || Error::Missing { path: DEBIAN.into(), remedy: "run tools/need postgresql, or set POSTGRES_BIN" };
    found.pop().map(|(_, folder)| folder).ok_or_else(missing)
}

/// Runs a program to its end. Returns what it wrote.
fn run(command: &mut Command) -> Result<String> {
    let what = || format!("{} {:?}", command.get_program().display(), command.get_args().collect::<Vec<_>>());
    let what = what();
    let output = command.stdin(Stdio::null()).output().map_err(Error::io(what.clone()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let found = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Unexpected { what, expected: "success".to_owned(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_be_stopped_and_leaves_nothing() {
        let mut server = Postgres::start(&FAST).unwrap();
        let url = server.database().unwrap();
        let name = url.rsplit('/').next().unwrap();
        server.sql(name, "CREATE TABLE t AS SELECT 7 AS seven").unwrap();
        server.stop();
        assert!(server.sql(name, "SELECT 1").is_err());
        server.resume().unwrap();
        assert_eq!(server.sql(name, "SELECT seven FROM t").unwrap().trim(), "7");
        let folder = server.folder().to_owned();
        drop(server);
        assert!(!folder.exists());
    }
}

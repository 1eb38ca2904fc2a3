//! pgbouncer between the service and the server. A pgbouncer that keeps a connection for a session works. One that
//! changes it between transactions is rejected at the start.

use std::{fs, path::Path, process::Command, time::Duration};

use testkit::{deadline::eventually, ports, postgres::Postgres, process::Process};

use super::service::{database, name_of, prepared};
use crate::support::program::Program;

/// A pgbouncer in front of the shared server, and the URL of `database` through it.
async fn pooled(database: &str, mode: &str, folder: &Path) -> (Process, String) {
    let server = Postgres::shared().unwrap();
    let port = ports::free().unwrap();
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         auth_type = any\npool_mode = {mode}\nunix_socket_dir =\ndefault_pool_size = 30\n",
        server.port()
    );
    // With auth_type = any, pgbouncer needs a user name for its connections.
    let settings = settings.replace("port=", "user=keygate port=");
    let file = folder.join("pgbouncer.ini");
    fs::write(&file, settings).unwrap();
    let mut command = tokio::process::Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    } else {
        command = tokio::process::Command::new("env");
    }
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    command.arg(program()).arg(&file);
    let process = Process::start("pgbouncer", command, folder.join("pgbouncer.log")).unwrap();
    let url = format!("postgres://keygate@127.0.0.1:{port}/{}", name_of(database));
    let answers = async || std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string());
    eventually("pgbouncer answers", Duration::from_secs(10), answers).await.unwrap();
    (process, url)
}

fn is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0"
}

/// `PGBOUNCER`, or the one that `tools/need pgbouncer` installs.
fn program() -> String {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/bin/pgbouncer");
    std::env::var("PGBOUNCER").unwrap_or_else(|_| ours.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_sessions_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_bouncer, url) = pooled(&database(), "session", folder.path()).await;
    let (one, other) = (prepared(&url).start(), prepared(&url).start());
    one.seed().await;
    for number in 10..20 {
        let path = format!("/v1/policy?since={}", number - 6);
        let (poll, made) = tokio::join!(other.held_poll(&path, 20), one.make_key(number));
        assert_eq!((poll.0, made.0), (200, 201), "{poll:?} {made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_transactions_or_statements_is_refused_with_a_remedy() {
    for mode in ["transaction", "statement"] {
        let folder = tempfile::tempdir().unwrap();
        let (_bouncer, url) = pooled(&database(), mode, folder.path()).await;
        for _ in 0..3 {
            let mut program = Program::command(&["serve"]);
            program.variable("POLICY_DATABASE", Some(&url));
            let (succeeded, said) = program.run();
            assert!(!succeeded && said.contains("pool_mode = session"), "{mode}: {said}");
        }
    }
}

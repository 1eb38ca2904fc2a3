//! Programs that start at once on one new file: one of them makes the tables, and the others wait for it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use crate::support::program::{Prepared, Program};

/// Starts a program without waiting for it.
fn spawn(prepared: &Prepared) -> Child {
    let mut command: Command = prepared.build();
    testkit::process::die_with_parent(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The first line of a service, or what it said instead.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        line = std::io::read_to_string(child.stderr.as_mut().unwrap()).unwrap();
    }
    line
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn eight_services_that_start_at_once_make_one_database() {
    for round in 0..3 {
        let prepared = Program::command(&["serve"]);
        let mut all: Vec<Child> = (0..8).map(|_| spawn(&prepared)).collect();
        let lines: Vec<String> = all.iter_mut().map(first_line).collect();
        all.into_iter().for_each(end);
        for line in &lines {
            assert!(line.starts_with("listening on "), "{round}: {line}");
        }
    }
}

#[test]
fn a_service_and_an_import_that_start_at_once_make_one_database() {
    for round in 0..5 {
        let prepared = Program::command(&["serve"]);
        let rows = prepared.directory().join("rows.json");
        std::fs::write(&rows, "{\"format\":1,\"applications\":[{\"id\":\"app-1\"}]}").unwrap();
        let mut import = Command::new(env!("CARGO_BIN_EXE_policy-service"));
        import.args(["import", "rows.json"]).env_clear().current_dir(prepared.directory());
        import.env("POLICY_DATABASE", "sqlite:policy.db");
        let mut service = spawn(&prepared);
        let imported = import.output().unwrap();
        let line = first_line(&mut service);
        end(service);
        assert!(line.starts_with("listening on "), "{round}: {line}");
        assert!(imported.status.success(), "{round}: {}", String::from_utf8_lossy(&imported.stderr));
    }
}

//! `stack run`, which `make run` starts: however it ends, it leaves no process running. If a port is taken, the error
//! names it.

use std::{fs, net::TcpListener, path::Path, process::Stdio, time::Duration};

use keygate_e2e::{deadline::eventually, ports};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// How long the stack may take to start or to end.
const WITHIN: Duration = Duration::from_secs(60);

const PORTS: [&str; 5] = ["GATEWAY_PORT", "ADMIN_PORT", "POLICY_PORT", "UPSTREAM_PORT", "SANDBOX_PORT"];

/// `stack run` on free ports.
pub fn stack(program: &str, name: &str) -> Command {
    let mut command = Command::new(program);
    command.env("STACK_NAME", name).stdout(Stdio::piped()).kill_on_drop(true);
    for variable in PORTS {
        command.env(variable, ports::free().unwrap().to_string());
    }
    command
}

/// The port that `stack` has chosen for `variable`.
pub fn ports_of(command: &Command, variable: &str) -> String {
    let chosen = command.as_std().get_envs().find(|(name, _)| *name == variable);
    chosen.unwrap().1.unwrap().to_str().unwrap().to_owned()
}

/// Reads its output until it is ready.
pub async fn ready(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = String::new();
    let read = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            printed.push_str(&line);
            printed.push('\n');
            if line.contains("Ctrl-C") {
                return;
            }
        }
        panic!("it ended: {printed}");
    };
    tokio::time::timeout(WITHIN, read).await.expect("the stack in time");
    printed
}

/// All descendants of the process `pid`.
fn descendants(pid: i32) -> Vec<i32> {
    let processes: Vec<_> = procfs::process::all_processes().unwrap().flatten().filter_map(|p| p.stat().ok()).collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(processes.iter().filter(|stat| stat.ppid == parent).map(|stat| stat.pid));
        at += 1;
    }
    found.split_off(1)
}

/// Waits until none of them runs. A zombie has ended.
async fn all_gone(pids: &[i32]) {
    let runs = |pid: &i32| {
        procfs::process::Process::new(*pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state != 'Z')
    };
    eventually("everything to be gone", WITHIN, async || {
        let alive: Vec<_> = pids.iter().copied().filter(runs).collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?} still run")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nothing_survives_an_interrupt_a_termination_a_closed_terminal_or_a_kill() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let mut child = stack(env!("CARGO_BIN_EXE_stack"), "run-signals").arg("run").spawn().unwrap();
        let printed = ready(&mut child).await;
        for word in ["BLOCKED", "PROD_ONLY_BLOCKED", "unblock", "curl -si", "900907"] {
            assert!(printed.contains(word), "no {word} in\n{printed}");
        }
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let parts = descendants(pid);
        assert_eq!(parts.len(), 2, "the policy service and Envoy");
        kill(Pid::from_raw(pid), signal).unwrap();
        let status = tokio::time::timeout(WITHIN, child.wait()).await.expect("an end in time").unwrap();
        assert_eq!(status.success(), signal != Signal::SIGKILL, "{signal}: {status}");
        all_gone(&parts).await;
    }
}

#[tokio::test]
async fn nothing_survives_a_make_that_is_ended_alone() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let makefile = folder.join("run.mk");
    // The path may contain blanks.
    fs::write(&makefile, concat!("run:\n\t@exec '", env!("CARGO_BIN_EXE_stack"), "' run\n")).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        // The signals have their default handlers, as in a terminal. Under nohup, children would ignore a hang-up.
        let make = ["--default-signal=HUP,INT,TERM", "make", "-f"];
        let mut make = stack("env", "run-make").args(make).arg(&makefile).spawn().unwrap();
        ready(&mut make).await;
        let pid = i32::try_from(make.id().unwrap()).unwrap();
        let parts = descendants(pid);
        assert_eq!(parts.len(), 3, "the stack, the policy service and Envoy");
        kill(Pid::from_raw(pid), signal).unwrap();
        tokio::time::timeout(WITHIN, make.wait()).await.expect("an end in time").unwrap();
        all_gone(&parts).await;
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_variable_and_its_holder() {
    for variable in PORTS {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut command = stack(env!("CARGO_BIN_EXE_stack"), "run-taken");
        command.arg("run").env(variable, port.to_string());
        let output = tokio::time::timeout(WITHIN, command.output()).await.expect("an end in time").unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{printed}");
        let holder = format!("process {}", std::process::id());
        for word in [&port.to_string(), variable, &holder] {
            assert!(printed.contains(word), "{variable}: no {word} in {printed}");
        }
    }
}

//! Runs the commands in the `console` blocks of all documents against `stack run`, as a reader runs them after `make
//! run`: in a shell with the file of variables, in the order of the document. Each must print what the document shows.
//! The few commands that cannot be run this way are named here with the test that runs them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use keygate_e2e::{artifacts, deadline::eventually};
use tokio::process::Command;

use super::run::{ports_of, ready, stack};

/// How long a change may take to reach the gateway, as `make run` says.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// How long one command may take. A held poll of the documents takes 2 s.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);
/// A word with this many letters and digits is an id, a key, a digest or a mark, and differs in each run. A word
/// without a digit must be twice as long, because `subscription_required` is none of these. One key in a thousand has
/// no digit.
const RANDOM_WORD: usize = 16;
/// A number with this many digits is a time.
const TIME_DIGITS: usize = 10;
/// Headers whose values differ between two runs.
const CHANGING_HEADERS: [&str; 5] = ["date", "content-length", "retry-after", "ratelimit-reset", "etag"];
/// The shipped ports, which the documents show.
const SHOWN_PORTS: [(&str, &str); 3] = [("GATEWAY_PORT", "10000"), ("ADMIN_PORT", "9901"), ("POLICY_PORT", "8085")];

/// Documents that are run in one stack, in this order.
const OF_THE_GATEWAY: [&str; 4] = ["README.md", "docs/plans.md", "docs/operations.md", "docs/configuration.md"];
/// Documents that need a stack of their own, because the lists that they show contain only what they created.
const OF_THE_POLICY_SERVICE: [&str; 1] = ["docs/policy-service.md"];

/// The beginnings of commands that are not run, the reason, and the test that runs them.
const NOT_PLAYED: [(&str, &str, &str); 6] = [
    ("make run", "it is running; what it prints is compared by itself", "documents.rs"),
    (". target/stack/run/env", "this stack has another name; its own file is in every command", "documents.rs"),
    ("envoy -c envoy.yaml --mode validate", "shows a mistake in a file of the reader", "configurations.rs"),
    ("export POLICY_ADMIN_TOKEN=", "for the next", "documents.rs"),
    ("POLICY=http://127.0.0.1:8085", "for a service of the reader; this stack has a file of variables", "documents.rs"),
    // The tests of the policy service start it this way.
    ("policy-service serve", "another service, on a fixed port", "run.rs"),
];

/// A command of a document, and the output shown below it.
struct Shown {
    place: String,
    command: String,
    printed: String,
}

/// Every command of every `console` block.
fn commands(document: &str) -> Vec<Shown> {
    let text = fs::read_to_string(artifacts::root().join(document)).unwrap();
    let mut found: Vec<Shown> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let place = format!("{document}:{number}");
            found.push(Shown { place, command: command.to_owned(), printed: String::new() });
        } else if inside {
            let last = found.last_mut().expect("a command before what it prints");
            last.printed.push_str(line);
            last.printed.push('\n');
        }
    }
    found
}

/// The text with a star in place of each word that differs in every run.
fn without_chance(text: &str) -> String {
    let mut without = String::new();
    for line in text.replace('\r', "").trim_end().lines() {
        let name = line.split(':').next().unwrap_or_default();
        if CHANGING_HEADERS.contains(&name) {
            without.push_str(&format!("{name}: *\n"));
            continue;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            without.push_str(if is_chance(word) { "*" } else { word });
            let one = behind.chars().next().map_or(0, char::len_utf8);
            without.push_str(&behind[..one]);
            rest = &behind[one..];
        }
        without.push('\n');
    }
    without
}

fn is_chance(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_random = word.len() >= RANDOM_WORD && (digits > 0 || word.len() >= 2 * RANDOM_WORD);
    is_random || (word.len() >= TIME_DIGITS && digits == word.len())
}

/// Whether `found` matches `shown`, in which `…`, with or without blanks around it, stands for any text.
fn is_as_shown(shown: &str, found: &str) -> bool {
    let (shown, found) = (without_chance(&shown.replace(" … ", "…")), without_chance(found));
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// A running `stack run`, as a reader has it in another terminal.
struct Reader {
    /// The shell's variables: the file of variables, and the assignments of the document so far.
    knows: String,
    folder: PathBuf,
}

impl Reader {
    async fn run(&self, command: &str) -> String {
        let script = format!("{}\n{command}", self.knows);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(&self.folder).env_clear().kill_on_drop(true);
        shell.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let output = tokio::time::timeout(COMMAND_WITHIN, shell.output()).await.expect("an answer in time").unwrap();
        // Error messages of the shell and of curl are output, as in a terminal. curl shows no progress, because it has
        // no terminal.
        let complaints = String::from_utf8_lossy(&output.stderr);
        let complaints = complaints.lines().filter(|line| line.starts_with("sh: ") || line.starts_with("curl: "));
        let complaints: String = complaints.map(|line| format!("{line}\n")).collect();
        complaints + &String::from_utf8_lossy(&output.stdout)
    }

    /// Runs an assignment once, and keeps the value for later commands.
    async fn assign(&mut self, name: &str, shown: &Shown) {
        let Shown { place, command, printed } = shown;
        assert!(printed.is_empty(), "{place}: an assignment prints nothing");
        let value = self.run(&format!("{command}\nprintf %s \"${name}\"")).await;
        assert!(!value.is_empty(), "{place}\n$ {command}\nsets nothing");
        self.knows.push_str(&format!("\n{name}='{}'", value.replace('\'', r"'\''")));
    }

    /// Runs a command until it prints what is shown. Only a call of the gateway may take a moment. Any other command is
    /// run once, because `eventually` with no time looks once.
    async fn play(&mut self, shown: &Shown) {
        if let Some(name) = assigned(&shown.command) {
            return self.assign(name, shown).await;
        }
        let within = if shown.command.contains("$GATEWAY/") { SEEN_WITHIN } else { Duration::ZERO };
        let mut last = String::new();
        let played = eventually("the command to print what is shown", within, async || {
            last = self.run(&shown.command).await;
            if is_as_shown(&shown.printed, &last) { Ok(()) } else { Err("something else") }
        });
        let played = played.await;
        let Shown { place, command, printed } = shown;
        assert!(played.is_ok(), "{place}\n$ {command}\nshould print\n{printed}\nbut prints\n{last}");
    }
}

/// The `NAME` of `NAME=…`, which later commands use.
fn assigned(command: &str) -> Option<&str> {
    let (name, _) = command.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_name.then_some(name)
}

async fn play(documents: &[&str], name: &str) {
    let mut command = stack(env!("CARGO_BIN_EXE_stack"), name);
    let mut printed_ports = Vec::new();
    for (variable, shown) in SHOWN_PORTS {
        printed_ports.push((ports_of(&command, variable), shown));
    }
    let mut running = command.arg("run").spawn().unwrap();
    let mut printed = ready(&mut running).await;
    let source =
        printed.lines().map(str::trim).find(|line| line.starts_with(". ")).expect("a line that sources a file");
    let file = source.trim_start_matches(". ").trim_matches('\'');
    let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{file} has keys, and its mode is {mode:o}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // The only possible error is that there was none.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut reader = Reader { knows: source.to_owned(), folder };
    printed = printed.replace(&format!("target/stack/{name}/"), "target/stack/run/");
    for (port, shown) in printed_ports {
        printed = printed.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{shown}"));
    }
    let mut played = 0;
    for shown in documents.iter().flat_map(|document| commands(document)) {
        if shown.command.starts_with("make run") {
            assert!(is_as_shown(&shown.printed, &printed), "{}: `make run` prints\n{printed}", shown.place);
        } else if !NOT_PLAYED.iter().any(|(begin, ..)| shown.command.starts_with(begin)) {
            reader.play(&shown).await;
            played += 1;
        }
    }
    assert!(played > 10, "{documents:?} have {played} commands to play");
}

#[tokio::test]
async fn every_command_at_the_gateway_prints_what_is_shown_below_it() {
    play(&OF_THE_GATEWAY, "documents-gateway").await;
}

#[tokio::test]
async fn every_command_of_the_policy_service_prints_what_is_shown_below_it() {
    play(&OF_THE_POLICY_SERVICE, "documents-policy-service").await;
}

#[test]
fn every_document_with_commands_is_played() {
    let root = artifacts::root();
    let pages =
        fs::read_dir(root.join("docs")).unwrap().map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let roots = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "tests/soak/README.md"];
    let documents: Vec<_> = roots.into_iter().map(str::to_owned).chain(pages).collect();
    let played: Vec<_> = OF_THE_GATEWAY.iter().chain(&OF_THE_POLICY_SERVICE).collect();
    for document in documents.iter().filter(|document| document.ends_with(".md")) {
        let is_played = played.iter().any(|played| *played == document);
        assert_eq!(!commands(document).is_empty(), is_played, "{document}: are its commands played?");
    }
    for (begin, _, test) in NOT_PLAYED {
        let path = root.join("tests/e2e/tests/gateway").join(test);
        assert!(path.exists(), "`{begin}` is run by no {test}");
    }
}

#[test]
fn differences_are_found_and_random_words_are_ignored() {
    let same = [
        ("HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n"),
        ("{\"id\":\"k-d2eb3e9b5f8bb4eb4b5e37db\"}", "{\"id\":\"k-ffffffffffffffff00000000\"}\n"),
        ("date: Sat, 21 Nov 2026 23:20:52 GMT", "date: Sun, 22 Nov 2026 01:00:00 GMT"),
        ("{\"expires_at\":1795304196}", "{\"expires_at\":1895304196}"),
        ("a\n…\nd", "a\nb\nc\nd"),
        ("{\"a\":1, … ,\"d\":4, … }", "{\"a\":1,\"b\":2,\"d\":4,\"e\":5}"),
    ];
    for (shown, found) in same {
        assert!(is_as_shown(shown, found), "{shown} and {found}");
    }
    let different = [
        ("HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized"),
        ("{\"state\":\"BLOCKED\"}", "{\"state\":\"UNBLOCKED\"}"),
        ("", "sh: 1: GATEWAY: not found"),
        ("{\"a\":1}", "{\"a\":1,\"etag\":\"\"}"),
        ("{\"a\":1,…}", "{\"a\":1,\"b\":2"),
        ("a…b", "a"),
        ("x-application-id: shop", "x-application-id: another"),
    ];
    for (shown, found) in different {
        assert!(!is_as_shown(shown, found), "{shown} and {found}");
    }
}

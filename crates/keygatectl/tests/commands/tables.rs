//! What a person sees on a terminal of 80 and of 200 columns, and what reaches stdout when there is none.

use crate::support::{Ctl, Service, terminal};

/// The width of a line without its colours.
fn width(line: &str) -> usize {
    let mut width = 0;
    let mut is_inside = false;
    for letter in line.trim_end_matches('\r').chars() {
        match letter {
            '\u{1b}' => is_inside = true,
            'm' if is_inside => is_inside = false,
            _ if is_inside => {}
            _ => width += 1,
        }
    }
    width
}

#[test]
fn tables_fit_the_terminal() {
    let service = Service::start();
    service.seed();
    service.ctl(&["block", "sub-7", "--until", "2h", "--reason", "a long reason ".repeat(8).trim_end()]).expect(0);
    for columns in [80, 200] {
        for list in ["apis", "applications", "keys", "subscriptions", "plans"] {
            let shown = terminal(&service, columns, &format!("keygatectl get {list}"));
            assert_eq!(shown.code, 0, "{shown:?}");
            assert!(shown.out.lines().all(|line| width(line) <= columns), "{columns} {list}:\n{}", shown.out);
            assert!(shown.out.contains("\u{1b}["), "a terminal has colours");
        }
        let audit = terminal(&service, columns, "keygatectl audit");
        assert!(audit.out.lines().all(|line| width(line) <= columns), "{}", audit.out);
    }
    // A state is never cut, and neither is a time, or an id that could be whole.
    service.ctl(&["block", "sub-8", "--from", "2h", "--until", "3h"]).expect(0);
    let red = terminal(&service, 80, "keygatectl get subs").out;
    assert!(red.contains("\u{1b}[31mBLOCKED, ends in"), "{red:?}");
    let subs = terminal(&service, 80, "NO_COLOR=1 keygatectl get subs");
    assert!(subs.out.contains("BLOCKED, ends in ") && subs.out.contains("UNBLOCKED, blocked in "), "{}", subs.out);
    let states: Vec<&str> = subs.out.lines().filter(|line| line.contains("BLOCKED, ")).collect();
    assert!(
        states.len() == 2 && states.iter().all(|line| line.contains(" in 1") || line.contains(" in 2 h")),
        "{}",
        subs.out
    );
    for list in ["audit", "history"] {
        let shown = terminal(&service, 80, &format!("NO_COLOR=1 keygatectl {list}"));
        assert!(shown.out.contains("subscription sub-8") && shown.out.contains("administrator"), "{}", shown.out);
    }
    service.gateway("edge-1");
    let missing = terminal(&service, 80, "NO_COLOR=1 keygatectl block sub-8 --wait 2s");
    assert!(missing.code == 4 && missing.out.contains("\n  gw edge-1: live, and has not shown"), "{missing:?}");
    assert!(missing.out.contains(" 0/1 1s"), "the bar tells how long it waits: {missing:?}");
    let deleted = terminal(&service, 80, "NO_COLOR=1 keygatectl delete key k-2 --yes --wait 1s").out;
    assert!(
        deleted.find("is deleted") < deleted.find("gateways that have it"),
        "what is done comes first: {deleted:?}"
    );
    // Sentences are broken between words, below each other.
    let explained = terminal(&service, 60, "NO_COLOR=1 keygatectl explain /payments/1.0/x --key-id k-1");
    assert!(explained.out.lines().all(|line| width(line) <= 60), "{}", explained.out);
    let continued = format!("\r\n{}", " ".repeat(30));
    assert!(explained.out.contains(&continued), "{}", explained.out);
    let described = terminal(&service, 60, "NO_COLOR=1 keygatectl describe sub sub-7");
    assert!(described.out.lines().all(|line| width(line) <= 60), "{}", described.out);
    assert!(
        described.out.contains("a long reason a long reason") && !described.out.contains("WHAT"),
        "{}",
        described.out
    );
    let keys = |columns| terminal(&service, columns, "keygatectl get keys").out;
    assert!(!keys(80).contains("SHA256") && keys(200).contains("SHA256"));
    let plain = terminal(&service, 80, "NO_COLOR=1 keygatectl get subs");
    assert!(!plain.out.contains("\u{1b}["), "{plain:?}");
    let piped = terminal(&service, 80, "keygatectl get subs | cat");
    assert!(
        piped.out.contains("a long reason a long reason") && !piped.out.contains("\u{1b}["),
        "nothing is cut: {piped:?}"
    );
    let json = terminal(&service, 80, "keygatectl get subs -o json");
    assert!(!json.out.contains("\u{1b}["), "{json:?}");
}

#[test]
fn a_question_is_asked_at_a_terminal() {
    let service = Service::start();
    service.seed();
    let no = terminal(&service, 80, "echo n | script -qec 'keygatectl delete key k-3' /dev/null");
    assert!(no.out.contains("[y/N]"), "{no:?}");
    assert_eq!(service.get("/v1/keys/k-3")["id"], "k-3");
}

#[test]
fn a_reader_that_goes_ends_the_command_quietly() {
    let service = Service::start();
    service.seed();
    let head = terminal(&service, 80, "for i in 1 2 3 4 5; do keygatectl get keys -o json | head -c 1; done");
    assert!(!head.out.contains("error") && !head.out.contains("panic"), "{head:?}");
}

#[test]
fn completions_and_the_manual_are_made() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let completions = Ctl::new(folder.path(), &["completions", shell]).expect(0);
        let has_kinds = shell == "fish" || completions.out.contains("deny-policies");
        assert!(completions.out.contains("keygatectl") && has_kinds, "{shell}");
    }
    let manual = Ctl::new(folder.path(), &["man"]).expect(0);
    for part in [".TH keygatectl", "KEYGATE_URL", "PROD_ONLY_BLOCKED"] {
        assert!(manual.out.contains(part) || manual.out.replace("\\-", "-").contains(part), "{part}\n{}", manual.out);
    }
    assert!(manual.out.contains("\nkeygatectl login\n") && !manual.out.contains("login(1)"), "{}", manual.out);
    let version = Ctl::new(folder.path(), &["--version"]).expect(0);
    assert!(version.out.starts_with("keygatectl "));
}

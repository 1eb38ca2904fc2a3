//! Keys and tokens: where they come from, and that nothing repeats them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{Ctl, Service, TOKEN, digest};

#[test]
fn a_login_is_kept_for_its_owner_alone() {
    let service = Service::start();
    let ctl = |arguments: &[&str]| Ctl::new(service.folder(), arguments);
    let before = ctl(&["whoami"]).expect(64);
    assert!(before.err.contains("KEYGATE_URL") && before.err.contains("keygatectl login"), "{before:?}");
    let wrong = ctl(&["login", &service.url]).input("not-the-token\n").expect(1);
    assert!(wrong.err.contains("401") && !wrong.err.contains("not-the-token"), "{wrong:?}");
    let file = service.folder().join(".config/keygate/login.json");
    assert!(!file.exists(), "a wrong token is not kept");

    let kept = ctl(&["login", &service.url]).input(&format!("{TOKEN}\n")).expect(0);
    assert!(kept.err.contains("as administrator (administrator)") && !kept.err.contains(TOKEN), "{kept:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(ctl(&["whoami"]).expect(0).out.lines().count(), 1);

    // Another service does not get the token of this one.
    let other = Service::start();
    let elsewhere = ctl(&["whoami", "--url", &other.url]).expect(64);
    assert!(elsewhere.err.contains("no token for"), "{elsewhere:?}");
    ctl(&["whoami", "--url", &format!("{}/", service.url)]).expect(0);
    // The environment wins over the login.
    let wrong = ctl(&["whoami"]).variable("KEYGATE_TOKEN", "not-the-token").expect(1);
    assert!(!wrong.err.contains("not-the-token"), "{wrong:?}");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = ctl(&["whoami"]).expect(1);
    assert!(open.err.contains("chmod 600"), "{open:?}");
    ctl(&["logout"]).expect(0);
    assert!(!file.exists());
    let xdg = service.folder().join("xdg");
    let elsewhere = ctl(&["login", &service.url]).variable("XDG_CONFIG_HOME", xdg.to_str().unwrap()).input(TOKEN);
    elsewhere.expect(0);
    assert!(xdg.join("keygate/login.json").exists());
}

#[test]
fn a_token_comes_from_a_file_and_never_goes_over_plain_http_to_others() {
    let service = Service::start();
    let file = service.folder().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let ctl = || Ctl::new(service.folder(), &["whoami"]).variable("KEYGATE_URL", &service.url);
    ctl().variable("KEYGATE_TOKEN_FILE", "token").expect(0);
    Ctl::new(service.folder(), &["whoami", "--url", &service.url, "--token-file", "-"]).input(TOKEN).expect(0);
    let refused =
        ctl().variable("KEYGATE_URL", "http://policy.example.com").variable("KEYGATE_TOKEN", TOKEN).expect(64);
    assert!(refused.err.contains("plain HTTP") && refused.err.contains("--allow-http"), "{refused:?}");
    for (token, part) in [("", "no token"), ("two words", "a blank")] {
        let wrong = ctl().variable("KEYGATE_TOKEN", token).expect(64);
        assert!(wrong.err.contains(part) && (token.is_empty() || !wrong.err.contains(token)), "{wrong:?}");
    }
    let nobody = ctl().variable("KEYGATE_URL", "http://127.0.0.1:1").variable("KEYGATE_TOKEN", TOKEN).expect(1);
    assert!(nobody.err.contains("cannot be reached") && !nobody.err.contains(TOKEN), "{nobody:?}");
    // A key as an argument does not exist.
    service.ctl(&["keys", "lookup", "--key", "kg_live_x"]).expect(64);
}

#[test]
fn no_argument_is_a_secret() {
    let mut seen = 0;
    for (name, command) in crate::help::all_commands() {
        for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let words: Vec<String> =
                argument.get_value_names().unwrap_or_default().iter().map(|word| word.to_string()).collect();
            let named = argument.get_id().as_str().to_lowercase();
            let is_about =
                ["key", "token", "secret", "password", "credential", "login"].iter().any(|of| named.contains(of));
            // A file with it, its id, its digest, or the type of its text.
            let is_harmless = words.iter().all(|word| ["FILE", "ID", "DIGEST"].contains(&word.as_str()));
            assert!(!is_about || is_harmless, "{name}: {named} {words:?}");
            seen += usize::from(is_about);
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn other_programs_of_the_machine_see_no_secret() {
    let service = Service::start();
    service.seed();
    Ctl::new(service.folder(), &["login", &service.url]).input(TOKEN).expect(0);
    fs::write(service.folder().join("key.txt"), "key-1").unwrap();
    for arguments in [&["watch", "--for", "3s"][..], &["gateways"], &["explain", "/x", "--key-file", "key.txt"]] {
        let mut running = Ctl::new(service.folder(), arguments).start();
        let process = format!("/proc/{}", running.id());
        let mut looks = 0;
        while running.try_wait().unwrap().is_none() {
            let read = |name: &str| fs::read(format!("{process}/{name}")).unwrap_or_default();
            for name in ["cmdline", "environ"] {
                let text = String::from_utf8_lossy(&read(name)).into_owned();
                assert!(!text.contains(TOKEN) && !text.contains("key-1"), "{arguments:?} {name}");
            }
            // What it does not start cannot show anything.
            let threads = fs::read_dir(format!("{process}/task")).into_iter().flatten();
            for thread in threads.filter_map(Result::ok) {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                assert_eq!(children, "", "{arguments:?}");
            }
            looks += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(looks > 0, "{arguments:?}");
    }
}

#[test]
fn an_issued_key_is_alone_on_stdout() {
    let service = Service::start();
    service.seed();
    let issued = service.ctl(&["keys", "issue", "app-1", "--id", "k-new", "--expires-in", "90d"]).expect(0);
    let key = issued.out.trim_end();
    assert!(key.starts_with("kg_live_") && issued.out.lines().count() == 1, "{issued:?}");
    assert!(issued.err.contains("shown once") && issued.err.contains("key k-new of app-1, PRODUCTION"), "{issued:?}");
    assert!(!issued.err.contains(key));

    let file = service.folder().join("key.txt");
    fs::write(&file, &issued.out).unwrap();
    let found = service.ctl(&["keys", "lookup", "--key-file", "key.txt"]).expect(0);
    assert!(found.out.contains("k-new") && found.out.contains("sub-7") && !found.out.contains(key), "{found:?}");
    assert_eq!(
        service.ctl(&["keys", "lookup", "--key-file", "-", "-o", "json"]).input(key).expect(0).json()["key"]["id"],
        "k-new"
    );
    service.ctl(&["keys", "lookup", "--sha256", &digest("key-1")]).expect(0);
    let unknown = service.ctl(&["keys", "lookup", "--key-file", "-"]).input("kg_live_unknown").expect(1);
    assert!(unknown.err.contains("404") && !unknown.err.contains("kg_live_unknown"), "{unknown:?}");

    let check = |text: &str| Ctl::new(service.folder(), &["keys", "check", "--key-file", "-"]).input(text).run();
    assert_eq!(check(key).code, 0);
    let mut mistyped = key.to_owned();
    let last = if mistyped.pop() == Some('a') { 'b' } else { 'a' };
    mistyped.push(last);
    for (text, part) in [(mistyped.as_str(), "mistyped"), (&key[..30], "mistyped"), ("key-1", "another form")] {
        let checked = check(text);
        assert!(checked.code == 1 && checked.out.contains(part) && !checked.err.contains(text), "{checked:?}");
    }

    let next = service.ctl(&["keys", "regenerate", "k-new", "--overlap", "1h", "--new-id", "k-next"]).expect(0);
    assert!(
        next.out.starts_with("kg_live_")
            && next.out.lines().count() == 1
            && next.err.contains("The old key k-new is valid until")
    );
    service.ctl(&["keys", "revoke", "k-next"]).expect(64);
    service.ctl(&["keys", "revoke", "k-next", "--yes"]).expect(0);
    assert_eq!(service.get("/v1/keys/k-next")["state"], "REVOKED");
    let json = service.ctl(&["keys", "issue", "app-1", "--type", "sandbox", "-o", "json"]).expect(0).json();
    assert!(json["key"].as_str().unwrap().starts_with("kg_test_"));
}

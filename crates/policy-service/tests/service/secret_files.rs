//! Secrets from files: accepted files, and rejected ones, whose errors name variable and path but not the secret.

use std::fs;

use crate::support::{TOKEN, program::Program};

const OTHER_TOKEN: &str = "another-token-of-the-administrator";

#[tokio::test]
async fn secrets_are_taken_from_files() {
    for end in ["", "\n", "\r\n"] {
        let mut program = Program::command(&["serve"]);
        for (variable, value) in [
            ("POLICY_ADMIN_TOKEN", OTHER_TOKEN),
            ("POLICY_GATEWAYS", "edge-1:its-secret,edge-2:another"),
            ("POLICY_DATABASE", "sqlite:elsewhere.db"),
        ] {
            let file = format!("{variable}.txt");
            fs::write(program.directory().join(&file), format!("{value}{end}")).unwrap();
            program.variable(variable, None).variable(&format!("{variable}_FILE"), Some(&file));
        }
        let service = program.start();
        assert!(service.directory().join("elsewhere.db").exists());
        for (path, user, password, status) in [
            ("/v1/apis", None, OTHER_TOKEN, 200),
            ("/v1/apis", None, TOKEN, 401),
            ("/v1/policy", Some("edge-1"), "its-secret", 200),
            ("/v1/policy", Some("edge-2"), "another", 200),
            ("/v1/policy", Some("gw"), "secret", 401),
        ] {
            let request = service.client.get(format!("{}{path}", service.url));
            let request = match user {
                Some(user) => request.basic_auth(user, Some(password)),
                None => request.bearer_auth(password),
            };
            assert_eq!(request.send().await.unwrap().status(), status, "{path} {user:?} {end:?}");
        }
    }
}

#[test]
fn a_secret_that_cannot_be_taken_from_its_file_is_refused_by_variable_and_path() {
    let long = "x".repeat(2_050_001);
    // The variable, the file's content, whether the value is given too, and what the error says.
    for (variable, content, beside, says) in [
        (
            "POLICY_ADMIN_TOKEN",
            Some(&b"tell-nobody"[..]),
            Some("other-secret"),
            "POLICY_ADMIN_TOKEN and POLICY_ADMIN_TOKEN_FILE",
        ),
        ("POLICY_ADMIN_TOKEN", Some(b"tell-nobody"), Some(""), "POLICY_ADMIN_TOKEN and POLICY_ADMIN_TOKEN_FILE"),
        ("POLICY_DATABASE", Some(b"sqlite:a.db"), Some("sqlite:b.db"), "POLICY_DATABASE and POLICY_DATABASE_FILE"),
        ("POLICY_ADMIN_TOKEN", None, None, "POLICY_ADMIN_TOKEN_FILE: file.txt cannot be read: No such file"),
        ("POLICY_GATEWAYS", None, None, "POLICY_GATEWAYS_FILE: file.txt cannot be read: No such file"),
        ("POLICY_DATABASE", None, None, "POLICY_DATABASE_FILE: file.txt cannot be read: No such file"),
        ("POLICY_ADMIN_TOKEN", Some(b""), None, "POLICY_ADMIN_TOKEN_FILE: file.txt is empty"),
        ("POLICY_GATEWAYS", Some(b"\n"), None, "POLICY_GATEWAYS_FILE: file.txt is empty"),
        ("POLICY_ADMIN_TOKEN", Some(b"tell-nobody\xff"), None, "POLICY_ADMIN_TOKEN_FILE: file.txt is not UTF-8"),
        ("POLICY_GATEWAYS", Some(long.as_bytes()), None, "POLICY_GATEWAYS_FILE: file.txt has more than 2050000 bytes"),
        // An invalid value gives the same error as in a variable.
        ("POLICY_ADMIN_TOKEN", Some(b"tell nobody"), None, "--admin-token (POLICY_ADMIN_TOKEN): expected a token"),
        ("POLICY_GATEWAYS", Some(b"tell-nobody"), None, "gateway 1 (counted from 1) is not client_id:client_secret"),
    ] {
        let mut program = Program::command(&["serve"]);
        if let Some(content) = content {
            fs::write(program.directory().join("file.txt"), content).unwrap();
        }
        program.variable(variable, beside).variable(&format!("{variable}_FILE"), Some("file.txt"));
        let (success, said) = program.run();
        assert!(!success && said.contains(says), "{variable}: {says}: {said}");
        for secret in ["tell", "other-secret"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let mut program = Program::command(&["serve"]);
    let (success, said) =
        program.variable("POLICY_ADMIN_TOKEN", None).variable("POLICY_ADMIN_TOKEN_FILE", Some("")).run();
    assert!(!success && said.contains("POLICY_ADMIN_TOKEN_FILE is empty"), "{said}");
    let mut program = Program::command(&["serve", "--admin-token", "on-the-line"]);
    fs::write(program.directory().join("file.txt"), "tell-nobody").unwrap();
    let (success, said) =
        program.variable("POLICY_ADMIN_TOKEN", None).variable("POLICY_ADMIN_TOKEN_FILE", Some("file.txt")).run();
    assert!(!success && said.contains("both given"), "{said}");
}

#[test]
fn a_file_concerns_only_the_commands_that_take_its_argument() {
    let service = Program::command(&["renew-epoch"]);
    let mut program = service;
    let (success, said) = program.variable("POLICY_ADMIN_TOKEN_FILE", Some("not there")).run();
    // The database does not exist, and the error does not mention the token.
    assert!(!success && !said.contains("not there"), "{said}");
    for arguments in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let mut program = Program::command(arguments);
        let (success, said) = program.variable("POLICY_DATABASE_FILE", Some("not there")).run();
        assert!(success && !said.contains("not there"), "{said}");
    }
    let mut program = Program::command(&["serve"]);
    let (success, said) = program.variable("POLICY_ADMIN_TOKEN", None).run();
    assert!(!success && said.contains("or by POLICY_ADMIN_TOKEN_FILE, the path of a file that holds it"), "{said}");
}

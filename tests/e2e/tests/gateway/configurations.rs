//! Tests of configurations: Envoy accepts every shipped one, and refuses a wrong one with the place of the error.

use std::{
    fs,
    path::{Path, PathBuf},
};

use keygate_e2e::{Options, Stack, artifacts, config::EnvoyConfig, envoy::Envoy, ports, stack::Policy};

/// The folder and the configuration of a stack that is never started.
async fn stack(name: &str, edits: Vec<(&'static str, String)>) -> (Stack, EnvoyConfig) {
    let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
    let stack =
        Stack::prepare(name, Options { policy: Policy::At(nobody), edits, ..Options::default() }).await.unwrap();
    let config = stack.config().unwrap();
    (stack, config)
}

#[tokio::test]
async fn a_wrong_plugin_configuration_stops_envoy_and_names_path_line_and_column() {
    let interval = r#""refresh_interval_ms": 5000"#;
    let sources = r#"[{"header": "x-api-key"}, {"header": "apikey"}, {"query": "apikey"}]"#;
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "range",
            interval,
            r#""refresh_interval_ms": 99"#,
            &["policy.refresh_interval_ms", "line 6", "column", "99", "100"],
        ),
        ("type", interval, r#""refresh_interval_ms": "5s""#, &["policy.refresh_interval_ms", "line 6", "column", "5s"]),
        ("unknown", interval, r#""refresh_interval": 5000"#, &["policy.refresh_interval", "line 6", "column"]),
        ("twice", interval, r#""timeout_ms": 1, "timeout_ms": 2"#, &["policy.timeout_ms", "line 6", "column"]),
        ("empty", sources, "[]", &["credential_sources", "line 15", "column"]),
        ("syntax", interval, r#""refresh_interval_ms" 5000"#, &["line 6", "column"]),
        (
            "secret",
            r#"{"env": "POLICY_CLIENT_SECRET"}"#,
            r#"["hunter2"]"#,
            &["policy.credentials.client_secret", "line 5", "column"],
        ),
    ];
    for (number, (name, from, to, words)) in cases.iter().enumerate() {
        // Starting and validating behave the same, because both run the filter's own check.
        let args = if number == 0 { &[][..] } else { &["--mode", "validate"] };
        let (stack, config) = stack(&format!("configuration-{name}"), vec![(*from, (*to).to_owned())]).await;
        let (status, log) = Envoy::refuse(stack.folder(), &config, args).await.unwrap();
        assert!(!status.success(), "{name}: {log}");
        let told = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(told, "{name}: no line with {words:?} in\n{log}");
        assert!(!log.contains("hunter2"), "{name}: a secret is in the log");
    }
}

#[tokio::test]
async fn a_struct_in_place_of_a_string_is_refused_with_a_line_that_says_so() {
    let edits = vec![
        ("google.protobuf.StringValue", "google.protobuf.Struct".to_owned()),
        ("                  value: |\n", "                  value:\n".to_owned()),
    ];
    let (stack, config) = stack("configuration-struct", edits).await;
    let (status, log) = Envoy::refuse(stack.folder(), &config, &[]).await.unwrap();
    assert!(!status.success(), "{log}");
    assert!(log.contains("StringValue"), "{log}");
}

/// All files in `envoy/` that Envoy itself reads. The other files configure the programs around it.
fn shipped(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            shipped(&path, found);
        } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("\nstatic_resources:")) {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn every_shipped_configuration_is_accepted_by_envoy() {
    let mut files = Vec::new();
    shipped(&artifacts::root().join("envoy"), &mut files);
    assert!(files.contains(&artifacts::envoy_yaml()), "{files:?}");
    for (number, file) in files.iter().enumerate() {
        let (stack, _) = stack(&format!("configuration-shipped{number}"), Vec::new()).await;
        let filter = artifacts::filter().unwrap().display().to_string();
        let text = fs::read_to_string(file).unwrap().replace("target/keygate.wasm", &filter);
        let (status, log) =
            Envoy::refuse(stack.folder(), &EnvoyConfig::new(text), &["--mode", "validate"]).await.unwrap();
        assert!(status.success(), "{}: {log}", file.display());
        // tools/trim has written the commit, or `unknown`, into the module.
        let version = format!("keygate {} (commit ", env!("CARGO_PKG_VERSION"));
        let (_, commit) =
            log.split_once(&version).unwrap_or_else(|| panic!("{}: no `{version}` in {log}", file.display()));
        let (commit, _) = commit.split_once(") is configured").unwrap();
        let module = fs::read(artifacts::filter().unwrap()).unwrap();
        let written = format!("keygate-commit={commit} ");
        assert!(module.windows(written.len()).any(|part| part == written.as_bytes()), "{}: {commit}", file.display());
    }
}

//! The help: every example works, every operation of the service has a command, and every column exists.

use std::{collections::BTreeSet, fs, path::Path};

use clap::CommandFactory as _;
use keygatectl::{
    cli::Cli,
    kinds::TABLES,
    operations::{OPERATIONS, Reached},
};
use serde_json::Value;

use crate::support::{Service, terminal};

/// A file for the examples of `convert`.
const CSV: &str = "application,owner,api,key,type,plan,state,expires_at\nimported,dora,payments-1.0,secret-key-of-dora,PRODUCTION,gold,ACTIVE,\n";

fn openapi() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-service/tests/golden/openapi.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// All commands, with the words that call them.
fn commands(command: &clap::Command, before: &str, found: &mut Vec<(String, clap::Command)>) {
    for below in command.get_subcommands() {
        let name = format!("{before} {}", below.get_name()).trim().to_owned();
        found.push((name.clone(), below.clone()));
        commands(below, &name, found);
    }
}

pub fn all_commands() -> Vec<(String, clap::Command)> {
    let mut found = vec![(String::new(), Cli::command())];
    commands(&Cli::command(), "", &mut found);
    found
}

#[test]
fn every_operation_has_a_command_or_a_reason() {
    let openapi = openapi();
    let paths = openapi["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let documented: BTreeSet<&str> = paths.filter_map(|operation| operation["operationId"].as_str()).collect();
    let listed: BTreeSet<&str> = OPERATIONS.iter().map(|(id, _)| *id).collect();
    // The console's own operations are for browsers.
    let missing: Vec<_> = documented.difference(&listed).collect();
    assert!(missing.is_empty(), "without a command or a reason in src/operations.rs: {missing:?}");
    assert_eq!(listed.difference(&documented).collect::<Vec<_>>(), Vec::<&&str>::new(), "not in the document any more");
    let commands: BTreeSet<String> = all_commands().into_iter().map(|(name, _)| name).collect();
    for (id, reached) in OPERATIONS {
        match reached {
            Reached::By(command) => assert!(commands.contains(*command), "{id}: there is no command {command}"),
            Reached::Not(reason) => assert!(reason.len() > 10, "{id}"),
        }
    }
}

#[test]
fn every_column_is_a_field_of_its_schema() {
    let openapi = openapi();
    let schema = |name: &str| openapi["components"]["schemas"][name].clone();
    for (name, columns) in TABLES {
        for column in *columns {
            let mut found = schema(name);
            for part in column.at.trim_start_matches('/').split('/') {
                found = found["properties"][part].clone();
                let of =
                    |schema: &Value| schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap().to_owned());
                let any = found["oneOf"].as_array().or(found["anyOf"].as_array()).or(found["allOf"].as_array());
                let named = of(&found).or_else(|| any.into_iter().flatten().find_map(of));
                found = named.map_or(found.clone(), |name| schema(&name));
                assert!(!found.is_null(), "{name} has no {}", column.at);
            }
        }
    }
}

#[test]
fn every_command_has_help_and_its_examples_work() {
    let mut examples = 0;
    let mut tested = String::new();
    for (name, command) in all_commands() {
        assert!(command.get_about().is_some(), "{name} has no help");
        let Some(text) = command.get_after_help() else { continue };
        let service = Service::start();
        service.seed();
        let page = service.http.get(format!("{}/v1/policy", service.url)).basic_auth("gw", Some("secret"));
        fs::write(service.folder().join("page.json"), page.send().unwrap().text().unwrap()).unwrap();
        fs::write(service.folder().join("plugin.json"), r#"{"policy": {"cluster": "policy-service"}}"#).unwrap();
        let issued = service.ctl(&["keys", "issue", "app-1"]).expect(0);
        fs::write(service.folder().join("key.txt"), &issued.out).unwrap();
        let export = service.ctl(&["export", "exported"]);
        export.expect(0);
        fs::write(service.folder().join("keys.csv"), CSV).unwrap();
        fs::write(service.folder().join("new.yaml"), "kind: application\nid: app-new\nowner: alice\n").unwrap();
        fs::write(service.folder().join("token.txt"), crate::support::TOKEN).unwrap();
        if name != "export" {
            fs::rename(service.folder().join("exported"), service.folder().join("policy")).unwrap();
        }
        let lines = text.to_string();
        let lines = lines.lines().map(str::trim).filter(|line| line.starts_with("keygatectl "));
        for line in lines {
            let line = line.split("    ").next().unwrap();
            let line = line.replace("https://policy.example.com", &service.url);
            let line =
                line.replace(" < token.txt", "").replace("keygatectl login", "keygatectl --token-file token.txt login");
            let is_wait = line.contains("--wait");
            let ran = terminal(&service, 100, &line);
            let is_right = match ran.code {
                0 => true,
                // The page of a policy is older than the key that was issued.
                3 => line.contains("explain"),
                4 => is_wait || line.contains("receipt"),
                _ => false,
            };
            assert!(is_right, "{line}: {ran:?}");
            tested.push_str(&line);
            examples += 1;
        }
    }
    assert!(examples > 50, "{examples}");
}

#[test]
fn the_first_help_names_every_command_and_fits_80_columns() {
    let service = Service::start();
    for (name, _) in all_commands() {
        let help = terminal(&service, 80, &format!("NO_COLOR=1 keygatectl {name} --help"));
        assert_eq!(help.code, 0, "{name}");
        let long: Vec<&str> = help.out.lines().filter(|line| line.trim_end().chars().count() > 80).collect();
        assert!(long.is_empty(), "{name}: {long:?}");
    }
    // What is arranged by hand is not broken by the terminal.
    for (name, command) in all_commands() {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{name}: {long:?}");
    }
    let first = terminal(&service, 80, "NO_COLOR=1 keygatectl --help");
    for (name, _) in all_commands() {
        assert!(name.contains(' ') || first.out.contains(&format!("  {name}")), "{name}: {first:?}");
    }
}

#[test]
fn a_command_without_its_arguments_shows_its_help() {
    let service = Service::start();
    for (arguments, part) in [
        (&[][..], "First use:"),
        (&["get"], "deny-policies"),
        (&["block"], "keygatectl block sub-7 --until 2h"),
        (&["keys"], "keygatectl get keys"),
        (&["keys", "lookup"], "--key-file <FILE>"),
        (&["gateways", "scope"], "--apis <ID>"),
        (&["convert"], "envoy-gateway"),
    ] {
        let ran = service.ctl(arguments).expect(64);
        assert!(ran.out.is_empty() && ran.err.contains(part), "{arguments:?} {ran:?}");
    }
    // The usage in an error has what is missing, and nothing of the environment.
    for (arguments, part) in [
        (&["describe", "key"][..], "Usage: keygatectl describe <KIND> <ID>"),
        (&["gateways", "scope", "gwc-1"], "<--apis <ID>|--all>"),
        (&["convert", "csv", "a.csv"], "--out <DIR>"),
    ] {
        let ran = service.ctl(arguments).expect(64);
        assert!(ran.err.contains(part) && !ran.err.contains("--url"), "{arguments:?} {ran:?}");
    }
    service.ctl(&["tokens"]).expect(0);
}

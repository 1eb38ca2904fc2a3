//! The configurations in the manifests for Istio and Envoy Gateway, as these two hand them to the filter.
//!
//! A control plane writes the JSON anew: Istio sorts the fields and makes all numbers doubles, Envoy Gateway keeps the
//! bytes of the API server, and Helm spells large numbers with an exponent. Here each of these forms goes through the
//! filter's own `on_configure`, with the environment variables that the manifest names.

use serde_json::{Value, json};

use crate::{
    host::{Envoy, LogLevel, Refusal},
    manifests::{Configuration, Plugin, all, jsonpb, plugins},
};

fn shipped() -> Vec<Plugin> {
    let found = plugins(&all());
    assert_eq!(found.len(), 4);
    found
}

/// What a control plane may make of a configuration.
fn forms(plugin: &Plugin) -> Vec<(&'static str, String)> {
    match &plugin.configuration {
        Configuration::Text(text) => vec![("as written", text.clone())],
        Configuration::Fields(fields) => vec![
            ("as the API server keeps it", fields.to_string()),
            ("as Istio's jsonpb prints it", jsonpb(fields)),
            ("as Helm prints large numbers", helm(fields)),
        ],
    }
}

/// JSON in which numbers from a million on are spelled as Go's template engine does: `3.6e+06`.
fn helm(fields: &Value) -> String {
    let mut text = fields.to_string();
    for (number, spelled) in [("3600000", "3.6e+06"), ("60000", "6e+04")] {
        text = text.replace(&format!(":{number},"), &format!(":{spelled},"));
    }
    text
}

fn start(plugin: &Plugin, configuration: &str) -> Result<Envoy, Refusal> {
    let envoy = Envoy::new(configuration);
    plugin.environment.iter().fold(envoy, |envoy, name| envoy.environment(name, "a secret of the manifests")).start()
}

#[test]
fn the_filter_accepts_every_configuration_without_a_warning() {
    for plugin in shipped() {
        for (form, configuration) in forms(&plugin) {
            let envoy = start(&plugin, &configuration);
            let envoy =
                envoy.unwrap_or_else(|refusal| panic!("{}, {form}: {refusal:?}\n{configuration}", plugin.place));
            assert_eq!(envoy.log(LogLevel::Warn), Vec::<String>::new(), "{}, {form}", plugin.place);
        }
    }
}

#[test]
fn helms_spelling_is_another_than_jsons() {
    let plugin = shipped().remove(0);
    assert!(helm(&plugin.configuration.fields()).contains("3.6e+06"), "this form would test nothing");
}

#[test]
fn a_header_that_is_left_out_stays_left_out_on_the_way() {
    for mut plugin in shipped() {
        let mut fields = plugin.configuration.fields();
        fields["forward"]["key_id"] = json!(false);
        plugin.configuration = Configuration::Fields(fields);
        for (form, configuration) in forms(&plugin) {
            assert!(start(&plugin, &configuration).is_ok(), "{}, {form}", plugin.place);
        }
    }
}

#[test]
fn the_filter_refuses_a_mistake_in_any_of_them() {
    for (pointer, value, said) in [
        ("/policy/cluster", json!(""), "policy.cluster"),
        ("/policy/authority", json!("outbound|8085||policy-service"), "policy.authority"),
        ("/policy/startup_hold_ms", json!(2.5), "policy.startup_hold_ms"),
        ("/forward/key_type", json!("x key type"), "forward.key_type"),
        ("/mode", json!("enforced"), "mode"),
        ("/policy/credentials/client_secret/env", json!("POLICY_SECRET"), "policy.credentials.client_secret.env"),
    ] {
        for mut plugin in shipped() {
            let mut fields = plugin.configuration.fields();
            *fields.pointer_mut(pointer).unwrap_or_else(|| panic!("{}: no {pointer}", plugin.place)) = value.clone();
            plugin.configuration = Configuration::Fields(fields);
            for (form, configuration) in forms(&plugin) {
                let Err(Refusal(lines)) = start(&plugin, &configuration) else {
                    panic!("{}, {form}: {pointer} is accepted", plugin.place);
                };
                assert!(lines.iter().any(|line| line.contains(said)), "{}, {form}: {lines:?}", plugin.place);
            }
        }
    }
}

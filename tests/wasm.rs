//! Runs the table of cases on the core as wasm32, in Node. Types have the same sizes as in Envoy.
#![cfg(target_arch = "wasm32")]

mod cases;

use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn every_case_holds() {
    let (wrong, _) = cases::wrong_on_core();
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[wasm_bindgen_test]
fn every_transition_between_states_holds() {
    let wrong = cases::wrong_transitions_on_core();
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

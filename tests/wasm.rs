//! The table of cases on the core as wasm32, in Node: the same code with the sizes that it has in Envoy.
#![cfg(target_arch = "wasm32")]

mod cases;

use cases::{all_groups, check::check, core::Core};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn every_case_holds() {
    let mut wrong = Vec::new();
    for (file, group) in all_groups() {
        let core = Core::new(&group);
        for case in &group.cases {
            let problems = check(&group, case, &core.observe(&group, case));
            wrong.extend(problems.iter().map(|problem| format!("{file}: {}: {}: {problem}", group.name, case.name)));
        }
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

//! The table of cases on the core, natively.

mod cases;

use cases::{all_groups, check::check, core::Core};

#[test]
fn every_case_holds() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (file, group) in all_groups() {
        let core = Core::new(&group);
        for case in &group.cases {
            count += 1;
            let problems = check(&group, case, &core.observe(&group, case));
            wrong.extend(problems.iter().map(|problem| format!("{file}: {}: {}: {problem}", group.name, case.name)));
        }
    }
    println!("{count} cases");
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

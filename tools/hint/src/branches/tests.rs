//! Hints follow the counts, concern the right branches, and change nothing else.

#![allow(clippy::indexing_slicing, reason = "a test that indexes out of bounds has failed")]

use wasmi::{Engine, Instance, Linker, Store};
use wasmparser::KnownCustom;

use super::*;

/// A module with one branch of each kind in the function with index four. The function exists twice, and the second
/// copy is never called.
fn module() -> Vec<u8> {
    let function = |name: &str| {
        format!(
            r#"(func (export "{name}") (param $n i32) (result i32) (local $sum i64)
                (block $out
                    (br_if $out (i32.gt_u (local.get $n) (i32.const 100000)))    ;; never
                    (br_if $out (i32.and (local.get $n) (i32.const 1)))          ;; every other time
                    (if (i32.eqz (local.get $n)) (then (br $out))))              ;; once
                (if (result i32) (i32.or (local.get $n) (i32.const 2))           ;; always, by another number than one
                    (then (i32.add (local.get $n) (i32.const 5)))
                    (else (i32.const 0))))"#
        )
    };
    let imports: String = (0..3).map(|n| format!(r#"(import "env" "f{n}" (func))"#)).collect();
    let begin = r#"(@custom "first" "text") (memory (export "memory") 1) (func)"#;
    wat::parse_str(format!("(module {imports} {begin} {} {})", function("called"), function("other"))).unwrap()
}

/// The results of `called`, called this many times with 0, 1, 2, …, and the counters afterwards.
fn call(module: &[u8], times: u32) -> (Vec<u32>, Counts) {
    let engine = Engine::default();
    let module = wasmi::Module::new(&engine, module).unwrap();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    for n in 0..3 {
        linker.func_wrap("env", &format!("f{n}"), || ()).unwrap();
    }
    let instance: Instance = linker.instantiate_and_start(&mut store, &module).unwrap();
    let called = instance.get_typed_func::<u32, u32>(&store, "called").unwrap();
    let returned = (0..times).map(|number| called.call(&mut store, number).unwrap()).collect();
    let mut counts = Counts::new();
    for export in instance.exports(&store) {
        if let Some((place, is_taken)) = counter(export.name()) {
            let value = u64::try_from(export.into_global().unwrap().get(&store).i32().unwrap()).unwrap();
            let (taken, reached) = if is_taken { (value, 0) } else { (0, value) };
            counts.entry(place).or_default().add(Count { taken, reached });
        }
    }
    (returned, counts)
}

/// The hints of a module: function, operator, direction.
fn read(module: &[u8]) -> Vec<(u32, String, bool)> {
    let (mut hints, mut bodies) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::CustomSection(section) => {
                let KnownCustom::BranchHints(functions) = section.as_known() else { continue };
                assert!(bodies.is_empty(), "they stand before the code");
                for function in functions {
                    let function = function.unwrap();
                    hints.extend(function.hints.into_iter().map(|hint| (function.func, hint.unwrap())));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body),
            _ => {}
        }
    }
    let operator = |function: u32, offset: u32| {
        let body = &bodies[usize::try_from(function).unwrap() - 3];
        let wanted = body.range().start + usize::try_from(offset).unwrap();
        let mut operators = body.get_operators_reader().unwrap();
        loop {
            let (operator, at) = operators.read_with_offset().expect("a hint is of an operator");
            if at == wanted {
                return format!("{operator:?}");
            }
        }
    };
    hints.iter().map(|(function, hint)| (*function, operator(*function, hint.func_offset), hint.taken)).collect()
}

#[test]
fn a_branch_is_hinted_that_usually_goes_one_way_and_no_other() {
    let module = module();
    let (_, counts) = call(&with_counters(&module).unwrap(), 3000);
    let hints = read(&with_hints(&module, &counts).unwrap());
    let hints: Vec<_> = hints.iter().map(|(function, operator, taken)| (*function, &operator[..4], *taken)).collect();
    assert_eq!(hints, [(4, "BrIf", false), (4, "If {", false), (4, "If {", true)]);
}

#[test]
fn neither_counters_nor_hints_change_what_a_module_does() {
    let module = module();
    let counting = with_counters(&module).unwrap();
    let (expected, none) = call(&module, 3000);
    let (counted, counts) = call(&counting, 3000);
    let hinted = with_hints(&module, &counts).unwrap();
    assert_eq!((none.len(), counts.len()), (0, 8));
    assert_eq!(counted, expected);
    assert_eq!(call(&hinted, 3000).0, expected);

    let sections = |module: &[u8]| {
        let sections = Parser::new(0).parse_all(module).filter_map(|payload| payload.unwrap().as_section());
        sections.map(|(id, range)| (id, module[range].to_vec())).collect::<Vec<_>>()
    };
    let is_hints = |data: &[u8]| data.windows(25).any(|name| name == b"metadata.code.branch_hint");
    let mut left = sections(&hinted);
    left.retain(|(_, data)| !is_hints(data));
    assert_eq!(left, sections(&module));
}

#[test]
fn what_was_not_seen_often_enough_is_no_hint() {
    for (taken, reached, expected) in [
        (0, 0, None),
        (0, 999, None),
        (0, 1000, Some(false)),
        (20, 1000, Some(false)),
        (21, 1000, None),
        (500, 1000, None),
        (979, 1000, None),
        (980, 1000, Some(true)),
        (1000, 1000, Some(true)),
        (u32::MAX.into(), u32::MAX.into(), Some(true)),
    ] {
        assert_eq!(Count { taken, reached }.usually(), expected, "{taken} of {reached}");
    }
}

#[test]
fn counts_that_are_not_of_this_module_are_refused() {
    let module = module();
    let (_, counts) = call(&with_counters(&module).unwrap(), 3000);
    let moved: Counts = counts.iter().map(|(place, count)| (place + 1, *count)).collect();
    for (counts, expected) in
        [(moved, "3 of its branches usually go one way, and 0 of them"), (Counts::new(), "0 of its branches")]
    {
        let error = with_hints(&module, &counts).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let (_, few) = call(&with_counters(&module).unwrap(), 10);
    with_hints(&module, &few).unwrap_err();
}

#[test]
fn what_is_no_module_is_an_error() {
    let module = module();
    let (_, counts) = call(&with_counters(&module).unwrap(), 3000);
    let mut payloads = Parser::new(0).parse_all(&module);
    let whole = payloads.find_map(|payload| match payload.unwrap() {
        Payload::CodeSectionStart { range, .. } => Some(range.end),
        _ => None,
    });
    // A cut behind the code is not detected.
    for end in 0..whole.unwrap() {
        let _ = with_counters(&module[..end]);
        with_hints(&module[..end], &counts).unwrap_err();
    }
    with_counters(b"no module").unwrap_err();
    with_hints(b"no module", &Counts::new()).unwrap_err();
}

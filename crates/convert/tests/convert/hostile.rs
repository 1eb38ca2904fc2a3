//! Whatever a file holds, it is converted or refused; nothing panics, and no key is shown.

use std::fs;

use convert::{Input, Kind, convert, limits};

use crate::support::{folder, options};

/// Random changes of each input.
const CHANGES: usize = 300;
/// Random files of each kind.
const FILES: usize = 300;

fn folder_of(kind: Kind) -> std::path::PathBuf {
    folder().join("tests/inputs").join(kind.word())
}

fn examples(kind: Kind) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder_of(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{kind:?}");
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(kind: Kind, bytes: Vec<u8>) {
    let inputs = [Input { name: "x".to_owned(), bytes }];
    let one = convert(kind, &inputs, &options());
    assert_eq!(one, convert(kind, &inputs, &options()));
}

#[test]
fn nothing_panics_on_random_bytes() {
    let mut random = fastrand::Rng::with_seed(28);
    for kind in Kind::ALL {
        for _ in 0..FILES {
            let length = random.usize(0..400);
            run(kind, std::iter::repeat_with(|| random.u8(..)).take(length).collect());
        }
    }
}

#[test]
fn nothing_panics_on_an_example_that_is_cut_off_or_changed() {
    let mut random = fastrand::Rng::with_seed(29);
    for kind in Kind::ALL {
        for example in examples(kind) {
            let step = example.len().div_ceil(CHANGES).max(1);
            for end in (0..example.len()).step_by(step) {
                run(kind, example[..end].to_vec());
            }
            for _ in 0..CHANGES {
                let mut changed = example.clone();
                for _ in 0..random.usize(1..4) {
                    let place = random.usize(0..changed.len());
                    match random.u8(0..3) {
                        0 => changed[place] = random.u8(..),
                        1 => drop(changed.remove(place)),
                        _ => changed.insert(place, *random.choice(b"\n\t \"':-{}[],&*!|>#%@`\0").unwrap()),
                    }
                }
                run(kind, changed);
            }
        }
    }
}

#[test]
fn too_many_bytes_are_refused() {
    let half = Input { name: "half".to_owned(), bytes: vec![b'\n'; limits::MAX_BYTES / 2 + 1] };
    for kind in Kind::ALL {
        let errors = convert(kind, &[half.clone(), half.clone()], &options()).unwrap_err();
        assert!(errors[0].to_string().contains("at most 268435456"), "{errors:?}");
    }
}

#[test]
fn too_many_findings_are_refused() {
    let mut text = "application,state\n".to_owned();
    text.push_str(&"a,NO\n".repeat(limits::MAX_FINDINGS + 1));
    let errors =
        convert(Kind::Csv, &[Input { name: "x".to_owned(), bytes: text.into_bytes() }], &options()).unwrap_err();
    assert!(errors.last().unwrap().to_string().contains("more than 100000 errors"), "{:?}", errors.last());
}

#[test]
fn an_input_does_not_show_its_bytes() {
    let shown = format!("{:?}", Input { name: "x".to_owned(), bytes: b"secret".to_vec() });
    assert_eq!(shown, "Input { name: \"x\", bytes: 6 }");
}

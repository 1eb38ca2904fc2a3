//! Removes the callbacks that keygate does not need from a linked module, and writes the commit of the build into it:
//! `trim IN.wasm OUT.wasm COMMIT`.
//!
//! The SDK exports every callback of the ABI, and Envoy calls each callback whose export it finds: six useless calls
//! into the VM for each request. So this tool removes all exports that are not on its list. It also drops code that
//! only they reach, and the names section. If the module has a callback of its own, that one is exported in place of
//! the SDK's. The tool knows nothing else of the module.
//!
//! The commit is written here and not compiled in, because compiling and linking the module takes most of a minute, and
//! each commit would cost that time.

use std::{env, process::ExitCode};

use walrus::{Module, passes};

/// The exports that Envoy needs. A context must be told of its end, or it would be kept for ever.
const KEPT: &[&str] = &[
    "memory",
    "malloc",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_queue_ready",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_delete",
];
/// Prefix of callbacks that replace the SDK's: `keygate_on_delete` replaces `proxy_on_delete`.
const OWN: &str = "keygate_on_";
/// The marker before the commit in `src/plugin/version.rs`. A module without it has no commit, such as the modules that
/// keygate is compared with.
const MARK: &[u8] = b"keygate-commit=";
/// Size of marker and commit together. The rest is blanks.
const PLACE_BYTES: usize = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output, commit] = arguments.as_slice() else {
        eprintln!("usage: trim IN.wasm OUT.wasm COMMIT");
        return ExitCode::from(2);
    };
    match trim(input, output, commit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trim: {input}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trim(input: &str, output: &str, commit: &str) -> Result<(), String> {
    let mut module = Module::from_file(input).map_err(|error| error.to_string())?;
    let find = |module: &Module, name: &str| {
        module.exports.iter().find(|export| export.name == name).map(|export| export.id())
    };
    let mut kept = Vec::new();
    for name in KEPT {
        let own = name.strip_prefix("proxy_on_").and_then(|callback| find(&module, &format!("{OWN}{callback}")));
        let export = own.or_else(|| find(&module, name));
        kept.push((export.ok_or(format!("it does not export {name}, which Envoy needs"))?, *name));
    }
    let all: Vec<_> = module.exports.iter().map(|export| export.id()).collect();
    let dropped = all.into_iter().filter(|export| !kept.iter().any(|(kept, _)| kept == export));
    dropped.for_each(|export| module.exports.delete(export));
    kept.into_iter().for_each(|(export, name)| module.exports.get_mut(export).name = name.to_owned());
    passes::gc::run(&mut module);
    let mut written = 0usize;
    let segments: Vec<_> = module.data.iter().map(|segment| segment.id()).collect();
    for segment in segments {
        written = written.saturating_add(stamp(&mut module.data.get_mut(segment).value, commit)?);
    }
    if written > 1 {
        return Err(format!("it has {written} places for a commit, expected one or none"));
    }
    module.customs = Default::default();
    module.name = None;
    module.emit_wasm_file(output).map_err(|error| error.to_string())
}

/// Writes the commit after each marker. Returns the number of markers.
fn stamp(data: &mut [u8], commit: &str) -> Result<usize, String> {
    let mut places = 0usize;
    let mut from = 0;
    while let Some(found) = data.get(from..).and_then(|rest| rest.windows(MARK.len()).position(|part| part == MARK)) {
        let start = from.saturating_add(found).saturating_add(MARK.len());
        let end = start.saturating_add(PLACE_BYTES.saturating_sub(MARK.len()));
        let place = data.get_mut(start..end).ok_or("the place for the commit is cut off")?;
        let bytes = commit.as_bytes();
        place.fill(b' ');
        place.get_mut(..bytes.len()).ok_or(format!("the commit {commit} has no room"))?.copy_from_slice(bytes);
        places = places.saturating_add(1);
        from = end;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(commit: &str) -> Vec<u8> {
        format!("before{:<64}after", format!("keygate-commit={commit}")).into_bytes()
    }

    #[test]
    fn the_commit_replaces_the_one_before_and_nothing_else() {
        for commit in ["unknown", "0123456789ab", "0123456789ab-modified", &"f".repeat(49)] {
            let mut data = place("0123456789abcdef");
            assert_eq!(stamp(&mut data, commit), Ok(1));
            assert_eq!(data, place(commit), "{commit}");
            assert_eq!(stamp(&mut data, commit), Ok(1));
            assert_eq!(data, place(commit), "{commit}, again");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_has_no_place_is_left_as_it_is() {
        assert!(stamp(&mut place("unknown"), &"f".repeat(50)).is_err());
        assert!(stamp(&mut b"keygate-commit=unknown".to_vec(), "0123456").is_err());
        let mut data = b"keygate-commit".to_vec();
        assert_eq!(stamp(&mut data, "0123456"), Ok(0));
        assert_eq!(data, b"keygate-commit");
        assert_eq!(stamp(&mut [place("unknown"), place("unknown")].concat(), "0123456"), Ok(2));
    }
}

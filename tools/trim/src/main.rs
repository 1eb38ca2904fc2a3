//! Takes out of a linked module the callbacks that keygate does not need: `trim IN.wasm OUT.wasm`.
//!
//! The SDK exports every callback of the ABI, and Envoy makes each call whose export it finds: on a request that is six
//! calls into the VM for nothing. So what is not on the list is no export any more, and what only that reached is dropped,
//! along with the names that nobody reads. Where the module has a callback of its own, that one is
//! exported in place of the SDK's. It knows nothing else of the module.

use std::{env, process::ExitCode};

use walrus::{Module, passes};

/// What Envoy is to call. A context has to hear of its end, or it would be kept for ever.
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
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_delete",
];
/// How the names of callbacks begin that take the place of the SDK's: `keygate_on_delete` that of `proxy_on_delete`.
const OWN: &str = "keygate_on_";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        eprintln!("usage: trim IN.wasm OUT.wasm");
        return ExitCode::from(2);
    };
    match trim(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trim: {input}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn trim(input: &str, output: &str) -> Result<(), String> {
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
    module.customs = Default::default();
    module.name = None;
    module.emit_wasm_file(output).map_err(|error| error.to_string())
}

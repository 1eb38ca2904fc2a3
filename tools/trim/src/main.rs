//! Takes out of a linked module the callbacks that keygate does not need: `trim IN.wasm OUT.wasm`.
//!
//! The SDK exports every callback of the ABI, and Envoy makes each call whose export it finds: on a request that is six
//! calls into the VM for nothing. So what is not on the list is no export any more, and what only that reached is dropped,
//! along with the names that nobody reads. It knows nothing else of the module.

use std::{env, process::ExitCode};

use walrus::{Module, passes};

/// What Envoy is to call. A context has to hear of its end, or the SDK would keep it for ever.
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
    "proxy_on_delete",
];

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
    for kept in KEPT {
        if !module.exports.iter().any(|export| export.name == *kept) {
            return Err(format!("it does not export {kept}, which Envoy needs"));
        }
    }
    let dropped: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !KEPT.contains(&export.name.as_str()))
        .map(|export| export.id())
        .collect();
    dropped.into_iter().for_each(|export| module.exports.delete(export));
    passes::gc::run(&mut module);
    module.customs = Default::default();
    module.name = None;
    module.emit_wasm_file(output).map_err(|error| error.to_string())
}

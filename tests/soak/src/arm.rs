//! Installs the trap. Envoy finds a callback by the name of its export. So the export that traps on demand gets the
//! name of keygate's export, and keygate's own loses it.

use std::path::Path;

use keygate_e2e::{Error, Result};
use walrus::Module;

const CALLBACK: &str = "keygate_on_request_headers";
const TRAP: &str = "soak_on_request_headers";

/// Reads the module that was linked with the trap, and writes a module in which Envoy finds the trap.
pub fn arm(input: &Path, output: &Path) -> Result<()> {
    let failed = |error: String| Error::unexpected(input.display().to_string(), "a module with a trap", error);
    let mut module = Module::from_file(input).map_err(|error| failed(error.to_string()))?;
    let find = |module: &Module, name: &str| {
        let export = module.exports.iter().find(|export| export.name == name).map(|export| export.id());
        export.ok_or_else(|| failed(format!("no export {name}")))
    };
    let callback = find(&module, CALLBACK)?;
    let trap = find(&module, TRAP)?;
    module.exports.delete(callback);
    module.exports.get_mut(trap).name = CALLBACK.to_owned();
    module.emit_wasm_file(output).map_err(|error| failed(error.to_string()))
}

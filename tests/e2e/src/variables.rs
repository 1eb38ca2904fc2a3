//! The file of variables that `make run` writes for a shell: the addresses, the token and the keys that the documents'
//! commands use. Only its owner may read it.

use std::{
    fmt::Write as _,
    fs::File,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result, Stack,
    door::Tokens,
    policy_service::{ADMIN_TOKEN, GATEWAY_ID, GATEWAY_SECRET},
    story::Keys,
};

/// Its name in the folder of the stack.
const NAME: &str = "env";
/// Only its owner may read and write it, because it contains keys.
const MODE: u32 = 0o600;

/// Writes the file into the folder of `stack`, and returns its path.
pub fn write(stack: &Stack, keys: &Keys, tokens: &Tokens) -> Result<PathBuf> {
    let variables = [
        ("GATEWAY", format!("http://{}", stack.envoy()?.gateway())),
        ("POLICY", format!("http://{}", stack.policy()?.address())),
        ("ENVOY_ADMIN", format!("http://{}", stack.envoy()?.admin())),
        ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
        // The same for keygatectl.
        ("KEYGATE_URL", format!("http://{}", stack.policy()?.address())),
        ("KEYGATE_TOKEN", ADMIN_TOKEN.to_owned()),
        ("PUBLISHER_TOKEN", tokens.publisher.clone()),
        ("SUBSCRIBER_TOKEN", tokens.subscriber.clone()),
        ("OPERATOR_TOKEN", tokens.operator.clone()),
        ("GATEWAY_CREDENTIALS", format!("{GATEWAY_ID}:{GATEWAY_SECRET}")),
        ("PRODUCTION_KEY", keys.production.clone()),
        ("SANDBOX_KEY", keys.sandbox.clone()),
        ("PARTNER_KEY", keys.partner.clone()),
        ("VISITOR_KEY", keys.visitor.clone()),
    ];
    let path = stack.folder().join(NAME);
    // The folder was emptied, so another process has created a file that exists now. Such a file is not written to.
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&path)
        .map_err(Error::io(format!("making {}", path.display())))?;
    file.write_all(exports(&variables).as_bytes()).map_err(Error::io(format!("writing {}", path.display())))?;
    Ok(path)
}

/// The command that sets the variables in a shell.
pub fn source(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(is_plain) { format!(". {path}") } else { format!(". {}", quoted(&path)) }
}

fn exports(variables: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        // Writing to a string does not fail.
        let _ = writeln!(text, "export {name}={}", quoted(value));
    }
    text
}

/// Any text as a quoted word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for value in ["http://127.0.0.1:10000", "", "two words", "it's", "$HOME `id` \\ \"", "a\nb"] {
            let script = format!("{}printf %s \"$NAME\"", exports(&[("NAME", value.to_owned())]));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    #[test]
    fn the_path_is_quoted_where_a_shell_would_split_it() {
        for (path, line) in [
            ("/a/b-1/c_d.e/env", ". /a/b-1/c_d.e/env"),
            ("/a b/env", ". '/a b/env'"),
            ("/it's/env", r". '/it'\''s/env'"),
        ] {
            assert_eq!(source(Path::new(path)), line);
        }
    }
}

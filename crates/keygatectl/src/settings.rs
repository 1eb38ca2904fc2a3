//! Where the service is and who asks: from options, the environment, or the file that `login` has written.
//!
//! The file holds the URL and the token, and only its owner may read it.

use std::{
    env, fs,
    io::Write as _,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::{cli::Global, failure::Failure, files, secret::Secret};

/// Bytes of the file: a URL of 2,000, a token of 4,096, and JSON around them.
const MAX_LOGIN_BYTES: u64 = 16 << 10;

/// The variable with the token.
const TOKEN: &str = "KEYGATE_TOKEN";

/// Where the service is, and the token.
#[derive(Debug)]
pub struct Settings {
    pub url: Url,
    pub token: Secret,
}

/// What `login` keeps.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    url: String,
    token: String,
}

impl Settings {
    /// From the options and the environment, and what is missing there from the file. The token of the file is used for
    /// the URL of the file alone, so that no other service gets it.
    pub fn load(global: &Global) -> Result<Self, Failure> {
        // What is given whole needs no login, so one that is damaged is no matter.
        let token = given(global)?;
        let kept = if token.is_some() && global.url.is_some() { None } else { read()? };
        let (url, is_kept) = match (&global.url, &kept) {
            (Some(url), kept) => {
                let url = parse(url)?;
                let is_kept = kept.as_ref().is_some_and(|kept| parse(&kept.url).is_ok_and(|kept| kept == url));
                (url, is_kept)
            }
            (None, Some(kept)) => (parse(&kept.url)?, true),
            (None, None) => {
                return Err(Failure::Usage(
                    "which policy service? Set KEYGATE_URL, or log in: keygatectl login https://policy.example.com"
                        .to_owned(),
                ));
            }
        };
        check_transport(&url, global.allow_http)?;
        if let Some(token) = token {
            return Ok(Self { url, token });
        }
        let token = kept.filter(|_| is_kept).map(|kept| Secret::of(&kept.token, "the token of the login"));
        let token = token.transpose()?.ok_or_else(|| {
            Failure::Usage(format!(
                "no token for {url}: set KEYGATE_TOKEN, name a file with --token-file, or log in: keygatectl login {url}"
            ))
        })?;
        Ok(Self { url, token })
    }
}

/// The token of the options and the environment.
fn given(global: &Global) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &global.token_file {
        return Secret::read(path, "the token").map(Some);
    }
    let Some(text) = env::var_os(TOKEN).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.into_string().map_err(|_| Failure::Usage(format!("{TOKEN} is not UTF-8")))?;
    Secret::of(&text, TOKEN).map(Some)
}

/// Reads a URL. It has no secret in it, because it is shown.
pub fn parse(text: &str) -> Result<Url, Failure> {
    let wrong = |what: &str| {
        Failure::Usage(format!("the URL of the service: {what}; expected one such as https://policy.example.com"))
    };
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("its scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Rejects plain HTTP to another machine: everyone on the way could read the token, and the keys that are issued.
pub fn check_transport(url: &Url, allow_http: bool) -> Result<(), Failure> {
    if url.scheme() == "https" || allow_http || is_loopback(url) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{url} is plain HTTP to another machine, so everyone on the way could read the token; use https, or say \
         --allow-http if something else protects the way"
    )))
}

/// Whether the URL is one of this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// The place of the file: `$XDG_CONFIG_HOME/keygate/login.json`, or below `~/.config`.
fn place() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let base = base.ok_or_else(|| Failure::Usage("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))?;
    Ok(base.join("keygate").join("login.json"))
}

fn read() -> Result<Option<Kept>, Failure> {
    let Ok(path) = place() else { return Ok(None) };
    let meta = match fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file(&path, &error)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(Failure::Other(format!(
            "{path}: others may read this file, which holds a token; `chmod 600 {path}`, and revoke the token if somebody did",
            path = path.display()
        )));
    }
    let damaged = || Failure::Other(format!("{}: it is not what `login` writes; log in again", path.display()));
    let text = files::bytes(&path, MAX_LOGIN_BYTES, "it is not what `login` writes; log in again")?;
    serde_json::from_slice(&text).map(Some).map_err(|_| damaged())
}

/// Keeps a login. The file is written beside the old one, and then takes its place. Returns where it is.
pub fn keep(url: &Url, token: &Secret) -> Result<PathBuf, Failure> {
    let path = place()?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| Failure::file(&folder, &error))?;
    let beside = folder.join(format!("login.json.{}", std::process::id()));
    let kept = Kept { url: url.to_string(), token: token.reveal().to_owned() };
    let text = serde_json::to_vec_pretty(&kept).map_err(|error| Failure::Other(error.to_string()))?;
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    write().map_err(|error| {
        // Whatever is there of it is not a login.
        let _ = fs::remove_file(&beside);
        Failure::file(&path, &error)
    })?;
    Ok(path)
}

/// Forgets the login. Returns whether there was one.
pub fn forget() -> Result<bool, Failure> {
    let path = place()?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::file(&path, &error)),
    }
}

/// The URL of the kept login, if there is one.
pub fn kept_url() -> Option<Url> {
    read().ok().flatten().and_then(|kept| parse(&kept.url).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_this_machine() {
        for (text, is_taken) in [
            ("https://policy.example.com", true),
            ("https://policy.example.com/keygate/", true),
            ("http://127.0.0.1:8085", true),
            ("http://localhost:8085", true),
            ("http://[::1]:8085", true),
            ("http://policy.example.com", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(check_transport(&url, false).is_ok(), is_taken, "{text}");
            assert!(check_transport(&url, true).is_ok());
        }
        for bad in ["ftp://a", "policy", "https://user:secret@a", "https://a?token=1", "https://a#b"] {
            let said = parse(bad).unwrap_err();
            assert_eq!(said.code(), 64);
            assert!(!said.to_string().contains("secret"), "{said}");
        }
        assert_eq!(parse("https://a/b/").unwrap().path(), "/b");
    }
}

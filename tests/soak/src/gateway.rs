//! Envoy with four workers and the shipped configuration. Its listeners can be replaced while it serves, and its module
//! can be made to trap.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use keygate_e2e::{
    Error, Result, artifacts,
    config::{EnvoyConfig, Places},
    envoy::{Envoy, Launch},
    http::{self, Ask},
    policy_service::{GATEWAY_ID, GATEWAY_SECRET},
    ports,
    upstream::Upstream,
};

use crate::{bill, history::Bounds};

pub const WORKERS: usize = 4;
/// Secrets of the gateway. It rotates between them. The policy service knows both.
pub const SECRETS: [&str; 2] = [GATEWAY_SECRET, "soak-second-secret"];
/// `policy.long_poll_ms` and `policy.timeout_ms`.
const WAIT_MS: u64 = 5_000;
const TIMEOUT_MS: u64 = 2_000;
/// Maximum duration of a callout if no answer comes.
pub const SILENT_AT_MOST: Duration = Duration::from_millis(WAIT_MS + TIMEOUT_MS);
/// The shortest `policy.expire_after_ms` that these settings permit, for a soak in which the service always works.
const SHORTEST_EXPIRY_MS: u64 = WAIT_MS + 2 * TIMEOUT_MS;
/// How long Envoy continues to serve the connections of a replaced listener.
pub const DRAIN_SECONDS: u64 = 3;

/// The memory of Envoy, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident memory.
    pub resident_kib: u64,
    /// Resident memory without free memory that the allocator keeps. With each replaced listener the kept memory grows
    /// a little less, while the used memory stays the same.
    pub used_kib: u64,
}

/// A running gateway with its upstreams.
pub struct Gateway {
    envoy: Envoy,
    address: SocketAddr,
    listeners: PathBuf,
    listener: String,
    armed: PathBuf,
    replaced: u64,
    /// Index of the secret in [`SECRETS`] for new listeners.
    secret: usize,
    _upstreams: [Upstream; 2],
}

impl Gateway {
    /// Starts a gateway in front of `policy` with the module `armed`, and waits until it serves. If the service is
    /// `always_well`, a policy expires as soon as the filter permits.
    pub async fn start(
        folder: &Path,
        policy: SocketAddr,
        armed: &Path,
        bounds: Bounds,
        always_well: bool,
    ) -> Result<Self> {
        let upstreams = [Upstream::start("production", 0).await?, Upstream::start("sandbox", 0).await?];
        let [upstream, sandbox] = [upstreams[0].address(), upstreams[1].address()];
        let port = ports::free()?;
        let listeners = folder.join("listeners.yaml");
        let config = EnvoyConfig::shipped()?.place(&Places {
            gateway: port,
            admin: 0,
            policy,
            upstream,
            sandbox,
            filter: armed,
            access_log: Path::new("/dev/null"),
        })?;
        let interval = bounds.interval.as_millis();
        let config = config
            .replace(r#""refresh_interval_ms": 5000"#, &format!(r#""refresh_interval_ms": {interval}"#))?
            .replace(r#""long_poll_ms": 25000"#, &format!(r#""long_poll_ms": {WAIT_MS}"#))?
            .replace(r#""timeout_ms": 5000"#, &format!(r#""timeout_ms": {TIMEOUT_MS}"#))?
            .replace(r#"{"env": "POLICY_CLIENT_SECRET"}"#, &format!(r#""{}""#, SECRETS[0]))?
            .replace(r#""cluster": "policy-service","#, r#""cluster": "policy-service", "name": "soak","#)?
            .replace(r#""interval_ms": 60000"#, &format!(r#""interval_ms": {}"#, bill::INTERVAL_MS))?;
        let config = match always_well {
            false => config,
            true => config
                .replace(r#""expire_after_ms": 3600000"#, &format!(r#""expire_after_ms": {SHORTEST_EXPIRY_MS}"#))?,
        };
        let (config, listener) = config.listeners_in(&listeners)?;
        fs::write(&listeners, &listener).map_err(Error::io("writing the listeners"))?;
        let mut launch = Launch { secret: Some(GATEWAY_SECRET), workers: WORKERS, arguments: Vec::new() };
        let drain = DRAIN_SECONDS.to_string();
        launch.arguments.extend(["--drain-time-s", &drain, "--drain-strategy", "immediate"].map(str::to_owned));
        let envoy = Envoy::start(folder, &config, &launch, Path::new("/dev/null")).await?;
        let address = envoy.gateway();
        let armed = armed.to_owned();
        Ok(Self { envoy, address, listeners, listener, armed, replaced: 0, secret: 0, _upstreams: upstreams })
    }

    /// The address for requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// The `authorization` of the next secret.
    pub fn next_authorization(&self) -> String {
        let text = format!("{GATEWAY_ID}:{}", SECRETS.get(self.next_secret()).unwrap_or(&GATEWAY_SECRET));
        format!("Basic {}", base64(&text))
    }

    fn next_secret(&self) -> usize {
        usize::from(self.secret == 0)
    }

    /// Replaces the listener by one with the other secret.
    pub fn rotate_secret(&mut self) -> Result<()> {
        self.secret = self.next_secret();
        self.replace_listener()
    }

    /// Replaces the listener by one with a slightly different configuration. Every third time it uses the shipped
    /// module, which cannot be made to trap, so that two builds share one policy.
    pub fn replace_listener(&mut self) -> Result<()> {
        self.replaced = self.replaced.saturating_add(1);
        let mut listener =
            self.listener.replace(r#""realm": "keygate""#, &format!(r#""realm": "keygate-{}""#, self.replaced));
        let secret = SECRETS.get(self.secret).unwrap_or(&SECRETS[0]);
        listener = listener.replace(&format!("\"{}\"", SECRETS[0]), &format!("\"{secret}\""));
        if !self.is_armed() {
            let armed = self.armed.display().to_string();
            listener = listener.replace(&armed, &artifacts::filter()?.display().to_string());
        }
        // Envoy reacts when a file is moved into place. So it never sees half of a file.
        let new = self.listeners.with_extension("new");
        fs::write(&new, listener).map_err(Error::io("writing the listeners"))?;
        fs::rename(new, &self.listeners).map_err(Error::io("moving the listeners"))
    }

    /// Whether the module of new requests can be made to trap.
    pub fn is_armed(&self) -> bool {
        self.replaced % 3 != 1
    }

    /// Envoy's memory now.
    pub async fn memory(&self) -> Result<Memory> {
        let file = format!("/proc/{}/status", self.envoy.id());
        let text = fs::read_to_string(&file).map_err(Error::io(format!("reading {file}")))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        let resident_kib: u64 = kib.ok_or_else(|| Error::unexpected(file, "VmRSS", "none"))?;
        let heap = http::send(self.envoy.admin(), &Ask::get("/memory")).await?;
        let bytes = |name: &str| heap.json().get(name)?.as_str()?.parse::<u64>().ok();
        let unused = bytes("pageheap_free").zip(bytes("total_thread_cache"));
        let (free, cached) = unused.ok_or_else(|| Error::unexpected("/memory", "what the heap has", &heap.body))?;
        Ok(Memory { resident_kib, used_kib: resident_kib.saturating_sub(free.saturating_add(cached) / 1024) })
    }

    /// An error if Envoy has ended.
    pub fn check(&mut self) -> Result<()> {
        self.envoy.check()
    }

    pub async fn stop(&mut self) {
        self.envoy.stop().await;
    }
}

/// Base64 (RFC 4648, 4) of a text, for HTTP Basic.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let number = chunk.iter().chain(&[0; 2]).take(3).fold(0, |number, byte| number << 8 | usize::from(*byte));
        let length = chunk.len();
        let digit = move |at: usize| {
            let digit = 18_usize.checked_sub(at.saturating_mul(6)).and_then(|shift| DIGITS.get(number >> shift & 63));
            digit.filter(|_| at <= length).map_or('=', |digit| char::from(*digit))
        };
        (0..4).map(digit).collect::<String>()
    };
    text.as_bytes().chunks(3).map(digits).collect()
}

/// Makes the VM of this connection trap, if its module can. The answer does not matter.
pub async fn trap(address: SocketAddr) {
    let _ = http::send(address, &Ask::get("/").header("x-soak-trap", "1")).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_written_as_http_basic_wants_them() {
        // RFC 4648, 10; RFC 7617, 2.
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            assert_eq!(base64(text), expected, "{text}");
        }
    }
}

//! Debian's Prometheus on the shipped configuration, in which only addresses and times are others.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    ports,
    process::Process,
};
use serde_json::Value;
use tokio::process::Command;

use super::expressions::text;

const STARTING: Duration = Duration::from_secs(30);
/// How long an alert may take from its fault, with the times below. The longest `for` and windows of ten seconds fit twice.
const FIRING: Duration = Duration::from_secs(60);

/// The times of `alerts.yaml`, and the shorter ones of this test. Everything else stays.
const TIMES: [(&str, &str); 15] = [
    ("offset 5m", "offset 10s"),
    ("[5m]", "[10s]"),
    ("[10m]", "[10s]"),
    ("[15m]", "[20s]"),
    ("[1h]", "[60s]"),
    ("for: 1m", "for: 2s"),
    ("for: 2m", "for: 2s"),
    ("for: 5m", "for: 2s"),
    ("for: 2h", "for: 2s"),
    ("gateway_seconds > 120", "gateway_seconds > 3"),
    ("confirmed_at > 120", "confirmed_at > 8"),
    ("confirmed_at > 1800", "confirmed_at > 15"),
    ("_failed[20s]) >= 3", "_failed[20s]) >= 1"),
    ("_failed[10s]) >= 3", "_failed[10s]) >= 1"),
    ("_total[10s]) > 100", "_total[10s]) > 10"),
];

/// What Prometheus scrapes.
pub struct Targets {
    /// Admin interfaces of Envoys.
    pub envoys: Vec<SocketAddr>,
    pub service: SocketAddr,
    /// A policy service with TLS.
    pub secure_service: SocketAddr,
}

pub struct Prometheus {
    process: Process,
    address: SocketAddr,
}

impl Prometheus {
    pub async fn start(folder: &Path, targets: &Targets) -> Self {
        fs::create_dir_all(folder).unwrap();
        let rules = TIMES.iter().fold(text("alerts.yaml"), |rules, (from, to)| {
            assert!(rules.contains(from), "alerts.yaml has no `{from}`");
            rules.replace(from, to)
        });
        fs::write(folder.join("alerts.yaml"), rules).unwrap();
        let config = folder.join("prometheus.yaml");
        fs::write(&config, configuration(targets)).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let mut command = Command::new(program());
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let mut process = Process::start("prometheus", command, folder.join("prometheus.log")).unwrap();
        let up = async || {
            process.check()?;
            let ready = http::send(address, &Ask::get("/-/ready")).await?;
            if ready.status == 200 {
                Ok(())
            } else {
                Err(keygate_e2e::Error::unexpected("ready", "200", ready.to_string()))
            }
        };
        eventually("Prometheus is ready", STARTING, up).await.unwrap();
        Self { process, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The result of an expression, now.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = http::send(self.address, &Ask::get(format!("/api/v1/query?query={encoded}"))).await.unwrap();
        assert_eq!(answer.status, 200, "{expression}: {answer}");
        answer.json()["data"]["result"].as_array().unwrap().clone()
    }

    /// The alerts that fire: name and instance.
    pub async fn firing(&self) -> BTreeSet<(String, String)> {
        let answer = http::send(self.address, &Ask::get("/api/v1/alerts")).await.unwrap().json();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        let word = |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
        alerts.map(|alert| (word(alert, "alertname"), word(alert, "instance"))).collect()
    }

    /// Waits until the alert fires for the instance, and returns how long that took.
    pub async fn fires(&self, alert: &str, instance: SocketAddr) -> Duration {
        self.wait(alert, instance, true).await
    }

    /// Waits until the alert is over.
    pub async fn ends(&self, alert: &str, instance: SocketAddr) {
        self.wait(alert, instance, false).await;
    }

    async fn wait(&self, alert: &str, instance: SocketAddr, wanted: bool) -> Duration {
        let wanted_alert = (alert.to_owned(), instance.to_string());
        let look = async || {
            let firing = self.firing().await;
            if firing.contains(&wanted_alert) == wanted { Ok(()) } else { Err(format!("{firing:?}")) }
        };
        let what = format!("{alert} of {instance} {}", if wanted { "fires" } else { "ends" });
        let ((), took) = eventually(what, FIRING, look).await.unwrap();
        took
    }

    pub async fn stop(mut self) {
        self.process.stop().await;
    }
}

fn program() -> PathBuf {
    artifacts::root().join(".tools/bin/prometheus")
}

fn configuration(targets: &Targets) -> String {
    let replaced = |text: String, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "prometheus.yaml has `{from}` not once");
        text.replace(from, to)
    };
    let envoys: Vec<String> = targets.envoys.iter().map(|address| format!("\"{address}\"")).collect();
    let text = text("prometheus.yaml");
    let text = replaced(text, "scrape_interval: 15s", "scrape_interval: 1s");
    let text = replaced(text, "evaluation_interval: 15s", "evaluation_interval: 1s");
    let text = replaced(text, "\"127.0.0.1:9901\"", &envoys.join(", "));
    let text = replaced(text, "\"127.0.0.1:8085\"", &format!("\"{}\"", targets.service));
    // The job of the policy service is the last one.
    format!(
        "{text}  - targets: [\"{}\"]\n    labels: {{ __scheme__: https }}\n  tls_config: {{ insecure_skip_verify: true }}\n",
        targets.secure_service
    )
}

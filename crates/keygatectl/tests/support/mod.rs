//! A policy service in a process of its own, and `keygatectl` as a person or a script runs it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "only tests")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub const TOKEN: &str = "the-administrators-token";
const CTL: &str = env!("CARGO_BIN_EXE_keygatectl");

/// The service's program, which Cargo puts beside this one.
fn service() -> PathBuf {
    let path = Path::new(CTL).with_file_name("policy-service");
    assert!(path.exists(), "{} is not there; `cargo build -p policy-service` makes it", path.display());
    path
}

/// A running policy service with a database and a folder of its own. It ends with this value.
pub struct Service {
    child: Child,
    pub url: String,
    folder: Arc<tempfile::TempDir>,
    pub http: reqwest::blocking::Client,
}

impl Service {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these variables besides.
    pub fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), variables)
    }

    /// Another service on the same database.
    pub fn beside(&self) -> Self {
        Self::on(Arc::clone(&self.folder), &[])
    }

    /// Ends the service as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, at the same address.
    pub fn restart(&mut self) {
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        *self = Self::on(Arc::clone(&self.folder), &[("POLICY_LISTEN", &address)]);
    }

    fn on(folder: Arc<tempfile::TempDir>, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(service());
        command.arg("serve").env_clear().current_dir(folder.path());
        command.env("POLICY_DATABASE", "sqlite:policy.db").env("POLICY_LISTEN", "127.0.0.1:0");
        command.env("POLICY_ADMIN_TOKEN", TOKEN).env("POLICY_GATEWAYS", "gw:secret");
        command.envs(variables.iter().copied());
        command
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(folder.path().join("log")).unwrap());
        testkit::process::die_with_parent(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}{}", log())).to_owned();
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        Self { child, url, folder, http }
    }

    /// The address of the listener for gateways, if it has one.
    pub fn feed_url(&self) -> String {
        let log = fs::read_to_string(self.folder().join("log")).unwrap();
        let line = log.lines().find(|line| line.contains("listening for gateways")).unwrap_or_else(|| panic!("{log}"));
        let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
        format!("http://{address}")
    }

    /// A folder for the files of a test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(TOKEN);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().unwrap();
        let status = answer.status();
        let text = answer.text().unwrap();
        assert!(status.is_success(), "{path} {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(TOKEN).send().unwrap();
        serde_json::from_str(&answer.text().unwrap()).unwrap()
    }

    /// What the examples of the help speak of.
    pub fn seed(&self) {
        for (path, body) in [
            ("/v1/plans", json!({"id": "gold", "limits": [{"requests": 5000, "per": "minute"}]})),
            (
                "/v1/apis",
                json!({"id": "payments-1.0", "name": "Payments", "match": [{"hosts": ["api.example.com", "localhost"],
                    "path": "/payments/1.0"}], "owner": "team-payments", "plans": ["gold"]}),
            ),
            ("/v1/apis", json!({"id": "orders", "match": [{"path": "/orders"}], "approval": "manual"})),
            ("/v1/applications", json!({"id": "app-1", "name": "Shop", "owner": "alice"})),
            ("/v1/applications", json!({"id": "app-2", "owner": "bob"})),
            ("/v1/applications", json!({"id": "app-3", "owner": "carol"})),
            ("/v1/keys", json!({"id": "k-1", "application": "app-1", "sha256": digest("key-1")})),
            ("/v1/keys", json!({"id": "k-2", "application": "app-1", "sha256": digest("key-2"), "type": "SANDBOX"})),
            ("/v1/keys", json!({"id": "k-3", "application": "app-2", "sha256": digest("key-3")})),
            (
                "/v1/subscriptions",
                json!({"id": "sub-7", "application": "app-1", "api": "payments-1.0", "plan": "gold"}),
            ),
            ("/v1/subscriptions", json!({"id": "sub-8", "application": "app-2", "api": "payments-1.0"})),
            ("/v1/subscriptions", json!({"id": "sub-9", "application": "app-3", "api": "orders", "state": "ON_HOLD"})),
        ] {
            self.post(path, &body);
        }
    }

    /// A `keygatectl` for this service.
    pub fn ctl(&self, arguments: &[&str]) -> Ctl {
        Ctl::new(self.folder(), arguments).variable("KEYGATE_URL", &self.url).variable("KEYGATE_TOKEN", TOKEN)
    }

    /// A gateway that fetches the policy and says that it decides by it.
    pub fn gateway(&self, instance: &str) -> Gateway {
        let mut gateway = Gateway {
            url: self.url.clone(),
            instance: instance.to_owned(),
            next: "/v1/policy".to_owned(),
            http: self.http.clone(),
        };
        gateway.poll();
        gateway
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway.
pub struct Gateway {
    url: String,
    instance: String,
    next: String,
    http: reqwest::blocking::Client,
}

impl Gateway {
    /// One call of the feed.
    pub fn poll(&mut self) {
        let url = format!("{}{}", self.url, self.next);
        let request = self.http.get(url).basic_auth("gw", Some("secret")).header("keygate-instance", &self.instance);
        let request = request.header("keygate-version", "1").header("keygate-workers", "2");
        let request =
            request.header("keygate-process", format!("p-{}", self.instance)).header("keygate-heard-within", "30");
        let page: Value =
            serde_json::from_str(request.send().map(|answer| answer.text().unwrap()).unwrap_or_default().as_str())
                .unwrap_or_default();
        if let Some(poll) = page["poll"].as_str() {
            self.next = if poll.starts_with('?') { format!("/v1/policy{poll}") } else { poll.to_owned() };
        }
    }

    /// Polls in the background for a while, as a filter does.
    pub fn follow(mut self, span: Duration) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < span {
                self.poll();
                thread::sleep(Duration::from_millis(20));
            }
        })
    }
}

/// The SHA-256 of a key.
pub fn digest(key: &str) -> String {
    keygate::digest::Digest::of(key.as_bytes()).to_hex()
}

/// A call of `keygatectl`, without the settings of this process.
pub struct Ctl {
    command: Command,
    input: Option<Vec<u8>>,
    stdout: Option<Stdio>,
}

impl Ctl {
    pub fn new(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(CTL);
        command.args(arguments).env_clear().current_dir(folder).env("HOME", folder).env("TZ", "UTC");
        command.stdin(Stdio::null());
        Self { command, input: None, stdout: None }
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.as_bytes().to_vec());
        self
    }

    /// Where its stdout goes, instead of to the test.
    pub fn stdout(mut self, to: Stdio) -> Self {
        self.stdout = Some(to);
        self
    }

    /// Starts it, with stdout and stderr for the test.
    pub fn start(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Ran {
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let stdout = self.stdout.take().unwrap_or_else(Stdio::piped);
        let mut child = self.command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(input) = self.input {
            // It may end without reading.
            let _ = child.stdin.take().unwrap().write_all(&input);
        }
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs it and checks its exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ran {
        let ran = self.run();
        assert_eq!(ran.code, code, "{ran:?}");
        ran
    }
}

/// Runs a shell command in a terminal of so many columns, with `keygatectl` in its path.
pub fn terminal(service: &Service, columns: usize, command: &str) -> Ran {
    let script = format!("stty cols {columns} rows 50; {command}");
    let path = format!("{}:/usr/bin:/bin", Path::new(CTL).parent().unwrap().display());
    let mut run = Command::new("script");
    run.args(["-qec", &script, "/dev/null"]).env_clear().current_dir(service.folder()).env("PATH", path);
    run.env("KEYGATE_URL", &service.url).env("KEYGATE_TOKEN", TOKEN).env("HOME", service.folder());
    run.env("TERM", "xterm-256color").env("TZ", "UTC").stdin(Stdio::null());
    Ran::of(run.output().unwrap())
}

/// What a call has done.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// stdout as JSON, and nothing else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

//! The program in its own process, with its own database.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::deadline::eventually;

use super::{TOKEN, client, digest};

/// How long the program may take to start or to write a line.
const SOON: Duration = Duration::from_secs(20);

/// How to start the program.
pub struct Prepared {
    directory: Arc<tempfile::TempDir>,
    arguments: Vec<String>,
    /// Shell commands that run before the program replaces the shell.
    before: String,
    variables: Vec<(String, Option<String>)>,
}

impl Prepared {
    /// The limit on descriptors, which the program cannot raise.
    pub fn limit_descriptors(&mut self, descriptors: u32) -> &mut Self {
        self.limit_descriptors_softly(descriptors, descriptors)
    }

    /// The soft and the hard limit on descriptors.
    pub fn limit_descriptors_softly(&mut self, soft: u32, hard: u32) -> &mut Self {
        self.before.push_str(&format!("ulimit -Sn {soft} && ulimit -Hn {hard} && "));
        self
    }

    /// Runs shell commands before the program starts.
    pub fn before(&mut self, command: &str) -> &mut Self {
        self.before.push_str(&format!("{command} && "));
        self
    }

    /// Sets or removes a variable.
    pub fn variable(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        self.variables.push((name.to_owned(), value.map(str::to_owned)));
        self
    }

    /// The folder in which it will run.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The command, without the settings of this process.
    pub fn build(&self) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{}exec \"$0\" \"$@\"", self.before)).arg(env!("CARGO_BIN_EXE_policy-service"));
        command.args(&self.arguments).env_clear().current_dir(self.directory.path());
        command.env("POLICY_DATABASE", "sqlite:policy.db").env("POLICY_LISTEN", "127.0.0.1:0");
        command.env("POLICY_ADMIN_TOKEN", TOKEN).env("POLICY_GATEWAYS", "gw:secret").env("NO_COLOR", "1");
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Starts the program and waits until it listens.
    pub fn start(&self) -> Program {
        let log = self.directory.path().join("log");
        let mut command = self.build();
        command.stdout(Stdio::piped()).stderr(File::options().create(true).append(true).open(&log).unwrap());
        testkit::process::die_with_parent(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            panic!("it does not start: {line}{}", fs::read_to_string(&log).unwrap_or_default());
        };
        let url = url.to_owned();
        Program { directory: Arc::clone(&self.directory), child, log, url, client: client() }
    }

    /// Runs the program to its end. Returns whether it succeeded, and its output.
    pub fn run(&self) -> (bool, String) {
        let output = self.build().output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), text)
    }
}

/// A running program. It is killed when this is dropped.
pub struct Program {
    directory: Arc<tempfile::TempDir>,
    child: Child,
    log: PathBuf,
    pub url: String,
    pub client: reqwest::Client,
}

impl Program {
    /// A program that has not been started yet, in its own directory.
    pub fn command(arguments: &[&str]) -> Prepared {
        Self::beside(Arc::new(tempfile::tempdir().unwrap()), arguments)
    }

    fn beside(directory: Arc<tempfile::TempDir>, arguments: &[&str]) -> Prepared {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Prepared { directory, arguments, before: String::new(), variables: Vec::new() }
    }

    /// Starts it with `serve`.
    pub fn start() -> Self {
        Self::command(&["serve"]).start()
    }

    /// Starts the program again on the same database.
    pub fn another(&self, arguments: &[&str]) -> Prepared {
        Self::beside(Arc::clone(&self.directory), arguments)
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log contains a line with this text.
    pub async fn logs(&self, text: &str) -> String {
        let look = async || {
            let log = self.log();
            log.lines().find(|line| line.contains(text)).map(str::to_owned).ok_or(log)
        };
        eventually(format!("a line with {text:?}"), SOON, look).await.unwrap().0
    }

    /// A POST of the administrator. Returns status and body.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(TOKEN).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// A GET without a credential. Returns status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// A page of the feed.
    pub async fn policy(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).basic_auth("gw", Some("secret"));
        request.send().await.unwrap().json().await.unwrap()
    }

    /// An API, an application with a key and a subscription: `api-1`, `app-1`, `k-1`, `s-1`.
    pub async fn seed(&self) {
        for (path, body) in [
            ("/v1/apis", json!({"id": "api-1", "match": [{"path": "/one"}]})),
            ("/v1/applications", json!({"id": "app-1", "owner": "alice"})),
            ("/v1/keys", json!({"id": "k-1", "application": "app-1", "sha256": digest(1)})),
            ("/v1/subscriptions", json!({"id": "s-1", "application": "app-1", "api": "api-1"})),
        ] {
            let (status, body) = self.post(path, body).await;
            assert_eq!(status, 201, "{body}");
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }

    /// Waits for the end, after a signal.
    pub fn ended(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < SOON, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

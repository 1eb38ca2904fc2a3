//! Debian's registry on loopback, and skopeo, which pushes to it and fetches from it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{
    deadline::eventually,
    http::{Ask, send},
    ports,
    process::Process,
};

use crate::{STARTING, VERSION, root};

/// A running registry. It is empty at the start and gone at the end.
pub struct Registry {
    port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Registry {
    pub async fn start() -> Self {
        let program: PathBuf = root().join(".tools/bin/docker-registry");
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free().unwrap();
        let config = folder.path().join("config.yml");
        let files = folder.path().join("files");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: \"{}\"}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            files.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = tokio::process::Command::new(program);
        command.arg("serve").arg(&config).current_dir(folder.path());
        let mut process = Process::start("docker-registry", command, folder.path().join("log")).unwrap();
        let up = async || {
            process.check()?;
            send(([127, 0, 0, 1], port).into(), &Ask::get("/v2/")).await.map(|_| ())
        };
        eventually("the registry answers", STARTING, up).await.unwrap();
        Self { port, _process: process, _folder: folder }
    }

    /// Pushes the layout as `name`, and fetches it by its tag into a new folder.
    pub fn push_and_fetch(&self, layout: &Path, name: &str) -> tempfile::TempDir {
        let reference = format!("docker://127.0.0.1:{}/{name}:{VERSION}", self.port);
        let folder = tempfile::tempdir().unwrap();
        let archive = format!("oci-archive:{}:{VERSION}", layout.display());
        skopeo(&["--preserve-digests", "--dest-tls-verify=false", &archive, &reference]);
        let into = format!("dir:{}", folder.path().display());
        skopeo(&["--preserve-digests", "--src-tls-verify=false", &reference, &into]);
        folder
    }

    /// The digest by which the registry knows the image.
    pub async fn digest(&self, name: &str) -> String {
        let ask = Ask::get(format!("/v2/{name}/manifests/{VERSION}"))
            .header("accept", "application/vnd.oci.image.manifest.v1+json");
        let answer = send(([127, 0, 0, 1], self.port).into(), &ask).await.unwrap();
        answer.header("docker-content-digest").unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo").args(["--insecure-policy", "copy"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "skopeo copy {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

//! The files of `make package`, as someone meets them who has only these files: pushed to a real registry, fetched back and
//! compared; the policy service, run from its image as the image says, with a root that cannot be written; the SBOM against
//! CycloneDX's own schema. `make e2e-package` runs it, as root, because only root may change its root folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only test code: a panic is how it reports"
)]

#[path = "published/registry.rs"]
mod registry;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use flate2::read::GzDecoder;
use registry::Registry;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::{
    deadline::eventually,
    http::{Ask, send},
    ports,
    process::Process,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a program may take to answer on a busy machine.
const STARTING: Duration = Duration::from_secs(30);
const TOKEN: &str = "administrator-of-this-test";
/// Not root, and none of the machine's users.
const USER: u32 = 65532;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn packages() -> PathBuf {
    root().join("target/package")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The digest of the manifest in a layout.
fn digest_in(layout: &Path) -> String {
    let output = Command::new("tar").arg("-xOf").arg(layout).arg("index.json").output().unwrap();
    let index: Value = serde_json::from_slice(&output.stdout).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// An image that was fetched: its folder, as skopeo leaves it, and its configuration. Every blob has the digest by which
/// the manifest names it.
struct Fetched {
    folder: tempfile::TempDir,
    manifest: Value,
    config: Value,
}

impl Fetched {
    fn read(folder: tempfile::TempDir) -> Self {
        let manifest = json_of(&folder.path().join("manifest.json"));
        let parts = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
        for part in parts {
            let named = part["digest"].as_str().unwrap();
            let blob = fs::read(folder.path().join(named.trim_start_matches("sha256:"))).unwrap();
            assert_eq!(digest(&blob), named);
        }
        let config = manifest["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let config = json_of(&folder.path().join(config));
        Self { folder, manifest, config }
    }

    /// The tar archive of the only layer.
    fn layer(&self) -> tar::Archive<GzDecoder<fs::File>> {
        let layers = self.manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1);
        assert_eq!(layers[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let blob = layers[0]["digest"].as_str().unwrap().trim_start_matches("sha256:");
        tar::Archive::new(GzDecoder::new(fs::File::open(self.folder.path().join(blob)).unwrap()))
    }
}

#[tokio::test]
#[ignore = "make e2e-package"]
async fn the_module_comes_back_from_a_registry_as_it_was_built() {
    let registry = Registry::start().await;
    let layout = packages().join(format!("keygate-{VERSION}.oci.tar"));
    let fetched = Fetched::read(registry.push_and_fetch(&layout, "keygate"));
    assert_eq!(registry.digest("keygate").await, digest_in(&layout));
    assert_eq!(digest(&fs::read(fetched.folder.path().join("manifest.json")).unwrap()), digest_in(&layout));
    // What the agents of Istio and Envoy Gateway do: the last layer, in it a file of this name.
    let mut layer = fetched.layer();
    let mut entries = layer.entries().unwrap();
    let mut entry = entries.next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap(), Path::new("plugin.wasm"));
    let mut module = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut module).unwrap();
    assert_eq!(module, fs::read(root().join("target/keygate.wasm")).unwrap());
    assert!(entries.next().is_none(), "the layer has one entry");
}

#[tokio::test]
#[ignore = "make e2e-package"]
async fn the_service_runs_from_its_image_as_nobody_in_particular_on_a_root_that_cannot_be_written() {
    assert!(nix::unistd::geteuid().is_root(), "this test changes its root folder: run `sudo make e2e-package`");
    let registry = Registry::start().await;
    let layout = packages().join(format!("policy-service-{VERSION}.oci.tar"));
    let fetched = Fetched::read(registry.push_and_fetch(&layout, "policy-service"));
    assert_eq!(registry.digest("policy-service").await, digest_in(&layout));
    let unpacked = tempfile::tempdir().unwrap();
    let mut layer = fetched.layer();
    layer.set_preserve_ownerships(true);
    layer.set_preserve_permissions(true);
    layer.unpack(unpacked.path()).unwrap();
    // The folder of a test is closed to others; the root folder of a container is not.
    fs::set_permissions(unpacked.path(), fs::Permissions::from_mode(0o755)).unwrap();

    let run = &fetched.config["config"];
    assert_eq!(run["User"], format!("{USER}:{USER}"));
    assert_eq!(run["Volumes"], json!({"/data": {}}));
    let words = run["Entrypoint"].as_array().unwrap().iter().chain(run["Cmd"].as_array().unwrap());
    let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words.last(), Some(&"serve"));
    // What a container does: the root becomes read-only, with a volume in it, and the user is another one.
    let script = "mount --bind \"$1\" \"$1\" && mount --bind \"$1/data\" \"$1/data\" && \
                  mount -o remount,bind,ro \"$1\" && root=$1 user=$2 && shift 2 && \
                  exec chroot --userspec=\"$user\" \"$root\" \"$@\"";
    let port = ports::free().unwrap();
    let mut command = tokio::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]);
    command.arg(unpacked.path()).arg(run["User"].as_str().unwrap()).args(&words);
    command.env_clear().env("POLICY_ADMIN_TOKEN", TOKEN).env("POLICY_GATEWAYS", "gateway-1:secret-of-this-test");
    for variable in run["Env"].as_array().unwrap() {
        let (name, value) = variable.as_str().unwrap().split_once('=').unwrap();
        command.env(name, value.replace("0.0.0.0:8085", &format!("127.0.0.1:{port}")));
    }
    // `unshare` and `chroot` are found here, and not in the image.
    command.env("PATH", std::env::var("PATH").unwrap());
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut service = Process::start("policy-service", command, log.path().to_owned()).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let up = async || {
        service.check()?;
        let answer = send(address, &Ask::get("/healthz")).await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(testkit::Error::unexpected("/healthz", "200", answer.to_string()))
        }
    };
    eventually("the service answers from its image", STARTING, up).await.unwrap();

    let status = fs::read_to_string(format!("/proc/{}/status", service.id().unwrap())).unwrap();
    let owner = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    assert!(owner.split_whitespace().all(|id| id == USER.to_string()), "it runs as this user: {owner}");
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", service.id().unwrap())).unwrap();
    let root_mount = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).unwrap();
    assert!(root_mount.split(' ').nth(3).unwrap().split(',').any(|option| option == "ro"), "{root_mount}");
    let administrator = |ask: Ask| ask.header("authorization", format!("Bearer {TOKEN}"));
    let api = json!({"id": "orders-1.0", "name": "Orders", "version": "1.0", "match": [{"path": "/orders/1.0"}]});
    let made = send(address, &administrator(Ask::new("POST", "/v1/apis")).json(api)).await.unwrap();
    assert_eq!(made.status, 201, "{made}");
    let healthy = send(address, &Ask::get("/healthz/write")).await.unwrap();
    assert_eq!(healthy.status, 200, "{healthy}");
    let database = fs::metadata(unpacked.path().join("data/policy.db")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&database), USER);
    assert!(!unpacked.path().join("policy.db").exists());
    service.stop().await;
}

#[test]
#[ignore = "make e2e-package"]
fn the_checksums_are_those_of_all_files() {
    let sums = fs::read_to_string(packages().join("SHA256SUMS")).unwrap();
    let mut named: Vec<String> = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(digest(&fs::read(packages().join(name)).unwrap()), format!("sha256:{sum}"), "{name}");
        named.push(name.to_owned());
    }
    let listed = Command::new("find").args([".", "-type", "f", "-printf", "%P\\n"]).current_dir(packages()).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let mut files: Vec<&str> = listed.lines().filter(|name| *name != "SHA256SUMS").collect();
    files.sort_unstable();
    assert_eq!(named, files);
    for name in ["sbom.cdx.json".to_owned(), format!("keygate-{VERSION}.wasm")] {
        assert!(named.contains(&name), "{name}");
    }
}

#[test]
#[ignore = "make e2e-package"]
fn the_bill_of_materials_is_valid_and_names_what_is_in_the_image() {
    let schemas = root().join(".tools/cyclonedx/cyclonedx/schema/_res");
    let schema = |name: &str| json_of(&schemas.join(name));
    let others = ["spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"];
    let mut registry = jsonschema::Registry::new();
    for other in others {
        registry = registry.add(format!("http://cyclonedx.org/schema/{other}"), schema(other)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let schema = schema("bom-1.6.SNAPSHOT.schema.json");
    let validator = jsonschema::options().with_registry(&registry).build(&schema).unwrap();
    let bill = json_of(&packages().join("sbom.cdx.json"));
    let errors: Vec<String> =
        validator.iter_errors(&bill).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
    let mut wrong = bill.clone();
    wrong["components"][0]["type"] = json!("no-such-type");
    assert!(!validator.is_valid(&wrong), "the schema checks something");

    let names: Vec<&str> =
        bill["components"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
    for name in
        ["libc6", "ca-certificates", "libsqlite3-sys", "proxy-wasm", "keygate", "policy-service", "htmx.org", "sqlite"]
    {
        assert!(names.contains(&name), "{name}");
    }
    // What is in the image, and what is in the module alone.
    let parts = |file: String| -> Vec<String> {
        let all = bill["dependencies"].as_array().unwrap();
        let own = all.iter().find(|dependency| dependency["ref"] == file).unwrap_or_else(|| panic!("{file}"));
        own["dependsOn"].as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect()
    };
    let (image, module) = (format!("policy-service-{VERSION}.oci.tar"), format!("keygate-{VERSION}.wasm"));
    for (file, part, is_in) in [
        (&image, "pkg:npm/htmx.org@", true),
        (&image, "pkg:generic/sqlite@", true),
        (&image, "pkg:deb/debian/libc6@", true),
        (&image, "pkg:cargo/axum@", true),
        (&image, "pkg:cargo/proxy-wasm@", false),
        (&module, "pkg:cargo/proxy-wasm@", true),
        (&module, "pkg:npm/", false),
        (&module, "pkg:deb/", false),
    ] {
        assert_eq!(parts(file.clone()).iter().any(|name| name.starts_with(part)), is_in, "{file}: {part}");
    }
    // Every part of others names its licence; of Debian's packages the image has the texts.
    for part in bill["components"].as_array().unwrap().iter().filter(|part| part["type"] == "library") {
        let is_debian = part["purl"].as_str().unwrap().starts_with("pkg:deb/");
        assert!(is_debian || part["licenses"][0].is_object(), "{part}");
    }
    assert!(!names.contains(&"tempfile") && !names.contains(&"limitador"), "what only tests use is in no artifact");
}

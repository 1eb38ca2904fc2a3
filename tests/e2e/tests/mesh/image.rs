//! A registry on loopback, and modules in it as `make package` packs them: a manifest with one layer, which holds
//! `plugin.wasm`.

use std::{fs, io::Write as _, net::SocketAddr, path::Path, time::Duration};

use flate2::{Compression, GzBuilder};
use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    ports,
    process::Process,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use walrus::{ValType, ir::BinaryOp};

/// How long the registry may take to start.
const STARTING: Duration = Duration::from_secs(20);

pub struct Registry {
    address: SocketAddr,
    _process: Process,
}

/// An image in a registry.
#[derive(Clone, Debug)]
pub struct Image {
    /// `127.0.0.1:5000/keygate:tag`.
    pub reference: String,
    /// The digest of its manifest, without `sha256:`.
    pub digest: String,
}

impl Registry {
    /// Starts a registry with its files in `folder`.
    pub async fn start(folder: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let config = json!({
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": folder.join("registry")}},
            "http": {"addr": address.to_string()},
        });
        let file = folder.join("registry.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(artifacts::root().join(".tools/bin/docker-registry"));
        command.arg("serve").arg(&file).env("OTEL_TRACES_EXPORTER", "none");
        let process = Process::start("docker-registry", command, folder.join("registry.log")).unwrap();
        eventually("the registry to answer", STARTING, async || http::send(address, &Ask::get("/v2/")).await)
            .await
            .unwrap();
        Self { address, _process: process }
    }

    /// Packs a module, and pushes it with a tool that knows nothing of keygate.
    pub async fn push(&self, folder: &Path, tag: &str, module: &[u8]) -> Image {
        let layout = folder.join(format!("layout-{tag}"));
        let digest = write_layout(&layout, module);
        let reference = format!("{}/keygate:{tag}", self.address);
        let mut command = Command::new("skopeo");
        command.args(["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]);
        command.arg(format!("oci:{}", layout.display())).arg(format!("docker://{reference}"));
        let output = command.output().await.expect("tools/need skopeo installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Image { reference, digest }
    }
}

/// The module with another digest: with a section that nothing reads.
pub fn variant(module: &[u8], name: &str) -> Vec<u8> {
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name.as_bytes());
    let mut changed = module.to_vec();
    changed.extend([0, u8::try_from(section.len()).unwrap()]);
    changed.extend(section);
    changed
}

/// The module with a VM that dies: the callback for a request traps at each VM's request number `requests`.
pub fn mortal(module: &[u8], requests: i32) -> Vec<u8> {
    const CALLBACK: &str = "proxy_on_request_headers";
    let mut module = walrus::Module::from_buffer(module).unwrap();
    let export = module.exports.iter().find(|export| export.name == CALLBACK).unwrap();
    let (export, walrus::ExportItem::Function(callback)) = (export.id(), export.item) else { panic!("{CALLBACK}") };
    let zero = walrus::ConstExpr::Value(walrus::ir::Value::I32(0));
    let seen = module.globals.add_local(ValType::I32, true, false, zero);
    let arguments = [(); 3].map(|()| module.locals.add(ValType::I32));
    let mut builder = walrus::FunctionBuilder::new(&mut module.types, &[ValType::I32; 3], &[ValType::I32]);
    let mut body = builder.func_body();
    body.global_get(seen).i32_const(1).binop(BinaryOp::I32Add).global_set(seen);
    body.global_get(seen).i32_const(requests).binop(BinaryOp::I32GeS);
    body.if_else(
        None,
        |dies| {
            dies.unreachable();
        },
        |_| (),
    );
    for argument in arguments {
        body.local_get(argument);
    }
    body.call(callback);
    let function = builder.finish(arguments.to_vec(), &mut module.funcs);
    module.exports.delete(export);
    module.exports.add(CALLBACK, function);
    module.emit_wasm()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_layout(folder: &Path, module: &[u8]) -> String {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |bytes: &[u8], media_type: &str| -> Value {
        let digest = sha256(bytes);
        fs::write(blobs.join(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let mut header = tar::Header::new_ustar();
    header.set_path("plugin.wasm").unwrap();
    header.set_size(module.len().try_into().unwrap());
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, module).unwrap();
    let archive = archive.into_inner().unwrap();
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    packed.write_all(&archive).unwrap();
    let layer = blob(&packed.finish().unwrap(), "application/vnd.oci.image.layer.v1.tar+gzip");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&archive))]},
    });
    let config = blob(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
    let manifest = blob(manifest.to_string().as_bytes(), media_type);
    let digest = manifest["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    fs::write(folder.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    digest
}

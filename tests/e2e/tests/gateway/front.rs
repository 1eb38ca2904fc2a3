//! The policy service with the demo data, and what can be in front of it: a proxy that records requests and ends
//! answers, another Envoy, nginx. The gateways have stacks of their own.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use keygate_e2e::{
    Error, Options, Stack, artifacts,
    config::EnvoyConfig,
    cutter::Cutter,
    deadline::eventually,
    envoy::{Envoy, Launch},
    policy_service::PolicyService,
    ports,
    process::Process,
    stack::Policy,
    story::{self, Keys},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command};

/// How long nginx may take to listen.
const STARTING: Duration = Duration::from_secs(30);

/// The policy service with the demo data, and a proxy in front of it.
pub struct Front {
    pub stack: Stack,
    pub keys: Keys,
    pub cutter: Cutter,
}

impl Front {
    pub async fn start(name: &str, options: Options) -> Self {
        let stack = Stack::prepare(name, options).await.unwrap();
        let keys = story::load(stack.policy().unwrap()).await.unwrap();
        let cutter = Cutter::start(stack.policy().unwrap().address()).await.unwrap();
        Self { stack, keys, cutter }
    }

    pub fn policy(&self) -> &PolicyService {
        self.stack.policy().unwrap()
    }

    pub fn policy_mut(&mut self) -> &mut PolicyService {
        self.stack.policy_mut().unwrap()
    }

    /// The targets of all callouts for the policy, from the `first` on, in order.
    pub fn polls(&self, first: usize) -> Vec<String> {
        let asked = self.cutter.asked();
        let targets = asked.iter().skip(first).map(|asked| asked.target().to_owned());
        targets.filter(|target| target.contains("/policy")).collect()
    }
}

/// The options of a gateway that asks for its policy at this address.
pub fn asks(address: SocketAddr) -> Options {
    Options { policy: Policy::At(address), ..Options::default() }
}

/// Another Envoy in front of the policy service, with these fields in its only route.
pub async fn envoy(name: &str, service: SocketAddr, domains: &[&str], r#match: Value, mut route: Value) -> Envoy {
    let folder = folder(name);
    route["cluster"] = "policy".into();
    let routes = json!([{"match": r#match, "route": route}]);
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "route_config": {"virtual_hosts": [{"name": "policy", "domains": domains, "routes": routes}]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    let endpoint = json!({"endpoint": {"address": socket(service)}});
    let config = json!({
        "admin": {"address": socket(([127, 0, 0, 1], 0).into())},
        "static_resources": {
            "listeners": [{
                "name": "front", "address": socket(([127, 0, 0, 1], 0).into()),
                "filter_chains": [{"filters": [filter]}],
            }],
            "clusters": [{
                "name": "policy", "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": {"cluster_name": "policy", "endpoints": [{"lb_endpoints": [endpoint]}]},
            }],
        },
    });
    let config = EnvoyConfig::new(serde_json::to_string_pretty(&config).unwrap());
    let launch = Launch { workers: 1, ..Launch::default() };
    Envoy::start(&folder, &config, &launch, &folder.join("access.log")).await.unwrap()
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// nginx in front of the policy service, started by this test: on a free port of loopback, with all its files in
/// `target/stack/<name>`. It does not touch an nginx that runs as a service.
pub struct Nginx {
    pub address: SocketAddr,
    _process: Process,
}

impl Nginx {
    /// `location` is the text of its only location, beside `proxy_pass`.
    pub async fn start(name: &str, service: SocketAddr, location: &str) -> Self {
        let folder = folder(name);
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let path = |file: &str| folder.join(file).display().to_string();
        let bodies = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", path(kind)))
            .join(" ");
        let (pid, errors) = (path("pid"), path("error.log"));
        let config = format!(
            "daemon off; worker_processes 1; pid {pid}; error_log {errors} info;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; {bodies}\n  server {{ listen {address};\n    location / {{ proxy_pass http://{service}; \
             {location} }}\n  }}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(artifacts::nginx().unwrap());
        // If root runs nginx, it gives its worker another user, who cannot reach these files. Without a master there is
        // no worker process.
        command.arg("-p").arg(&folder).arg("-c").arg(&file).args(["-e", &errors, "-g", "master_process off;"]);
        let mut process = Process::start("nginx", command, folder.join("nginx.log")).unwrap();
        let (listens, _) = eventually("nginx to listen", STARTING, async || match process.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => TcpStream::connect(address).await.map(|_| Ok(())).map_err(Error::io("connecting to nginx")),
        })
        .await
        .unwrap();
        listens.unwrap();
        Self { address, _process: process }
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = artifacts::root().join("target/stack").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

//! Envoy's own rate limit server (envoyproxy/ratelimit) behind `envoy/global-ratelimit/envoy.yaml`: two of them, each with
//! an Envoy, and one Redis. `make e2e-ratelimit` builds the server with Go and runs these tests. The limits are those that
//! the file shows.

use std::{collections::BTreeMap, fs, net::SocketAddr};

use keygate_e2e::{
    Stack, artifacts,
    deadline::eventually,
    http::{self, Ask},
    ports,
    process::Process,
};
use tokio::{process::Command, task::JoinSet};

use crate::{
    global_ratelimit::{COUNTED, QUOTA, WITHIN, ask, gateway, gateways, one_quota, policy, shown},
    redis::Redis,
};

/// A running server, as its documents start it for an Envoy on the same machine.
struct EnvoysServer {
    address: SocketAddr,
    process: Process,
}

impl EnvoysServer {
    async fn start(name: &str, redis: &Redis) -> Self {
        let folder = artifacts::root().join("target/stack").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("config")).unwrap();
        // Its windows begin with the unit. So an hour could end during the test.
        let limits = shown("domain: keygate");
        assert!(limits.contains("unit: hour"), "{limits}");
        fs::write(folder.join("config/keygate.yaml"), limits.replace("unit: hour", "unit: year")).unwrap();
        let [grpc, health, debug] = [(); 3].map(|()| ports::free().unwrap());
        let mut command = Command::new(artifacts::ratelimit().unwrap());
        command.env_clear().current_dir(&folder);
        for (variable, port) in [("GRPC", grpc), ("", health), ("DEBUG", debug)] {
            let prefix = if variable.is_empty() { String::new() } else { format!("{variable}_") };
            command.env(format!("{prefix}HOST"), "127.0.0.1").env(format!("{prefix}PORT"), port.to_string());
        }
        command.env("RUNTIME_ROOT", &folder).env("RUNTIME_WATCH_ROOT", "false").env("USE_STATSD", "false");
        command.env("REDIS_SOCKET_TYPE", "tcp").env("REDIS_URL", redis.address().to_string());
        let mut process = Process::start("ratelimit", command, folder.join("ratelimit.log")).unwrap();
        let health = SocketAddr::from(([127, 0, 0, 1], health));
        eventually("the rate limit server to be healthy", WITHIN, async || {
            process.check().map_err(|ended| ended.to_string()).unwrap();
            let answer = http::send(health, &Ask::get("/healthcheck")).await.map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", process.log()));
        Self { address: ([127, 0, 0, 1], grpc).into(), process }
    }
}

async fn servers(name: &str, redis: &Redis) -> [EnvoysServer; 2] {
    let [first, second] = ["first", "second"].map(|which| format!("{name}-{which}"));
    let (first, second) = tokio::join!(EnvoysServer::start(&first, redis), EnvoysServer::start(&second, redis));
    [first, second]
}

/// The statuses of `count` simultaneous requests of one application, half of them through each Envoy.
async fn at_once(both: &[Stack; 2], count: usize) -> BTreeMap<u16, usize> {
    let mut asked = JoinSet::new();
    for number in 0..count {
        let gateway = both[number % 2].envoy().unwrap().gateway();
        asked.spawn(async move { http::send(gateway, &Ask::get(COUNTED).key("shop")).await.unwrap().status.as_u16() });
    }
    let mut statuses = BTreeMap::new();
    for status in asked.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test]
#[ignore = "needs Envoy's rate limit server: make e2e-ratelimit"]
async fn envoys_own_servers_let_one_quota_pass_and_count_nothing_else() {
    let feed = policy().await;
    let redis = Redis::start("ratelimit-quota-redis").await;
    let servers = servers("ratelimit-quota", &redis).await;
    let both = gateways("ratelimit-quota", &feed, [servers[0].address, servers[1].address]).await;
    for stack in one_quota(both).await {
        stack.stop().await;
    }
}

/// The documents say so: no simultaneous request too many passes, and the counts survive the servers.
#[tokio::test]
#[ignore = "needs Envoy's rate limit server: make e2e-ratelimit"]
async fn a_quota_is_exact_at_once_and_survives_the_servers() {
    let feed = policy().await;
    let redis = Redis::start("ratelimit-exact-redis").await;
    let before = servers("ratelimit-exact", &redis).await;
    let addresses = [before[0].address, before[1].address];
    let both = gateways("ratelimit-exact", &feed, addresses).await;
    let passed = usize::try_from(QUOTA).unwrap();
    assert_eq!(at_once(&both, 100).await, BTreeMap::from([(200, passed), (429, 100 - passed)]));
    for mut server in before {
        server.process.stop().await;
    }
    for stack in both {
        stack.stop().await;
    }
    let after = servers("ratelimit-again", &redis).await;
    let both = gateways("ratelimit-again", &feed, [after[0].address, after[1].address]).await;
    assert_eq!(at_once(&both, 10).await, BTreeMap::from([(429, 10)]));
    for stack in both {
        stack.stop().await;
    }
}

/// A server without its Redis answers with an error, which Envoy takes as no answer.
#[tokio::test]
#[ignore = "needs Envoy's rate limit server: make e2e-ratelimit"]
async fn without_redis_requests_pass_unless_the_configuration_refuses_them() {
    let feed = policy().await;
    let mut redis = Redis::start("ratelimit-away-redis").await;
    let servers = servers("ratelimit-away", &redis).await;
    let deny = vec![("failure_mode_deny: false", "failure_mode_deny: true".to_owned())];
    let (allows, denies) = tokio::join!(
        gateway("ratelimit-away-allows", &feed, servers[0].address, Vec::new()),
        gateway("ratelimit-away-denies", &feed, servers[1].address, deny)
    );
    redis.kill().await;
    for (stack, status) in [(&allows, 200), (&denies, 503)] {
        let answer = ask(stack, Ask::get(COUNTED).key("shop")).await;
        assert_eq!(answer.status, status, "{answer}");
        assert_eq!(ask(stack, Ask::get(COUNTED).key("nobody")).await.status, 401, "keygate decides all the same");
    }
    let name = "cluster.upstream.ratelimit.failure_mode_allowed";
    assert_eq!(allows.envoy().unwrap().stat(name).await.unwrap(), 1);
    allows.stop().await;
    denies.stop().await;
}

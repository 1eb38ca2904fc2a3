//! What Envoy does for keygate beyond a request's head: trailers that a client sends, and streams that are open when a
//! block comes. The shipped configurations drop trailers and limit the duration of streams. What keygate itself does
//! with trailers, and with open streams if it is configured to close them, is tested here too.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use http_body_util::{
    BodyExt as _, Full,
    channel::{Channel, Sender},
    combinators::BoxBody,
};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::{HeaderName, HeaderValue},
    server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keygate_e2e::{
    Options, Stack, artifacts,
    deadline::eventually,
    http::{self, Ask},
    story::{self, Keys, ORDERS},
    workers::Workers,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// How long the policy, a block and the access log may take.
const WITHIN: Duration = Duration::from_secs(20);
/// The bound of the shipped configurations, and the shorter one with which a test can see the end.
const SHIPPED_BOUND: &str = "max_stream_duration: 600s";
const BOUND: Duration = Duration::from_secs(6);
/// The shorter timeout of the route. It is shorter than the bound in both cases.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(1);
/// The shipped route to the production endpoint.
const SHIPPED_ROUTE: &str =
    "              - match: { prefix: / }\n                route: { cluster: upstream, timeout: 15s }\n";
/// How much later than its bound a stream may end on a busy machine.
const SLACK: Duration = Duration::from_secs(8);
/// The pause between two messages of the upstreams on an open stream.
const TICK: Duration = Duration::from_millis(100);
/// The path of the HTTP/1.1 upstream with WebSockets.
const SOCKET: &str = "/orders/1.0/socket";
/// A request that the HTTP/2 upstream answers without an end.
const ENDLESS: &str = "/orders/1.0/endless";
/// The same on a route without a timeout.
const EVENTS: &str = "/orders/1.0/events";

type Body = BoxBody<Bytes, Infallible>;

/// An upstream of one protocol. It ends when this value is dropped.
struct Upstream {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Upstream {
    /// HTTP/2: answers with the headers and trailers that it received, or without an end.
    async fn http2() -> Self {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                // A broken connection is seen by the other side.
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Self { address, server }
    }

    /// HTTP/1.1: switches protocols, and then sends a message at each tick.
    async fn socket() -> Self {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move { speak(stream).await.ok() });
            }
        });
        Self { address, server }
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if [ENDLESS, EVENTS].contains(&request.uri().path()) {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        tokio::spawn(async move {
            while sender.send_data(Bytes::from_static(b"tick")).await.is_ok() {
                tokio::time::sleep(TICK).await;
            }
        });
        return Ok(Response::new(body.boxed()));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await;
    let trailers = body.ok().and_then(|body| body.trailers().cloned());
    let got = json!({"headers": pairs(&head.headers), "trailers": trailers.map(|trailers| pairs(&trailers))});
    Ok(Response::new(Full::from(got.to_string()).boxed()))
}

fn pairs(headers: &HeaderMap) -> Value {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), json!(value.to_str().unwrap()))).collect()
}

async fn speak(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await?;
    loop {
        stream.write_all(b"tick").await?;
        tokio::time::sleep(TICK).await;
    }
}

/// Both shipped configurations. The rate limit server does not answer, so requests pass uncounted.
fn shipped() -> [(&'static str, Options); 2] {
    let of = |folder: &str| -> PathBuf { artifacts::root().join("envoy").join(folder).join("envoy.yaml") };
    let (standalone, global) = (of("standalone"), of("global-ratelimit"));
    let global = Options { shipped: global, ..Options::default() }
        .edit("address: 127.0.0.1, port_value: 8081", "address: 127.0.0.1, port_value: 1");
    [("standalone", Options { shipped: standalone, ..Options::default() }), ("global-ratelimit", global)]
}

/// A stack whose production endpoint is `http2`, except for [`SOCKET`], which is `socket`.
async fn stage(name: &str, options: Options, http2: &Upstream, socket: &Upstream) -> (Stack, Keys) {
    let timeout = format!("timeout: {}s", ROUTE_TIMEOUT.as_secs());
    let routes = [
        route(SOCKET, "socket", &format!("{timeout}, upgrade_configs: [{{ upgrade_type: websocket }}]")),
        route(EVENTS, "http2", "timeout: 0s"),
        route("/", "http2", &timeout),
    ];
    let clusters = [
        cluster("http2", http2.address, "{ http2_protocol_options: {} }"),
        cluster("socket", socket.address, "{ http_protocol_options: {} }"),
    ];
    let options = options
        .edit(SHIPPED_ROUTE, routes.concat())
        .edit("\n  clusters:\n", format!("\n  clusters:\n{}", clusters.concat()));
    let (stack, keys) = story::stage(name, options).await.unwrap();
    eventually("the policy", WITHIN, async || match ask(&stack, &Ask::get(ORDERS).key(&keys.production)).await {
        (200, _) => Ok(()),
        (status, code) => Err(format!("{status} {code}")),
    })
    .await
    .unwrap();
    (stack, keys)
}

fn route(prefix: &str, cluster: &str, more: &str) -> String {
    format!("              - match: {{ prefix: {prefix} }}\n                route: {{ cluster: {cluster}, {more} }}\n")
}

fn cluster(name: &str, address: SocketAddr, protocol: &str) -> String {
    let port = address.port();
    let address = format!("{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}");
    format!(
        r#"  - name: {name}
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {protocol}
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints: [{{ endpoint: {{ address: {address} }} }}]
"#
    )
}

async fn ask(stack: &Stack, ask: &Ask) -> (u16, String) {
    let answer = http::send(stack.envoy().unwrap().gateway(), ask).await.unwrap();
    (answer.status.as_u16(), answer.code().unwrap_or_default())
}

fn request(method: &str, target: &str, key: &str) -> hyper::http::request::Builder {
    Request::builder().method(method).uri(format!("http://gateway.test{target}")).header("x-api-key", key)
}

/// A connection over HTTP/2.
async fn http2_to(address: SocketAddr) -> http2::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    // The task ends with the connection. Its errors reach the caller that waits for an answer.
    tokio::spawn(connection);
    sender
}

/// A connection over HTTP/1.1.
async fn http1_to(address: SocketAddr) -> http1::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    // As above.
    tokio::spawn(connection);
    sender
}

/// Trailers that forge an identity or carry the key, and harmless ones.
fn trailers(key: &str) -> HeaderMap {
    let all = [
        ("x-application-id", "forged"),
        ("x-key-type", "SANDBOX"),
        ("x-key-id", "forged"),
        ("x-api-key", key),
        ("apikey", key),
        ("authorization", key),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-checksum", "1"),
    ];
    all.into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

#[tokio::test]
async fn no_trailer_of_a_request_reaches_an_upstream() {
    let (http2, socket) = (Upstream::http2().await, Upstream::socket().await);
    for (name, options) in shipped() {
        let (stack, keys) = stage(&format!("streams-trailers-{name}"), options, &http2, &socket).await;
        let gateway = stack.envoy().unwrap().gateway();
        let (mut over2, mut over1) = (http2_to(gateway).await, http1_to(gateway).await);
        let names = trailers("").keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(", ");
        for body in ["", "something"] {
            let send = || {
                let trailers = trailers(&keys.production);
                let body = Full::from(body).with_trailers(async move { Some(Ok(trailers)) });
                request("POST", ORDERS, &keys.production).header("trailer", &names).body(body.boxed()).unwrap()
            };
            let mut local = send();
            local.headers_mut().insert("host", HeaderValue::from_static("gateway.test"));
            *local.uri_mut() = ORDERS.parse().unwrap();
            for (protocol, response) in
                [("HTTP/2", over2.send_request(send()).await), ("HTTP/1.1", over1.send_request(local).await)]
            {
                let response = response.unwrap();
                assert_eq!(response.status(), 200, "{name}, {protocol}");
                let got = response.into_body().collect().await.unwrap().to_bytes();
                let got: Value = serde_json::from_slice(&got).unwrap();
                assert_eq!(got["headers"]["x-application-id"], "shop", "{name}, {protocol}: {got}");
                let trailers = got["trailers"].as_object().is_none_or(serde_json::Map::is_empty);
                assert!(trailers, "{name}, {protocol}, body {body:?}: {got}");
            }
        }
        stack.stop().await;
    }
}

/// If a configuration does not drop all trailers, keygate itself removes those that would forge an identity or contain
/// the key. The others arrive.
#[tokio::test]
async fn no_trailer_forges_an_identity_where_trailers_are_not_dropped() {
    let (http2, socket) = (Upstream::http2().await, Upstream::socket().await);
    let [(_, options), _] = shipped();
    let options = options.edit(r#"regex: ".*""#, r#"regex: "x-none""#);
    let (stack, keys) = stage("streams-trailers-kept", options, &http2, &socket).await;
    let mut gateway = http2_to(stack.envoy().unwrap().gateway()).await;
    for text in ["", "something"] {
        let trailers = trailers(&keys.production);
        let body = Full::from(text).with_trailers(async move { Some(Ok(trailers)) });
        let request = request("POST", ORDERS, &keys.production).body(body.boxed()).unwrap();
        let response = gateway.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let got = response.into_body().collect().await.unwrap().to_bytes();
        let got: Value = serde_json::from_slice(&got).unwrap();
        let names: Vec<_> = got["trailers"].as_object().unwrap().keys().collect();
        // `authorization` is not a source of this configuration.
        assert_eq!(names, ["authorization", "x-checksum", "x-forwarded-for"], "body {text:?}: {got}");
    }
    stack.stop().await;
}

/// An open stream. It counts as open as long as messages of the upstream arrive.
enum Open {
    /// The answer over HTTP/2. `_request` keeps the endless request open, which would end when dropped.
    Http2 { said: Incoming, _request: Option<Sender<Bytes, Infallible>> },
    /// The connection after the answer that switched protocols.
    Socket(TcpStream),
}

impl Open {
    /// Waits for the next message. `false` means that the stream has ended.
    async fn goes_on(&mut self) -> bool {
        let next = async {
            match self {
                Self::Http2 { said, .. } => said.frame().await.is_some_and(|frame| frame.is_ok()),
                Self::Socket(stream) => stream.read(&mut [0; 64]).await.is_ok_and(|size| size > 0),
            }
        };
        timeout(WITHIN, next).await.expect("something is said, or the stream ends")
    }

    async fn grpc(gateway: SocketAddr, key: &str) -> Self {
        let (sender, body) = Channel::new(1);
        let request = request("POST", ENDLESS, key).header("content-type", "application/grpc").header("te", "trailers");
        let response = http2_to(gateway).await.send_request(request.body(body.boxed()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self::Http2 { said: response.into_body(), _request: Some(sender) }
    }

    async fn download(gateway: SocketAddr, path: &str, key: &str) -> Self {
        let request = request("GET", path, key).header("accept", "text/event-stream");
        let response =
            http2_to(gateway).await.send_request(request.body(Full::default().boxed()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self::Http2 { said: response.into_body(), _request: None }
    }

    async fn websocket(gateway: SocketAddr, key: &str) -> Self {
        let mut stream = TcpStream::connect(gateway).await.unwrap();
        let head = format!(
            "GET {SOCKET} HTTP/1.1\r\nhost: gateway.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-api-key: {key}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(WITHIN, stream.read_u8()).await.unwrap().unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        Self::Socket(stream)
    }
}

/// The access log's `details` of the allowed request for `path` with this method that took at least `least`.
async fn details(stack: &Stack, method: &str, path: &str, least: Duration) -> String {
    let took =
        |line: &Value| line["duration_ms"].as_u64().is_some_and(|took| u128::from(took) + 100 >= least.as_millis());
    let (found, _) = eventually("the access log", WITHIN, async || {
        let lines = stack.envoy().unwrap().access_log();
        let mut of = lines.iter().filter(|line| line["method"] == method && line["path"] == path && took(line));
        of.next().map(|line| line["details"].as_str().unwrap_or("none").to_owned()).ok_or(format!("{lines:?}"))
    })
    .await
    .unwrap();
    found
}

#[tokio::test]
async fn a_stream_that_is_open_outlives_a_block_and_then_ends_at_its_bound() {
    let (http2, socket) = (Upstream::http2().await, Upstream::socket().await);
    for (name, options) in shipped() {
        let options = options.edit(SHIPPED_BOUND, format!("max_stream_duration: {}s", BOUND.as_secs()));
        let (stack, keys) = stage(&format!("streams-bound-{name}"), options, &http2, &socket).await;
        let gateway = stack.envoy().unwrap().gateway();
        let begun = Instant::now();
        let mut download = Open::download(gateway, ENDLESS, &keys.production).await;
        let mut streams = [
            ("gRPC", Open::grpc(gateway, &keys.production).await),
            ("WebSocket", Open::websocket(gateway, &keys.production).await),
            ("events", Open::download(gateway, EVENTS, &keys.production).await),
        ];
        stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block?state=BLOCKED", None).await.unwrap();
        let refused = Ask::get(ORDERS).key(&keys.production);
        eventually("the block", WITHIN, async || match ask(&stack, &refused).await {
            (401, code) if code == "900907" => Ok(()),
            (status, code) => Err(format!("{status} {code}")),
        })
        .await
        .unwrap();
        assert!(begun.elapsed() < BOUND, "the block came too late to be seen: {:?}", begun.elapsed());

        // A request that has arrived in full is ended by its route's timeout.
        while download.goes_on().await {
            assert!(begun.elapsed() < ROUTE_TIMEOUT + SLACK, "{name}: a download goes on");
        }
        // Envoy rounds its timers.
        assert!(begun.elapsed() >= ROUTE_TIMEOUT - TICK, "{name}: {:?}", begun.elapsed());
        assert_eq!(details(&stack, "GET", ENDLESS, ROUTE_TIMEOUT).await, "response_timeout", "{name}");
        // The others stay open after the block, and for longer than the route's timeout.
        for (kind, stream) in &mut streams {
            assert!(stream.goes_on().await, "{name}, {kind}");
            while stream.goes_on().await {
                assert!(begun.elapsed() < BOUND + SLACK, "{name}: {kind} goes on");
            }
            assert!(begun.elapsed() >= BOUND - TICK, "{name}, {kind}: ended after {:?}", begun.elapsed());
        }
        for (method, path) in [("POST", ENDLESS), ("GET", SOCKET), ("GET", EVENTS)] {
            assert_eq!(details(&stack, method, path, BOUND).await, "max_duration_timeout", "{name}, {path}");
        }
        stack.stop().await;
    }
}

/// With `close_streams` an open stream of any kind ends with the block of its subscription. The stream of another key
/// stays open.
#[tokio::test]
async fn a_stream_that_is_open_ends_with_a_block_where_streams_are_closed() {
    let (http2, socket) = (Upstream::http2().await, Upstream::socket().await);
    let options = Options::default()
        .edit(r#""max_removed_percent": 90"#, r#""close_streams": true, "max_removed_percent": 90"#)
        .edit(SHIPPED_BOUND, format!("max_stream_duration: {}s", ROUTE_TIMEOUT.as_secs() * 10));
    let (stack, keys) = stage("streams-closed", options, &http2, &socket).await;
    let gateway = stack.envoy().unwrap().gateway();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let mut sandbox = Open::download(gateway, EVENTS, &keys.sandbox).await;
    for round in 1..=2 {
        let mut streams = [
            ("gRPC", Open::grpc(gateway, &keys.production).await),
            ("WebSocket", Open::websocket(gateway, &keys.production).await),
            ("events", Open::download(gateway, EVENTS, &keys.production).await),
        ];
        let begun = Instant::now();
        let path = "/v1/subscriptions/shop-orders/block?state=PROD_ONLY_BLOCKED";
        stack.policy().unwrap().post(path, None).await.unwrap();
        for (kind, stream) in &mut streams {
            while stream.goes_on().await {
                assert!(begun.elapsed() < SLACK, "{kind} goes on in round {round}");
            }
        }
        assert!(sandbox.goes_on().await, "what is not blocked goes on");
        stack.policy().unwrap().post("/v1/subscriptions/shop-orders/unblock", None).await.unwrap();
        // The streams of the next round may begin on any worker.
        let allowed = Ask::get(ORDERS).key(&keys.production);
        eventually("the end of the block", WITHIN, async || {
            let answers = workers.send(&allowed).await.map_err(|error| error.to_string())?;
            let refused = answers.iter().find(|(_, answer)| answer.status.as_u16() != 200);
            refused.map_or(Ok(()), |(worker, answer)| Err(format!("{worker}: {answer}")))
        })
        .await
        .unwrap();
    }
    let closed = stack.envoy().unwrap().stat("wasmcustom.keygate.streams_closed").await.unwrap();
    assert_eq!(closed, 6);
    let lines = stack.envoy().unwrap().access_log();
    let blocked = lines.iter().filter(|line| line["reason"] == "subscription_blocked" && line["path"] == EVENTS);
    assert_eq!(blocked.count(), 2, "{lines:?}");
    stack.stop().await;
}

#[tokio::test]
async fn a_slow_upload_ends_at_its_bound() {
    let (http2, socket) = (Upstream::http2().await, Upstream::socket().await);
    let options = Options::default().edit(SHIPPED_BOUND, format!("max_stream_duration: {}s", BOUND.as_secs()));
    let (stack, keys) = stage("streams-upload", options, &http2, &socket).await;
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        while sender.send_data(Bytes::from_static(b"slow")).await.is_ok() {
            tokio::time::sleep(TICK).await;
        }
    });
    let begun = Instant::now();
    let request = request("PUT", ORDERS, &keys.production).body(body.boxed()).unwrap();
    let mut connection = http2_to(stack.envoy().unwrap().gateway()).await;
    let response = timeout(BOUND + SLACK, connection.send_request(request)).await.expect("an end").unwrap();
    assert_eq!(response.status(), 408);
    assert!(begun.elapsed() >= BOUND - TICK, "{:?}", begun.elapsed());
    assert_eq!(details(&stack, "PUT", ORDERS, BOUND).await, "max_duration_timeout");
    stack.stop().await;
}

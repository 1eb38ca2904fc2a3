//! The guard behind the filter: a request that keygate has not decided is refused.

use keygate_e2e::{Options, Stack, http::Ask, ports, stack::Policy, story::ORDERS, workers::Workers};

/// A disabled filter stands for every way in which a worker can skip the filter silently.
#[tokio::test]
async fn a_request_that_the_filter_has_not_marked_is_refused_on_every_worker() {
    let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
    let options = Options { policy: Policy::At(nobody), ..Options::default() }
        .edit("          - name: keygate\n", "          - name: keygate\n            disabled: true\n");
    let stack = Stack::start("guard", options).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    // A client cannot mark its requests itself either.
    let asks = [
        Ask::get(ORDERS),
        Ask::get(ORDERS).key("a-key").header("wasm.keygate.reason", "allowed").header("x-application-id", "shop"),
    ];
    for ask in &asks {
        for (worker, answer) in workers.send(ask).await.unwrap() {
            assert_eq!(answer.status, 403, "{worker}: {answer}");
            assert_eq!(answer.code(), None, "{worker}: keygate answered, so it was not off");
        }
    }
    assert_eq!(stack.envoy().unwrap().stat("http.gateway.rbac.keygate_guard.denied").await.unwrap(), 4);
    stack.stop().await;
}

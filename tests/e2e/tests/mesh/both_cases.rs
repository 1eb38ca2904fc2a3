//! keygate in each control plane, as `envoy/` ships it: the story, edits and upgrades under load, rotated secrets, faults.
//! Each case is told once and runs in both. What only one of them does is in `gateway_cases` and `istio_cases`.

use keygate_e2e::{
    deadline::eventually,
    http::{self, Ask},
    load::Load,
    mounted::Mounted,
    policy_service::GATEWAY_SECRET,
    story::{BLOCKED, ORDERS},
};
use serde_json::{Value, json};

use crate::{
    capture::{capture, compare},
    envoy_gateway::EnvoyGateway,
    image::{mortal, variant},
    istio::Istio,
    plane::{Plane, start, started},
    stage::{
        AFTERWARDS, NEW_SECRET, REQUESTS, STARTING, WITHIN, answers, fetches, lives_through_deaths, module, rotates,
        shows_policies,
    },
};

/// Makes a test of each case for each control plane.
macro_rules! in_both {
    ($($case:ident)*) => {
        mod envoy_gateway {
            $(#[tokio::test]
            #[ignore = "needs Envoy Gateway: make e2e-mesh"]
            async fn $case() {
                super::$case::<super::EnvoyGateway>().await;
            })*
        }
        mod istio {
            $(#[tokio::test]
            #[ignore = "needs Istio: make e2e-mesh"]
            async fn $case() {
                super::$case::<super::Istio>().await;
            })*
        }
    };
}

in_both! {
    the_shipped_manifests_tell_the_story
    edits_and_upgrades_under_load_lose_no_request_and_fetch_no_policy
    a_rotated_secret_keeps_the_policy
    a_rotated_secret_in_a_file_keeps_the_policy
    without_the_policy_service_the_last_policy_decides_also_after_an_edit
    a_vm_that_dies_is_replaced
    a_configuration_that_is_refused_at_first_lets_nothing_pass_and_works_when_it_is_mended
    two_plugins_on_one_gateway_each_decide
}

async fn the_shipped_manifests_tell_the_story<P: Plane>() {
    let (stage, _, plane) = started::<P>("story", |_, _| ()).await;
    stage.play(plane.gateway()).await;
    let answer = http::send(plane.gateway(), &Ask::get(ORDERS).key(&stage.keys.production)).await.unwrap();
    let upstream = &answer.json()["headers"];
    assert_eq!(upstream["x-application-id"], json!(["shop"]), "{answer}");
    assert_eq!(upstream["x-api-key"], Value::Null, "{answer}");
    let ambiguous = http::send(plane.gateway(), &Ask::get("/orders%2f1.0/list")).await.unwrap();
    assert_eq!(ambiguous.status, 400, "{ambiguous}");
    assert_eq!(plane.rejected().await, 0, "{}", plane.log());
    compare(P::CAPTURE, &capture(plane.admin(), &stage.words(plane.gateway())).await);
    plane.stop().await;
}

async fn edits_and_upgrades_under_load_lose_no_request_and_fetch_no_policy<P: Plane>() {
    let (stage, mut manifests, plane) = started::<P>("edits", |_, _| ()).await;
    let fetched = fetches(plane.admin()).await;
    let load = Load::start(plane.gateway().port(), stage.always());
    for realm in ["first", "second", "third"] {
        plane.edit(&mut manifests, realm).await;
    }
    for tag in ["second-build", "third-build"] {
        let image = stage.registry.push(&stage.folder, tag, &variant(&module(), tag)).await;
        plane.upgrade(&mut manifests, &image, tag).await;
    }
    let asked = load.end().await.unwrap();
    assert!(asked > 500, "{asked}");
    assert_eq!(fetches(plane.admin()).await, fetched, "full policies");
    println!("{asked} requests during three edits and two upgrades, all as expected");
    plane.stop().await;
}

async fn a_rotated_secret_keeps_the_policy<P: Plane>() {
    let (mut stage, mut manifests, plane) = started::<P>("rotation", |_, _| ()).await;
    rotates(&mut stage, plane.gateway(), plane.admin(), async |new| {
        P::set_config(&mut manifests, "/policy/credentials/client_secret", new.into());
        plane.edit(&mut manifests, "rotated").await;
    })
    .await;
    plane.stop().await;
}

/// The secret is in a file, which is replaced. No manifest changes.
async fn a_rotated_secret_in_a_file_keeps_the_policy<P: Plane>() {
    let mut mounted = None;
    let (mut stage, _, plane) = started::<P>("file", |stage, manifests| {
        let secret = Mounted::new(stage.folder.join("mounted"), GATEWAY_SECRET).unwrap();
        P::take_secret_from_file(stage, manifests, &secret);
        mounted = Some(secret);
    })
    .await;
    let mut secret = mounted.unwrap();
    rotates(&mut stage, plane.gateway(), plane.admin(), async |new| secret.replace(new).unwrap()).await;
    let dump = http::send(plane.admin(), &Ask::get("/config_dump")).await.unwrap().body;
    assert!(dump.contains("keygate-secret") && !dump.contains(NEW_SECRET), "the secret is in Envoy's configuration");
    assert_eq!(plane.rejected().await, 0, "{}", plane.log());
    plane.stop().await;
}

async fn without_the_policy_service_the_last_policy_decides_also_after_an_edit<P: Plane>() {
    let (mut stage, mut manifests, plane) = started::<P>("away", |_, _| ()).await;
    let load = Load::start(plane.gateway().port(), stage.always());
    stage.policy.kill().await;
    tokio::time::sleep(AFTERWARDS).await;
    plane.edit(&mut manifests, "edited").await;
    let image = stage.registry.push(&stage.folder, "v2", &variant(&module(), "second build")).await;
    plane.upgrade(&mut manifests, &image, "upgraded").await;
    stage.policy.restart().await.unwrap();
    load.end().await.unwrap();
    stage.policy.post("/v1/subscriptions/shop-orders/block?state=BLOCKED", None).await.unwrap();
    answers(plane.gateway(), &Ask::get(ORDERS).key(&stage.keys.production), BLOCKED, WITHIN).await;
    plane.stop().await;
}

async fn a_vm_that_dies_is_replaced<P: Plane>() {
    let (stage, mut manifests, plane) = started::<P>("dies", |_, manifests| P::replace_dead_vms(manifests)).await;
    let image = stage.registry.push(&stage.folder, "mortal", &mortal(&module(), REQUESTS)).await;
    plane.upgrade(&mut manifests, &image, "mortal").await;
    lives_through_deaths(&stage, plane.gateway(), plane.admin()).await;
    plane.stop().await;
}

async fn a_configuration_that_is_refused_at_first_lets_nothing_pass_and_works_when_it_is_mended<P: Plane>() {
    let wrong = |manifests: &mut _| P::set_config(manifests, "/mode", "enforced".into());
    let (stage, mut manifests, plane) = start::<P>("refused", |_, manifests| wrong(manifests)).await;
    eventually("keygate's line about the configuration", STARTING, async || {
        let is_said = plane.log().contains("keygate's configuration is refused: mode");
        if is_said { Ok(()) } else { Err("not in the log") }
    })
    .await
    .unwrap();
    let good = Ask::get(ORDERS).key(&stage.keys.production);
    let answer = eventually("an answer", STARTING, async || http::send(plane.gateway(), &good).await).await.unwrap().0;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (P::UNCONFIGURED, ""), "{answer}");
    P::set_config(&mut manifests, "/mode", "enforce".into());
    plane.apply(&manifests);
    plane.settle(&stage).await;
    // A later bad edit changes nothing.
    let load = Load::start(plane.gateway().port(), stage.always());
    wrong(&mut manifests);
    let before = plane.rejected().await;
    plane.apply(&manifests);
    eventually("the bad edit to be rejected", WITHIN, async || {
        if plane.rejected().await > before { Ok(()) } else { Err("not yet") }
    })
    .await
    .unwrap();
    tokio::time::sleep(AFTERWARDS).await;
    load.end().await.unwrap();
    plane.stop().await;
}

async fn two_plugins_on_one_gateway_each_decide<P: Plane>() {
    let (stage, _, plane) = started::<P>("two", |_, manifests| P::add_second_plugin(manifests)).await;
    shows_policies(plane.admin(), ["edge", "second"]).await;
    stage.play(plane.gateway()).await;
    plane.stop().await;
}

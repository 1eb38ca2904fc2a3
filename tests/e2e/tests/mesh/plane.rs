//! What Envoy Gateway and Istio have in common for these tests: both make an Envoy's configuration of manifests, and take
//! changed ones while it runs. The cases of `both_cases` are written against this.

use std::net::SocketAddr;

use keygate_e2e::{
    deadline::eventually,
    http::{self, Ask},
    mounted::Mounted,
    ports,
    story::ORDERS,
};
use serde_json::Value;

use crate::{
    image::Image,
    manifests::Manifests,
    stage::{AFTERWARDS, STARTING, Stage, WITHIN, answers},
};

/// A control plane with its Envoy.
pub trait Plane: Sized {
    /// The beginning of the names of its tests' folders.
    const NAME: &'static str;
    /// The capture of what it makes of the shipped manifests.
    const CAPTURE: &'static str;
    /// What a client gets while Envoy has not accepted the first configuration of keygate.
    const UNCONFIGURED: u16;

    /// The shipped manifests with the addresses of `stage`.
    fn shipped(stage: &Stage, port: u16) -> Manifests;
    /// Sets a field of the plugin's configuration.
    fn set_config(manifests: &mut Manifests, pointer: &str, value: Value);
    fn set_image(manifests: &mut Manifests, image: &Image);
    /// Takes the gateway's secret out of the configuration, and the way to the policy service from `secret-file.yaml`.
    fn take_secret_from_file(stage: &Stage, manifests: &mut Manifests, secret: &Mounted);
    /// Adds a plugin like the first one behind it, which has the policy `second`.
    fn add_second_plugin(manifests: &mut Manifests);
    /// Makes Envoy replace VMs that died, if the shipped manifests do not.
    fn replace_dead_vms(manifests: &mut Manifests);

    /// Starts it on `manifests`, with the gateway at `port`, and waits until Envoy is live.
    async fn start(stage: &Stage, manifests: &Manifests, port: u16) -> Self;
    fn gateway(&self) -> SocketAddr;
    fn admin(&self) -> SocketAddr;
    /// Replaces the manifests, as `kubectl apply` does.
    fn apply(&self, manifests: &Manifests);
    /// The log of Envoy.
    fn log(&self) -> String;
    /// How many configurations Envoy rejected.
    async fn rejected(&self) -> usize;
    /// Applies another image, and waits until Envoy uses it. `realm` shows that.
    async fn upgrade(&self, manifests: &mut Manifests, image: &Image, realm: &str);
    async fn stop(self);

    /// Changes the realm, and waits until a refusal shows it. Nothing else may be rejected.
    async fn edit(&self, manifests: &mut Manifests, realm: &str) {
        let rejected = self.rejected().await;
        Self::set_config(manifests, "/replies/realm", realm.into());
        self.apply(manifests);
        let expected = format!("API-Key realm=\"{realm}\"");
        eventually(format!("the realm {realm}"), WITHIN, async || {
            let refused = http::send(self.gateway(), &Ask::get(ORDERS)).await.map_err(|error| error.to_string())?;
            if refused.header("www-authenticate") == Some(&expected) { Ok(()) } else { Err(refused.to_string()) }
        })
        .await
        .unwrap();
        tokio::time::sleep(AFTERWARDS).await;
        assert_eq!(self.rejected().await, rejected, "{}", self.log());
    }

    /// Waits until every kind of request has its answer.
    async fn settle(&self, stage: &Stage) {
        for (ask, expected) in stage.always() {
            answers(self.gateway(), &ask, expected, STARTING).await;
        }
    }
}

/// A control plane on the shipped manifests as `edit` leaves them.
pub async fn start<P: Plane>(name: &str, edit: impl FnOnce(&Stage, &mut Manifests)) -> (Stage, Manifests, P) {
    let stage = Stage::start(&format!("mesh-{}-{name}", P::NAME)).await;
    let port = ports::free().unwrap();
    let mut manifests = P::shipped(&stage, port);
    edit(&stage, &mut manifests);
    let plane = P::start(&stage, &manifests, port).await;
    (stage, manifests, plane)
}

/// The same, and waits until every kind of request has its answer.
pub async fn started<P: Plane>(name: &str, edit: impl FnOnce(&Stage, &mut Manifests)) -> (Stage, Manifests, P) {
    let (stage, manifests, plane) = start::<P>(name, edit).await;
    plane.settle(&stage).await;
    (stage, manifests, plane)
}

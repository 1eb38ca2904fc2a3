//! The manifests in the real control planes, each with a real Envoy, the real policy service, and a registry with the
//! module. `make e2e-mesh` builds the control planes and runs these tests. What needs none of them runs with all others.
//!
//! A control plane uses fixed ports, so these tests take turns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports, and a test's name says what it checks"
)]

mod both_cases;
mod capture;
mod captured_cases;
mod envoy_gateway;
mod gateway_cases;
mod image;
mod istio;
mod istio_cases;
mod istio_tools;
mod manifests;
mod plane;
mod shadow;
mod stage;

//! Plans that are used up: which limits by the day and by the month the reported usage has reached, and the marks in the
//! policy by which every gateway then refuses.
//!
//! Shorter limits are counted in each Envoy and are over before a report could help. A limit counts what was let through
//! in the day or month of UTC that is under way, whatever the plan was at the time; a subscription's plan counts per
//! application and API, an application's over all its APIs. A mark carries the end of its window and ends by itself.
//! Nothing here counts or decides about requests.
//!
//! [`limited`] says of one thing until when its plan is used up. [`review`] looks again at those that a report or a changed
//! plan concerns; it stands above the kinds of things, which all use [`limited`].

pub mod limited;
pub mod review;

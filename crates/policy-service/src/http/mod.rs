//! What all routes share of HTTP: bodies, errors, the names of requests, the description. Knows no route.

pub mod body;
pub mod openapi;
pub mod problem;
pub mod request_id;

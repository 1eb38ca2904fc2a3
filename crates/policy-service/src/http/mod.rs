//! HTTP that all routes share: bodies, errors, request ids and the OpenAPI document. Knows no route.

pub mod body;
pub mod credential;
pub mod openapi;
pub mod problem;
pub mod query;
pub mod request_id;

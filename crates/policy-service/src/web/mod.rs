//! What every page of the service stands on: the document around a page, the static files, and the headers.
//!
//! The pages of a sign-in and those of the console are made of this. It knows neither roles nor rows.

pub mod assets;
pub mod headers;
pub mod place;
pub mod shell;

//! The policy service of keygate: an administrator manages APIs, applications, keys and subscriptions; gateways hold
//! them as a policy that the service feeds to them.
//!
//! In reading order: [`program`] is the program, [`cli`] says what can be asked of it, [`server`] has the routes and
//! [`openapi`] their description, [`clock`] tells the date, [`auth`] who may use them, [`guesses`] what wrong credentials
//! cost, [`request_id`] how requests are named in the log, and [`problem`] how errors look. [`management`] changes the
//! policy, [`store`] keeps it with its recent past in one
//! SQLite file, [`feed`] tells it to gateways, [`usage`] hears from them what was
//! used. [`import`] brings many rows at once, [`backup`] writes the whole database to a file and takes it back.
//!
//! What a page looks like is not defined here: it is `keygate::policy::wire`, which the filter reads with.

#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they end the program where nothing can be written")]

pub mod auth;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod feed;
pub mod guesses;
pub mod import;
pub mod management;
pub mod openapi;
pub mod problem;
pub mod program;
pub mod request_id;
pub mod server;
pub mod stderr;
pub mod store;
pub mod usage;

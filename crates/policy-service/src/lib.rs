//! The policy service of keygate. An administrator manages APIs, applications, keys and subscriptions. The service
//! feeds them to gateways as a policy.
//!
//! In reading order: [`program`] is the program and [`cli`] its command line; [`secret_files`] reads
//! secrets from files. [`server`] accepts connections.
//! [`routes`] serves the requests of the administrator and [`feed`] those of gateways, of which [`gateways`] keeps a list; [`http`] is what both share.
//! [`signin`] signs people in to the [`console`], whose pages stand on [`web`]. [`auth`] checks credentials, [`guesses`] delays wrong ones, [`metrics`] counts, [`clock`] reads the time, and [`hexadecimal`] writes bytes. The crate [`management`]
//! has the rules by which the policy changes. The crate [`store`] keeps the policy and its recent past in one SQLite
//! file, behind the traits of [`management::port`]. [`due`] begins and ends blocks on time. [`import`] writes many rows at once, one import at a [`turn`]. [`backup`] copies the whole
//! database to a file and back.
//!
//! The page format is not defined here but in `keygate::policy::wire`, which the filter reads with.

#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they end the program where nothing can be written")]

pub mod auth;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod console;
pub mod due;
pub mod feed;
pub mod gateways;
pub mod guesses;
pub mod hexadecimal;
pub mod http;
pub mod import;
pub mod metrics;
pub mod program;
pub mod routes;
pub mod secret_files;
pub mod server;
pub mod signin;
pub mod stderr;
pub mod stored;
pub mod turn;
pub mod web;

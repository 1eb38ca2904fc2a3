//! The policy service of keygate: an administrator manages APIs, applications, keys and subscriptions; gateways hold
//! them as a policy that the service feeds to them.
//!
//! In reading order: [`program`] is the program, [`cli`] its command line, [`secret_files`] what of it may stand in files, [`server`] accepts connections, [`routes`] are
//! the requests of the administrator and [`feed`] those of gateways, [`http`] is what both share, [`auth`] says who may use
//! them, [`guesses`] what wrong credentials cost, [`metrics`] what is counted, [`clock`] tells the date. The crate [`management`] has
//! the rules by which the policy is changed, the crate [`store`] keeps it with its recent past in one SQLite file, behind the
//! traits of [`management::port`]. [`import`] brings many rows at once, [`backup`] writes the whole database to a file and
//! takes it back.
//!
//! What a page looks like is not defined here: it is `keygate::policy::wire`, which the filter reads with.

#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they end the program where nothing can be written")]

pub mod auth;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod feed;
pub mod guesses;
pub mod http;
pub mod import;
pub mod metrics;
pub mod program;
pub mod routes;
pub mod secret_files;
pub mod server;
pub mod stderr;

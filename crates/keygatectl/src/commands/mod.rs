//! What each command does, a file for each group. The command line itself stands in [`crate::cli`].

pub mod access;
pub mod blocks;
pub mod convert;
pub mod create;
pub mod describe;
pub mod explain;
pub mod gateways;
pub mod get;
pub mod history;
pub mod keys;
pub mod login;
pub mod receipt;
pub mod shell;
pub mod usage;
pub mod watch;

use crate::{
    cli::{Cli, Command},
    client::Client,
    documents,
    failure::Outcome,
    output::Screen,
    validate,
};

/// Runs a command.
pub fn run(Cli { global, command }: Cli, screen: &mut Screen) -> Outcome {
    let client = || Client::new(&global);
    match command {
        Command::Login(asked) => login::login(&asked, &global),
        Command::Logout => login::logout(),
        Command::Whoami => login::whoami(&client()?, screen),
        Command::Get(asked) => get::get(&client()?, screen, &asked),
        Command::Describe(asked) => describe::describe(&client()?, screen, &asked),
        Command::Create(asked) => create::write(&client()?, screen, &asked, create::Write::Create),
        Command::Replace(asked) => create::write(&client()?, screen, &asked, create::Write::Replace),
        Command::Delete(asked) => get::delete(&client()?, screen, &asked),
        Command::Block(asked) => blocks::block(&client()?, screen, &asked),
        Command::Unblock(asked) => blocks::unblock(&client()?, screen, &asked),
        Command::Approve(asked) => blocks::decide(&client()?, screen, &asked, "approve"),
        Command::Reject(asked) => blocks::decide(&client()?, screen, &asked, "reject"),
        Command::Keys(asked) => keys::keys(&client, screen, &asked),
        Command::Tokens { command } => access::tokens(&client()?, screen, command.as_ref()),
        Command::Gateways(asked) => gateways::gateways(&client()?, screen, &asked),
        Command::Receipt(asked) => receipt::show(&client()?, screen, &asked),
        Command::Usage(asked) => usage::usage(&client()?, screen, &asked),
        Command::Audit(asked) => history::audit(&client()?, screen, &asked),
        Command::History(asked) => history::history(&client()?, screen, &asked),
        Command::Restore(asked) => history::restore(&client()?, screen, &asked),
        Command::Watch(asked) => watch::watch(&client()?, screen, &asked),
        Command::Explain(asked) => explain::explain(&client, screen, &asked),
        Command::Validate(asked) => validate::validate(screen, &asked),
        Command::Export(asked) => documents::export(&client()?, screen, &asked),
        Command::Diff(asked) => documents::diff(&client()?, screen, &asked),
        Command::Apply(asked) => documents::apply(&client()?, screen, &asked),
        Command::Convert(asked) => convert::convert(screen, &asked),
        Command::Completions(asked) => shell::completions(screen, asked.shell),
        Command::Man => shell::manual(screen),
    }
}

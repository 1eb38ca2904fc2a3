//! Completions and the manual page, both made from the command line's own definitions.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    cli::Cli,
    failure::{Done, Outcome},
    output::Screen,
};

/// Writes completions for a shell.
pub fn completions(screen: &mut Screen, shell: Shell) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keygatectl", &mut text);
    write(screen, text)
}

/// Writes the manual page, one for all commands.
pub fn manual(screen: &mut Screen) -> Outcome {
    let mut text = Vec::new();
    let mut command = Cli::command();
    command.build();
    // They stand once, in the section of the program.
    command = command.mut_subcommands(without_global);
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    // Each command has a section of this page, not a page of its own.
    let mut list = Vec::new();
    man.render_subcommands_section(&mut list)?;
    text.extend(String::from_utf8_lossy(&list).replace("keygatectl\\-", "keygatectl ").replace("(1)", "").bytes());
    man.render_extra_section(&mut text)?;
    man.render_version_section(&mut text)?;
    let mut commands: Vec<&clap::Command> = command.get_subcommands().collect();
    while !commands.is_empty() {
        let visible = commands.iter().filter(|command| !command.is_hide_set());
        for command in visible.clone() {
            let man = clap_mangen::Man::new((*command).clone());
            let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
            text.extend(format!(".SH \"{}\"\n", name.to_uppercase()).bytes());
            man.render_description_section(&mut text)?;
            man.render_synopsis_section(&mut text)?;
            man.render_options_section(&mut text)?;
            if command.get_after_help().is_some() {
                man.render_extra_section(&mut text)?;
            }
        }
        commands = visible.flat_map(|command| command.get_subcommands()).collect();
    }
    write(screen, text)
}

fn without_global(command: clap::Command) -> clap::Command {
    let is_shown = |argument: &clap::Arg| !argument.is_global_set() && argument.get_id() != "help";
    let command = command.mut_args(|argument| if is_shown(&argument) { argument } else { argument.hide(true) });
    command.mut_subcommands(without_global)
}

fn write(screen: &mut Screen, text: Vec<u8>) -> Outcome {
    screen.raw(&String::from_utf8_lossy(&text))?;
    Ok(Done::Well)
}

//! Manual pages and shell completions, written by the program they are about.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// Writes `man/` and `completions/` into `folder`.
pub(crate) fn write(command: Command, folder: &Path) -> std::io::Result<()> {
    let (pages, completions) = (folder.join("man"), folder.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    // The command calls itself by the crate's name, which is the program's.
    let mut command = command.name(env!("CARGO_BIN_NAME"));
    let pages_of = without_help(command.clone());
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, env!("CARGO_BIN_NAME"), &completions)?;
    }
    clap_mangen::generate_to(pages_of, pages)
}

/// A page for each word of `help` would say what the page of the command itself does.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

//! `trunkline manual`: manual pages and shell completions, written by the program they are about.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;

use crate::exit;

/// Writes `man/` and `completions/` into `folder`.
pub(crate) fn run(command: Command, folder: &Path) -> u8 {
    match write(command, folder) {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("the manual cannot be written to {}: {error}", folder.display());
            exit::FAILED
        }
    }
}

fn write(mut command: Command, folder: &Path) -> std::io::Result<()> {
    let (pages, completions) = (folder.join("man"), folder.join("completions"));
    std::fs::create_dir_all(&pages)?;
    std::fs::create_dir_all(&completions)?;
    let name = command.get_name().to_owned();
    let pages_of = without_help(command.clone());
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, &name, &completions)?;
    }
    clap_mangen::generate_to(pages_of, pages)
}

/// A page for each word of `help` would say what the page of the command itself does.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

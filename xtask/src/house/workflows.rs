//! Workflows call commands that exist, with the fewest rights, and run other people's steps only by their hash.

use clap::CommandFactory as _;

use super::File;

const FOLDER: &str = ".github/workflows/";

pub(super) fn faults(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.name.starts_with(FOLDER)) {
        if !file.text.lines().any(|line| line == "permissions:" || line == "permissions: {}") {
            faults.push(format!("{}: it has no `permissions:` of its own and would get the repository's", file.name));
        }
        for (at, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.name, at + 1);
            if let Some(command) = line.split("cargo xtask ").nth(1)
                && let Err(why) = exists(command)
            {
                faults.push(format!("{place}: {why}"));
            }
            if let Some(step) = line.split("uses: ").nth(1)
                && !pinned(step)
            {
                faults.push(format!("{place}: {step} is not pinned to a commit"));
            }
            if line.contains(": write") && !line.contains('#') {
                faults.push(format!("{place}: a right to write needs its reason behind a #"));
            }
        }
    }
    faults
}

/// Has the command line itself say whether there is such a command.
fn exists(command: &str) -> Result<(), String> {
    let words = command.split_whitespace().take_while(|word| !["&&", "|", ">", "#", ";"].contains(word));
    let given = std::iter::once("xtask").chain(words.filter(|word| !word.contains("${{")));
    match crate::Cli::command().try_get_matches_from(given) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`cargo xtask {command}`: {}", error.to_string().lines().next().unwrap_or_default())),
    }
}

fn pinned(step: &str) -> bool {
    let step = step.split_whitespace().next().unwrap_or_default();
    step.starts_with("./")
        || step
            .split_once('@')
            .is_some_and(|(_, commit)| commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn a_workflow_that_cannot_run_or_may_too_much_is_named() {
        let text = "on: push\njobs:\n  a:\n    permissions:\n      contents: write\n    steps:\n      - uses: actions/checkout@v4\n\
                    \x20     - run: cargo xtask test --everything\n      - run: cargo xtask test --all\n      - run: cargo xtask fly\n";
        let faults = faults(&[file(".github/workflows/a.yml", text)]);
        assert_eq!(faults.len(), 5, "{faults:#?}");
    }
}

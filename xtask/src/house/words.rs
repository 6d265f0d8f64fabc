//! Words that no file of the repository holds: paths of somebody's machine, and hosts of package registries, which are
//! a setting of whoever builds.

use super::File;

/// Written in pieces, so that this file does not hold them itself.
const FORBIDDEN: [(&str, &str); 9] = [
    (concat!("/", "root/"), "a path of one machine"),
    (concat!("/", "work/"), "a path of one machine"),
    (concat!("/", "home/"), "a path of one machine"),
    (concat!("/", "Users/"), "a path of one machine"),
    (concat!("index.", "crates.io"), "a registry's host"),
    (concat!("static.", "crates.io"), "a registry's host"),
    (concat!("registry.", "npmjs.org"), "a registry's host"),
    (concat!("files.", "pythonhosted.org"), "a registry's host"),
    (concat!("deb.", "debian.org"), "a registry's host"),
];

pub(super) fn faults(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !file.name.ends_with(".lock")) {
        for (at, line) in file.text.lines().enumerate() {
            if let Some((word, what)) = FORBIDDEN.iter().find(|(word, _)| line.contains(word)) {
                faults.push(format!("{}:{}: {word} is {what}", file.name, at + 1));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn machine_paths_and_registry_hosts_are_named() {
        let text = format!("a\ncd {}trunkline\n", concat!("/", "home/"));
        let faults = faults(&[file("docs/a.md", &text), file("Cargo.lock", &text)]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("docs/a.md:2"), "{faults:?}");
    }
}

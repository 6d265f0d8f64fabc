//! Secrets by reference: resolved from environment, file or systemd credential when the gateway starts, and handed to
//! the plugin host and, for passwords of trunks, to the runtime only.
//!
//! A secret that cannot be had does not keep the gateway from starting: calls to the agents whose plugins name it are
//! refused, and it is named in the log, by `check` and by `doctor`; every other agent is served.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use trunkline_api::trunk::TrunkCredentials;
use trunkline_route::{Table, Trunk};

use crate::config::Secret;

/// Most bytes of a secret.
const MAX_BYTES: u64 = 64 * 1024;

/// The configured secrets.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// Those that could be had.
    pub(crate) values: BTreeMap<String, String>,
    /// Why the others could not.
    pub(crate) lacking: Vec<Lacking>,
    /// Files that others may read, with what to do.
    pub(crate) exposed: Vec<String>,
}

/// A secret that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// Its name.
    pub(crate) name: String,
    /// Why, without its value.
    pub(crate) why: String,
    /// It may be there for the service and not for a command: variables and credentials are a process's own.
    pub(crate) only_here: bool,
}

impl std::fmt::Display for Lacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "secrets.{}.from: {}", self.name, self.why)
    }
}

/// Resolves every configured secret.
pub(crate) fn resolve(configured: &BTreeMap<String, Secret>) -> Secrets {
    let mut secrets = Secrets::default();
    for (name, secret) in configured {
        match one(&secret.from) {
            Ok(value) => {
                secrets.values.insert(name.clone(), value);
            }
            Err((why, only_here)) => secrets.lacking.push(Lacking { name: name.clone(), why, only_here }),
        }
        if let Some(path) = secret.from.strip_prefix("file:")
            && fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o007 != 0)
        {
            let advice = "keep the secret in a file that only the service may read, and take it for known";
            secrets.exposed.push(format!("secrets.{name}.from: {path} is open to everybody; {advice}"));
        }
    }
    secrets
}

/// Trunks that name a secret which is not configured: they prove nothing, or nobody proves anything to them.
pub(crate) fn unknown_to_trunks(configured: &BTreeMap<String, Secret>, table: &Table) -> Vec<String> {
    let of_trunk = |trunk: &Trunk| {
        let server = trunk.server.as_ref().and_then(|server| server.credentials.as_ref());
        let named = [("server.credentials.secret", server), ("auth.secret", trunk.auth.as_ref())];
        let unknown = |(key, credentials): (&str, Option<&TrunkCredentials>)| {
            let name = credentials.map(|credentials| &credentials.secret)?;
            (!configured.contains_key(name)).then(|| {
                let what = format!("is not among [secrets] of this gateway; add [secrets.{name}], or name another");
                format!("trunk {} ({}): {key}: `{name}` {what}", trunk.name, trunk.id)
            })
        };
        named.into_iter().filter_map(unknown).collect::<Vec<_>>()
    };
    table.trunks().flat_map(of_trunk).collect()
}

/// The value, or why there is none and whether it may be there for another process.
fn one(reference: &str) -> Result<String, (String, bool)> {
    let text = match reference.split_once(':') {
        Some(("env", name)) => {
            std::env::var(name).map_err(|_| (format!("the environment variable {name} is not set"), true))?
        }
        Some(("file", path)) => read(Path::new(path)).map_err(|why| (why, false))?,
        Some(("credential", name)) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => read(&PathBuf::from(folder).join(name)).map_err(|why| (why, false))?,
            None => {
                let why =
                    format!("this process has no systemd credentials; the unit needs LoadCredential={name}:/path");
                return Err((why, true));
            }
        },
        _ => return Err(("`env:NAME`, `file:/path` or `credential:name` is expected".to_owned(), false)),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(("it is empty".to_owned(), false)) } else { Ok(text.to_owned()) }
}

fn read(path: &Path) -> Result<String, String> {
    let refused = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    // Neither a device, which may never end, nor a pipe, into which nobody may ever write.
    if !fs::metadata(path).map_err(refused)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut text = String::new();
    fs::File::open(path).map_err(refused)?.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(refused)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{} is larger than {MAX_BYTES} bytes", path.display()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use trunkline_api::object::{Kind, Object};
    use trunkline_api::{Id, Prefix};

    use super::*;

    fn configured(from: &str) -> BTreeMap<String, Secret> {
        BTreeMap::from([("key".to_owned(), Secret { from: from.to_owned() })])
    }

    #[test]
    fn an_inline_secret_is_refused_and_a_file_is_read_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(one(&format!("file:{}", path.display())).unwrap(), "s3cret");
        assert!(one("sk-live-123").is_err());
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        for from in ["file:/dev/zero", "file:/etc"] {
            let (why, _) = one(from).unwrap_err();
            assert!(why.contains("is no file"), "{why}");
        }
    }

    #[test]
    fn one_that_cannot_be_had_is_named_and_the_others_are_there() {
        let mut both = configured("env:TRUNKLINE_TEST_NOBODY_SETS_THIS");
        both.insert("path".to_owned(), Secret { from: "env:PATH".to_owned() });
        let secrets = resolve(&both);
        assert!(secrets.values.contains_key("path"));
        let text = secrets.lacking[0].to_string();
        assert_eq!(text, "secrets.key.from: the environment variable TRUNKLINE_TEST_NOBODY_SETS_THIS is not set");
        assert!(secrets.lacking[0].only_here);
        let missing = resolve(&configured("file:/nowhere/key"));
        assert!(!missing.lacking[0].only_here && missing.lacking[0].why.contains("/nowhere/key"));
    }

    #[test]
    fn a_file_that_others_may_read_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "s3cret\n").unwrap();
        for (mode, exposed) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let secrets = resolve(&configured(&format!("file:{}", path.display())));
            assert_eq!(secrets.exposed.len(), exposed, "{mode:o}");
            assert!(secrets.exposed.iter().all(|line| !line.contains("s3cret")));
        }
    }

    #[test]
    fn a_trunk_that_names_a_secret_which_is_not_there_is_told_so() {
        let trunk = |n: u8, secret: &str| Object {
            kind: Kind::Trunk,
            id: Id::mint(Prefix::Trunk, 1, [n; 10]),
            tenant: Id::mint(Prefix::Tenant, 1, [1; 10]),
            version: 1,
            sha256: String::new(),
            body: serde_json::json!({
                "name": format!("t{n}"),
                "peers": [format!("192.0.2.{n}")],
                "auth": { "user": "u", "secret": secret },
                "server": { "hosts": ["192.0.2.9"], "credentials": { "user": "u", "secret": secret } },
            }),
        };
        let (table, problems) = Table::build(&[trunk(1, "key"), trunk(2, "typo")]);
        assert_eq!(problems, []);
        let told = unknown_to_trunks(&configured("env:PATH"), &table);
        let begin = format!("trunk t2 ({}): ", Id::mint(Prefix::Trunk, 1, [2; 10]));
        assert_eq!(told.len(), 2, "{told:?}");
        for (told, key) in told.iter().zip(["server.credentials.secret", "auth.secret"]) {
            assert!(told.starts_with(&format!("{begin}{key}: `typo` is not among [secrets]")), "{told}");
        }
    }
}

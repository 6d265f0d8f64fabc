//! `plugin.toml`: what a plugin is and what it wants, read before any of its code.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use trunkline_egress::HostPattern;

use crate::error::LoadError;
use crate::vocabulary::Capability;

/// Most bytes of a manifest.
const MAX_MANIFEST: usize = 64 << 10;

/// A host a plugin may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostGrant {
    /// Written in the manifest.
    Fixed(HostPattern),
    /// `settings:/pointer`: the origin of the URL at that JSON pointer (RFC 6901) of the agent's settings, if the
    /// operator granted it.
    FromSettings(String),
}

/// A secret a plugin may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    /// Its name.
    pub name: String,
    /// Where the host may send it.
    pub hosts: Vec<HostGrant>,
}

/// The settings schema a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsSchema {
    /// Its file name, in the plugin's folder.
    pub file: String,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
}

/// A read and checked manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name, `[a-z][a-z0-9-]{0,63}`.
    pub name: String,
    /// Version (semver 2.0).
    pub version: String,
    /// World as written.
    pub world: String,
    /// What it is for.
    pub capability: Capability,
    /// SPDX expression.
    pub license: String,
    /// SHA-256 of `plugin.wasm`, lower-case hex.
    pub sha256: String,
    /// One line for people.
    pub description: String,
    /// Hosts.
    pub hosts: Vec<HostGrant>,
    /// Secrets.
    pub secrets: Vec<SecretGrant>,
    /// Call actions a tool may ask for.
    pub actions: Vec<String>,
    /// Memory of one instance, MiB.
    pub memory_mib: u32,
    /// Longest time in one handler, ms.
    pub deadline_ms: u32,
    /// Belongs on the side pool.
    pub heavy: bool,
    /// The settings schema, if the plugin takes settings.
    pub schema: Option<SettingsSchema>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    version: String,
    world: String,
    license: String,
    sha256: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    capabilities: RawCapabilities,
    #[serde(default)]
    limits: RawLimits,
    settings: Option<RawSettings>,
    /// Informative: sample rates, for catalogues.
    #[serde(default, rename = "audio")]
    _audio: Option<toml::Table>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawCapabilities {
    hosts: Vec<String>,
    secrets: Vec<RawSecret>,
    actions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecret {
    name: String,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    memory_mib: u32,
    deadline_ms: u32,
    heavy: bool,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { memory_mib: 16, deadline_ms: 20, heavy: false }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    schema: String,
    sha256: String,
}

const ACTIONS: [&str; 5] = ["say", "transfer", "hang-up", "send-dtmf", "set-variable"];

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// [`LoadError::BadManifest`] with key and reason, [`LoadError::UnknownWorld`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, LoadError> {
        let bad = |why: String| LoadError::BadManifest { path: path.to_owned(), why };
        if text.len() > MAX_MANIFEST {
            return Err(bad(format!("longer than {MAX_MANIFEST} bytes")));
        }
        let raw: Raw = toml::from_str(text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
        let name_fits = raw.name.len() <= 64
            && raw.name.starts_with(|first: char| first.is_ascii_lowercase())
            && raw.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        check(name_fits, || {
            bad(format!(
                "name: `{}` must be lower-case letters, digits and dashes, a letter first, at most 64",
                raw.name
            ))
        })?;
        if let Err(error) = semver::Version::parse(&raw.version) {
            return Err(bad(format!("version: `{}` is not major.minor.patch: {error}", raw.version)));
        }
        check(!raw.license.is_empty(), || bad("license: must be an SPDX expression".to_owned()))?;
        check(is_digest(&raw.sha256), || bad(format!("sha256: {NO_DIGEST}")))?;
        let capability = Capability::ALL.into_iter().find(|capability| {
            raw.world.strip_prefix(capability.world()).is_some_and(|rest| rest == "@0.1" || rest.starts_with("@0.1."))
        });
        let capability = capability.ok_or_else(|| LoadError::UnknownWorld { world: raw.world.clone() })?;
        check((1..=4096).contains(&raw.limits.memory_mib), || bad("limits.memory_mib: must be 1..=4096".to_owned()))?;
        check((1..=60_000).contains(&raw.limits.deadline_ms), || {
            bad("limits.deadline_ms: must be 1..=60000".to_owned())
        })?;
        for action in &raw.capabilities.actions {
            check(ACTIONS.contains(&action.as_str()), || {
                bad(format!("capabilities.actions: `{action}` is none of {}", ACTIONS.join(", ")))
            })?;
        }
        let schema = raw.settings.map(|RawSettings { schema, sha256 }| SettingsSchema { file: schema, sha256 });
        if let Some(SettingsSchema { file, sha256 }) = &schema {
            let plain = Path::new(file).file_name().is_some_and(|name| name == file.as_str());
            check(plain, || bad("settings.schema: must be a file name in the plugin's folder".to_owned()))?;
            check(is_digest(sha256), || bad(format!("settings.sha256: {NO_DIGEST}")))?;
        }
        let hosts = grants("capabilities.hosts", &raw.capabilities.hosts).map_err(bad)?;
        let secrets = raw.capabilities.secrets.iter().map(|secret| {
            Ok(SecretGrant {
                name: secret.name.clone(),
                hosts: grants("capabilities.secrets.hosts", &secret.hosts).map_err(bad)?,
            })
        });
        let secrets = secrets.collect::<Result<Vec<_>, LoadError>>()?;
        let isolated = capability != Capability::Redactor || (hosts.is_empty() && secrets.is_empty());
        check(isolated, || bad("capabilities: a redactor has neither hosts nor secrets".to_owned()))?;
        Ok(Self {
            name: raw.name,
            version: raw.version,
            world: raw.world,
            capability,
            license: raw.license,
            sha256: raw.sha256,
            description: raw.description,
            hosts,
            secrets,
            actions: raw.capabilities.actions,
            memory_mib: raw.limits.memory_mib,
            deadline_ms: raw.limits.deadline_ms,
            heavy: raw.limits.heavy,
            schema,
        })
    }

    /// Where the manifest of a plugin folder is.
    #[must_use]
    pub fn path_in(dir: &Path) -> PathBuf {
        dir.join("plugin.toml")
    }
}

const NO_DIGEST: &str = "must be 64 lower-case hexadecimal digits; the plugin build fills it in";

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn check(holds: bool, error: impl FnOnce() -> LoadError) -> Result<(), LoadError> {
    if holds { Ok(()) } else { Err(error()) }
}

fn grants(key: &str, texts: &[String]) -> Result<Vec<HostGrant>, String> {
    let grant = |text: &String| match text.strip_prefix("settings:") {
        Some(pointer) if pointer.starts_with('/') => Ok(HostGrant::FromSettings(pointer.to_owned())),
        Some(_) => Err(format!("{key}: `{text}` needs a JSON pointer that begins with `/`")),
        None => text.parse().map(HostGrant::Fixed).map_err(|error| format!("{key}: {error}")),
    };
    texts.iter().map(grant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(change: impl Fn(&mut toml::Table)) -> Result<Manifest, LoadError> {
        let mut table: toml::Table = toml::from_str(&format!(
            "name = \"x\"\nversion = \"0.1.0\"\nworld = \"llm-provider@0.1\"\nlicense = \"Apache-2.0\"\nsha256 = \"{}\"\n[capabilities]\nhosts = [\"https://a.test\", \"settings:/base_url\"]\n[limits]\nmemory_mib = 8\n",
            "0".repeat(64)
        ))
        .unwrap();
        change(&mut table);
        Manifest::parse(&toml::to_string(&table).unwrap(), Path::new("plugin.toml"))
    }

    #[test]
    fn a_manifest_is_read_with_its_defaults() {
        let manifest = manifest(|_| {}).unwrap();
        assert_eq!(
            (manifest.capability, manifest.memory_mib, manifest.deadline_ms, manifest.heavy),
            (Capability::Llm, 8, 20, false)
        );
        assert_eq!(manifest.hosts[1], HostGrant::FromSettings("/base_url".to_owned()));
    }

    #[test]
    fn every_mistake_is_refused_with_its_key() {
        for (key, value) in [("name", "../x"), ("version", "1"), ("sha256", "abc"), ("license", ""), ("unknown", "x")] {
            let error = manifest(|table| drop(table.insert(key.to_owned(), value.into()))).unwrap_err();
            assert!(matches!(&error, LoadError::BadManifest { why, .. } if why.contains(key)), "{error}");
        }
        let world = manifest(|table| drop(table.insert("world".to_owned(), "llm-provider@2.0".into())));
        assert!(matches!(world, Err(LoadError::UnknownWorld { .. })));
        for settings in
            ["schema = \"s.json\"", "schema = \"s.json\"\nsha256 = \"\"", "schema = \"../s\"\nsha256 = \"\""]
        {
            let settings: toml::Table = toml::from_str(settings).unwrap();
            let error = manifest(|table| drop(table.insert("settings".to_owned(), settings.clone().into())));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("sha256") || error.contains("settings.schema"), "{error}");
        }
        let hosts = manifest(|table| {
            drop(table["capabilities"].as_table_mut().unwrap().insert("hosts".to_owned(), vec!["a.test"].into()))
        });
        assert!(hosts.unwrap_err().to_string().contains("capabilities.hosts"));
    }
}

//! What callers are verified by (STIR/SHAKEN): files that an operator lays down, read anew when they change, and
//! certificates fetched over HTTPS by the rules of everything that leaves this machine.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use trunkline_egress::{Egress, EgressConfig, HostPattern, Request, Timeouts};
use trunkline_runtime::{CallerProof, CertificateFetcher, FetchAnswer};
use trunkline_sip::stir::{MOST_CERTIFICATE_BYTES, Material};
use url::Url;

use crate::config::SipStir;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(5);
/// Most bytes of a file.
const MOST_BYTES: u64 = 4 << 20;
/// Most files of a folder.
const MOST_FILES: usize = 1024;
/// Ports that certificates of providers are found at.
const PORTS: [u16; 2] = [443, 8443];

/// What the configuration asks for; nothing where nobody is believed.
pub(crate) fn start(config: &SipStir, tokio: &Handle) -> anyhow::Result<Option<CallerProof>> {
    let Some(roots) = &config.roots else { return Ok(None) };
    let files = Files { roots: roots.clone(), folder: config.certificates.clone() };
    let stamp = files.stamp();
    let material = Arc::new(ArcSwap::from_pointee(files.read()?));
    tracing::info!(certificates = material.load().len(), "callers are verified on trunks that ask for it");
    tokio.spawn(files.follow(stamp, Arc::clone(&material)));
    let patience = Duration::from_millis(config.fetch_ms.into());
    let fetcher = match config.fetch {
        true => Some(Arc::new(Fetcher::new(config, patience, tokio.clone())?) as Arc<dyn CertificateFetcher>),
        false => None,
    };
    Ok(Some(CallerProof { material, freshness_s: config.freshness_s, fetcher, patience }))
}

/// Where they are.
struct Files {
    roots: PathBuf,
    folder: Option<PathBuf>,
}

impl Files {
    fn read(&self) -> anyhow::Result<Material> {
        let roots = bytes(&self.roots).with_context(|| format!("sip.stir.roots {}", self.roots.display()))?;
        let mut files = Vec::new();
        for path in self.list().context("sip.stir.certificates cannot be read; correct the folder or its rights")? {
            let bytes = bytes(&path).with_context(|| format!("sip.stir.certificates {}", path.display()))?;
            files.push((path.display().to_string(), bytes));
        }
        let name = self.roots.display().to_string();
        Material::read((&name, &roots), &files)
            .context("the files of sip.stir cannot be used; correct the one that is named")
    }

    fn list(&self) -> anyhow::Result<Vec<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                ensure!(paths.len() < MOST_FILES, "there are more than {MOST_FILES} files");
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// What tells two states of the files apart.
    fn stamp(&self) -> Vec<Option<(u64, u64, i64, i64)>> {
        let listed = self.list().unwrap_or_default();
        let file = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        };
        [&self.roots].into_iter().chain(&listed).map(file).collect()
    }

    /// Puts them into force as they change; what cannot be used is said once, and what was read before stays.
    async fn follow(self, mut stamp: Vec<Option<(u64, u64, i64, i64)>>, material: Arc<ArcSwap<Material>>) {
        let files = Arc::new(self);
        loop {
            tokio::time::sleep(LOOK).await;
            // Nobody verifies any more.
            if Arc::strong_count(&material) == 1 {
                return;
            }
            let (looking, before) = (Arc::clone(&files), stamp.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let now = looking.stamp();
                let changed = now != before;
                (now, changed.then(|| looking.read()))
            });
            let Ok((now, read)) = looked.await else { continue };
            stamp = now;
            match read {
                Some(Ok(read)) => {
                    material.store(Arc::new(read));
                    tracing::info!("the files of sip.stir have changed and are in force");
                }
                Some(Err(error)) => {
                    tracing::error!(
                        "the files of sip.stir have changed and cannot be used; the old ones stay in force: {error:#}"
                    );
                }
                None => {}
            }
        }
    }
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MOST_BYTES, "it is longer than 4 MiB");
    Ok(bytes)
}

/// Fetches certificates.
struct Fetcher {
    egress: Egress,
    granted: Vec<HostPattern>,
    patience: Duration,
    tokio: Handle,
}

impl Fetcher {
    fn new(config: &SipStir, patience: Duration, tokio: Handle) -> anyhow::Result<Self> {
        let granted = config.grant_hosts.iter().map(|pattern| pattern.parse::<HostPattern>());
        let granted = granted.collect::<Result<Vec<_>, _>>().context("sip.stir.grant_hosts")?;
        let private_hosts = granted.clone();
        let egress =
            EgressConfig { private_hosts, connect_timeout: patience, idle_per_host: 1, ..EgressConfig::default() };
        Ok(Self { egress: Egress::new(egress)?, granted, patience, tokio })
    }

    /// Whether a URL may be asked: it comes from whoever calls.
    fn may_ask(&self, url: &Url) -> bool {
        let usual = url.port_or_known_default().is_some_and(|port| PORTS.contains(&port));
        url.scheme() == "https" && (usual || self.granted.iter().any(|granted| granted.matches(url)))
    }
}

impl CertificateFetcher for Fetcher {
    fn fetch(&self, url: &str, answer: FetchAnswer) {
        let url = match Url::parse(url) {
            Ok(url) if self.may_ask(&url) => url,
            Ok(_) => {
                return answer.give(Err("only ports 443 and 8443 are asked; see `sip.stir.grant_hosts`".to_owned()));
            }
            Err(error) => return answer.give(Err(error.to_string())),
        };
        let (egress, limit) = (self.egress.clone(), self.patience);
        self.tokio.spawn(async move {
            let got = tokio::time::timeout(limit, get(&egress, url, limit)).await;
            answer.give(got.unwrap_or_else(|_| Err(format!("nothing came within {} ms", limit.as_millis()))));
        });
    }
}

async fn get(egress: &Egress, url: Url, limit: Duration) -> Result<Vec<u8>, String> {
    let mut request = Request::get(url);
    request.timeouts = Timeouts { head: limit, idle: limit, total: Some(limit) };
    request.max_body = Some(MOST_CERTIFICATE_BYTES);
    let response = egress.request(request).await.map_err(|error| error.to_string())?;
    if response.status != http::StatusCode::OK {
        return Err(format!("the answer is HTTP {}", response.status.as_u16()));
    }
    let body = response.body.bytes().await.map_err(|error| error.to_string())?;
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetcher(granted: &[&str]) -> Fetcher {
        let grant_hosts = granted.iter().map(|host| (*host).to_owned()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let config = SipStir { grant_hosts, ..SipStir::default() };
        Fetcher::new(&config, Duration::from_secs(1), runtime.handle().clone()).unwrap()
    }

    #[test]
    fn callers_have_only_ports_of_certificates_asked() {
        let asks = |fetcher: &Fetcher, url: &str| fetcher.may_ask(&Url::parse(url).unwrap());
        let plain = fetcher(&[]);
        for (url, asked) in [
            ("https://c.example/a.pem", true),
            ("https://c.example:8443/a.pem", true),
            ("https://c.example:25/", false),
            ("http://c.example/", false),
        ] {
            assert_eq!(asks(&plain, url), asked, "{url}");
        }
        assert!(asks(&fetcher(&["https://c.example:25"]), "https://c.example:25/"));
    }

    #[test]
    fn files_are_named_by_the_folder_and_what_is_no_pem_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("b.pem"), "").unwrap();
        fs::write(at("a.pem"), "").unwrap();
        fs::write(at("readme.txt"), "").unwrap();
        let files = Files { roots: at("roots"), folder: Some(folder.path().to_owned()) };
        assert_eq!(files.list().unwrap(), [at("a.pem"), at("b.pem")]);
        let before = files.stamp();
        fs::write(at("a.pem"), "x").unwrap();
        assert_ne!(files.stamp(), before);
        let error = format!("{:#}", files.read().unwrap_err());
        assert!(error.starts_with("sip.stir.roots ") && error.contains("roots"), "{error}");
        let nowhere = Files { folder: Some(at("nowhere")), ..files };
        assert!(nowhere.list().is_err());
    }
}

//! The evaluation set: made once by `score/corpus.py`, kept beside the build, made again when its recipe changes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::tools::Tools;

/// One file of the set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Path below the set's folder.
    pub(crate) file: String,
    /// Samples a second.
    pub(crate) rate: u32,
    /// Whose voice it is.
    pub(crate) talker: String,
    /// What is behind the voice; none for the clean file.
    pub(crate) noise: Option<String>,
    /// How far the noise lies below the voice, in dB; none for the clean file.
    snr: Option<i32>,
    /// The same voice without noise.
    clean: String,
}

/// The set.
pub(crate) struct Corpus {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its files.
    pub(crate) entries: Vec<Entry>,
}

const RECIPE: &str = "recipe.txt";

impl Corpus {
    /// The set in `work/corpus`, made now unless it is there and of the same recipe.
    pub(crate) fn open(work: &Path, tools: &Tools) -> Result<Self> {
        let folder = work.join("corpus");
        let recipe = tools.recipe()?;
        if std::fs::read_to_string(folder.join(RECIPE)).is_ok_and(|known| known == recipe) {
            println!("speech and noise: as made before, in {}", folder.display());
        } else {
            println!("speech and noise: making the set in {} (about a minute)", folder.display());
            let _ = std::fs::remove_dir_all(&folder);
            let mut make = tools.python("corpus.py");
            make.arg(&folder).arg("--g722").arg(tools.spandsp());
            crate::tools::run(&mut make).context("making the speech and noise set")?;
            std::fs::write(folder.join(RECIPE), recipe)?;
        }
        let manifest = folder.join("manifest.json");
        let text = std::fs::read(&manifest).with_context(|| manifest.display().to_string())?;
        Ok(Self { entries: serde_json::from_slice(&text)?, folder })
    }

    /// Keeps only `count` of the talkers that exist at both rates: for a quick look, not for figures.
    pub(crate) fn keep(&mut self, count: usize) {
        let mut talkers: Vec<String> = self.clean(16000).into_iter().map(|entry| entry.talker).collect();
        talkers.truncate(count);
        self.entries.retain(|entry| talkers.contains(&entry.talker));
    }

    /// The clean files at `rate`.
    pub(crate) fn clean(&self, rate: u32) -> Vec<Entry> {
        self.entries.iter().filter(|entry| entry.noise.is_none() && entry.rate == rate).cloned().collect()
    }
}

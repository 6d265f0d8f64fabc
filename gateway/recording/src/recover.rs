//! After a crash: recordings in clear whose header says another length than the file has are set right. Sealed ones and
//! Ogg need nothing; their records and pages say for themselves what is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::container::Container;
use crate::wav;

/// The WAV files of a folder, to be set right by [`recover`]: asked before a recorder is started, these are all of earlier
/// runs, whatever the clock says, because no recording is given a name that is there already.
///
/// # Errors
/// What the operating system says when the folder cannot be read.
pub fn of_before(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == Container::Wav.extension()) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Sets right the WAV files of earlier runs; returns how many needed it. Opens every one of them, which takes its time
/// where many are kept. Files that cannot be read are left alone and logged.
#[must_use]
pub fn recover(paths: &[PathBuf]) -> usize {
    let mut mended = 0;
    for path in paths {
        match mend(path) {
            Ok(true) => {
                tracing::info!(file = %path.display(), "a recording that was cut by a crash plays to its end again");
                mended += 1;
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(file = %path.display(), %error, "a recording could not be looked at"),
        }
    }
    mended
}

/// Sets one file right; true when it needed it.
fn mend(path: &Path) -> io::Result<bool> {
    let no_links = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut file: File = OpenOptions::new().read(true).write(true).custom_flags(no_links).open(path)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    let mut header = [0; wav::HEADER];
    if length < wav::HEADER as u64 || !metadata.is_file() {
        return Ok(false);
    }
    file.read_exact(&mut header)?;
    let rate = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
    let said = u32::from_le_bytes([header[40], header[41], header[42], header[43]]);
    // Only what this gateway wrote: any other file's header differs beyond its lengths.
    if rate == 0 || rate > 192_000 || header != wav::header(rate, said) {
        return Ok(false);
    }
    let there = (length - wav::HEADER as u64) / u64::from(wav::FRAME_BYTES) * u64::from(wav::FRAME_BYTES);
    let there = u32::try_from(there).unwrap_or(u32::MAX);
    if there == said {
        return Ok(false);
    }
    file.write_all_at(&wav::header(rate, there), 0)?;
    file.sync_data()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_says_too_little_or_too_much_is_set_right_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, promised: u32, there: usize| {
            let bytes = [&wav::header(8000, promised)[..], &vec![1; there]].concat();
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        file("short.wav", 400, 803);
        file("long.wav", 4000, 800);
        file("right.wav", 800, 800);
        file("other.txt", 400, 800);
        std::fs::write(folder.path().join("foreign.wav"), [9; 200]).unwrap();
        std::fs::write(folder.path().join("tiny.wav"), b"RIFF").unwrap();
        std::os::unix::fs::symlink(folder.path().join("other.txt"), folder.path().join("link.wav")).unwrap();
        let all = of_before(folder.path()).unwrap();
        assert_eq!(all.len(), 6, "{all:?}");
        assert_eq!(recover(&all), 2);
        for (name, data) in [("short.wav", 800), ("long.wav", 800), ("right.wav", 800), ("other.txt", 400)] {
            let bytes = std::fs::read(folder.path().join(name)).unwrap();
            assert_eq!(bytes[..44], wav::header(8000, data), "{name}");
        }
        assert_eq!(std::fs::read(folder.path().join("foreign.wav")).unwrap(), [9; 200]);
        assert_eq!(recover(&all), 0, "once is enough");
    }
}

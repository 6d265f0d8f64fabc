//! A rendered line on the disk: WAV of one voice, 16-bit PCM, written whole or not at all.

use std::fs;
use std::io;
use std::path::Path;

use super::Rendered;

/// Bytes of the header that [`write`] makes; nothing else is read.
const HEADER: usize = 44;
/// Longest file that is read: two minutes at 48 kHz.
const LONGEST: u64 = 12 << 20;

/// Writes a line to `path` by way of a file beside it.
pub(super) fn write(path: &Path, line: &Rendered) -> io::Result<()> {
    let samples: Vec<u8> = line.pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let size = u32::try_from(samples.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(HEADER + samples.len());
    bytes.extend(b"RIFF");
    bytes.extend((size + 36).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    // PCM, one channel.
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(line.rate.to_le_bytes());
    bytes.extend((line.rate * 2).to_le_bytes());
    // Two bytes a frame, 16 bits a sample.
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    bytes.extend(samples);
    let part = path.with_extension("part");
    fs::write(&part, bytes)?;
    fs::rename(&part, path)
}

/// Reads a line that [`write`] wrote; `None` when there is none, or something else.
pub(super) fn read(path: &Path) -> Option<Rendered> {
    if fs::metadata(path).ok()?.len() > LONGEST {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (header, samples) = bytes.split_at_checked(HEADER)?;
    let number = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let rate = number(24)?;
    let whole = number(40)? as usize == samples.len() && samples.len() % 2 == 0 && !samples.is_empty();
    let ours =
        header.starts_with(b"RIFF") && header.get(8..16) == Some(b"WAVEfmt ") && header.get(36..40) == Some(b"data");
    if !ours || !whole || !(8000..=48_000).contains(&rate) {
        return None;
    }
    let pcm = samples.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    Some(Rendered { rate, pcm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let line = Rendered { rate: 22_050, pcm: [1, -2, i16::MAX, i16::MIN].into() };
        write(&path, &line).unwrap();
        assert_eq!(read(&path), Some(line));
        assert_eq!(read(&folder.path().join("b.wav")), None);
        let bytes = fs::read(&path).unwrap();
        for broken in [&bytes[..bytes.len() - 1], &bytes[..20], b"RIFF", &[0; 60][..]] {
            fs::write(&path, broken).unwrap();
            assert_eq!(read(&path), None);
        }
    }
}

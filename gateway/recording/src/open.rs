//! Opening a sealed recording: record by record, as far as it is sound, from any file that anybody may hand in.

use std::io::{self, Read, Seek, SeekFrom, Write};

use aead_stream::{NewStream as _, StreamPrimitive as _};
use hpke::aead::ChaCha20Poly1305 as WrapCipher;
use hpke::kdf::HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR};
use zeroize::Zeroizing;

use crate::container::Container;
use crate::error::OpenError;
use crate::key::{KeyWrap, SecretKey, hexadecimal};
use crate::seal::{
    BOUND, CHECKSUM, FORMAT, HEADER, Header, LAST, MAGIC, MAX_RECORD, PURPOSE, RECORD_HEADER, RecordStream, SEALED_KEY,
    TAG, record_checksum,
};
use crate::wav;

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it was meant to.
    Complete,
    /// In the middle: gateway or machine stopped, or somebody cut the file. What was there is whole up to here.
    Cut,
}

/// Opens a sealed recording record by record.
pub struct Opener<R> {
    input: R,
    header: Header,
    stream: RecordStream,
    record: u32,
    ending: Option<Ending>,
    buffer: Vec<u8>,
}

impl<R: Read> Opener<R> {
    /// Reads the header and unwraps the file's key.
    ///
    /// # Errors
    /// [`OpenError`] naming what is wrong with header or key.
    pub fn begin(mut input: R, secret: &SecretKey) -> Result<Self, OpenError> {
        let mut bytes = [0; HEADER];
        let read = fill(&mut input, &mut bytes)?;
        if read >= MAGIC.len() && bytes[..MAGIC.len()] != *MAGIC {
            return Err(OpenError::NotSealed);
        }
        if read < HEADER {
            return Err(if MAGIC.starts_with(&bytes[..read.min(MAGIC.len())]) {
                OpenError::NoHeader
            } else {
                OpenError::NotSealed
            });
        }
        if crc32c::crc32c(&bytes[..CHECKSUM]).to_le_bytes() != bytes[CHECKSUM..] {
            return Err(OpenError::Header);
        }
        if bytes[8] != FORMAT {
            return Err(OpenError::Format(bytes[8]));
        }
        let container = Container::from_number(bytes[9]).ok_or(OpenError::Header)?;
        let rate = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        let key_id = std::array::from_fn(|n| bytes[16 + n]);
        let header = Header { container, rate, key_id };
        if header.bound() != bytes[..BOUND] {
            return Err(OpenError::Header);
        }
        let given = secret.public().id();
        if key_id != given {
            return Err(OpenError::WrongKey { sealed_to: hexadecimal(&key_id), given: hexadecimal(&given) });
        }
        let encapsulated = <KeyWrap as Kem>::EncappedKey::from_bytes(&bytes[BOUND..SEALED_KEY]);
        let file_key = encapsulated
            .and_then(|encapsulated| {
                hpke::single_shot_open::<WrapCipher, HkdfSha256, KeyWrap>(
                    &OpModeR::Base,
                    secret.inner(),
                    &encapsulated,
                    PURPOSE,
                    &bytes[SEALED_KEY..CHECKSUM],
                    &bytes[..BOUND],
                )
            })
            .map(Zeroizing::new)
            .map_err(|_| OpenError::Wrapped)?;
        let file_key: Zeroizing<[u8; 32]> =
            Zeroizing::new(file_key.as_slice().try_into().map_err(|_| OpenError::Wrapped)?);
        Ok(Self::with_key(input, header, &file_key))
    }

    pub(crate) fn with_key(input: R, header: Header, file_key: &[u8; 32]) -> Self {
        let stream = RecordStream::new(file_key.into(), &Default::default());
        Self { input, header, stream, record: 0, ending: None, buffer: Vec::new() }
    }

    /// What the recording says about itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next record's content; `None` at the end, of which [`Self::ending`] then tells. Not an iterator, because the
    /// content is lent.
    ///
    /// # Errors
    /// [`OpenError::Record`] for one that is not as it was written, [`OpenError::Behind`] for something behind the last;
    /// nothing is read after an error.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, OpenError> {
        if self.ending.is_some() {
            return Ok(None);
        }
        let record = self.record;
        let damaged = OpenError::Record { record };
        let mut head = [0; RECORD_HEADER];
        let read = fill(&mut self.input, &mut head)?;
        if read < RECORD_HEADER {
            self.ending = Some(Ending::Cut);
            return Ok(None);
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (marked, length) = (word(0), (word(0) & !LAST) as usize);
        if word(4) != record_checksum(marked, record) || !(TAG..=MAX_RECORD + TAG).contains(&length) {
            return Err(self.fail(damaged));
        }
        self.buffer.resize(length, 0);
        if fill(&mut self.input, &mut self.buffer)? < length {
            self.ending = Some(Ending::Cut);
            return Ok(None);
        }
        let last = marked & LAST != 0;
        if self.stream.decrypt_in_place(record, last, &[], &mut self.buffer).is_err() {
            return Err(self.fail(damaged));
        }
        if last {
            let bytes = fill(&mut self.input, &mut [0; 64])?;
            if bytes > 0 {
                return Err(self.fail(OpenError::Behind { record, bytes }));
            }
            self.ending = Some(Ending::Complete);
        } else {
            self.record += 1;
        }
        Ok(Some(&self.buffer))
    }

    /// How the recording ends, once everything was read without an error.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Nothing behind a fault is trusted.
    fn fail(&mut self, error: OpenError) -> OpenError {
        self.ending = Some(Ending::Cut);
        error
    }
}

impl<R> std::fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("header", &self.header).field("record", &self.record).finish_non_exhaustive()
    }
}

/// Opens a whole recording into `out`, which then plays as it is, whatever the sealed file's end. At a damaged record
/// what comes before it is in `out` all the same.
///
/// # Errors
/// [`OpenError`] as of [`Opener`]; also when `out` cannot be written.
pub fn open(sealed: impl Read, secret: &SecretKey, out: &mut (impl Write + Seek)) -> Result<Ending, OpenError> {
    let mut opener = Opener::begin(sealed, secret)?;
    let mut bytes = 0_u64;
    let outcome = loop {
        match opener.next_record() {
            Ok(Some(plain)) => {
                out.write_all(plain)?;
                bytes += plain.len() as u64;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let header = *opener.header();
    if header.container == Container::Wav
        && let Some(data) = bytes.checked_sub(wav::HEADER as u64)
    {
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&wav::header(header.rate, u32::try_from(data).unwrap_or(u32::MAX)))?;
    }
    out.flush()?;
    outcome.map(|()| opener.ending().unwrap_or(Ending::Cut))
}

/// Reads until `buffer` is full or the input ends; returns how much was read.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::seal::Sealer;

    static SECRET: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::generate().unwrap());

    /// A sealed file of records of these lengths, what each holds, and where each ends.
    fn sealed(lengths: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<usize>) {
        let mut file = Vec::new();
        let mut sealer = Sealer::begin(&SECRET.public(), Container::Opus, 8000, &mut file).unwrap();
        let mut ends = vec![file.len()];
        let plain: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, length)| vec![n as u8; *length]).collect();
        let (last, before) = plain.split_last().unwrap();
        for record in before {
            sealer.record(record, &mut file);
            ends.push(file.len());
        }
        sealer.finish(last, &mut file);
        ends.push(file.len());
        (file, plain, ends)
    }

    /// What opens of a file, and how it ends.
    fn opened(file: &[u8]) -> (Vec<Vec<u8>>, Result<Ending, OpenError>) {
        let mut opener = match Opener::begin(file, &SECRET) {
            Ok(opener) => opener,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let mut records = Vec::new();
        loop {
            match opener.next_record() {
                Ok(Some(plain)) => records.push(plain.to_vec()),
                Ok(None) => return (records, Ok(opener.ending().unwrap())),
                Err(error) => return (records, Err(error)),
            }
        }
    }

    #[test]
    fn only_the_right_key_opens_a_recording() {
        let (file, ..) = sealed(&[100]);
        assert!(matches!(opened(&file), (records, Ok(Ending::Complete)) if records == [vec![0; 100]]));
        let stranger = SecretKey::generate().unwrap();
        assert!(matches!(Opener::begin(&file[..], &stranger), Err(OpenError::WrongKey { .. })));
        assert!(matches!(Opener::begin(&b"RIFF....WAVE"[..], &stranger), Err(OpenError::NotSealed)));
        assert!(matches!(Opener::begin(&b""[..], &stranger), Err(OpenError::NoHeader)));
        assert!(!file.windows(20).any(|window| window == [0; 20]), "nothing is in clear");
    }

    #[test]
    fn records_cannot_be_swapped_left_out_or_appended() {
        let (file, _, ends) = sealed(&[50, 50, 50, 0]);
        let part = |n: usize| &file[ends[n]..ends[n + 1]];
        let head = &file[..ends[0]];
        let swapped = [head, part(1), part(0), part(2), part(3)].concat();
        assert!(matches!(opened(&swapped).1, Err(OpenError::Record { record: 0 })));
        let left_out = [head, part(0), part(2), part(3)].concat();
        assert!(matches!(opened(&left_out).1, Err(OpenError::Record { record: 1 })));
        let appended = [&file[..], b"x"].concat();
        assert!(matches!(opened(&appended).1, Err(OpenError::Behind { record: 3, bytes: 1 })));
        let (other, ..) = sealed(&[50, 50, 50, 0]);
        let foreign = [head, &other[ends[0]..ends[1]], part(1)].concat();
        assert!(matches!(opened(&foreign).1, Err(OpenError::Record { record: 0 })));
    }

    #[test]
    fn long_content_is_several_records() {
        let plain: Vec<u8> = (0..2 * MAX_RECORD + 5).map(|n| n as u8).collect();
        for at_end in [false, true] {
            let mut file = Vec::new();
            let mut sealer = Sealer::begin(&SECRET.public(), Container::Opus, 8000, &mut file).unwrap();
            if at_end {
                sealer.finish(&plain, &mut file);
            } else {
                sealer.record(&plain, &mut file);
                sealer.finish(&[], &mut file);
            }
            let (records, ending) = opened(&file);
            assert_eq!(records.concat(), plain);
            assert_eq!(ending.unwrap(), Ending::Complete);
        }
    }

    #[test]
    fn a_wav_file_opens_to_one_that_says_its_length_even_when_cut() {
        let mut file = Vec::new();
        let mut sealer = Sealer::begin(&SECRET.public(), Container::Wav, 8000, &mut file).unwrap();
        sealer.record(&wav::header(8000, u32::MAX), &mut file);
        sealer.record(&[7; 400], &mut file);
        let whole = file.len();
        sealer.record(&[9; 400], &mut file);
        for (cut, data) in [(file.len(), 800), (file.len() - 1, 400), (whole, 400)] {
            let mut out = Cursor::new(Vec::new());
            assert_eq!(open(&file[..cut], &SECRET, &mut out).unwrap(), Ending::Cut);
            assert_eq!(out.get_ref()[..wav::HEADER], wav::header(8000, data));
            assert_eq!(out.get_ref().len(), wav::HEADER + data as usize);
        }
    }

    proptest! {
        /// A kill, a full disk, a lost tail: whatever is left opens up to its last whole record.
        #[test]
        fn any_cut_opens_up_to_its_last_whole_record(
            lengths in prop::collection::vec(1_usize..3000, 1..8), cut in any::<prop::sample::Index>(),
        ) {
            let (file, plain, ends) = sealed(&lengths);
            let cut = cut.index(file.len() + 1);
            let (records, ending) = opened(&file[..cut]);
            let whole = ends.iter().skip(1).filter(|end| **end <= cut).count();
            prop_assert_eq!(&records[..], &plain[..whole]);
            match ending {
                Ok(Ending::Complete) => prop_assert_eq!(cut, file.len()),
                Ok(Ending::Cut) => prop_assert!(HEADER <= cut && cut < file.len()),
                Err(error) => prop_assert!(cut < HEADER && matches!(error, OpenError::NoHeader)),
            }
        }

        /// No bit of a file can change without being noticed, by name, at its place.
        #[test]
        fn any_flipped_bit_is_refused_at_its_record(
            lengths in prop::collection::vec(1_usize..500, 1..6), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let (mut file, plain, ends) = sealed(&lengths);
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
            let (records, ending) = opened(&file);
            if at < HEADER {
                let named = matches!(ending, Err(OpenError::NotSealed | OpenError::Header));
                prop_assert!(named && records.is_empty(), "byte {}", at);
            } else {
                let hit = ends.iter().skip(1).filter(|end| **end <= at).count();
                let found = matches!(ending, Err(OpenError::Record { record }) if record as usize == hit);
                prop_assert!(found, "record {}", hit);
                prop_assert_eq!(&records[..], &plain[..hit]);
            }
        }

        #[test]
        fn no_file_at_all_makes_the_opener_panic_or_hoard(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = opened(&bytes);
            let with_magic = [&MAGIC[..], &bytes].concat();
            prop_assert!(opened(&with_magic).1.is_err());
            let header = Header { container: Container::Wav, rate: 8000, key_id: [0; 8] };
            let mut opener = Opener::with_key(&bytes[..], header, &[0; 32]);
            while let Ok(Some(_)) = opener.next_record() {}
            prop_assert!(opener.buffer.capacity() <= 2 * MAX_RECORD);
        }
    }
}

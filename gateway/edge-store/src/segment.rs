//! One segment file: its header, its name, and what of its bytes can be proved.

use std::ops::Range;

use crate::record::{self, MIN_RECORD, RecordFault};

/// Format number, the first thing after the magic.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8; 4] = b"TKLG";
/// Header: magic, format, epoch, first sequence number, CRC32C.
pub(crate) const HEADER: usize = 28;

/// What a segment holds, said by its name and again by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) first_seq: u64,
}

impl Label {
    pub(crate) fn file_name(&self) -> String {
        format!("{:010}-{:016x}-{:016x}.seg", self.number, self.epoch, self.first_seq)
    }

    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".seg")?.split('-');
        let label = Self {
            number: parts.next()?.parse().ok()?,
            epoch: u64::from_str_radix(parts.next()?, 16).ok()?,
            first_seq: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        (parts.next().is_none() && label.first_seq > 0 && label.file_name() == name).then_some(label)
    }

    pub(crate) fn header(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..8].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

/// What of a segment can be proved.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Provable records, `seq` ascending.
    pub(crate) entries: Vec<Entry>,
    /// Damaged ranges with provable records behind them.
    pub(crate) damage: Vec<Range<usize>>,
    /// Behind the last provable record.
    pub(crate) end: usize,
    /// Format number of an intact header that this build does not read.
    pub(crate) foreign_format: Option<u32>,
}

/// Finds every provable record of a whole segment file.
pub(crate) fn scan(bytes: &[u8], label: &Label) -> Scan {
    let mut found = Scan { end: HEADER.min(bytes.len()), ..Scan::default() };
    if bytes.get(..HEADER) != Some(label.header().as_slice()) && bytes.len() >= HEADER {
        let format = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let intact = crc32c::crc32c(&bytes[..24]).to_le_bytes() == bytes[24..HEADER];
        if intact && &bytes[..4] == MAGIC && format != FORMAT {
            found.foreign_format = Some(format);
            return found;
        }
        // The name says the same as the header, so a damaged header costs nothing but an alarm.
        found.damage.push(0..HEADER);
    }
    let mut offset = HEADER;
    let mut next_seq = label.first_seq;
    while offset < bytes.len() {
        match provable(bytes, offset, next_seq) {
            Some(entry) => {
                offset += entry.size;
                next_seq = entry.seq + 1;
                found.entries.push(entry);
                found.end = offset;
            }
            None => match resynchronise(bytes, offset + 1, next_seq) {
                Some(entry) => {
                    found.damage.push(offset..entry.offset);
                    offset = entry.offset;
                }
                None => break,
            },
        }
    }
    found
}

fn provable(bytes: &[u8], offset: usize, next_seq: u64) -> Option<Entry> {
    let record = record::decode(bytes.get(offset..)?).ok()?;
    let plausible = next_seq..=next_seq.saturating_add((bytes.len() / MIN_RECORD) as u64);
    plausible.contains(&record.seq).then_some(Entry { seq: record.seq, offset, size: record.size })
}

fn resynchronise(bytes: &[u8], from: usize, next_seq: u64) -> Option<Entry> {
    (from..bytes.len().saturating_sub(MIN_RECORD - 1)).find_map(|offset| provable(bytes, offset, next_seq))
}

/// Walks records from the start of `bytes` until the first fault.
pub(crate) fn walk<'b>(
    bytes: &'b [u8],
    mut visit: impl FnMut(record::Record<'b>) -> bool,
) -> (usize, Option<RecordFault>) {
    let mut offset = 0;
    while offset < bytes.len() {
        match record::decode(&bytes[offset..]) {
            Ok(record) => {
                if !visit(record) {
                    return (offset, None);
                }
                offset += record.size;
            }
            Err(fault) => return (offset, Some(fault)),
        }
    }
    (offset, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LABEL: Label = Label { number: 3, epoch: 77, first_seq: 10 };

    fn segment(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = LABEL.header().to_vec();
        let mut starts = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            starts.push(bytes.len());
            record::encode(LABEL.first_seq + index as u64, body, &mut bytes);
        }
        starts.push(bytes.len());
        (bytes, starts)
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(1_u8.., 0..40), 1..12)
    }

    #[test]
    fn names_round_trip_and_others_are_not_segments() {
        assert_eq!(Label::from_file_name(&LABEL.file_name()), Some(LABEL));
        for other in ["", "1.seg", "0000000003-000000000000004d-000000000000000a.tmp", "a-b-c.seg", "1-2-3-4.seg"] {
            assert_eq!(Label::from_file_name(other), None);
        }
    }

    #[test]
    fn a_later_format_is_left_alone() {
        let mut bytes = segment(&[vec![1]]).0;
        bytes[4] = 9;
        let crc = crc32c::crc32c(&bytes[..24]).to_le_bytes();
        bytes[24..28].copy_from_slice(&crc);
        assert_eq!(scan(&bytes, &LABEL).foreign_format, Some(9));
    }

    proptest! {
        #[test]
        fn damage_costs_only_the_records_it_touches(bodies in bodies(), from: prop::sample::Index, length in 1_usize..60, zero: bool) {
            let (mut bytes, starts) = segment(&bodies);
            let from = from.index(bytes.len());
            let to = (from + length).min(bytes.len());
            let before = bytes.clone();
            for byte in &mut bytes[from..to] {
                *byte = if zero { 0 } else { !*byte };
            }
            let scan = scan(&bytes, &LABEL);
            let found: Vec<u64> = scan.entries.iter().map(|entry| entry.seq).collect();
            let expected: Vec<u64> = (0..bodies.len())
                .filter(|&index| bytes[starts[index]..starts[index + 1]] == before[starts[index]..starts[index + 1]])
                .map(|index| LABEL.first_seq + index as u64)
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_cut_leaves_every_whole_record(bodies in bodies(), cut: prop::sample::Index) {
            let (bytes, starts) = segment(&bodies);
            let cut = cut.index(bytes.len() + 1);
            let whole = starts[1..].iter().filter(|&&end| end <= cut).count();
            let scan = scan(&bytes[..cut], &LABEL);
            prop_assert_eq!(scan.entries.len(), whole);
            prop_assert!(scan.damage.is_empty());
        }
    }
}

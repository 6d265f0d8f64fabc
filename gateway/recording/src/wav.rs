//! WAV: the header, valid at every moment, and the samples behind it.
//!
//! The header is written anew whenever samples follow, so that what a killed process leaves says how much there is.

/// Bytes before the first sample.
pub(crate) const HEADER: usize = 44;
/// Two voices of 16 bits.
pub(crate) const FRAME_BYTES: u32 = 4;
/// The largest file: its lengths have 32 bits.
pub(crate) const MAX_BYTES: u64 = u32::MAX as u64 - 8;

/// Appends a piece of both voices, of the same length, to `out`.
pub(crate) fn samples(heard: &[i16], said: &[i16], out: &mut Vec<u8>) {
    for (heard, said) in heard.iter().zip(said) {
        out.extend_from_slice(&heard.to_le_bytes());
        out.extend_from_slice(&said.to_le_bytes());
    }
}

/// A header for two channels of 16-bit samples at `rate` Hz with `data_bytes` of samples.
pub(crate) fn header(rate: u32, data_bytes: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(data_bytes.saturating_add(HEADER as u32 - 8)).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(), // linear PCM
        &2_u16.to_le_bytes(),
        &rate.to_le_bytes(),
        &rate.wrapping_mul(FRAME_BYTES).to_le_bytes(),
        &(FRAME_BYTES as u16).to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data",
        &data_bytes.to_le_bytes(),
    ];
    let mut at = 0;
    for field in fields {
        header[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_left_and_the_agent_right() {
        let mut out = Vec::new();
        samples(&[1, -2], &[3, -4], &mut out);
        assert_eq!(out, [1, 0, 3, 0, 0xfe, 0xff, 0xfc, 0xff]);
    }

    #[test]
    fn the_header_says_what_follows() {
        let header = header(8000, 3200);
        assert_eq!(&header[..4], b"RIFF");
        assert_eq!(u32::from_le_bytes(header[4..8].try_into().unwrap()), 3236);
        assert_eq!(u16::from_le_bytes(header[22..24].try_into().unwrap()), 2);
        assert_eq!(u32::from_le_bytes(header[28..32].try_into().unwrap()), 32_000);
        assert_eq!(&header[36..40], b"data");
        assert_eq!(u32::from_le_bytes(header[40..44].try_into().unwrap()), 3200);
    }
}

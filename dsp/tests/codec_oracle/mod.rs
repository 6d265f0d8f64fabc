//! Another implementation to measure ours against: FFmpeg with its own G.722 and with libopus, and the Ogg container it
//! takes Opus in.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether FFmpeg is there. Where tests must be complete (`CI` is set) its absence is a failure.
pub(crate) fn is_available() -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "install the Debian package ffmpeg");
    if !found {
        eprintln!("SKIPPED: no ffmpeg to compare with; install the Debian package ffmpeg");
    }
    found
}

/// What FFmpeg writes to its standard output for `arguments`, with `input` in a file that `{}` stands for.
pub(crate) fn ffmpeg(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(input).unwrap();
    let path: &Path = file.path();
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(arguments.split_whitespace().map(|word| if word == "{}" { path.as_os_str() } else { word.as_ref() }))
        .arg("-")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn to_bytes(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

pub(crate) fn to_pcm(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

/// A voice-like sound: a gliding pulse with formants, in syllables of 160 ms with pauses of 80, and a little hiss.
pub(crate) fn voice(rate: u32, seconds: f64) -> Vec<i16> {
    let mut phase = 0.0_f64;
    let mut noise = 0x1234_5678_u32;
    (0..(f64::from(rate) * seconds) as usize)
        .map(|n| {
            let time = n as f64 / f64::from(rate);
            let pitch = 120.0 + 30.0 * (time * 4.0).sin();
            phase += pitch / f64::from(rate);
            let limit = (f64::from(rate) * 0.45).min(7000.0);
            let mut sum = 0.0;
            for harmonic in 1..60 {
                let hz = pitch * f64::from(harmonic);
                if hz > limit {
                    break;
                }
                let formants: f64 = [(500.0, 120.0), (1500.0, 200.0), (2600.0, 300.0)]
                    .iter()
                    .map(|(centre, width)| 1.0 / (1.0 + ((hz - centre) / width).powi(2)))
                    .sum();
                sum += (formants + 0.02) * (std::f64::consts::TAU * phase * f64::from(harmonic)).sin();
            }
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let within = time % 0.24;
            let envelope = if within < 0.16 { (std::f64::consts::PI * within / 0.16).sin() } else { 0.0 };
            (sum * envelope * 1500.0 + f64::from(noise >> 16) / 65536.0 * 20.0) as i16
        })
        .collect()
}

/// Signal to noise in dB of `heard` against `truth`, both from their beginnings.
pub(crate) fn snr(truth: &[i16], heard: &[i16]) -> f64 {
    let (mut signal, mut noise) = (1e-9, 1e-9);
    for (truth, heard) in truth.iter().zip(heard) {
        signal += f64::from(*truth).powi(2);
        noise += (f64::from(*truth) - f64::from(*heard)).powi(2);
    }
    10.0 * f64::log10(signal / noise)
}

/// The best [`snr`] over delays of `heard` up to `most` samples, and that delay.
pub(crate) fn aligned_snr(truth: &[i16], heard: &[i16], most: usize) -> (f64, usize) {
    (0..most.min(heard.len()))
        .map(|delay| (snr(truth, &heard[delay..]), delay))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .unwrap()
}

/// Opus packets of `samples` at 48 kHz each, as an Ogg file (RFC 7845) whose decoder skips nothing.
pub(crate) fn write_ogg(packets: &[Vec<u8>], samples: u64) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&[0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]);
    let mut file = page(0, 0, 2, &head);
    file.extend(page(1, 0, 0, b"OpusTags\x01\0\0\0t\0\0\0\0"));
    for (n, packet) in packets.iter().enumerate() {
        let last = if n + 1 == packets.len() { 4 } else { 0 };
        file.extend(page(n as u32 + 2, (n as u64 + 1) * samples, last, packet));
    }
    file
}

fn page(number: u32, granule: u64, flags: u8, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&granule.to_le_bytes());
    page.extend_from_slice(&7_u32.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    page.push((packet.len() / 255 + 1) as u8);
    page.extend(std::iter::repeat_n(255, packet.len() / 255));
    page.push((packet.len() % 255) as u8);
    page.extend_from_slice(packet);
    let mut crc = 0_u32;
    for byte in &page {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { (crc << 1) ^ 0x04c1_1db7 } else { crc << 1 };
        }
    }
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

/// The packets of an Ogg file but its two headers.
pub(crate) fn read_ogg(mut file: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    while file.len() > 27 {
        assert_eq!(&file[..4], b"OggS");
        let (lacing, mut body) = file[27..].split_at(usize::from(file[26]));
        for size in lacing {
            let (part, rest) = body.split_at(usize::from(*size));
            packet.extend_from_slice(part);
            body = rest;
            if *size < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        file = body;
    }
    packets.split_off(2)
}

//! Both ends of a leg's encryption against each other, against libsrtp, and against somebody in between.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use trunkline_allocations::{Counts, counted};

use super::*;

fn key(suite: SrtpSuite, seed: u8) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.master_len()).map(|n| (n as u8).wrapping_mul(7).wrapping_add(seed)).collect();
    MasterKey::new(suite, &bytes).unwrap()
}

fn spec(suite: SrtpSuite, send: u8, receive: u8) -> SrtpSpec {
    SrtpSpec { suite, send: key(suite, send), receive: key(suite, receive) }
}

fn pair(suite: SrtpSuite) -> (Srtp, Srtp) {
    (Srtp::new(&spec(suite, 1, 2)).unwrap(), Srtp::new(&spec(suite, 2, 1)).unwrap())
}

fn rtp(ssrc: u32, seq: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x60];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&u32::from(seq).wrapping_mul(160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..160).map(|n| n ^ seq as u8));
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(b"\x81\xca\x00\x02abcdefgh");
    packet
}

fn protect(srtp: &mut Srtp, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [packet, &[0; MAX_OVERHEAD]].concat();
    let length = if (192..224).contains(&packet[1]) {
        srtp.protect_rtcp(&mut buffer, packet.len())
    } else {
        srtp.protect_rtp(&mut buffer, packet.len())
    };
    buffer.truncate(length.unwrap());
    buffer
}

fn open(srtp: &mut Srtp, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut plain = [0; 1500];
    let length = if packet.get(1).is_some_and(|kind| (192..224).contains(kind)) {
        srtp.open_rtcp(packet, &mut plain)
    } else {
        srtp.open_rtp(packet, &mut plain)
    }?;
    Ok(plain[..length].to_vec())
}

#[test]
fn what_one_end_sends_the_other_reads_with_every_suite() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        for seq in 65_000..=66_500_u32 {
            let packet = rtp(9, seq as u16);
            let sent = protect(&mut ours, &packet);
            assert_eq!(sent[..12], packet[..12], "the header stays readable");
            assert_ne!(sent[12..40], packet[12..40]);
            assert_eq!(open(&mut theirs, &sent), Ok(packet), "{suite:?} {seq}");
        }
        for _ in 0..3 {
            let sent = protect(&mut ours, &rtcp(9));
            assert_ne!(sent[8..20], rtcp(9)[8..20]);
            assert_eq!(open(&mut theirs, &sent), Ok(rtcp(9)));
        }
    }
}

#[test]
fn headers_with_sources_and_extensions_stay_readable() {
    let mut packet = vec![0x92, 0x60, 0, 5, 0, 0, 0, 1, 0, 0, 0, 9];
    packet.extend_from_slice(&[1; 8]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 7, 7, 7, 7]);
    packet.extend_from_slice(b"sound");
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let sent = protect(&mut ours, &packet);
        assert_eq!(sent[..28], packet[..28]);
        assert_ne!(sent[28..33], packet[28..33]);
        assert_eq!(open(&mut theirs, &sent), Ok(packet.clone()));
    }
}

#[test]
fn a_packet_is_read_once_whatever_order_they_come_in() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let sent: Vec<Vec<u8>> = (0..200).map(|seq| protect(&mut ours, &rtp(9, seq))).collect();
        for seq in [50, 40, 45, 199, 100, 72] {
            assert!(open(&mut theirs, &sent[seq]).is_ok(), "{seq}");
            assert_eq!(open(&mut theirs, &sent[seq]), Err(Refused::Replayed), "{seq}");
        }
        assert_eq!(open(&mut theirs, &sent[71]), Err(Refused::Replayed), "too old to tell");
        let report = protect(&mut ours, &rtcp(9));
        assert!(open(&mut theirs, &report).is_ok());
        assert_eq!(open(&mut theirs, &report), Err(Refused::Replayed));
    }
}

#[test]
fn a_packet_altered_anywhere_is_refused_and_leaves_no_trace() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        for packet in [rtp(9, 700), rtcp(9)] {
            let sent = protect(&mut ours, &packet);
            for at in 0..sent.len() {
                let mut altered = sent.clone();
                altered[at] ^= 0x04;
                if at != 1 {
                    assert!(open(&mut theirs, &altered).is_err(), "{suite:?} byte {at}");
                }
            }
            for length in 0..sent.len() {
                assert!(open(&mut theirs, &sent[..length]).is_err(), "{suite:?} cut to {length}");
            }
            assert_eq!(open(&mut theirs, &sent), Ok(packet), "the true one is still awaited");
        }
        let mut stranger = Srtp::new(&spec(suite, 77, 2)).unwrap();
        assert_eq!(open(&mut theirs, &protect(&mut stranger, &rtp(9, 701))), Err(Refused::Forged));
        assert_eq!(open(&mut theirs, &rtp(9, 701)).unwrap_err(), Refused::Forged, "plain sound among encrypted");
    }
}

#[test]
fn an_index_is_never_used_twice_for_sending() {
    let (mut ours, _) = pair(SrtpSuite::AeadAes128Gcm);
    protect(&mut ours, &rtp(9, 5));
    let mut buffer = [0; 200];
    let again = rtp(9, 5);
    buffer[..again.len()].copy_from_slice(&again);
    assert_eq!(ours.protect_rtp(&mut buffer, again.len()), None);
    ours.sender.rtcp_index = LAST_RTCP_INDEX + 1;
    buffer[..16].copy_from_slice(&rtcp(9)[..16]);
    assert_eq!(ours.protect_rtcp(&mut buffer, 16), None);
}

/// Both ends after the rollover counter has turned once.
fn turned(suite: SrtpSuite) -> (Srtp, Srtp) {
    let (mut ours, mut theirs) = pair(suite);
    for seq in (0..=u16::MAX).step_by(16_000).chain([u16::MAX, 3]) {
        let sent = protect(&mut theirs, &rtp(9, seq));
        open(&mut ours, &sent).unwrap();
    }
    (ours, theirs)
}

#[test]
fn a_new_key_takes_over_with_the_counters_and_packets_under_way_still_count() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = turned(suite);
        let under_way = protect(&mut theirs, &rtp(9, 4));
        let report_under_way = protect(&mut theirs, &rtcp(9));
        ours.rekey(&mut Srtp::new(&spec(suite, 1, 3)).unwrap());
        theirs.rekey(&mut Srtp::new(&spec(suite, 3, 1)).unwrap());
        let sent = protect(&mut theirs, &rtp(9, 5));
        assert_eq!(open(&mut ours, &sent), Ok(rtp(9, 5)), "{suite:?}: the rollover counter goes on");
        assert_eq!(open(&mut ours, &under_way), Ok(rtp(9, 4)));
        assert_eq!(open(&mut ours, &under_way), Err(Refused::Replayed));
        assert_eq!(open(&mut ours, &report_under_way), Ok(rtcp(9)));
        assert_eq!(open(&mut ours, &protect(&mut theirs, &rtcp(9))), Ok(rtcp(9)));
        let ours_sent = protect(&mut ours, &rtp(7, 1));
        assert!(open(&mut theirs, &ours_sent).is_ok(), "the key that stayed goes on as it was");
    }
}

#[test]
fn the_old_key_is_forgotten_once_the_new_one_is_in_use() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let (mut ours, mut theirs) = turned(suite);
    let mut old = Srtp::new(&spec(suite, 2, 1)).unwrap();
    old.sender.ssrc = Some(9);
    old.sender.sent = theirs.sender.sent;
    ours.rekey(&mut Srtp::new(&spec(suite, 1, 3)).unwrap());
    theirs.rekey(&mut Srtp::new(&spec(suite, 3, 1)).unwrap());
    for seq in 10..10 + OLD_KEY_PACKETS as u16 {
        let sent = protect(&mut theirs, &rtp(9, seq));
        open(&mut ours, &sent).unwrap();
    }
    assert_eq!(open(&mut ours, &protect(&mut old, &rtp(9, 300))), Err(Refused::Forged));
}

#[test]
fn a_far_end_that_counts_anew_with_a_new_key_is_followed_once() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = turned(suite);
        let recorded = protect(&mut theirs, &rtp(9, 4));
        open(&mut ours, &recorded).unwrap();
        ours.rekey(&mut Srtp::new(&spec(suite, 1, 3)).unwrap());
        let mut anew = Srtp::new(&spec(suite, 3, 1)).unwrap();
        for seq in [5, 6] {
            let sent = protect(&mut anew, &rtp(9, seq));
            assert_eq!(open(&mut ours, &sent), Ok(rtp(9, seq)), "{suite:?}");
            assert_eq!(open(&mut ours, &sent), Err(Refused::Replayed));
        }
        let report = protect(&mut anew, &rtcp(9));
        assert!(open(&mut ours, &report).is_ok());
        assert_eq!(open(&mut ours, &report), Err(Refused::Replayed));
        assert!(open(&mut ours, &recorded).is_err());
    }
}

#[test]
fn a_change_of_suite_changes_both_ways() {
    let (mut ours, mut theirs) = turned(SrtpSuite::AesCm128HmacSha1_32);
    let report = protect(&mut theirs, &rtcp(9));
    ours.rekey(&mut Srtp::new(&spec(SrtpSuite::AeadAes256Gcm, 1, 2)).unwrap());
    theirs.rekey(&mut Srtp::new(&spec(SrtpSuite::AeadAes256Gcm, 2, 1)).unwrap());
    assert_eq!(open(&mut ours, &report), Ok(rtcp(9)), "under way since before");
    assert_eq!(open(&mut ours, &protect(&mut theirs, &rtp(9, 4))), Ok(rtp(9, 4)));
    assert_eq!(open(&mut theirs, &protect(&mut ours, &rtp(7, 4))), Ok(rtp(7, 4)));
    assert_eq!(open(&mut ours, &protect(&mut theirs, &rtcp(9))), Ok(rtcp(9)));
}

#[test]
fn sources_beyond_those_that_are_remembered_push_out_the_quietest() {
    let (mut ours, mut theirs) = pair(SrtpSuite::AeadAes128Gcm);
    for round in 0..3_u16 {
        for ssrc in 0..2 * SOURCES as u32 {
            let packet = rtp(ssrc, round * 10);
            let sent = protect(&mut ours, &packet);
            assert_eq!(open(&mut theirs, &sent), Ok(packet));
        }
    }
    assert_eq!(theirs.receiver.sources.iter().filter(|source| source.ssrc.is_some()).count(), SOURCES);
}

#[test]
fn nothing_is_allocated_for_a_packet_or_a_new_key() {
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let mut next = Srtp::new(&spec(suite, 2, 3)).unwrap();
        let mut ours_next = Srtp::new(&spec(suite, 3, 2)).unwrap();
        let (packet, report) = (rtp(9, 1), rtcp(9));
        let (mut wire, mut plain) = ([0; 1500], [0; 1500]);
        let asked = counted(|| {
            for seq in 0..400_u16 {
                if seq == 100 {
                    theirs.rekey(&mut next);
                    ours.rekey(&mut ours_next);
                }
                wire[..packet.len()].copy_from_slice(&packet);
                wire[2..4].copy_from_slice(&seq.to_be_bytes());
                let length = ours.protect_rtp(&mut wire, packet.len()).unwrap();
                theirs.open_rtp(&wire[..length], &mut plain).unwrap();
                wire[..report.len()].copy_from_slice(&report);
                let length = ours.protect_rtcp(&mut wire, report.len()).unwrap();
                theirs.open_rtcp(&wire[..length], &mut plain).unwrap();
            }
        });
        assert_eq!(asked, Counts::NONE, "{suite:?}");
    }
}

/// libsrtp by Debian's `python3-pylibsrtp`: `protect` or `unprotect` of packets in hexadecimal, a line each.
const LIBSRTP: &str = r"
import sys
from pylibsrtp import Policy, Session
act, profile, key = sys.argv[1], getattr(Policy, 'SRTP_PROFILE_' + sys.argv[2]), bytes.fromhex(sys.argv[3])
side = Policy.SSRC_ANY_OUTBOUND if act == 'protect' else Policy.SSRC_ANY_INBOUND
session = Session(Policy(key=key, ssrc_type=side, srtp_profile=profile))
for line in sys.stdin:
    packet = bytes.fromhex(line)
    control = 192 <= packet[1] < 224
    print(getattr(session, act + '_rtcp' if control else act)(packet).hex())
";

/// Where tests must be complete (`CI` is set) its absence is a failure.
fn libsrtp_is_available() -> bool {
    let import = Command::new("/usr/bin/python3").args(["-c", "import pylibsrtp"]).stderr(Stdio::null()).status();
    let found = import.is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "install the Debian package python3-pylibsrtp");
    if !found {
        eprintln!("SKIPPED: no libsrtp to compare with; install the Debian package python3-pylibsrtp");
    }
    found
}

fn libsrtp(act: &str, suite: SrtpSuite, key: &MasterKey, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let profile = match suite {
        SrtpSuite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        SrtpSuite::AeadAes128Gcm => "AEAD_AES_128_GCM",
        SrtpSuite::AesCm128HmacSha1_80 => "AES128_CM_SHA1_80",
        SrtpSuite::AesCm128HmacSha1_32 => "AES128_CM_SHA1_32",
    };
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", LIBSRTP, act, profile, &hex(key.bytes())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = packets.iter().map(|packet| hex(packet) + "\n").collect();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "libsrtp refused a packet");
    let text = String::from_utf8(output.stdout).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

#[test]
fn libsrtp_reads_what_we_send_and_we_what_it_sends() {
    if !libsrtp_is_available() {
        return;
    }
    for suite in SrtpSuite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        // Across a turn of the rollover counter, with reports in between.
        let mut packets: Vec<Vec<u8>> = (65_500..65_600_u32).map(|seq| rtp(9, seq as u16)).collect();
        for at in [0, 30, 60, 90] {
            packets.insert(at, rtcp(9));
        }
        let sent: Vec<Vec<u8>> = packets.iter().map(|packet| protect(&mut ours, packet)).collect();
        assert_eq!(libsrtp("unprotect", suite, &key(suite, 1), &sent), packets, "{suite:?}");
        let heard = libsrtp("protect", suite, &key(suite, 1), &packets);
        let opened: Vec<Vec<u8>> = heard.iter().map(|packet| open(&mut theirs, packet).unwrap()).collect();
        assert_eq!(opened, packets, "{suite:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_pass(bytes in prop::collection::vec(any::<u8>(), 0..120), suite in 0..4_usize) {
        let (mut ours, _) = pair(SrtpSuite::ALL[suite]);
        let mut plain = [0; 1500];
        prop_assert!(ours.open_rtp(&bytes, &mut plain).is_err());
        prop_assert!(ours.open_rtcp(&bytes, &mut plain).is_err());
        let mut buffer = bytes.clone();
        buffer.resize(bytes.len() + MAX_OVERHEAD, 0);
        let _ = ours.protect_rtp(&mut buffer, bytes.len());
        let _ = ours.protect_rtcp(&mut buffer, bytes.len());
    }
}

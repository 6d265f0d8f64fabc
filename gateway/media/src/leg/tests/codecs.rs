//! Legs of every codec: clocks, changes in mid-call, pauses.

use trunkline_allocations::{Counts, counted};
use trunkline_dsp::codec::{Decoder, Encoder};
use trunkline_dsp::level::rms_dbfs;
use trunkline_leg::OpusParameters;

use super::*;
use crate::codec::{LegCodec, LegEncoder};

fn of(codec: Codec) -> MediaSpec {
    let opus = OpusParameters { fec: true, ..OpusParameters::default() };
    MediaSpec { opus, ..MediaSpec::new(codec, codec.offered_payload_type(), REMOTE.parse().unwrap()) }
}

fn tone(rate: u32, frame: usize) -> Vec<i16> {
    let samples = (rate / 50) as usize;
    let step = 2.0 * std::f32::consts::PI * 440.0 / rate as f32;
    (frame * samples..(frame + 1) * samples).map(|n| ((n as f32 * step).sin() * 8000.0) as i16).collect()
}

/// The far end's side of a codec.
struct Peer {
    encoder: LegEncoder,
    codec: Codec,
    frame: usize,
}

impl Peer {
    fn new(spec: &MediaSpec) -> Self {
        let encoder = LegCodec::new(spec, spec.codec.sample_rate()).unwrap().encoder;
        Self { encoder, codec: spec.codec, frame: 0 }
    }

    /// 20 ms of a tone as a packet.
    fn talk(&mut self, rig: &mut Rig) {
        let mut payload = [0; 1280];
        let length = self.encoder.encode(&tone(self.codec.sample_rate(), self.frame), &mut payload);
        let packet = rig.packet(self.codec.offered_payload_type(), &payload[..length]);
        rig.receive(&packet);
        rig.seq = rig.seq.wrapping_add(1);
        rig.timestamp = rig.timestamp.wrapping_add(self.codec.clock_rate() / 50);
        self.frame += 1;
    }
}

/// A tick, and what it asked of the allocator; returns the last packet of sound.
pub(super) fn counted_tick(rig: &mut Rig) -> (Vec<u8>, Counts) {
    let Rig { leg, uplink, now, after_us, .. } = rig;
    let at = *now + *after_us;
    *now = now.plus_ms(20);
    let (mut wire, mut length, mut downlink) = ([0; 1500], 0, DownlinkChain::new());
    let asked = counted(|| {
        leg.begin(Moment { call: at, due: at, wall_us: 0 }, uplink);
        leg.say(&mut downlink, 0);
        while let Some(transmit) = leg.poll_transmit() {
            if !transmit.rtcp {
                length = transmit.data.len();
                wire[..length].copy_from_slice(transmit.data);
            }
        }
        leg.pull(0);
        let mut report = UplinkReport::default();
        if let Some(frame) = leg.uplink_frame() {
            let mut batch = [frame];
            uplink.process(&mut batch);
            report = batch[0].report;
        }
        leg.publish(uplink, &report, true);
    });
    (wire[..length].to_vec(), asked)
}

fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

#[test]
fn every_codec_is_heard_at_its_rate_and_stamped_by_its_clock() {
    for codec in Codec::ALL {
        let rate = codec.sample_rate();
        let mut rig = Rig::new(|start| start.spec = of(codec));
        let mut peer = Peer::new(&of(codec));
        let mut sent = Vec::new();
        for n in 0..50 {
            peer.talk(&mut rig);
            let pcm = tone(rate, n);
            rig.agent.down.push(DownFrame::new(&pcm, rate, 1, (n * pcm.len()) as u64, 0).unwrap()).unwrap();
            sent.extend(rig.tick());
            if n % 10 == 9 {
                let frames = rig.frames();
                let steps = frames.windows(2).all(|pair| pair[1].position - pair[0].position == u64::from(rate / 50));
                assert!(steps && frames.iter().all(|frame| frame.rate == rate && !frame.concealed), "{codec}");
                if n > 20 {
                    let heard: Vec<i16> = frames.iter().flat_map(|frame| frame.pcm().to_vec()).collect();
                    assert!((rms_dbfs(&heard) + 15.3).abs() < 1.5, "{codec}: {}", rms_dbfs(&heard));
                }
            }
        }
        let stats = rig.stats();
        assert_eq!((stats.lost, stats.late, stats.dropped_overrun, stats.concealed_ms), (0, 0, 0, 0), "{codec}");
        assert!(stats.jitter_us < 1000, "{codec}: {} us, by the RTP clock", stats.jitter_us);
        assert_eq!(sent.len(), 50, "{codec}");
        assert!(
            sent.windows(2)
                .all(|pair| timestamp(&pair[1]).wrapping_sub(timestamp(&pair[0])) == codec.clock_rate() / 50)
        );
        let mut decoder = LegCodec::new(&of(codec), rate).unwrap().jitter;
        let mut heard = [0; 1920];
        let samples: Vec<i16> = sent
            .iter()
            .flat_map(|packet| {
                let made = decoder.decoder_mut().decode(&packet[12..], &mut heard);
                heard[..made].to_vec()
            })
            .collect();
        assert!((rms_dbfs(&samples[samples.len() / 2..]) + 15.3).abs() < 1.5, "{codec}");
    }
}

#[test]
fn missed_ticks_move_the_timestamp_by_the_clock_and_the_position_by_the_rate() {
    for codec in Codec::ALL {
        let mut rig = Rig::new(|start| start.spec = of(codec));
        Peer::new(&of(codec)).talk(&mut rig);
        let before = rig.tick();
        rig.now = CallTime::from_ms(120);
        let after = rig.tick_after(5);
        assert_eq!(timestamp(&after[0]).wrapping_sub(timestamp(&before[0])), 6 * codec.clock_rate() / 50, "{codec}");
        assert_eq!(rig.frames().last().unwrap().position, 6 * u64::from(codec.sample_rate() / 50));
    }
}

#[test]
fn a_change_to_any_codec_in_mid_call_is_heard_and_allocates_nothing() {
    for before in Codec::ALL {
        for after in Codec::ALL.into_iter().filter(|after| *after != before) {
            let rate = before.sample_rate();
            let mut rig = Rig::new(|start| start.spec = of(before));
            let mut peer = Peer::new(&of(before));
            for _ in 0..20 {
                peer.talk(&mut rig);
                rig.tick();
            }
            rig.order(of(after));
            let mut peer = Peer::new(&of(after));
            rig.frames();
            let mut sent = Vec::new();
            for n in 0..40 {
                let (packet, asked) = counted_tick(&mut rig);
                assert_eq!(asked, Counts::NONE, "{before} to {after}, tick {n}");
                sent.push(packet);
                peer.talk(&mut rig);
            }
            let frames = rig.frames();
            assert!(frames.iter().all(|frame| frame.rate == rate), "the leg keeps its rate");
            let heard: Vec<i16> = frames[20..].iter().flat_map(|frame| frame.pcm().to_vec()).collect();
            assert!((rms_dbfs(&heard) + 15.3).abs() < 1.5, "{before} to {after}: {}", rms_dbfs(&heard));
            assert!(sent.iter().all(|packet| packet[1] & 0x7f == after.offered_payload_type()), "{before} to {after}");
            assert!(
                sent[1..]
                    .windows(2)
                    .all(|two| timestamp(&two[1]).wrapping_sub(timestamp(&two[0])) == after.clock_rate() / 50)
            );
            assert_eq!((rig.stats().lost, rig.stats().late), (0, 0), "{before} to {after}");
        }
    }
}

#[test]
fn what_a_change_replaces_goes_back_to_the_owner() {
    let mut rig = Rig::new(|_| {});
    for codec in [Codec::Opus, Codec::G722, Codec::Pcma, Codec::L16Wideband] {
        rig.order(of(codec));
    }
    rig.tick();
    let replaced = [Codec::Pcmu, Codec::Opus, Codec::G722, Codec::Pcma];
    for was in replaced {
        let Ok(LegOrder::Media { spec, codec: Some(codec), .. }) = rig.spent.pop() else { panic!("{was} is missing") };
        assert_eq!((spec.codec, codec.encoder.codec), (was, was));
    }
    assert!(rig.spent.pop().is_err());
}

#[test]
fn packets_larger_than_g711s_are_taken() {
    let l16 = MediaSpec { ptime_ms: 40, ..of(Codec::L16Wideband) };
    let mut rig = Rig::new(|start| start.spec = l16.clone());
    for _ in 0..20 {
        let packet = rig.packet(113, &[0x10; 1280]);
        rig.receive(&packet);
        (rig.seq, rig.timestamp) = (rig.seq + 1, rig.timestamp + 640);
        rig.tick();
        rig.tick();
    }
    assert_eq!((rig.stats().dropped_size, rig.stats().packets_in), (0, 20));
    assert_eq!(rig.frames().last().unwrap().pcm()[100], 0x1010);
}

#[test]
fn a_pause_sounds_as_its_comfort_noise_says() {
    for (codec, payload_type) in [(Codec::Pcmu, 13), (Codec::G722, 13), (Codec::L16Wideband, 105)] {
        let spec = MediaSpec { comfort_noise_payload_type: Some(payload_type), ..of(codec) };
        let mut rig = Rig::new(|start| start.spec = spec.clone());
        let mut peer = Peer::new(&spec);
        for _ in 0..20 {
            peer.talk(&mut rig);
            rig.tick();
        }
        let noise = rig.packet(payload_type, &[45]);
        rig.receive(&noise);
        rig.seq += 1;
        rig.frames();
        for _ in 0..45 {
            rig.timestamp += codec.clock_rate() / 50;
            rig.tick();
        }
        let pause: Vec<i16> = rig.frames()[20..].iter().flat_map(|frame| frame.pcm().to_vec()).collect();
        assert!((rms_dbfs(&pause) + 45.0).abs() < 2.0, "{codec}: {}", rms_dbfs(&pause));
        for _ in 0..10 {
            peer.talk(&mut rig);
            rig.tick();
        }
        assert!(rms_dbfs(rig.frames().last().unwrap().pcm()) > -18.0, "{codec}");
        assert_eq!((rig.stats().lost, rig.stats().dropped_payload_type), (0, 0));
    }
}

#[test]
fn a_leg_that_sends_nothing_in_pauses_describes_them_once() {
    let agreed = MediaSpec { comfort_noise_payload_type: Some(13), ..spec() };
    for (spec, packets) in [(agreed, 1), (spec(), 0)] {
        let mut rig = Rig::new(|start| (start.spec, start.idle) = (spec.clone(), crate::config::Idle::Nothing));
        let mut frame = DownFrame::new(&[4000; 160], 8000, 1, 0, 0).unwrap();
        frame.last = true;
        rig.agent.down.push(frame).unwrap();
        let sent: Vec<Vec<u8>> = (0..20).flat_map(|_| rig.tick()).collect();
        assert_eq!(sent[0][1] & 0x7f, 0);
        let noise: Vec<&Vec<u8>> = sent.iter().filter(|packet| packet[1] & 0x7f == 13).collect();
        assert_eq!((noise.len(), sent.len()), (packets, 1 + packets));
        assert!(noise.iter().all(|packet| packet[12..] == [65]));
    }
}

#[test]
fn opus_that_leaves_out_pauses_goes_on_with_a_marked_packet() {
    let opus = OpusParameters { dtx: true, ..OpusParameters::default() };
    let mut rig = Rig::new(|start| start.spec = MediaSpec { opus, ..of(Codec::Opus) });
    let quiet: Vec<Vec<u8>> = (0..100).flat_map(|_| rig.tick()).collect();
    assert!((5..60).contains(&quiet.len()), "{}", quiet.len());
    let seqs: Vec<u16> = quiet.iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect();
    assert!(seqs.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 1), "what is not sent has no number");
    let last = quiet.last().unwrap();
    assert_eq!(last[1] >> 7, 1);
    assert!(timestamp(last).wrapping_sub(timestamp(&quiet[quiet.len() - 2])) > 960, "time went on");
}

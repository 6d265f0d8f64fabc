//! Rules of a leg, packet by packet and tick by tick.

use std::net::SocketAddr;
use std::time::Instant;

use proptest::prelude::*;
use rtp_types::RtpPacketBuilder;
use rtrb::{Producer, RingBuffer};
use trunkline_dsp::chain::ChainConfig;
use trunkline_dsp::codec::{alaw_decode, ulaw_decode, ulaw_encode};
use trunkline_leg::{AgentEnd, Codec, Direction, DownFrame, LevelReport, RingSizes, UpFrame, leg_rings};

use super::drift::DRIFT_FRAMES;
use super::*;
use crate::config::{Feed, LegSound};
use crate::rtcp;

mod ambience;
mod codecs;
mod encryption;
mod far_end;
mod heard;
mod hold;
mod thinking;
mod tones;
mod voice;
mod wire;

use voice::Voice;

struct Rig {
    leg: Leg,
    agent: AgentEnd,
    shared: Arc<LegShared>,
    orders: Producer<LegOrder>,
    spent: Consumer<LegOrder>,
    latest: MediaSpec,
    rate: u32,
    uplink: UplinkChain,
    now: CallTime,
    after_us: u64,
    /// Where the far end sends from.
    remote: SocketAddr,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
}

const REMOTE: &str = "192.0.2.1:4000";

fn spec() -> MediaSpec {
    MediaSpec { dtmf_payload_type: Some(101), ..MediaSpec::new(Codec::Pcmu, 0, REMOTE.parse().unwrap()) }
}

impl Rig {
    fn new(change: impl FnOnce(&mut LegStart)) -> Self {
        let mut start = LegStart::new(spec(), Instant::now());
        // What comes out is compared with what went in, sample by sample.
        start.sound = LegSound::untouched();
        change(&mut start);
        let (media, agent) = leg_rings(start.rings);
        let (orders, incoming) = RingBuffer::new(4);
        let (outgoing, spent) = RingBuffer::new(4);
        let owner = OwnerEnd { orders: incoming, spent: outgoing };
        let (mut leg, shared) =
            Leg::new(&start, media, owner, Taps::new(None).0, Seed([3; 32]), CallTime::ZERO).unwrap();
        let mut uplink = UplinkChain::new(ChainConfig::new(1));
        leg.adopt(&mut uplink, 0);
        Self {
            leg,
            agent,
            shared,
            orders,
            spent,
            rate: start.spec.codec.sample_rate(),
            latest: start.spec,
            uplink,
            now: CallTime::ZERO,
            after_us: 6_000,
            remote: REMOTE.parse().unwrap(),
            seq: 100,
            timestamp: 0,
            ssrc: 9,
        }
    }

    fn moment(&self) -> Moment {
        Moment { call: self.now, due: self.now, wall_us: 1_700_000_000_000_000 + self.now.as_us() }
    }

    fn packet(&self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(payload_type)
            .sequence_number(self.seq)
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(payload)
            .write_vec()
            .unwrap()
    }

    fn receive(&mut self, bytes: &[u8]) {
        let arrival = self.now.as_us();
        self.leg.handle_rtp(self.moment(), arrival, self.remote, bytes, false);
    }

    /// 20 ms of the far end's sound at a level, and the step to the next.
    fn talk(&mut self, level: i16) {
        self.receive(&self.packet(0, &[ulaw_encode(level); 160]));
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    /// A tick, 6 ms (or `after_us`) after the packets of its moment; returns what was sent as RTP.
    fn tick(&mut self) -> Vec<Vec<u8>> {
        self.tick_after(0)
    }

    /// A tick after `missed` others that never happened.
    fn tick_after(&mut self, missed: u64) -> Vec<Vec<u8>> {
        let now = self.now + self.after_us;
        self.leg.begin(Moment { call: now, due: now, wall_us: 0 }, &mut self.uplink);
        self.now = self.now.plus_ms(20);
        self.leg.say(&mut DownlinkChain::new(), missed);
        let mut sent = Vec::new();
        while let Some(transmit) = self.leg.poll_transmit() {
            if !transmit.rtcp {
                assert_eq!(transmit.to, self.remote);
                sent.push(transmit.data.to_vec());
            }
        }
        self.leg.pull(missed);
        let mut report = UplinkReport::default();
        if let Some(frame) = self.leg.uplink_frame() {
            let mut batch = [frame];
            self.uplink.process(&mut batch);
            report = batch[0].report;
        }
        self.leg.publish(&self.uplink, &report, true);
        sent
    }

    /// Facts but those of the sound.
    fn facts(&mut self) -> Vec<LegFact> {
        let all = std::iter::from_fn(|| self.agent.facts.pop().ok());
        all.filter(|fact| !matches!(fact, LegFact::SoundApplied { .. })).collect()
    }

    fn order(&mut self, spec: MediaSpec) {
        while self.spent.pop().is_ok() {}
        let order = LegOrder::media(&self.latest, spec.clone(), self.rate).unwrap();
        self.orders.push(order).unwrap();
        self.latest = spec;
    }

    fn speak(&mut self, voice: &mut Voice) {
        let payload: Vec<u8> = voice.frame().map(ulaw_encode).into();
        let packet = self.packet(0, &payload);
        self.receive(&packet);
        (self.seq, self.timestamp) = (self.seq.wrapping_add(1), self.timestamp.wrapping_add(160));
    }

    fn stats(&self) -> LegStats {
        self.shared.stats.load()
    }

    fn frames(&mut self) -> Vec<UpFrame> {
        std::iter::from_fn(|| self.agent.up.pop().ok()).collect()
    }
}

#[test]
fn frames_carry_position_arrival_and_sound_of_their_packets() {
    let mut rig = Rig::new(|_| {});
    rig.tick();
    for _ in 0..5 {
        rig.talk(3000);
        rig.tick();
    }
    let frames = rig.frames();
    assert_eq!(frames.iter().map(|frame| frame.position).collect::<Vec<_>>(), [0, 160, 320, 480, 640]);
    assert_eq!(frames[2].arrival, CallTime::from_ms(60));
    let level = ulaw_decode(ulaw_encode(3000));
    assert!(frames.iter().all(|frame| frame.pcm() == [level; 160] && !frame.concealed));
    assert_eq!(rig.facts(), [LegFact::MediaStarted { at: CallTime::from_ms(20) }]);
}

#[test]
fn a_lost_packet_is_concealed_and_said_so() {
    let mut rig = Rig::new(|_| {});
    for n in 0..20 {
        if n == 10 {
            (rig.seq, rig.timestamp) = (rig.seq + 1, rig.timestamp + 160);
        } else {
            rig.talk(3000);
        }
        rig.tick();
    }
    let frames = rig.frames();
    let concealed: Vec<usize> = (0..frames.len()).filter(|n| frames[*n].concealed).collect();
    assert_eq!(concealed, [10]);
    assert!(frames[10].pcm()[..80].iter().all(|sample| *sample > 2000), "made up of what came before");
    rig.tick();
    assert_eq!(rig.stats().lost, 1);
    assert_eq!(rig.frames().len(), 1);
}

#[test]
fn ticks_that_lie_badly_after_their_packets_ask_to_be_moved() {
    for (after_us, drift) in [(6_000, None), (11_000, None), (14_000, Some(Drift::TickLate))] {
        let mut rig = Rig::new(|_| {});
        rig.after_us = after_us;
        for _ in 0..DRIFT_FRAMES {
            assert_eq!(rig.leg.take_drift(), None, "not enough was measured");
            rig.talk(100);
            rig.tick();
        }
        assert_eq!(rig.leg.take_drift(), drift, "{after_us}");
    }
    let mut rig = Rig::new(|_| {});
    rig.talk(100);
    rig.tick();
    // From the second packet on the far end is 5 ms later.
    rig.after_us = 1_000;
    rig.now = rig.now + 5_000;
    for _ in 0..DRIFT_FRAMES {
        rig.talk(100);
        rig.tick();
    }
    assert_eq!(rig.leg.take_drift(), Some(Drift::TickEarly));
}

#[test]
fn an_up_ring_that_is_full_drops_the_newest_and_counts() {
    let mut rig = Rig::new(|start| start.rings = RingSizes { up: 3, ..RingSizes::default() });
    for _ in 0..10 {
        rig.talk(100);
        rig.tick();
    }
    assert_eq!(rig.frames().iter().map(|frame| frame.position).collect::<Vec<_>>(), [0, 160, 320]);
    assert_eq!(rig.stats().up_dropped, 7);
}

#[test]
fn another_synchronisation_source_is_followed_and_reported() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..10 {
        rig.talk(3000);
        rig.tick();
    }
    (rig.ssrc, rig.seq, rig.timestamp) = (77, 5000, 123_456_789);
    for _ in 0..10 {
        rig.talk(-3000);
        rig.tick();
    }
    let changes = rig.facts().into_iter().filter(|fact| matches!(fact, LegFact::SsrcChanged { .. })).count();
    assert_eq!(changes, 1);
    assert_eq!(rig.stats().dropped_ssrc, 2, "until the source before is silent");
    assert!(rig.frames().last().unwrap().pcm()[80] < -2000);
}

#[test]
fn wrong_payload_types_are_counted_and_comfort_noise_is_no_loss() {
    let mut rig = Rig::new(|_| {});
    for n in 0..20 {
        match n {
            8..12 => {
                let noise = rig.packet(13, &[60]);
                rig.receive(&noise);
                (rig.seq, rig.timestamp) = (rig.seq + 1, rig.timestamp + 160);
            }
            _ => rig.talk(3000),
        }
        let video = rig.packet(34, &[0; 100]);
        rig.receive(&video);
        rig.tick();
    }
    assert_eq!((rig.stats().lost, rig.stats().dropped_payload_type), (0, 20));
}

#[test]
fn a_renegotiated_codec_and_address_apply_to_both_ways() {
    let mut rig = Rig::new(|_| {});
    rig.talk(1000);
    assert_eq!(rig.tick()[0][1] & 0x7f, 0);
    rig.order(MediaSpec { codec: Codec::Pcma, payload_type: 8, ..spec() });
    let mut frame = DownFrame::new(&[4000; 160], 8000, 1, 0, 0).unwrap();
    frame.last = true;
    rig.agent.down.push(frame).unwrap();
    let sent = rig.tick();
    assert_eq!(sent[0][1] & 0x7f, 8);
    assert!((alaw_decode(sent[0][12 + 100]) - 4000).abs() < 150);
    for _ in 0..3 {
        let packet = rig.packet(8, &[0x2a; 160]);
        rig.receive(&packet);
        (rig.seq, rig.timestamp) = (rig.seq + 1, rig.timestamp + 160);
        rig.tick();
    }
    assert_eq!(rig.frames().last().unwrap().pcm()[159], -32256);
}

#[test]
fn every_packet_time_is_paced_without_losing_a_sample() {
    for ptime_ms in [10, 20, 30, 40, 60] {
        let mut rig = Rig::new(|start| start.spec.ptime_ms = ptime_ms);
        for n in 0..30_i16 {
            let pcm: Vec<i16> = (0..160).map(|_| 100 * (n + 1)).collect();
            rig.agent.down.push(DownFrame::new(&pcm, 8000, 1, 160 * n as u64, 0).unwrap()).unwrap();
        }
        let sent: Vec<Vec<u8>> = (0..30).flat_map(|_| rig.tick()).collect();
        assert_eq!(sent.len(), 600 / usize::from(ptime_ms));
        let sound: Vec<u8> = sent.iter().flat_map(|packet| packet[12..].to_vec()).collect();
        let level = |n: usize| ulaw_encode(100 * (n as i16 / 160 + 1));
        assert!((160..sound.len()).all(|n| sound[n] == level(n)), "{ptime_ms}");
        let times: Vec<u32> = sent.iter().map(|p| u32::from_be_bytes(p[4..8].try_into().unwrap())).collect();
        let step = 8 * u32::from(ptime_ms);
        assert!(times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step), "{ptime_ms}");
    }
}

#[test]
fn ticks_that_were_missed_move_position_and_timestamp() {
    let mut rig = Rig::new(|_| {});
    rig.talk(1000);
    let before = rig.tick();
    rig.now = CallTime::from_ms(120);
    let after = rig.tick_after(5);
    let time = |packet: &[u8]| u32::from_be_bytes(packet[4..8].try_into().unwrap());
    assert_eq!(time(&after[0]).wrapping_sub(time(&before[0])), 6 * 160);
    assert_eq!(rig.frames().last().unwrap().position, 6 * 160);
}

#[test]
fn the_end_cuts_playback_and_is_the_last_fact() {
    let mut rig = Rig::new(|_| {});
    for n in 0..10 {
        rig.agent.down.push(DownFrame::new(&[500; 160], 8000, 4, n * 160, 0).unwrap()).unwrap();
    }
    rig.tick();
    rig.shared.ask_end(EndCause::RemoteHangUp);
    rig.shared.ask_end(EndCause::Local);
    assert!(rig.tick().is_empty(), "nothing is sent any more");
    let quality = MediaQuality { packets_out: 1, ..MediaQuality::default() };
    assert_eq!(
        rig.facts(),
        [
            LegFact::PlaybackStarted { utterance: 4, at: CallTime::from_ms(6) },
            LegFact::PlaybackCut { utterance: 4, sent_ms: 20, at: CallTime::from_ms(26) },
            LegFact::Quality { quality, at: CallTime::from_ms(26) },
            LegFact::Ended { cause: EndCause::RemoteHangUp, at: CallTime::from_ms(26) },
        ]
    );
    assert!(rig.leg.is_done() && rig.shared.is_over());
}

#[test]
fn facts_wait_for_an_agent_that_is_slow_and_none_is_lost() {
    let mut rig = Rig::new(|start| start.rings = RingSizes { facts: 1, ..RingSizes::default() });
    for n in 0..30_u32 {
        rig.timestamp = n * 2000;
        let event = rig.packet(101, &[(n % 10) as u8, 0x8a, 3, 32]);
        rig.receive(&event);
        rig.seq += 1;
    }
    rig.shared.ask_end(EndCause::Local);
    let mut facts = Vec::new();
    for _ in 0..60 {
        rig.tick();
        facts.extend(rig.facts());
    }
    let digits: String = facts
        .iter()
        .filter_map(|fact| match fact {
            LegFact::Dtmf { digit, .. } => Some(digit.as_char()),
            _ => None,
        })
        .collect();
    assert_eq!(digits, "012345678901234567890123456789");
    assert!(matches!(facts.last(), Some(LegFact::Ended { .. })));
}

#[test]
fn an_agent_that_never_reads_its_facts_loses_the_leg_not_the_facts() {
    let mut rig = Rig::new(|_| {});
    for n in 0..400_u32 {
        rig.timestamp = n * 2000;
        let event = rig.packet(101, &[1, 0x8a, 3, 32]);
        rig.receive(&event);
        rig.seq += 1;
        rig.tick();
    }
    assert!(rig.shared.is_over());
    let mut facts = Vec::new();
    for _ in 0..10 {
        facts.extend(rig.facts());
        rig.tick();
    }
    assert!(matches!(facts.last(), Some(LegFact::Ended { cause: EndCause::Failed, .. })));
}

/// The far end's report half a second after it had ours, which had left a quarter of a second before that. It lost 5.
fn report_about_us(rig: &Rig) -> Vec<u8> {
    let now_ntp = rtcp::ntp(rig.moment().wall_us);
    let last = rtcp::ntp_middle(now_ntp).wrapping_sub(3 << 14);
    let report = crate::reports::ReceptionReport { fraction_lost: 0, cumulative_lost: 5, highest_seq: 1, jitter: 80 };
    let last_report = rtcp::Since { ntp_middle: last, delay: 1 << 15 };
    let report = rtcp::Report {
        sent: rtcp::Sent { ssrc: 9, ntp: now_ntp, rtp_timestamp: 0, packets: 1, bytes: 160 },
        heard: Some(rtcp::Heard { ssrc: 0x0303_0303, report, last_report }),
        extended: rtcp::Extended::default(),
        cname: b"aaaaaaaaaaaaaaaa",
        bye: false,
    };
    let mut buffer = [0; rtcp::BUFFER];
    let length = report.write(&mut buffer);
    buffer[..length].to_vec()
}

#[test]
fn reports_measure_the_round_trip_and_strangers_are_ignored() {
    let mut rig = Rig::new(|_| {});
    rig.talk(1);
    let buffer = report_about_us(&rig);
    rig.leg.handle_rtcp(rig.moment(), "192.0.2.66:4001".parse().unwrap(), &buffer);
    rig.tick();
    assert_eq!((rig.stats().rtcp_in, rig.stats().rtcp_dropped), (0, 1));
    let moment = Moment { wall_us: 1_700_000_000_000_000, ..rig.moment() };
    rig.leg.handle_rtcp(moment, "192.0.2.1:4001".parse().unwrap(), &buffer);
    rig.tick();
    let stats = rig.stats();
    assert_eq!((stats.rtcp_in, stats.remote_lost), (1, 5));
    assert!(stats.rtt_us.abs_diff(250_000) < 1000, "{}", stats.rtt_us);
    assert_eq!(stats.remote_jitter_us, 10_000);
}

#[test]
fn speech_is_flagged_and_levels_are_reported() {
    let mut rig = Rig::new(|_| {});
    for _ in 0..20 {
        rig.talk(0);
        rig.tick();
    }
    assert!(rig.frames().iter().all(|frame| !frame.vad.speech));
    let mut voice = Voice::new(12_000.0);
    for _ in 0..20 {
        rig.speak(&mut voice);
        rig.tick();
    }
    let heard: Vec<_> = rig.frames().iter().map(|frame| (frame.vad.speech, frame.vad.level_dbfs)).collect();
    let first = heard.iter().position(|(speech, _)| *speech).unwrap();
    assert!(first < 9, "speech from frame {first} on");
    assert!(heard[first..].iter().all(|(speech, level)| *speech && *level > -26.0), "{heard:?}");
    let levels: Vec<LevelReport> = std::iter::from_fn(|| rig.agent.levels.pop().ok()).collect();
    assert_eq!(levels.len(), 8);
    assert!(levels[7].speech && !levels[0].speech);
}

#[test]
fn hold_leaves_no_gap_in_our_numbers_and_time_goes_on() {
    let mut rig = Rig::new(|_| {});
    let mut sent = Vec::new();
    for direction in [Direction::SendRecv, Direction::RecvOnly, Direction::Inactive, Direction::SendRecv] {
        rig.order(MediaSpec { direction, ..spec() });
        (0..10).for_each(|_| sent.extend(rig.tick()));
    }
    // The way of old equipment: no address to send to.
    rig.order(MediaSpec { remote: "0.0.0.0:4000".parse().unwrap(), ..spec() });
    (0..10).for_each(|_| assert!(rig.tick().is_empty()));
    rig.order(spec());
    (0..10).for_each(|_| sent.extend(rig.tick()));
    let field = |packet: &Vec<u8>| {
        let seq = u16::from_be_bytes(packet[2..4].try_into().unwrap());
        (seq, u32::from_be_bytes(packet[4..8].try_into().unwrap()), packet[1] >> 7)
    };
    let fields: Vec<_> = sent.iter().map(field).collect();
    assert_eq!(fields.len(), 30);
    assert!(fields.windows(2).all(|pair| pair[1].0 == pair[0].0.wrapping_add(1)), "{fields:?}");
    let steps: Vec<u32> = fields.windows(2).map(|pair| pair[1].1.wrapping_sub(pair[0].1) / 160).collect();
    let long: Vec<(usize, u32)> = steps.iter().copied().enumerate().filter(|(_, step)| *step != 1).collect();
    assert_eq!(long, [(9, 21), (19, 11)], "hold takes its time");
    assert_eq!((fields[10].2, fields[20].2), (1, 1), "and a talkspurt begins behind it");
}

/// Noise and, from frame 100 on, a voice in it for a second, through a leg with the default sound.
fn noisy_call(rig: &mut Rig) -> Vec<UpFrame> {
    let mut seed = 1_u32;
    let (mut frames, mut voice) = (Vec::new(), Voice::new(12_000.0));
    for n in 0..150 {
        let spoken = if n >= 100 { voice.frame() } else { [0; 160] };
        let payload: Vec<u8> = spoken
            .iter()
            .map(|voice| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ulaw_encode(voice + (seed >> 16) as i16 / 64)
            })
            .collect();
        let packet = rig.packet(0, &payload);
        rig.receive(&packet);
        (rig.seq, rig.timestamp) = (rig.seq.wrapping_add(1), rig.timestamp.wrapping_add(160));
        rig.tick();
        frames.extend(rig.frames());
    }
    frames
}

fn power(frames: &[UpFrame]) -> f64 {
    let samples: Vec<f64> = frames.iter().flat_map(|frame| frame.pcm().iter().map(|s| f64::from(*s))).collect();
    samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64
}

#[test]
fn noise_is_gone_from_the_cleaned_feed_and_still_there_in_the_raw_one() {
    let mut cleaned = Rig::new(|start| start.sound = LegSound { feed: Feed::Cleaned, ..LegSound::default() });
    let mut raw = Rig::new(|start| start.sound = LegSound { feed: Feed::Raw, ..LegSound::default() });
    let (cleaned, raw) = (noisy_call(&mut cleaned), noisy_call(&mut raw));
    let db = 10.0 * (power(&raw[50..95]) / power(&cleaned[50..95])).log10();
    assert!(db > 10.0, "noise came down by {db:.1} dB only");
    let found = |frames: &[UpFrame]| frames.iter().map(|frame| frame.vad).collect::<Vec<_>>();
    assert_eq!(found(&cleaned), found(&raw), "what is found does not depend on the feed");
}

#[test]
fn edges_interruptions_and_times_reach_the_agent_corrected_by_the_delay() {
    let mut rig = Rig::new(|start| start.sound = LegSound::default());
    let frames = noisy_call(&mut rig);
    let changes: Vec<(usize, bool)> =
        (0..frames.len()).filter(|n| frames[*n].vad.changed).map(|n| (n, frames[n].vad.speech)).collect();
    assert!(matches!(changes[..], [(100..=105, true)]), "{changes:?}");
    let interrupts: Vec<usize> = (0..frames.len()).filter(|n| frames[*n].vad.interrupts).collect();
    assert!(matches!(interrupts[..], [103..=110]), "{interrupts:?}");
    assert!(frames[90].vad.silence_ms > 1500 && frames[90].vad.speech_ms == 0);
    assert!(frames[149].vad.speech_ms > 800, "{:?}", frames[149].vad);
    let delay = rig.uplink.delay_us(&rig.leg.dsp);
    assert!(delay > 0);
    assert_eq!(frames[50].position, 50 * 160 - delay * 8 / 1000);
    assert_eq!(frames[50].arrival, CallTime(50 * 20_000 - delay));
}

#[test]
fn the_agent_yields_to_a_voice_at_once_and_is_itself_again_when_it_is_not_cut() {
    let mut rig = Rig::new(|start| start.sound = LegSound::default());
    let mut voice = Voice::new(12_000.0);
    let mut levels = Vec::new();
    for n in 0..150_usize {
        let says = [8000_i16; 160];
        rig.agent.down.push(DownFrame::new(&says, 8000, 1, 160 * n as u64, 0).unwrap()).unwrap();
        if (60..80).contains(&n) {
            rig.speak(&mut voice);
        } else {
            rig.talk(0);
        }
        let sent = rig.tick();
        rig.frames();
        levels.push(sent.first().map_or(0, |packet| ulaw_decode(packet[171])));
    }
    let low = |level: &i16| (500..1500).contains(level);
    let first = levels.iter().position(low).unwrap();
    assert!((61..66).contains(&first), "turned down in frame {first}");
    assert!(levels[first..80].iter().all(low), "for as long as it may be cut: {levels:?}");
    assert!(levels[120..].iter().all(|level| *level > 7000), "nobody has cut it: {levels:?}");
    let stats = rig.stats();
    assert_eq!((stats.interruptions_suspected, stats.interruptions_confirmed), (1, 1), "{stats:?}");
}

#[test]
fn speech_is_held_over_a_gap_for_as_long_as_was_asked() {
    let held = |hold_ms| {
        let mut rig = Rig::new(|start| start.sound = LegSound { hold_ms, ..LegSound::untouched() });
        let (mut frames, mut voice) = (Vec::new(), Voice::new(12_000.0));
        for n in 0..80 {
            if (20..50).contains(&n) {
                rig.speak(&mut voice);
            } else {
                rig.talk(0);
            }
            rig.tick();
            frames.extend(rig.frames());
        }
        assert!(frames[45].vad.speech && !frames[79].vad.speech);
        frames[50..].iter().take_while(|frame| frame.vad.speech).count()
    };
    // The first of them are the detector's own.
    assert!((9..=11).contains(&held(200)), "until 200 ms have passed since the last sound");
    assert_eq!(held(400) - held(200), 10);
}

#[test]
fn a_full_ring_loses_neither_an_edge_nor_an_interruption() {
    let sizes = RingSizes { up: 1, ..RingSizes::default() };
    let mut rig = Rig::new(|start| (start.rings, start.sound) = (sizes, LegSound::default()));
    let mut voice = Voice::new(12_000.0);
    for n in 0..40 {
        if n < 20 {
            rig.talk(0);
        } else {
            rig.speak(&mut voice);
        }
        rig.tick();
    }
    // Only the first frame had room.
    assert_eq!(rig.frames().len(), 1);
    rig.speak(&mut voice);
    rig.tick();
    let next = rig.frames()[0].vad;
    assert!(next.speech && next.changed && next.interrupts, "{next:?}");
    rig.speak(&mut voice);
    rig.tick();
    let next = rig.frames()[0].vad;
    assert!(next.speech && !next.changed && !next.interrupts, "told once: {next:?}");
}

#[test]
fn the_sound_changes_in_mid_call_and_says_so() {
    let mut rig = Rig::new(|start| start.sound = LegSound::default());
    rig.tick();
    let sound = LegSound::untouched();
    let change = Box::new(trunkline_dsp::chain::SoundChange::new(&sound.chain, 8000).unwrap());
    rig.orders.push(LegOrder::Sound { sound, change }).unwrap();
    rig.tick();
    rig.uplink.set_shedding(trunkline_dsp::chain::Shedding::Economy);
    let change = Box::new(trunkline_dsp::chain::SoundChange::new(&LegSound::default().chain, 8000).unwrap());
    rig.orders.push(LegOrder::Sound { sound: LegSound::default(), change }).unwrap();
    rig.tick();
    let told: Vec<(&str, bool)> = std::iter::from_fn(|| rig.agent.facts.pop().ok())
        .filter_map(|fact| match fact {
            LegFact::SoundApplied { denoiser, shed, detector: "fused+silero", .. } => Some((denoiser, shed)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("lanes", false), ("off", false), ("economy", true)]);
    assert!(rig.spent.pop().is_ok() && rig.spent.pop().is_ok(), "what was replaced comes back");
}

#[test]
fn the_agents_own_echo_neither_speaks_nor_interrupts() {
    let mut rig = Rig::new(|start| start.sound = LegSound::default());
    let mut seed = 1_u32;
    let mut noise = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16
    };
    // Speech of the agent, in bursts; it comes back 40 ms later and 10 dB down, over a quiet line.
    let mut played: std::collections::VecDeque<Vec<i16>> = (0..2).map(|_| vec![0; 160]).collect();
    let (mut interruptions, mut speaking, mut agent) = (0, 0, Voice::new(9000.0));
    for n in 0..500_usize {
        let spoken = if n % 25 < 18 { agent.frame() } else { [0; 160] };
        let voice: Vec<i16> = spoken.iter().map(|sample| sample + noise() / 2048).collect();
        rig.agent.down.push(DownFrame::new(&voice, 8000, 1, 160 * n as u64, 0).unwrap()).unwrap();
        let echo: Vec<u8> = played.pop_front().unwrap().iter().map(|s| ulaw_encode(s / 3 + noise() / 1024)).collect();
        let packet = rig.packet(0, &echo);
        rig.receive(&packet);
        (rig.seq, rig.timestamp) = (rig.seq.wrapping_add(1), rig.timestamp.wrapping_add(160));
        rig.tick();
        played.push_back(voice);
        for frame in rig.frames() {
            // The first seconds are for learning the path.
            interruptions += usize::from(frame.vad.interrupts);
            speaking += usize::from(n > 150 && frame.vad.speech);
        }
    }
    assert_eq!(interruptions, 0);
    assert!(speaking < 35, "{speaking} of 350 frames");
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic_and_never_end_the_leg(
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..400), any::<u8>()), 0..60),
    ) {
        let mut rig = Rig::new(|_| {});
        for (mut bytes, kind) in datagrams {
            // Half of them look like RTP of the stream, so that they come past the first checks.
            if kind & 1 == 0 && bytes.len() >= 12 {
                bytes[0] = 0x80 | bytes[0] & 0x3f;
                bytes[1] = if kind & 2 == 0 { 0 } else { 101 };
                if kind & 4 == 0 {
                    bytes[8..12].copy_from_slice(&rig.ssrc.to_be_bytes());
                }
            }
            rig.receive(&bytes);
            rig.leg.handle_rtcp(rig.moment(), REMOTE.parse().unwrap(), &bytes);
            rig.tick();
        }
        prop_assert!(!rig.shared.is_over());
    }
}

//! The playout clock against a far end that plays what it gets: a network whose delays drift, a jitter buffer of known
//! depth, and 200 interruptions at random moments.

use super::*;

const INTERRUPTIONS: u32 = 200;
/// Depth of the far end's buffer.
const DEPTH_US: u64 = 40_000;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// One way through the network: 5 to 80 ms, moving by up to 0.1 ms per packet towards a goal that changes.
struct Way {
    delay_us: u64,
    goal_us: u64,
}

impl Way {
    fn new(random: &mut Random) -> Self {
        Self { delay_us: 5_000 + random.below(75_000), goal_us: 40_000 }
    }

    /// When what is sent at `at` arrives.
    fn arrival(&mut self, at: u64, random: &mut Random) -> u64 {
        if self.delay_us.abs_diff(self.goal_us) < 200 {
            self.goal_us = 5_000 + random.below(75_000);
        }
        let step = random.below(100);
        self.delay_us =
            if self.delay_us < self.goal_us { self.delay_us + step } else { self.delay_us.saturating_sub(step) };
        at + self.delay_us
    }
}

/// What the far end plays: packets of one talkspurt without a gap, the first of it after the buffer's depth.
#[derive(Default)]
struct Far {
    /// Utterance, the part of it that the packet begins with in microseconds (before 0 for one that holds the end of
    /// another too), and when the packet's first sample is played.
    played: Vec<(u32, i64, u64)>,
}

impl Far {
    fn take(&mut self, utterance: u32, from_us: i64, arrival: u64) {
        let follows = self.played.last().filter(|(last, ..)| *last == utterance).map(|(.., at)| at + TICK_US);
        self.played.push((utterance, from_us, follows.map_or(arrival + DEPTH_US, |at| at.max(arrival))));
    }

    /// What leaves the speaker at `now`: the utterance and milliseconds of it.
    fn speaker(&self, now: u64) -> (u32, i64) {
        match self.played.iter().rev().find(|(.., at)| *at <= now) {
            Some((utterance, from_us, at)) => (*utterance, (from_us + (now - at).min(TICK_US) as i64).max(0) / 1000),
            None => (0, 0),
        }
    }
}

/// Talks and is interrupted; the errors in milliseconds.
fn errors(with_rtcp: bool, seed: u64) -> Vec<i64> {
    let mut random = Random(seed);
    let mut rig = Rig::new(|start| start.media_timeout_ms = 0);
    let (mut there, mut back) = (Way::new(&mut random), Way::new(&mut random));
    let mut far = Far::default();
    let mut errors = Vec::new();
    let mut reports: Vec<(u64, u32)> = Vec::new();
    let (mut utterance, mut said_ms, mut interrupt_at) = (1, 0_u64, 1_000_000);
    let mut due = 6_000;
    while utterance <= INTERRUPTIONS {
        // A new utterance is there at once, so that every packet is full.
        let sent = rig.agent.playout.position();
        let sent_ms = if sent.utterance == utterance { u64::from(sent.sent_ms) } else { 0 };
        while said_ms < sent_ms + 300 {
            let pcm: Vec<i16> = (0..160).map(|n| if n % 20 < 10 { 3000 } else { -3000 }).collect();
            let generation = rig.agent.playout.generation();
            rig.agent.down.push(DownFrame::new(&pcm, 8000, utterance, said_ms * 8, generation).unwrap()).unwrap();
            said_ms += 20;
        }
        // Ticks are up to 1 ms late.
        let now = due + random.below(1_000);
        let moment = Moment { call: CallTime(now), due: CallTime(due), wall_us: 1_700_000_000_000_000 + now };
        for (at, ntp) in std::mem::take(&mut reports) {
            if at > now {
                reports.push((at, ntp));
                continue;
            }
            let report =
                crate::reports::ReceptionReport { fraction_lost: 0, cumulative_lost: 0, highest_seq: 1, jitter: 0 };
            // It was held for 100 ms.
            let last_report = rtcp::Since { ntp_middle: ntp, delay: (100 << 16) / 1000 };
            let report = rtcp::Report {
                sent: rtcp::Sent { ssrc: 9, ntp: 1, rtp_timestamp: 0, packets: 1, bytes: 160 },
                heard: Some(rtcp::Heard { ssrc: rig.leg.down.ssrc, report, last_report }),
                extended: rtcp::Extended::default(),
                cname: b"aaaaaaaaaaaaaaaa",
                bye: false,
            };
            let mut buffer = [0; rtcp::BUFFER];
            let length = report.write(&mut buffer);
            let moment = Moment { call: CallTime(at), wall_us: 1_700_000_000_000_000 + at, ..moment };
            rig.leg.handle_rtcp(moment, "192.0.2.1:4001".parse().unwrap(), &buffer[..length]);
        }
        rig.leg.begin(moment, &mut rig.uplink);
        let before = rig.agent.playout.position();
        rig.leg.say(&mut DownlinkChain::new(), 0);
        let after = rig.agent.playout.position();
        while let Some(transmit) = rig.leg.poll_transmit() {
            let arrival = there.arrival(now, &mut random);
            if transmit.rtcp {
                let ntp = rtcp::ntp_middle(rtcp::ntp(moment.wall_us));
                if with_rtcp {
                    // The same line in both directions, give or take 10 ms.
                    let way_back = there.delay_us + back.delay_us / 4;
                    reports.push((arrival + 100_000 + way_back.saturating_sub(10_000).max(5_000), ntp));
                }
                back.arrival(now, &mut random);
            } else if after != before {
                far.take(after.utterance, (i64::from(after.sent_ms) - 20) * 1000, arrival);
            }
        }
        rig.leg.publish(&rig.uplink, &UplinkReport::default(), false);
        while rig.agent.facts.pop().is_ok() {}
        if now >= interrupt_at {
            let at = now + random.below(20_000);
            let heard = rig.agent.playout.heard(CallTime(at));
            let (truth, truth_ms) = far.speaker(at);
            let heard_ms = i64::from(heard.sent_ms);
            // Of two utterances the later has only just begun.
            errors.push(match heard.utterance.cmp(&truth) {
                std::cmp::Ordering::Equal => heard_ms - truth_ms,
                std::cmp::Ordering::Greater => heard_ms,
                std::cmp::Ordering::Less => -truth_ms,
            });
            rig.agent.playout.clear();
            (utterance, said_ms) = (utterance + 1, 0);
            interrupt_at = now + 100_000 + random.below(4_000_000);
        }
        due += TICK_US;
    }
    errors
}

#[test]
fn what_was_heard_is_known_within_40_ms_with_reports_and_without() {
    for (with_rtcp, seed) in [(true, 0x9e37_79b9), (true, 77), (false, 0x9e37_79b9), (false, 77)] {
        let errors = errors(with_rtcp, seed);
        let worst = errors.iter().map(|error| error.abs()).max().unwrap();
        let mean = errors.iter().map(|error| error.abs()).sum::<i64>() / errors.len() as i64;
        assert_eq!(errors.len(), INTERRUPTIONS as usize);
        assert!(worst <= 40, "reports {with_rtcp}: {worst} ms at worst, {mean} ms in the mean: {errors:?}");
    }
}

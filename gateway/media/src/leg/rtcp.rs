//! What a leg reports and is told by RTCP (RFC 3550 6, RFC 3611), and what both ends hear by it (ITU-T G.107).

use trunkline_leg::CallTime;

use super::up::Up;
use super::{Ledger, Seed};
use crate::burst::GMIN;
use crate::config::LegStart;
use crate::quality::{Impairments, Rating};
use crate::rtcp::{Figures, Learned, RtcpSession, VoipMetrics};

/// Time between two ratings in microseconds.
const RATE_EVERY_US: u64 = 1_000_000;
/// What IP, UDP and RTP add to a packet, in bytes.
const HEADERS: u32 = 40;
/// What a packet waits at either end beside the jitter buffer, in ms: to be filled, and for a tick.
const PACKET_MS: u16 = 25;
/// The jitter buffer of a far end that does not report its own, in ms.
const USUAL_BUFFER_MS: u16 = 40;
/// The greatest delay of our jitter buffer in ms.
const BUFFER_MAX_MS: u16 = 300;

/// The state of both ways' reports.
#[derive(Debug)]
pub(super) struct Reports {
    session: RtcpSession,
    rate_at: u64,
}

impl Reports {
    pub(super) fn new(start: &LegStart, seed: &Seed, now: CallTime) -> Self {
        let [s0, s1, s2, s3, ..] = seed.0;
        let packets = 1000 / u32::from(start.spec.ptime_ms.max(1));
        let bits_per_second = 64_000 + packets * HEADERS * 8;
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        Self { session: RtcpSession::new(ssrc, &seed.0, bits_per_second, now.as_us()), rate_at: now.as_us() }
    }

    /// Takes a packet of a believed source; `None` when it is malformed.
    pub(super) fn handle(&mut self, ledger: &mut Ledger, data: &[u8]) -> Option<Learned> {
        let learned = self.session.handle(ledger.moment.call.as_us(), ledger.moment.wall_us, data)?;
        let stats = &mut ledger.stats;
        if let Some(about) = learned.about_us {
            stats.remote_lost = u64::from(about.lost);
            stats.remote_jitter_us = u64::from(about.jitter) * 1_000_000 / u64::from(ledger.spec.codec.clock_rate());
        }
        stats.rtt_us = self.session.round_trip_us().unwrap_or(stats.rtt_us);
        Some(learned)
    }

    /// Lets a tick pass.
    pub(super) fn tick(&mut self, ledger: &mut Ledger, up: &Up) {
        let now = ledger.moment.call.as_us();
        self.session.handle_time(now);
        if now >= self.rate_at {
            self.rate_at = now + RATE_EVERY_US;
            self.rate(ledger, up);
        }
    }

    /// Rates both ways as of now.
    pub(super) fn rate(&self, ledger: &mut Ledger, up: &Up) {
        ledger.stats.mos_in = self.heard(ledger, up).map_or(0, |rating| rating.mos_cq().into());
        ledger.stats.mos_out = self.said(ledger).map_or(0, |rating| rating.mos_cq().into());
    }

    /// A BYE is owed.
    pub(super) fn say_goodbye(&mut self) {
        self.session.say_goodbye();
    }

    /// Nothing can be sent: nothing is owed.
    pub(super) fn forget(&mut self) {
        self.session.drop_due();
    }

    /// The packet that is due. `timestamp` is that of the next frame; `sends` says that the leg sends sound.
    pub(super) fn poll(&mut self, ledger: &mut Ledger, up: &mut Up, timestamp: u32, sends: bool) -> Option<&[u8]> {
        if !self.session.is_due() {
            return None;
        }
        ledger.stats.rtcp_out += 1;
        let voip = self.voip(ledger, up);
        let figures = Figures {
            wall_us: ledger.moment.wall_us,
            rtp_timestamp: timestamp,
            packets: ledger.stats.packets_out,
            bytes: ledger.stats.bytes_out,
            heard: up.gate.ssrc().zip(up.reception.report()),
            voip,
            sends,
        };
        let length = self.session.build(ledger.moment.call.as_us(), &figures);
        Some(self.session.packet(length))
    }

    fn voip(&self, ledger: &Ledger, up: &Up) -> Option<VoipMetrics> {
        let (ssrc, rating) = up.gate.ssrc().zip(self.heard(ledger, up))?;
        let bursts = up.reception.bursts().metrics(ledger.spec.ptime_ms);
        let buffer_ms = ms(up.target_delay_us());
        Some(VoipMetrics {
            ssrc,
            loss_rate: bursts.loss_rate,
            discard_rate: bursts.discard_rate,
            burst_density: bursts.burst_density,
            gap_density: bursts.gap_density,
            burst_duration_ms: bursts.burst_duration_ms,
            gap_duration_ms: bursts.gap_duration_ms,
            round_trip_ms: self.session.round_trip_us().map_or(0, ms),
            end_system_delay_ms: buffer_ms.saturating_add(PACKET_MS),
            gmin: GMIN,
            r_factor: Some(rating.conversational.round() as u8),
            mos_lq: Some(tenths(rating.mos_lq())),
            mos_cq: Some(tenths(rating.mos_cq())),
            jitter_buffer_ms: [buffer_ms, buffer_ms.max(ms(ledger.stats.delay_us)), BUFFER_MAX_MS],
        })
    }

    /// What the leg hears.
    fn heard(&self, ledger: &Ledger, up: &Up) -> Option<Rating> {
        let bursts = up.reception.bursts();
        (ledger.stats.packets_in > 0).then(|| {
            let impairments = Impairments {
                codec: ledger.spec.codec,
                missing: bursts.missing_share(),
                burst_ratio: bursts.burst_ratio(),
                delay_ms: self.one_way_ms() + f64::from(ms(up.target_delay_us()) + PACKET_MS),
            };
            impairments.rating()
        })
    }

    /// What the far end hears, as it reports.
    fn said(&self, ledger: &Ledger) -> Option<Rating> {
        let about = self.session.about_us()?;
        let lost = f64::from(about.lost) / ledger.stats.packets_out.max(1) as f64;
        let voip = self.session.voip();
        let discarded = voip.map_or(0.0, |voip| f64::from(voip.discard_rate) / 256.0);
        // An end that reports no delay of its own has a usual one.
        let theirs = voip.map(|voip| voip.end_system_delay_ms).filter(|ms| *ms > 0);
        let far_ms = theirs.unwrap_or(USUAL_BUFFER_MS + PACKET_MS);
        let impairments = Impairments {
            codec: ledger.spec.codec,
            missing: (lost + discarded).min(1.0),
            burst_ratio: 1.0,
            delay_ms: self.one_way_ms() + f64::from(far_ms),
        };
        Some(impairments.rating())
    }

    fn one_way_ms(&self) -> f64 {
        self.session.round_trip_us().unwrap_or(0) as f64 / 2000.0
    }
}

fn ms(us: u64) -> u16 {
    u16::try_from(us / 1000).unwrap_or(u16::MAX)
}

fn tenths(mos: u16) -> u8 {
    (mos / 10) as u8
}

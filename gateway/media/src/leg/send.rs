//! The way down: frames of playback become packets, and what was heard becomes reports.

use std::net::SocketAddr;

use rtp_types::RtpPacketBuilder;
use trunkline_dsp::codec::Encoder;
use trunkline_leg::Direction;

use super::{Leg, PENDING, State, Transmit};
use crate::config::Idle;
use crate::playback::Played;
use crate::rtcp;

impl Leg {
    /// The next packet to send, until there is none.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        let Some(to) = self.gate.destination() else {
            self.pending_len = 0;
            self.report_due = false;
            self.bye_due = false;
            return None;
        };
        let samples = self.packet_samples();
        if self.pending_len >= samples && self.state == State::Live {
            let length = self.build_packet(samples)?;
            return Some(Transmit { to, rtcp: false, data: &self.packet[..length] });
        }
        if self.report_due || self.bye_due {
            let bye = std::mem::take(&mut self.bye_due);
            self.report_due = false;
            let length = self.build_report(bye);
            self.stats.rtcp_out += 1;
            let to = SocketAddr::new(to.ip(), to.port().checked_add(1)?);
            return Some(Transmit { to, rtcp: true, data: &self.rtcp_packet[..length] });
        }
        None
    }

    /// One frame of the agent's sound, or of silence, put in line to be sent.
    pub(super) fn say(&mut self, frame: &mut [i16]) {
        let sends = matches!(self.spec.direction, Direction::SendRecv | Direction::SendOnly)
            && self.gate.destination().is_some();
        let step = frame.len() as u32;
        if !sends {
            // On hold playback waits, while the clock of the leg goes on.
            self.sending = false;
            self.pending_len = 0;
            self.timestamp = self.timestamp.wrapping_add(step);
            return;
        }
        let played = self.playback.next_frame(self.moment.call, &mut self.facts, frame);
        if played == (Played::Speech { starts: true }) || !self.sending {
            self.marker |= self.pending_len == 0;
        }
        if played == Played::Silence && self.idle == Idle::Nothing && self.pending_len == 0 {
            self.sending = false;
        } else if let Some(room) = self.pending.get_mut(self.pending_len..self.pending_len + frame.len()) {
            if self.pending_len == 0 {
                self.pending_timestamp = self.timestamp;
            }
            room.copy_from_slice(frame);
            self.pending_len += frame.len();
            self.sending = true;
        }
        self.timestamp = self.timestamp.wrapping_add(step);
    }

    fn packet_samples(&self) -> usize {
        (self.jitter.rate() / 1000) as usize * usize::from(self.spec.ptime_ms)
    }

    fn build_packet(&mut self, samples: usize) -> Option<usize> {
        let mut payload = [0; PENDING];
        let length = self.codec.encode(&self.pending[..samples], &mut payload);
        let built = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(self.spec.payload_type)
            .marker_bit(std::mem::take(&mut self.marker))
            .sequence_number(self.seq)
            .timestamp(self.pending_timestamp)
            .ssrc(self.ssrc)
            .payload(&payload[..length])
            .write_into(&mut self.packet);
        self.pending.copy_within(samples..self.pending_len, 0);
        self.pending_len -= samples;
        self.pending_timestamp = self.pending_timestamp.wrapping_add(samples as u32);
        self.seq = self.seq.wrapping_add(1);
        let Ok(written) = built else {
            self.stats.send_errors += 1;
            return None;
        };
        self.stats.packets_out += 1;
        self.stats.bytes_out += length as u64;
        Some(written)
    }

    fn build_report(&mut self, bye: bool) -> usize {
        let now = self.moment.call.as_us();
        let sent = rtcp::Sent {
            ssrc: self.ssrc,
            ntp: rtcp::ntp(self.moment.wall_us),
            rtp_timestamp: self.timestamp,
            packets: self.stats.packets_out as u32,
            bytes: self.stats.bytes_out as u32,
        };
        let heard = self.gate.ssrc().zip(self.reception.report()).map(|(ssrc, report)| {
            let theirs = self.their_report.filter(|(from, ..)| *from == ssrc);
            let (last_report, since_report) =
                theirs.map_or((0, 0), |(_, ntp, at)| (ntp, ((now.saturating_sub(at) << 16) / 1_000_000) as u32));
            rtcp::Heard { ssrc, report, last_report, since_report }
        });
        rtcp::write(&mut self.rtcp_packet, &sent, heard.as_ref(), &self.cname, bye)
    }
}

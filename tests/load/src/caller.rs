//! One caller: signalling, ports and sound, served once a tick.

use std::net::UdpSocket;
use std::sync::Arc;

use trunkline_caller::{Dialog, DialogConfig, Message, News};

use crate::clock::{Now, monotonic_us};
use crate::figures::Figures;
use crate::generator::Plan;
use crate::random::Random;
use crate::shaper::Shaper;
use crate::socket::{self, Inbox};
use crate::stream::Stream;

/// Ticks between two looks at the RTCP socket.
const REPORTS_EVERY: u32 = 25;
/// An answered call without a packet for this long was a failure, in microseconds.
const SOUND_WITHIN_US: u64 = 2_000_000;

/// One caller.
pub(crate) struct Caller {
    dialog: Dialog,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    stream: Stream,
    shaper: Option<Shaper>,
    invited: u64,
    answered: Option<u64>,
    hang_up: Option<u64>,
    hung_up: bool,
    ticks: u32,
}

impl Caller {
    /// Calls at `now`; `seed` begins its Call-ID.
    pub(crate) fn new(now: u64, plan: &Plan, sip: &UdpSocket, seed: u64, slot: usize) -> anyhow::Result<Self> {
        let (rtp, rtcp) = socket::pair(plan.local)?;
        let mut random = Random::new(seed);
        let user = &plan.users[slot % plan.users.len()];
        let dialog = Dialog::new(
            now,
            DialogConfig {
                target: format!("sip:{user}@{}", plan.target),
                from: format!("sip:+4930{slot:07}@{}", plan.local),
                local_sip: sip.local_addr()?,
                local_rtp: rtp.local_addr()?,
                seed,
                headers: Vec::new(),
            },
        );
        let stream = Stream::new(Arc::clone(&plan.sound), random.bits(), plan.keep_sound);
        let shaper = plan.weather.map(|weather| Shaper::new(weather, random.bits()));
        let hang_up = plan.hold.pick(&mut random).map(|hold_us| now + hold_us);
        Ok(Self { dialog, rtp, rtcp, stream, shaper, invited: now, answered: None, hang_up, hung_up: false, ticks: 0 })
    }

    /// A message of its call, which arrived at `arrival`.
    pub(crate) fn handle_message(&mut self, arrival: u64, message: &Message, figures: &mut Figures) {
        self.dialog.handle_message(arrival, message);
        self.follow_dialog(arrival, figures);
    }

    /// The next datagram for the SIP socket.
    pub(crate) fn poll_signal(&mut self) -> Option<Vec<u8>> {
        self.dialog.poll_transmit()
    }

    /// One tick: hears, speaks and looks at its timers.
    pub(crate) fn serve(&mut self, now: Now, inbox: &mut Inbox, figures: &mut Figures, measuring: bool) {
        self.ticks += 1;
        let stream = &mut self.stream;
        inbox.receive(&self.rtp, now, |arrival, bytes| stream.handle_packet(arrival, bytes, figures, measuring));
        if self.ticks.is_multiple_of(REPORTS_EVERY) {
            self.read_reports(now, inbox);
        }
        if self.hang_up.is_some_and(|at| now.us >= at) {
            self.hang_up(now.us, figures);
        }
        if self.dialog.poll_timeout().is_some_and(|at| now.us >= at) {
            self.dialog.handle_timeout(now.us);
            self.follow_dialog(now.us, figures);
        }
        if self.dialog.is_up() {
            let now = monotonic_us();
            let packet = self.stream.next_packet(now, figures, measuring);
            match &mut self.shaper {
                Some(shaper) => shaper.push(now, packet.to_vec()),
                None => send(&self.rtp, &packet, figures),
            }
        }
    }

    /// Sends what has come through the weather.
    pub(crate) fn weather(&mut self, now: u64, figures: &mut Figures) {
        let Some(shaper) = self.shaper.as_mut().filter(|_| self.dialog.is_up()) else { return };
        while let Some(packet) = shaper.pop(now) {
            send(&self.rtp, &packet, figures);
        }
    }

    /// Ends the call as planned.
    pub(crate) fn hang_up(&mut self, now: u64, figures: &mut Figures) {
        self.hang_up = None;
        self.hung_up = true;
        self.dialog.hang_up(now);
        self.follow_dialog(now, figures);
    }

    /// True while both sides are on the line.
    pub(crate) fn is_up(&self) -> bool {
        self.dialog.is_up()
    }

    /// True once somebody has answered.
    pub(crate) const fn was_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// True once nothing is left to do but [`Self::finish`].
    pub(crate) fn is_over(&self) -> bool {
        self.dialog.is_over()
    }

    /// Counts what became of it.
    pub(crate) fn finish(mut self, now: Now, inbox: &mut Inbox, figures: &mut Figures) {
        self.read_reports(now, inbox);
        if let Some(answered) = self.answered
            && self.stream.received() == 0
            && now.us > answered + SOUND_WITHIN_US
        {
            figures.fail("answered, and not a packet came");
        }
        figures.shaped_away += self.shaper.as_ref().map_or(0, Shaper::lost);
        self.stream.finish(figures);
    }

    fn read_reports(&mut self, now: Now, inbox: &mut Inbox) {
        let stream = &mut self.stream;
        inbox.receive(&self.rtcp, now, |_, bytes| stream.handle_report(bytes));
    }

    fn follow_dialog(&mut self, now: u64, figures: &mut Figures) {
        while let Some(news) = self.dialog.poll_news() {
            match news {
                News::Accepted(Some(media)) => {
                    figures.answered += 1;
                    figures.setup_ms.push(now.saturating_sub(self.invited) as f64 / 1000.0);
                    self.answered = Some(now);
                    if let Err(error) = self.rtp.connect(media.remote) {
                        figures.fail(format!("cannot send to {}: {error}", media.remote));
                    }
                }
                News::Accepted(None) => figures.fail("the answer has no PCMU"),
                News::Refused(status, reason) => figures.fail(format!("{status} {reason}")),
                News::NoAnswer => figures.fail("no final response"),
                News::Cancelled => figures.fail("not answered in time"),
                News::HungUp if !self.hung_up => figures.fail("hung up by the other side"),
                News::Provisional(_) | News::Leaving | News::HungUp | News::Ended => {}
            }
        }
    }
}

fn send(socket: &UdpSocket, packet: &[u8], figures: &mut Figures) {
    match socket.send(packet) {
        Ok(_) => figures.sent += 1,
        Err(_) => figures.send_errors += 1,
    }
}

//! Two sockets and a clock around a [`Call`].

use crate::call::{Call, CallConfig, Transmit};
use crate::event::Event;
use crate::recording::Arrival;
use crate::script::Step;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::UdpSocket;

/// Larger than any datagram that fits an Ethernet frame many times over.
const DATAGRAM: usize = 65_536;

/// Where to call and what to do there.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The gateway's SIP address.
    pub gateway: SocketAddr,
    /// The request URI; `sip:caller-test@<gateway>` style.
    pub target: String,
    /// The From URI.
    pub from: String,
    /// Our address; port 0 for both sockets unless `sip_port` is given.
    pub local: std::net::IpAddr,
    /// Our SIP port, 0 for any.
    pub sip_port: u16,
    /// Makes identifiers; two calls at once need two seeds.
    pub seed: u64,
    /// Further INVITE headers.
    pub headers: Vec<(String, String)>,
    /// CANCEL after this long without a final answer, in milliseconds.
    pub cancel_after_ms: Option<u64>,
    /// The whole call may last this long, in milliseconds; then it is hung up.
    pub limit_ms: u64,
    /// What to do once answered, with samples.
    pub steps: Vec<Step>,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Report {
    /// Everything that happened, in order.
    pub events: Vec<Event>,
    /// The caller's samples at 8 kHz since the answer.
    pub caller: Vec<i16>,
    /// The agent's, equally long.
    pub agent: Vec<i16>,
    /// The agent's audio packets, in the order they came.
    pub arrivals: Vec<Arrival>,
    /// When the INVITE was sent, which the times of events and arrivals count from.
    pub began: SystemTime,
}

/// A call that could not be placed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// No socket.
    #[error("cannot open a UDP socket on {0}: {1}; choose an address of this machine and a free port")]
    Bind(std::net::IpAddr, io::Error),
    /// The network refused a datagram for good.
    #[error("cannot send to {0}: {1}")]
    Send(SocketAddr, io::Error),
}

/// Places a call and follows it to its end; `on_event` is told of each event as it happens.
pub async fn place(placement: Placement, mut on_event: impl FnMut(&Event)) -> Result<Report, PlaceError> {
    let bind = async |port: u16| {
        let socket = UdpSocket::bind((placement.local, port)).await;
        socket.and_then(|s| Ok((s.local_addr()?, s))).map_err(|e| PlaceError::Bind(placement.local, e))
    };
    let (local_sip, sip) = bind(placement.sip_port).await?;
    let (local_rtp, media) = bind(0).await?;
    let (started, began) = (Instant::now(), SystemTime::now());
    let clock = move || u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut call = Call::new(
        clock(),
        CallConfig {
            target: placement.target,
            from: placement.from,
            local_sip,
            local_rtp,
            seed: placement.seed,
            headers: placement.headers,
            cancel_after_ms: placement.cancel_after_ms,
            steps: placement.steps,
        },
    );
    let mut events = Vec::new();
    let (mut sip_buffer, mut media_buffer) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
    let mut limit = Some(placement.limit_ms.saturating_mul(1000));
    loop {
        while let Some(transmit) = call.poll_transmit() {
            let (socket, to, bytes) = match transmit {
                Transmit::Sip(bytes) => (&sip, placement.gateway, bytes),
                Transmit::Rtp(to, bytes) => (&media, to, bytes),
            };
            match socket.send_to(&bytes, to).await {
                Ok(_) => {}
                // An ICMP error of an earlier datagram; what matters is answered or times out.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(e) => return Err(PlaceError::Send(to, e)),
            }
        }
        while let Some(event) = call.poll_event() {
            on_event(&event);
            events.push(event);
        }
        if call.is_over() {
            break;
        }
        let due = call.poll_timeout().into_iter().chain(limit).min();
        let wait = due.map_or(Duration::from_secs(1), |at| Duration::from_micros(at.saturating_sub(clock())));
        tokio::select! {
            received = sip.recv_from(&mut sip_buffer) => {
                if let Ok((length, _)) = received {
                    call.handle_sip(clock(), &sip_buffer[..length]);
                }
            }
            received = media.recv_from(&mut media_buffer) => {
                if let Ok((length, _)) = received {
                    call.handle_rtp(clock(), &media_buffer[..length]);
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
        let now = clock();
        if limit.is_some_and(|at| now >= at) {
            limit = None;
            call.hang_up(now);
        }
        call.handle_timeout(now);
    }
    let arrivals = call.arrivals().to_vec();
    let (caller, agent) = call.into_recording();
    Ok(Report { events, caller, agent, arrivals, began })
}

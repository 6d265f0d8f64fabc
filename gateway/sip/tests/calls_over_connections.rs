//! SIP over TCP, TLS and WebSocket: calls in both directions, whose requests go back the way they came, and what becomes of
//! connections that nobody needs.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::callee::Callee;
use support::connected::{Certificates, Connected, Line};
use support::{Peer, header, start, start_for, to_tag};
use trunkline_sip::locate::Server;
use trunkline_sip::{
    Account, Admission, ByeReason, Listener, Origin, OutgoingEvent, SipConfig, SipEndpoint, SipEvent, SipEvents,
    TlsFiles, Transport, TrunkToken,
};

/// Listens for every transport.
fn everywhere(config: &mut SipConfig, files: &Certificates) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for transport in [Transport::Tls, Transport::Ws, Transport::Wss] {
        config.listeners.push(Listener { transport, address: any, advertised: None });
    }
    config.tls = TlsFiles {
        identity: Some((files.path("server.pem"), files.path("server.key"))),
        client_ca: Some(files.path("ca.pem")),
        server_ca: Some(files.path("ca.pem")),
    };
}

/// A call from a peer is answered, and hung up by us over the same connection.
fn call_and_bye<L: Line>(endpoint: &SipEndpoint, events: &mut SipEvents, peer: &mut Connected<L>, call: &str) {
    peer.send(&peer.invite(call, 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!("a call was expected") };
    assert_eq!(incoming.source, peer.local());
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    let contact = format!("<{}:{}", peer.scheme, endpoint.listens_at(incoming.transport).unwrap());
    assert!(header(&ok, "Contact").starts_with(&contact), "{ok}");
    peer.send(&peer.request("ACK", call, 1, &to_tag(&ok), ""));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    incoming.handle.bye(&ByeReason::normal()).unwrap();
    let bye = peer.expect("BYE ");
    peer.answer(&bye, "200 OK", "");
    let deadline = Instant::now() + Duration::from_secs(10);
    while endpoint.calls() > 0 {
        assert!(Instant::now() < deadline, "the answer to BYE ends the call");
        std::thread::yield_now();
    }
}

#[test]
fn calls_come_over_every_transport_and_are_hung_up_over_the_same_connection() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path(), "pbx.example");
    let (endpoint, mut events) = start(|config| everywhere(config, &files));
    let at = |transport| endpoint.listens_at(transport).unwrap();
    assert_eq!(at(Transport::Tcp), endpoint.local_addr(), "TCP is where UDP is");

    let mut tcp = Connected::tcp(at(Transport::Tcp));
    call_and_bye(&endpoint, &mut events, &mut tcp, "tcp1");
    call_and_bye(&endpoint, &mut events, &mut tcp, "tcp2");
    let mut tls = Connected::tls(Ipv4Addr::LOCALHOST, at(Transport::Tls), &files, false);
    call_and_bye(&endpoint, &mut events, &mut tls, "tls1");
    tls.scheme = "sips";
    call_and_bye(&endpoint, &mut events, &mut tls, "tls2");
    call_and_bye(&endpoint, &mut events, &mut Connected::websocket(at(Transport::Ws), None), "ws1");
    call_and_bye(&endpoint, &mut events, &mut Connected::websocket(at(Transport::Wss), Some(&files)), "wss1");
}

#[test]
fn a_stream_may_come_in_pieces_and_is_kept_alive() {
    let (endpoint, mut events) = start(|_| {});
    let mut peer = Connected::tcp(endpoint.local_addr());
    let both = format!("\r\n\r\n{}{}", peer.request("OPTIONS", "o1", 1, "", ""), peer.invite("c1", 1, ""));
    for piece in both.as_bytes().chunks(7) {
        peer.line.stream.write_all(piece).unwrap();
    }
    let Some(SipEvent::Invite(_incoming)) = events.blocking_recv() else { panic!() };
    peer.expect("SIP/2.0 200");
    assert_eq!(peer.line.pongs, 1, "CRLF CRLF is answered by CRLF");
}

#[test]
fn nothing_is_sent_again_over_a_connection() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(10));
    let mut peer = Connected::tcp(endpoint.local_addr());
    peer.send(&peer.invite("c1", 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.reject(&trunkline_sip::Refusal::status(486)).unwrap();
    peer.expect("SIP/2.0 486");
    // The refusal would have come again several times by now: what comes next is the answer to this.
    std::thread::sleep(Duration::from_millis(200));
    peer.send(&peer.request("OPTIONS", "o1", 1, "", ""));
    assert!(peer.recv().unwrap().contains("CSeq: 1 OPTIONS"));
}

#[test]
fn strangers_and_streams_that_cannot_be_divided_are_closed() {
    let trunk = TrunkToken("trk_test".into());
    let known = Ipv4Addr::new(127, 0, 0, 2);
    let (endpoint, _events) = start_for(Arc::new(move |ip: IpAddr| (ip == known).then(|| trunk.clone())), |_| {});
    let mut stranger = Connected::tcp(endpoint.local_addr());
    stranger.send(&stranger.request("OPTIONS", "o1", 1, "", "User-Agent: some client with a name that is long\r\n"));
    assert!(stranger.recv().is_none_or(|answer| answer.starts_with("SIP/2.0 403")));
    assert_eq!(stranger.recv(), None, "the connection is closed");

    let mut broken = Connected::tcp_from(known, endpoint.local_addr());
    broken.send("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n");
    assert_eq!(broken.recv(), None, "no Content-Length");
    let mut udp_in_via = Connected::tcp_from(known, endpoint.local_addr());
    udp_in_via.send(&udp_in_via.request("OPTIONS", "o2", 1, "", "").replace("SIP/2.0/TCP", "SIP/2.0/UDP"));
    udp_in_via.expect("SIP/2.0 400");
    assert_eq!(endpoint.stats().dropped["unframed"], 1);
}

#[test]
fn a_websocket_is_served_however_short_the_longest_message_is() {
    let (endpoint, _events) = start(|config| {
        config.limits.max_message = 1300;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.listeners.push(Listener { transport: Transport::Ws, address, advertised: None });
    });
    let mut peer = Connected::websocket(endpoint.listens_at(Transport::Ws).unwrap(), None);
    peer.send(&peer.request("OPTIONS", "o1", 1, "", ""));
    peer.expect("SIP/2.0 200");
}

#[test]
fn strangers_hold_no_place_of_a_trunk_that_is_known_by_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path(), "pbx.example");
    let (trunk, known) = (TrunkToken("trk_test".into()), Ipv4Addr::new(127, 0, 0, 2));
    let (endpoint, _events) = start_for(Arc::new(move |ip: IpAddr| (ip == known).then(|| trunk.clone())), |config| {
        everywhere(config, &files);
    });
    let at = endpoint.listens_at(Transport::Tls).unwrap();
    // They open connections and say nothing, from as many addresses as it takes.
    let mut held = Vec::new();
    while endpoint.stats().dropped["rate"] == 0 {
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(held.len() / 8 + 1).unwrap());
        held.push(Connected::tcp_from(from, at));
        assert!(held.len() < 2000, "there is no end of places for strangers");
    }
    let mut peer = Connected::tls(known, at, &files, false);
    peer.send(&peer.request("OPTIONS", "o1", 1, "", ""));
    peer.expect("SIP/2.0 200");
}

#[test]
#[ignore = "slow: strangers have ten seconds"]
fn a_stranger_does_not_stay_by_saying_nothing_of_consequence() {
    let (endpoint, _events) = start_for(Arc::new(|_: IpAddr| None), |config| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.listeners.push(Listener { transport: Transport::Ws, address, advertised: None });
    });
    let mut stranger = Connected::websocket(endpoint.listens_at(Transport::Ws).unwrap(), None);
    let began = Instant::now();
    while endpoint.connections() > 0 || began.elapsed() < Duration::from_secs(1) {
        assert!(began.elapsed() < Duration::from_secs(30), "it is served as long as it likes");
        stranger.line.try_send("\r\n\r\n");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// All addresses are a trunk's, whose calls have to prove a password.
struct Anywhere;

impl Admission for Anywhere {
    fn trunk(&self, _source: IpAddr) -> Option<TrunkToken> {
        Some(TrunkToken("trk_phones".into()))
    }

    fn account(&self, _trunk: &TrunkToken) -> Option<Arc<Account>> {
        Some(Arc::new(Account::new("phone", "gw.example", "secret")))
    }
}

#[test]
fn one_address_holds_few_connections_until_it_is_known() {
    few_connections(&support::start_unknown().0);
}

#[test]
fn nor_does_an_address_of_a_trunk_with_a_password_that_is_yet_to_be_given() {
    few_connections(&start_for(Arc::new(Anywhere), |_| {}).0);
}

fn few_connections(endpoint: &SipEndpoint) {
    let held: Vec<_> = (0..40).map(|_| Connected::tcp(endpoint.local_addr())).collect();
    let open = |mut peer: Connected<support::connected::Bytes<std::net::TcpStream>>| {
        peer.line.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut byte = [0];
        peer.line.stream.read(&mut byte).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let left = held.into_iter().filter_map(|peer| open(peer).then_some(())).count();
    assert!((1..=8).contains(&left), "{left} of 40 are left open");
}

#[test]
fn a_call_whose_connection_is_gone_is_hung_up_where_its_contact_says() {
    let (endpoint, mut events) = start(|_| {});
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut peer = Connected::tcp(endpoint.local_addr());
    let contact = format!("alice@{};", peer.local());
    let there = format!("alice@{};", listener.local_addr().unwrap());
    peer.send(&peer.invite("c1", 1, "").replace(&contact, &there));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    peer.send(&peer.request("ACK", "c1", 1, &to_tag(&ok), ""));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    drop(peer);
    while endpoint.connections() > 0 {
        std::thread::yield_now();
    }
    incoming.handle.bye(&ByeReason::normal()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    Connected::over(stream, endpoint.local_addr()).expect("BYE ");
}

/// Answers a call of ours over the connection that it came by, and takes its BYE.
fn answered(events: &mut SipEvents, peer: &mut Connected<support::connected::Bytes<std::net::TcpStream>>) {
    let invite = peer.expect("INVITE ");
    assert!(header(&invite, "Via").starts_with("SIP/2.0/TCP "), "{invite}");
    let us = format!("Contact: <sip:b@{};transport=tcp>\r\nContent-Type: application/sdp\r\n", peer.local());
    let ok = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=b\r\nCall-ID: {}\r\nCSeq: {}\r\n{us}Content-Length: 5\r\n\r\nv=0\r\n",
        header(&invite, "Via"),
        header(&invite, "From"),
        header(&invite, "To"),
        header(&invite, "Call-ID"),
        header(&invite, "CSeq")
    );
    peer.send(&ok);
    peer.expect("ACK ");
    loop {
        let Some(SipEvent::Outgoing { news, .. }) = events.blocking_recv() else { panic!() };
        if let OutgoingEvent::Answered { handle, .. } = *news {
            handle.bye(&ByeReason::normal()).unwrap();
            break;
        }
    }
    peer.expect("BYE ");
}

#[test]
fn a_call_of_ours_is_placed_over_tcp() {
    let (endpoint, mut events) = start(|_| {});
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut call = Callee::new().call();
    call.servers = vec![Server { address, transport: Transport::Tcp, certificate_name: String::new() }];
    endpoint.dialler().dial(call).unwrap();
    let (stream, _) = listener.accept().unwrap();
    answered(&mut events, &mut Connected::over(stream, endpoint.local_addr()));
}

#[test]
fn an_invite_too_large_for_udp_goes_over_tcp_and_back_to_udp_where_nobody_listens() {
    let (endpoint, mut events) = start(|_| {});
    let callee = Callee::new();
    let mut large = callee.call();
    large.headers.push(("X-Large".to_owned(), "x".repeat(1300)));
    endpoint.dialler().dial(large.clone()).unwrap();
    let invite = callee.expect("INVITE ");
    assert!(header(&invite, "Via").starts_with("SIP/2.0/UDP ") && invite.len() > 1300, "nobody listens on TCP there");

    let listener = TcpListener::bind(callee.address()).unwrap();
    endpoint.dialler().dial(large).unwrap();
    let (stream, _) = listener.accept().unwrap();
    // The first call goes on ringing, unheard, and is no news of this one.
    answered(&mut events, &mut Connected::over(stream, endpoint.local_addr()));
}

#[test]
fn of_several_udp_sockets_the_one_that_a_call_came_to_speaks_within_it() {
    let second = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (_endpoint, mut events) = start(|config| {
        config.listeners.push(Listener { transport: Transport::Udp, address: second, advertised: None });
    });
    let peer = Peer::at(second);
    peer.send(&peer.invite("c1", 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    assert_eq!(header(&ok, "Contact"), format!("<sip:{second}>"));
    peer.send(&peer.ack("c1", 1, &to_tag(&ok)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    incoming.handle.bye(&ByeReason::normal()).unwrap();
    let (bye, from) = peer.expect_from("BYE ");
    assert_eq!(from, second);
    assert!(header(&bye, "Via").starts_with(&format!("SIP/2.0/UDP {second};")), "{bye}");
}

/// A trunk that is known by its certificate, whatever address it comes from, and one by its address.
struct ByCertificate;

impl Admission for ByCertificate {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        (source == IpAddr::from([127, 0, 0, 9])).then(|| TrunkToken("trk_address".into()))
    }

    fn trunk_of(&self, origin: &Origin<'_>) -> Option<TrunkToken> {
        let proven = origin.names.iter().any(|name| name == "pbx.example");
        if proven { Some(TrunkToken("trk_certificate".into())) } else { self.trunk(origin.address) }
    }
}

#[test]
fn who_proves_a_certificate_is_known_by_it_and_nobody_else_by_that_address() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path(), "pbx.example");
    let (endpoint, mut events) = start_for(Arc::new(ByCertificate), |config| everywhere(config, &files));
    let at = endpoint.listens_at(Transport::Tls).unwrap();
    let mut proven = Connected::tls(Ipv4Addr::LOCALHOST, at, &files, true);
    proven.send(&proven.invite("c1", 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    assert_eq!(incoming.trunk, TrunkToken("trk_certificate".into()));
    let mut bare = Connected::tls(Ipv4Addr::LOCALHOST, at, &files, false);
    bare.send(&bare.invite("c2", 1, ""));
    assert!(bare.recv().is_none_or(|answer| answer.starts_with("SIP/2.0 403")));
}

#[test]
fn a_call_that_came_in_secret_is_not_ended_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path(), "pbx.example");
    let (endpoint, mut events) = start(|config| everywhere(config, &files));
    let mut peer = Connected::tls(Ipv4Addr::LOCALHOST, endpoint.listens_at(Transport::Tls).unwrap(), &files, false);
    peer.send(&peer.invite("c1", 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.request("ACK", "c1", 1, &to, ""));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    let forged = Peer::new(&endpoint);
    forged.send(&forged.request("BYE", "c1", 2, &to, ""));
    forged.expect("SIP/2.0 481");
    let mut clear = Connected::tcp(endpoint.local_addr());
    clear.send(&clear.request("BYE", "c1", 2, &to, ""));
    clear.expect("SIP/2.0 481");
    assert_eq!(endpoint.calls(), 1);
    peer.send(&peer.request("BYE", "c1", 2, &to, ""));
    peer.expect("SIP/2.0 200");
}

#[test]
fn a_certificate_that_changes_is_presented_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path(), "pbx.example");
    let (endpoint, _events) = start(|config| everywhere(config, &files));
    let at = endpoint.listens_at(Transport::Tls).unwrap();
    let answers = |files: &Certificates| {
        let mut peer = Connected::tls(Ipv4Addr::LOCALHOST, at, files, false);
        let options = peer.request("OPTIONS", "o1", 1, "", "");
        let stream = &mut peer.line.stream;
        stream.write_all(options.as_bytes()).and_then(|()| stream.flush()).is_ok() && peer.recv().is_some()
    };
    assert!(answers(&files));
    let renewed = Certificates::make(folder.path(), "pbx.example");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !answers(&renewed) {
        assert!(Instant::now() < deadline, "the new certificate is never presented");
        std::thread::sleep(Duration::from_millis(100));
    }
}

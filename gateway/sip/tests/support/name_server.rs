//! A name server that knows what a test tells it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

type Zone = BTreeMap<(String, RecordType), Vec<RData>>;

/// The server; it stops answering when it is dropped.
pub(crate) struct NameServer {
    socket: UdpSocket,
    zone: Arc<Mutex<Zone>>,
}

impl NameServer {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let (here, known) = (socket.try_clone().unwrap(), Arc::clone(&zone));
        std::thread::spawn(move || serve(&here, &known));
        Self { socket, zone }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn naptr(&self, domain: &str, (order, service): (u16, &str), replacement: &str) -> &Self {
        let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        let record = NAPTR::new(order, 10, bytes("s"), bytes(service), bytes(""), name(replacement));
        self.add(domain, RecordType::NAPTR, RData::NAPTR(record))
    }

    pub(crate) fn srv(&self, service: &str, (priority, weight): (u16, u16), port: u16, target: &str) -> &Self {
        self.add(service, RecordType::SRV, RData::SRV(SRV::new(priority, weight, port, name(target))))
    }

    pub(crate) fn a(&self, host: &str, address: Ipv4Addr) -> &Self {
        self.add(host, RecordType::A, RData::A(A(address)))
    }

    fn add(&self, owner: &str, kind: RecordType, data: RData) -> &Self {
        self.zone.lock().unwrap().entry((owner.to_owned(), kind)).or_default().push(data);
        self
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.socket.send_to(&[], self.address());
    }
}

fn name(text: &str) -> Name {
    let mut name: Name = text.parse().unwrap();
    name.set_fqdn(true);
    name
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut buffer = [0; 4096];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        // Whoever dropped it says so with nothing.
        if len == 0 {
            return;
        }
        let asked = Message::from_vec(&buffer[..len]).unwrap();
        let query = asked.queries[0].clone();
        let owner = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let mut answer = Message::response(asked.metadata.id, OpCode::Query);
        answer.add_query(query.clone());
        let records = zone.lock().unwrap().get(&(owner, query.query_type())).cloned();
        if records.is_none() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        for data in records.unwrap_or_default() {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
        let _ = socket.send_to(&answer.to_vec().unwrap(), from);
    }
}

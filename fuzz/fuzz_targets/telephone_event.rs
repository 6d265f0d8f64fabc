//! Any telephone events in any order: each packet is at most one digit, and one that comes again is none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_media::dtmf::{DtmfReceiver, Event};

fuzz_target!(|packets: Vec<(u16, u32, Vec<u8>)>| {
    let mut receiver = DtmfReceiver::default();
    for (seq, timestamp, payload) in packets {
        let first = receiver.handle(seq, timestamp, &payload);
        assert_eq!(first == Event::Malformed, payload.len() < 4);
        let again = receiver.handle(seq, timestamp, &payload);
        assert!(!matches!(again, Event::Digit(_)), "the same packet was two digits");
    }
});

//! Whatever a peer writes into an AudioSocket connection, in pieces it chooses, is read or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_dialects::audiosocket::Reader;

fuzz_target!(|data: &[u8]| {
    let Some((piece, bytes)) = data.split_first() else { return };
    let mut reader = Reader::new();
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        if reader.handle_bytes(piece).is_err() {
            return;
        }
        loop {
            match reader.poll_message() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

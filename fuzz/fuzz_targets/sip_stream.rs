//! Any stream of bytes, in any pieces: it is divided into messages the same way however it comes, or given up, and never
//! more of it is held than a message may be long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_sip::stream::{Framer, Piece, Unframed};

const MOST: usize = 2000;

fn divided<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Piece>, Option<Unframed>) {
    let (mut framer, mut found) = (Framer::new(MOST), Vec::new());
    for bytes in pieces {
        framer.handle_bytes(bytes);
        loop {
            match framer.poll_piece() {
                Ok(Some(piece)) => {
                    assert!(!matches!(&piece, Piece::Message(message) if message.len() > MOST));
                    found.push(piece);
                }
                Ok(None) => break,
                Err(why) => return (found, Some(why)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, stream) = input;
    let whole = divided(stream.chunks(MOST));
    let cut = divided(stream.chunks(usize::from(size).max(1)));
    // CRLF and half a question are told apart by what follows, which is the same in both.
    assert_eq!(whole.0, cut.0);
    assert_eq!(whole.1.is_some(), cut.1.is_some());
});

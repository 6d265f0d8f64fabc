//! Ports for the programs that must be told theirs in advance. Everything else listens on port 0.

use std::net::UdpSocket;
use std::sync::{Mutex, PoisonError};

use anyhow::bail;

/// Above the ports that the kernel gives to those who ask for any, and above a gateway's own default range.
const FIRST: u16 = 61_000;
const LAST: u16 = 65_535;

/// Where this process looks next, from [`FIRST`]; none before it has begun.
static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// The first of `count` UDP ports in a row on loopback that nobody has, beginning with an even one. Two processes begin
/// to look at different places, and two tests of one process do not get the same.
pub fn free_range(count: u16) -> anyhow::Result<u16> {
    let room = LAST - FIRST;
    let step = count.next_multiple_of(2);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut at = match *next {
        Some(at) => at,
        None => u16::try_from(std::process::id() % u32::from(room))? & !1,
    };
    for _ in 0..=room / step {
        if at > room - step {
            at = 0;
        }
        let first = FIRST + at;
        at += step;
        *next = Some(at);
        // All at once, so that one port is not seen as free twice; they are given back before the range is used.
        let held: Vec<_> = (first..first + count).map_while(|port| UdpSocket::bind(("127.0.0.1", port)).ok()).collect();
        if held.len() == usize::from(count) {
            return Ok(first);
        }
    }
    bail!("no {count} UDP ports in a row are free between {FIRST} and {LAST}; end what listens there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_even_free_and_never_the_same() -> anyhow::Result<()> {
        let (one, two) = (free_range(401)?, free_range(2)?);
        assert!(one % 2 == 0 && two % 2 == 0, "{one} {two}");
        assert!(two >= one + 401 || two + 2 <= one, "{one} {two}");
        Ok(())
    }
}

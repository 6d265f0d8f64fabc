//! Networks: how long each packet of a stream is under way, and which never come. Delays are those of the crate's own
//! arrival models; losses without delay, for concealment by itself, are Gilbert-Elliott in its simple form, where all
//! packets of the bad state are lost.

use trunkline_dsp::jitter::trace::Network;

use crate::random::Random;

/// Microseconds from one packet to the next.
pub(crate) const PACKET_US: u64 = 20_000;

/// Microseconds that each of `packets` packets is under way; none for one that is lost.
pub(crate) fn transit(network: Network, packets: usize, random: &mut Random) -> Vec<Option<u64>> {
    let mut transit = vec![None; packets];
    let count = u32::try_from(packets).unwrap_or(u32::MAX);
    for packet in network.arrivals(random.bits(), count, PACKET_US) {
        if let Some(place) = transit.get_mut(packet.number as usize) {
            *place = Some(packet.arrival - packet.sent);
        }
    }
    transit
}

/// Loss of `percent` in bursts that grow with the loss, as they do on real networks.
pub(crate) fn burst_loss(packets: usize, percent: u8, random: &mut Random) -> Vec<bool> {
    let burst = match percent {
        0 | 1 => 1.2,
        2 | 3 => 1.5,
        4..=6 => 2.0,
        _ => 2.5,
    };
    let wanted = f64::from(percent) / 100.0;
    // A short stream strays far from its mean; the comparison is of a rate, so streams that stray are not used.
    loop {
        let lost = gilbert_elliott(packets, wanted, burst, random);
        let share = lost.iter().filter(|lost| **lost).count() as f64 / packets.max(1) as f64;
        if (share - wanted).abs() <= wanted * 0.1 + 1.0 / packets.max(1) as f64 {
            return lost;
        }
    }
}

fn gilbert_elliott(packets: usize, loss: f64, burst: f64, random: &mut Random) -> Vec<bool> {
    let recover = 1.0 / burst;
    let fail = recover * loss / (1.0 - loss);
    let mut bad = false;
    (0..packets)
        .map(|_| {
            bad = if bad { !random.chance(recover) } else { random.chance(fail) };
            bad
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_comes_at_its_rate_and_in_bursts() {
        for (percent, burst) in [(1, 1.2), (5, 2.0), (10, 2.5)] {
            let lost = burst_loss(20_000, percent, &mut Random::of("test"));
            let losses = lost.iter().filter(|lost| **lost).count() as f64;
            let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
            assert!((losses / 200.0 - f64::from(percent)).abs() <= 0.1 * f64::from(percent) + 0.01);
            assert!((losses / bursts - burst).abs() < 0.25, "{}", losses / bursts);
        }
    }
}

//! When an offer that was refused may be made again (RFC 3261 14.1): each side draws from a time of its own, so that two who
//! offered at once do not do so again.

use crate::draw::Draw;

/// Longest time that a far end's Retry-After is waited for, in milliseconds: what was wanted may not be wanted any more.
const LONGEST_MS: u64 = 60_000;

/// After how many milliseconds; `None` for a refusal that is meant. `is_ours` is whether the call was placed by us: who made its
/// Call-ID waits longer.
pub(super) fn again_ms(status: u16, retry_after_s: Option<u32>, is_ours: bool, draw: &mut Draw) -> Option<u64> {
    match status {
        // In steps of 10 ms.
        491 if is_ours => Some(10 * draw.between(210, 400)),
        491 => Some(10 * draw.between(0, 200)),
        500 | 503 => retry_after_s.map(|seconds| (u64::from(seconds) * 1000).min(LONGEST_MS)),
        // The interval of the session was too short, and is raised.
        422 => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_made_the_call_waits_two_to_four_seconds_and_the_other_at_most_two() {
        let mut draw = Draw::from_seed(1);
        let mut range = |is_ours| {
            let drawn: Vec<u64> = (0..2000).map(|_| again_ms(491, None, is_ours, &mut draw).unwrap()).collect();
            assert!(drawn.iter().all(|ms| ms % 10 == 0), "in steps of 10 ms");
            (drawn.iter().min().copied().unwrap(), drawn.iter().max().copied().unwrap())
        };
        let (least, most) = range(true);
        assert!((2100..2150).contains(&least) && (3950..=4000).contains(&most), "{least} {most}");
        let (least, most) = range(false);
        assert!(least < 50 && (1950..=2000).contains(&most), "{least} {most}");
    }

    #[test]
    fn a_far_end_that_says_when_is_believed_for_a_minute_and_a_refusal_that_is_meant_is_not_repeated() {
        let mut draw = Draw::from_seed(1);
        for (status, retry_after_s, expected) in [
            (500, Some(3), Some(3000)),
            (500, Some(0), Some(0)),
            (500, None, None),
            (503, Some(86_400), Some(60_000)),
            (422, None, Some(0)),
            (488, Some(3), None),
            (403, None, None),
            (603, Some(1), None),
        ] {
            assert_eq!(again_ms(status, retry_after_s, true, &mut draw), expected, "{status}");
        }
    }
}

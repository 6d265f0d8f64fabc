//! The order of SRV records: by priority, and among equals at random by weight (RFC 2782).

use super::records::Srv;
use crate::draw::Draw;

/// Sorts records as they are to be tried.
pub(super) fn by_priority_and_weight(mut records: Vec<Srv>, draw: &mut Draw) -> Vec<Srv> {
    // Weight 0 first, so that it is chosen now and then (RFC 2782, "Usage rules").
    records.sort_by(|a, b| (a.priority, a.weight, &a.target, a.port).cmp(&(b.priority, b.weight, &b.target, b.port)));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let equals = records.iter().take_while(|record| record.priority == priority).count();
        let mut equals: Vec<Srv> = records.drain(..equals).collect();
        while !equals.is_empty() {
            let sum: u64 = equals.iter().map(|record| u64::from(record.weight)).sum();
            let drawn = draw.up_to(sum);
            let mut running = 0;
            let chosen = equals.iter().position(|record| {
                running += u64::from(record.weight);
                running >= drawn
            });
            ordered.push(equals.remove(chosen.unwrap_or(0)));
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.to_owned() }
    }

    #[test]
    fn equals_share_by_weight_and_weight_zero_gets_a_little() {
        let mut draw = Draw::from_seed(7);
        let mut first = std::collections::BTreeMap::<String, u32>::new();
        for _ in 0..4000 {
            let records = vec![srv(1, 0, "none"), srv(1, 10, "ten"), srv(1, 30, "thirty"), srv(2, 60_000, "later")];
            let ordered = by_priority_and_weight(records, &mut draw);
            assert_eq!((ordered.len(), ordered[3].target.as_str()), (4, "later"));
            *first.entry(ordered[0].target.clone()).or_default() += 1;
        }
        // 1, 10 and 30 of 41.
        let share = |target: &str| first.get(target).copied().unwrap_or(0);
        assert!((40..200).contains(&share("none")), "{first:?}");
        assert!((800..1160).contains(&share("ten")), "{first:?}");
        assert!((2720..3140).contains(&share("thirty")), "{first:?}");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_priorities_are_kept(records in proptest::collection::vec((0..4u16, any::<u16>()), 0..20), seed in any::<u64>()) {
            let records: Vec<Srv> = records.iter().enumerate().map(|(at, &(priority, weight))| srv(priority, weight, &at.to_string())).collect();
            let ordered = by_priority_and_weight(records.clone(), &mut Draw::from_seed(seed));
            prop_assert!(ordered.windows(2).all(|pair| pair[0].priority <= pair[1].priority));
            let names = |list: &[Srv]| { let mut names: Vec<String> = list.iter().map(|record| record.target.clone()).collect(); names.sort(); names };
            prop_assert_eq!(names(&ordered), names(&records));
        }
    }
}

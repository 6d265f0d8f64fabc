//! Money from usage, pure: integer units times a price row, rounded once per component, so that the components of a
//! call add up to its total exactly.

use trunkline_api::usage::{ProviderUsage, Units};

use super::prices::{Book, Price};

/// Most units of one component a record may claim; more is a fault of the sender, and sums must fit 64 bits.
pub(crate) const MAX_QUANTITY: u64 = 1_000_000_000_000;

/// One priced line of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) kind: String,
    pub(crate) provider: String,
    pub(crate) unit: &'static str,
    pub(crate) quantity: i64,
    /// Whether the book has a row for it; without one it costs nothing.
    pub(crate) priced: bool,
    pub(crate) cost_micro: i64,
}

/// Names of units in the order they are reported.
pub(crate) const UNITS: [&str; 7] =
    ["call_ms", "asr_ms", "tts_chars", "tokens_in", "tokens_out", "tokens_cached", "plugin_us"];

const fn quantities(units: &Units) -> [u64; 7] {
    [
        units.call_ms,
        units.asr_ms,
        units.tts_chars,
        units.tokens_in,
        units.tokens_out,
        units.tokens_cached,
        units.plugin_us,
    ]
}

/// Prices `usage` by `book`. `None` when a quantity is larger than [`MAX_QUANTITY`] or a cost does not fit.
pub(crate) fn rate(usage: &[ProviderUsage], book: &Book) -> Option<Vec<Component>> {
    // The same provider and kind may come in several entries; a component is their sum.
    let mut merged: Vec<(&str, &str, Units)> = Vec::new();
    for entry in usage {
        match merged.iter_mut().find(|(kind, provider, _)| *kind == entry.kind && *provider == entry.provider) {
            Some((_, _, units)) => units.add(&entry.units),
            None => merged.push((&entry.kind, &entry.provider, entry.units)),
        }
    }
    let mut components = Vec::new();
    for (kind, provider, units) in merged {
        for (unit, quantity) in UNITS.into_iter().zip(quantities(&units)) {
            if quantity == 0 {
                continue;
            }
            let quantity = i64::try_from(quantity).ok().filter(|_| quantity <= MAX_QUANTITY)?;
            let price = find(&book.prices, kind, provider, unit);
            let cost_micro = match price {
                Some(price) => cost(quantity, price)?,
                None => 0,
            };
            components.push(Component {
                kind: kind.to_owned(),
                provider: provider.to_owned(),
                unit,
                quantity,
                priced: price.is_some(),
                cost_micro,
            });
        }
    }
    Some(components)
}

fn find<'p>(prices: &'p [Price], kind: &str, provider: &str, unit: &str) -> Option<&'p Price> {
    let of =
        |name: &str| prices.iter().find(|price| price.kind == kind && price.unit == unit && price.provider == name);
    of(provider).or_else(|| of("*"))
}

/// Half away from zero, in 128 bits.
fn cost(quantity: i64, price: &Price) -> Option<i64> {
    let per = i128::from(price.per.max(1));
    let product = i128::from(quantity) * i128::from(price.micro);
    let half = if product < 0 { -per } else { per };
    i64::try_from((2 * product + half) / (2 * per)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn book(prices: Vec<Price>) -> Book {
        Book { version: 1, currency: "USD".to_owned(), created_us: 0, prices }
    }

    fn price(provider: &str, micro: i64, per: i64) -> Price {
        Price { kind: "llm".to_owned(), provider: provider.to_owned(), unit: "tokens_in".to_owned(), micro, per }
    }

    fn usage(provider: &str, tokens_in: u64) -> ProviderUsage {
        let units = Units { tokens_in, ..Units::default() };
        ProviderUsage { provider: provider.to_owned(), kind: "llm".to_owned(), units }
    }

    #[test]
    fn a_providers_own_row_wins_over_the_general_one() {
        let book = book(vec![price("*", 10, 1), price("own", 3, 1)]);
        let costs: Vec<i64> =
            rate(&[usage("own", 2), usage("other", 2)], &book).unwrap().iter().map(|c| c.cost_micro).collect();
        assert_eq!(costs, [6, 20]);
    }

    #[test]
    fn halves_round_away_from_zero_and_unpriced_units_are_marked() {
        assert_eq!(cost(1, &price("*", 1, 2)), Some(1));
        assert_eq!(cost(1, &price("*", -1, 2)), Some(-1));
        assert_eq!(cost(1, &price("*", 1, 3)), Some(0));
        let line = &rate(&[usage("x", 5)], &book(vec![])).unwrap()[0];
        assert!(!line.priced && line.cost_micro == 0 && line.quantity == 5);
    }

    proptest! {
        #[test]
        fn cost_is_within_half_a_micro_unit_of_the_exact_value(
            quantity in 0_u64..=MAX_QUANTITY, micro in -1_000_000_i64..1_000_000, per in 1_i64..10_000_000,
        ) {
            let lines = rate(&[usage("x", quantity)], &book(vec![price("*", micro, per)])).unwrap();
            let got = i128::from(lines.first().map_or(0, |line| line.cost_micro));
            let exact = i128::from(quantity) * i128::from(micro);
            prop_assert!(2 * (got * i128::from(per) - exact).abs() <= i128::from(per));
        }

        #[test]
        fn any_quantities_are_priced_or_refused(tokens: u64, micro: i64, per: i64) {
            let _ = rate(&[usage("x", tokens), usage("x", tokens)], &book(vec![price("*", micro, per)]));
        }
    }
}

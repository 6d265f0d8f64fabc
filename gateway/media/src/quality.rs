//! What a call sounds like in one number: the E-model (ITU-T G.107) from loss, bursts and delay, and MOS from it.
//!
//! Everything that is not measured has the default of G.107 table 2, so that an undisturbed connection rates 93.2.

use trunkline_leg::Codec;

/// Basic rating less simultaneous impairments, at the defaults (G.107 7.2, 7.3).
const UNDISTURBED: f64 = 93.2;
/// Signal-to-noise ratio at the defaults in dB, for talker and listener echo (G.107 7.4).
const NOISE: f64 = 94.77;
/// Talker echo loudness rating and weighted echo path loss at the defaults in dB.
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;
/// Loss is not worse than this much burstier than chance: G.107 3.5 states no validity beyond.
const BURST_RATIO_MAX: f64 = 8.0;

/// What one direction of a connection did to the sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Impairments {
    pub(crate) codec: Codec,
    /// Share of packets that were not played, lost or late, 0..=1.
    pub(crate) missing: f64,
    /// How much longer runs of them were than by chance, from 1.
    pub(crate) burst_ratio: f64,
    /// Mouth to ear, one way, in milliseconds.
    pub(crate) delay_ms: f64,
}

/// The rating factor R, 0..=100, with the delay (conversational) or without (listening).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rating {
    pub(crate) conversational: f64,
    pub(crate) listening: f64,
}

impl Impairments {
    pub(crate) fn rating(&self) -> Rating {
        let listening = UNDISTURBED - self.effective_equipment();
        let bounded = |r: f64| r.clamp(0.0, 100.0);
        Rating {
            conversational: bounded(listening - delay_impairment(self.delay_ms.max(0.0))),
            listening: bounded(listening),
        }
    }

    /// Ie-eff (G.107 7-29): the codec's own impairment, and what loss makes of it.
    fn effective_equipment(&self) -> f64 {
        let (own, robustness) = equipment(self.codec);
        let percent = self.missing.clamp(0.0, 1.0) * 100.0;
        let bursty = self.burst_ratio.clamp(1.0, BURST_RATIO_MAX);
        own + (95.0 - own) * percent / (percent / bursty + robustness)
    }
}

impl Rating {
    /// MOS-CQ in hundredths, 100..=450.
    pub(crate) fn mos_cq(&self) -> u16 {
        mos(self.conversational)
    }

    /// MOS-LQ in hundredths, 100..=450.
    pub(crate) fn mos_lq(&self) -> u16 {
        mos(self.listening)
    }
}

/// Estimated mean opinion score in hundredths (G.107 annex B).
pub(crate) fn mos(r: f64) -> u16 {
    let r = r.clamp(0.0, 100.0);
    let mos = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
    // The polynomial dips below 1 for R under 6.5.
    (mos.clamp(1.0, 4.5) * 100.0).round() as u16
}

/// Ie and Bpl: what the codec costs, and how it stands loss. G.711 with concealment is of G.113 appendix I; our jitter
/// buffer conceals for the others in the same way, and G.113 has no narrow-band figures for them.
const fn equipment(codec: Codec) -> (f64, f64) {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus | Codec::L16Narrowband | Codec::L16Wideband => {
            (0.0, 25.1)
        }
    }
}

/// Id (G.107 7.4): talker echo, listener echo, and delay itself.
fn delay_impairment(one_way_ms: f64) -> f64 {
    let t = one_way_ms;
    let terv = TELR - 40.0 * ((1.0 + t / 10.0) / (1.0 + t / 150.0)).log10() + 6.0 * (-0.3 * t * t).exp();
    let talker = (echo(NOISE, 80.0 + 2.5 * (terv - 14.0)) - 1.0) * (1.0 - (-t).exp());
    let listener = echo(NOISE, 10.5 * (WEPL + 7.0) * (2.0 * t + 1.0).powf(-0.25));
    talker.max(0.0) + listener.max(0.0) + absolute_delay(t)
}

fn echo(signal: f64, echo: f64) -> f64 {
    let half = (signal - echo) / 2.0;
    half + (half * half + 100.0).sqrt()
}

fn absolute_delay(ms: f64) -> f64 {
    if ms <= 100.0 {
        return 0.0;
    }
    let x = (ms / 100.0).log2();
    25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(missing: f64, burst_ratio: f64, delay_ms: f64) -> Rating {
        Impairments { codec: Codec::Pcmu, missing, burst_ratio, delay_ms }.rating()
    }

    #[test]
    fn an_undisturbed_line_rates_as_g_107_says() {
        let rating = line(0.0, 1.0, 0.0);
        assert!((rating.conversational - 93.2).abs() < 0.3, "{rating:?}");
        assert_eq!(rating.mos_lq(), 441);
    }

    #[test]
    fn opinion_follows_the_rating_as_in_annex_b() {
        // R and MOS of G.107 table B.1.
        for (r, expected) in [(90.0, 434), (80.0, 403), (70.0, 360), (60.0, 310), (50.0, 258), (0.0, 100), (100.0, 450)]
        {
            assert!(mos(r).abs_diff(expected) <= 1, "{r}: {}", mos(r));
        }
    }

    #[test]
    fn delay_costs_what_cole_and_rosenbluth_fitted() {
        // Id = 0.024 d + 0.11 (d - 177.3) beyond 177.3 ms, their fit to G.107 at its defaults.
        for ms in [25.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0] {
            let fitted = 0.024 * ms + 0.11 * f64::max(0.0, ms - 177.3);
            let ours = 93.2 - line(0.0, 1.0, ms).conversational;
            assert!((ours - fitted).abs() < 3.0, "{ms} ms: {ours} against {fitted}");
        }
    }

    #[test]
    fn loss_costs_by_robustness_and_bursts_cost_more() {
        // Ie-eff of G.711 with concealment at 5 %: 95 * 5 / (5 + 25.1).
        assert!((93.2 - line(0.05, 1.0, 0.0).listening - 15.78).abs() < 0.1);
        assert!(line(0.05, 2.0, 0.0).listening < line(0.05, 1.0, 0.0).listening - 1.0);
    }

    proptest! {
        #[test]
        fn worse_is_never_better(
            missing in 0.0..1.0_f64,
            more in 0.0..0.5_f64,
            burst in 1.0..10.0_f64,
            delay in 0.0..2000.0_f64,
            later in 0.0..500.0_f64,
        ) {
            let rating = line(missing, burst, delay);
            prop_assert!((0.0..=100.0).contains(&rating.conversational));
            prop_assert!(line((missing + more).min(1.0), burst, delay).mos_cq() <= rating.mos_cq() + 1);
            prop_assert!(line(missing, burst, delay + later).mos_cq() <= rating.mos_cq() + 1);
            prop_assert!(rating.mos_cq() <= rating.mos_lq());
        }
    }
}

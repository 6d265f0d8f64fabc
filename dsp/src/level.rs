//! How loud a frame is, in dB relative to full scale.

/// What digital silence measures: the floor of every level in dBFS.
pub const SILENCE_DBFS: f32 = -96.0;

/// Root-mean-square level in dBFS, -96..=0, where a full-scale square wave is 0 and a full-scale sine -3.
#[must_use]
pub fn rms_dbfs(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return SILENCE_DBFS;
    }
    let sum: i64 = pcm.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum();
    power_dbfs(sum as f32 / pcm.len() as f32 / (32768.0 * 32768.0))
}

/// Largest magnitude in dBFS, -96..=0.
#[must_use]
pub fn peak_dbfs(pcm: &[i16]) -> f32 {
    let peak = pcm.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let ratio = f32::from(peak) / 32768.0;
    power_dbfs(ratio * ratio)
}

/// A mean square of samples in -1..1 as dBFS, clamped to -96..=0.
#[must_use]
pub fn power_dbfs(mean_square: f32) -> f32 {
    // Not-a-number and zero fail the comparison and are silence.
    if mean_square > 2.5e-10 { (10.0 * mean_square.log10()).clamp(SILENCE_DBFS, 0.0) } else { SILENCE_DBFS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_known_signals() {
        assert!((rms_dbfs(&[-32768; 160])).abs() < 1e-3);
        assert!((rms_dbfs(&[3277, -3277]) + 20.0).abs() < 0.01);
        assert!((peak_dbfs(&[0, 16384, -3]) + 6.02).abs() < 0.01);
        assert_eq!(rms_dbfs(&[]), SILENCE_DBFS);
        assert_eq!(rms_dbfs(&[0; 10]), SILENCE_DBFS);
        assert_eq!(peak_dbfs(&[]), SILENCE_DBFS);
    }
}

//! Times are microseconds since the Unix epoch inside and RFC 3339 outside; this is where they meet.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with microseconds; a time that RFC 3339 cannot write (after year 9999) is the latest it can.
pub(crate) fn rfc3339(us: i64) -> String {
    let time = Timestamp::from_microsecond(us).unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX });
    format!("{time:.6}")
}

/// Parses RFC 3339 into microseconds since the Unix epoch.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

/// The UTC day of a time, `2026-11-21`.
pub(crate) fn day(us: i64) -> String {
    rfc3339(us).chars().take(10).collect()
}

/// Parses `2026-11-21` into its first microsecond.
pub(crate) fn parse_day(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.parse().ok()?;
    if text.len() != 10 {
        return None;
    }
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_with_their_microseconds() {
        assert_eq!(rfc3339(1_795_232_096_000_001), "2026-11-21T03:34:56.000001Z");
        assert_eq!(parse_rfc3339("2026-11-21T03:34:56.000001Z"), Some(1_795_232_096_000_001));
        assert_eq!(parse_rfc3339("2026-11-21T04:34:56.000001+01:00"), Some(1_795_232_096_000_001));
        assert_eq!(day(1_795_232_096_000_001), "2026-11-21");
        assert_eq!(parse_day("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_day("tomorrow"), None);
        assert_eq!(rfc3339(i64::MAX).get(..4), Some("9999"));
    }
}

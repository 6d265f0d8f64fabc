//! Wall-clock time at an agent's place, by the time zone database that this build carries: nothing is read from the
//! machine, so that a call tells the same time wherever it is replayed.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A moment as people of a place say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime {
    /// `2026-11-22`.
    pub date: String,
    /// `09:05`, by 24 hours.
    pub time: String,
    /// `Sunday`.
    pub weekday: String,
}

/// Whether there is a time zone of that IANA name, such as `Europe/Berlin`; the empty name is UTC.
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    zone(name).is_some()
}

/// The time at `zone`, `wall_us` microseconds after the Unix epoch; UTC where there is no such zone.
#[must_use]
pub fn local_time(wall_us: u64, name: &str) -> LocalTime {
    let second = i64::try_from(wall_us / 1_000_000).unwrap_or(i64::MAX);
    let at = Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_zoned(zone(name).unwrap_or(TimeZone::UTC));
    LocalTime {
        date: at.strftime("%Y-%m-%d").to_string(),
        time: at.strftime("%H:%M").to_string(),
        weekday: at.strftime("%A").to_string(),
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() { Some(TimeZone::UTC) } else { TimeZoneDatabase::bundled().get(name).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_its_own_time_in_summer_and_winter() {
        let local = |wall_us, zone| {
            let LocalTime { date, time, weekday } = local_time(wall_us, zone);
            format!("{weekday} {date} {time}")
        };
        let (january, july) = (1_768_500_000_000_000, 1_784_152_800_000_000);
        assert_eq!(local(january, ""), "Thursday 2026-01-15 18:00");
        assert_eq!(local(january, "Europe/Berlin"), "Thursday 2026-01-15 19:00");
        assert_eq!(local(july, "Europe/Berlin"), "Thursday 2026-07-16 00:00");
        assert_eq!(local(july, "America/New_York"), "Wednesday 2026-07-15 18:00");
        assert!(is_time_zone("Asia/Kolkata") && is_time_zone("") && !is_time_zone("Berlin"));
    }
}

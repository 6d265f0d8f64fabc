//! `hours`: when a route takes calls, by the clock on the wall of a place.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// Most entries of each list.
const MOST: usize = 100;
const DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When calls are taken. Without `open` that is always, but on `closed` days.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hours {
    /// IANA name, `Europe/Berlin`; empty is UTC.
    pub time_zone: String,
    /// `Mon-Fri 09:00-17:30`, `Sat,Sun 10:00-14:00`, `* 00:00-24:00`; an end before its begin is on the next day
    /// (`Fri 22:00-06:00`). At most 100.
    pub open: Vec<String>,
    /// Days off: `2026-12-24` or `2026-12-24..2027-01-01`, the last one included. At most 100.
    pub closed: Vec<String>,
}

/// [`Hours`], read and ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    zone: TimeZone,
    open: Vec<Span>,
    closed: Vec<(Date, Date)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// Monday is bit 0.
    days: u8,
    /// Minutes since midnight.
    from: u16,
    /// Minutes since that midnight, first one outside; up to two days.
    to: u16,
}

impl Hours {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        if zone(&self.time_zone).is_none() {
            found.push(("/hours/time_zone".to_owned(), "expected an IANA time zone such as `Europe/Berlin`"));
        }
        for (name, list) in [("open", &self.open), ("closed", &self.closed)] {
            if list.len() > MOST {
                found.push((format!("/hours/{name}"), "expected at most 100"));
            }
        }
        for (at, _) in self.open.iter().enumerate().filter(|(_, text)| span(text).is_none()) {
            found.push((format!("/hours/open/{at}"), "expected days and hours such as `Mon-Fri 09:00-17:30`"));
        }
        for (at, _) in self.closed.iter().enumerate().filter(|(_, text)| dates(text).is_none()) {
            found.push((format!("/hours/closed/{at}"), "expected a day or days: `2026-12-24..2027-01-01`"));
        }
        found
    }

    /// Ready to be asked; `None` when there are [`Hours::problems`].
    #[must_use]
    pub fn timetable(&self) -> Option<Timetable> {
        if self.open.len() > MOST || self.closed.len() > MOST {
            return None;
        }
        Some(Timetable {
            zone: zone(&self.time_zone)?,
            open: self.open.iter().map(|text| span(text)).collect::<Option<_>>()?,
            closed: self.closed.iter().map(|text| dates(text)).collect::<Option<_>>()?,
        })
    }
}

impl Timetable {
    /// Whether calls are taken `wall_us` microseconds after the Unix epoch.
    #[must_use]
    pub fn is_open(&self, wall_us: u64) -> bool {
        let now = self.local(wall_us);
        let date = now.date();
        if self.closed.iter().any(|(first, last)| (*first..=*last).contains(&date)) {
            return false;
        }
        let day = u32::from(now.weekday().to_monday_zero_offset().unsigned_abs());
        let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
        self.open.is_empty() || self.open.iter().any(|span| span.holds(day, minute))
    }

    /// The time at the place, for the operator who asks: `Fri 2026-11-20 17:31`.
    #[must_use]
    pub fn local_time(&self, wall_us: u64) -> String {
        self.local(wall_us).strftime("%a %Y-%m-%d %H:%M").to_string()
    }

    fn local(&self, wall_us: u64) -> Zoned {
        let second = i64::try_from(wall_us / 1_000_000).unwrap_or(i64::MAX);
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_zoned(self.zone.clone())
    }
}

impl Span {
    const fn holds(self, day: u32, minute: u16) -> bool {
        let today = self.days >> day & 1 == 1 && self.from <= minute && minute < self.to;
        let since_yesterday = self.days >> ((day + 6) % 7) & 1 == 1 && minute + DAY < self.to;
        today || since_yesterday
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() { Some(TimeZone::UTC) } else { TimeZoneDatabase::bundled().get(name).ok() }
}

fn span(text: &str) -> Option<Span> {
    let (days, hours) = text.trim().split_once(' ')?;
    let (from, to) = hours.trim().split_once('-')?;
    let (from, to) = (minutes(from)?, minutes(to)?);
    if from >= DAY || from == to {
        return None;
    }
    let days = days.split(',').try_fold(0, |all, part| Some(all | day_range(part)?))?;
    Some(Span { days, from, to: if to < from { to + DAY } else { to } })
}

fn day_range(text: &str) -> Option<u8> {
    if text == "*" {
        return Some(0x7f);
    }
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    // `Sat-Mon` goes over the week's end.
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(0, |days, after| days | 1 << ((first + after) % 7)))
}

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let fits = hours < 24 && minutes < 60 || hours == 24 && minutes == 0;
    fits.then_some(hours * 60 + minutes)
}

fn dates(text: &str) -> Option<(Date, Date)> {
    let (first, last) = text.trim().split_once("..").unwrap_or((text.trim(), text.trim()));
    let day = |text: &str| (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    let (first, last) = (day(first)?, day(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timetable(time_zone: &str, open: &[&str], closed: &[&str]) -> Timetable {
        let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        let hours = Hours { time_zone: time_zone.to_owned(), open: list(open), closed: list(closed) };
        assert_eq!(hours.problems(), []);
        hours.timetable().unwrap()
    }

    fn at(text: &str) -> u64 {
        let timestamp: Timestamp = text.parse().unwrap();
        timestamp.as_microsecond().unsigned_abs()
    }

    #[test]
    fn a_place_keeps_its_hours_in_summer_and_winter() {
        let berlin = timetable("Europe/Berlin", &["Mon-Fri 09:00-17:30"], &["2026-12-24..2026-12-26"]);
        for (when, open) in [
            ("2026-11-20T08:00:00Z", true),
            ("2026-11-20T07:59:59Z", false),
            ("2026-11-20T16:29:59Z", true),
            ("2026-11-20T16:30:00Z", false),
            ("2026-07-17T07:00:00Z", true),
            ("2026-11-21T10:00:00Z", false),
            ("2026-12-23T10:00:00Z", true),
            ("2026-12-24T10:00:00Z", false),
        ] {
            assert_eq!(berlin.is_open(at(when)), open, "{when} is {}", berlin.local_time(at(when)));
        }
        assert_eq!(berlin.local_time(at("2026-11-20T16:31:00Z")), "Fri 2026-11-20 17:31");
    }

    #[test]
    fn hours_go_over_midnight_and_over_the_weeks_end() {
        let night = timetable("", &["Sun 22:00-06:00"], &[]);
        for (when, open) in [
            ("2026-11-22T21:59:00Z", false),
            ("2026-11-22T22:00:00Z", true),
            ("2026-11-23T05:59:00Z", true),
            ("2026-11-23T06:00:00Z", false),
            ("2026-11-22T05:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(when)), open, "{when}");
        }
        let weekend = timetable("", &["Sat-Mon 00:00-24:00"], &[]);
        let open = (16..=22).map(|day| weekend.is_open(at(&format!("2026-11-{day}T12:00:00Z")))).collect::<Vec<_>>();
        assert_eq!(open, [true, false, false, false, false, true, true], "Monday 16th to Sunday 22nd");
        assert!(timetable("", &[], &["2026-11-22"]).is_open(0), "without hours, always");
    }

    #[test]
    fn what_is_no_hour_is_named() {
        let hours = Hours {
            time_zone: "Berlin".to_owned(),
            open: ["Mon 09:00-17:00", "Mo 09-17", "Mon 24:00-25:00", "Mon 09:00-09:00", "", "Mon 9:00-10:00"]
                .map(str::to_owned)
                .to_vec(),
            closed: ["2026-02-30", "2026-12-26..2026-12-24", "2026-12-24"].map(str::to_owned).to_vec(),
        };
        let pointers: Vec<String> = hours.problems().into_iter().map(|(pointer, _)| pointer).collect();
        let expected = ["time_zone", "open/1", "open/2", "open/3", "open/4", "open/5", "closed/0", "closed/1"]
            .map(|end| format!("/hours/{end}"));
        assert_eq!(pointers, expected);
        assert_eq!(hours.timetable(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn hours_hold_exactly_the_minutes_they_name(first in 0..7usize, days in 0..7usize, from in 0..1440u16, length in 1..1440u16, minute in 0..10_080u64) {
            let to = from + length;
            let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            let end = if to <= 1440 { to } else { to - 1440 };
            let text = format!("{}-{} {}-{}", DAYS[first], DAYS[(first + days) % 7], clock(from), clock(end));
            let table = timetable("", &[&text], &[]);
            // Monday the 16th.
            let when = at("2026-11-16T00:00:00Z") + minute * 60_000_000;
            let expected = (0..=days).any(|after| {
                let begin = ((first + after) % 7) as u64 * 1440 + u64::from(from);
                let since = (minute + 10_080 - begin) % 10_080;
                since < u64::from(length)
            });
            prop_assert_eq!(table.is_open(when), expected, "{} at {}", text, table.local_time(when));
        }

        #[test]
        fn any_text_is_hours_or_a_problem(open in "\\PC{0,30}", closed in "\\PC{0,30}") {
            let hours = Hours { time_zone: String::new(), open: vec![open], closed: vec![closed] };
            prop_assert_eq!(hours.timetable().is_some(), hours.problems().is_empty());
        }
    }
}

//! Days and times, where they are clear: "5/4" is not.

use super::words::{below_hundred, split, tag};

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
}

/// Names of months, January first.
const MONTHS: [(&str, [&str; 12]); 7] = [
    (
        "en",
        [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ],
    ),
    (
        "de",
        [
            "januar",
            "februar",
            "märz",
            "april",
            "mai",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "dezember",
        ],
    ),
    (
        "fr",
        [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
    ),
    (
        "es",
        [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
    ),
    (
        "it",
        [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
    ),
    (
        "nl",
        [
            "januari",
            "februari",
            "maart",
            "april",
            "mei",
            "juni",
            "juli",
            "augustus",
            "september",
            "oktober",
            "november",
            "december",
        ],
    ),
    (
        "pt",
        [
            "janeiro",
            "fevereiro",
            "março",
            "abril",
            "maio",
            "junho",
            "julho",
            "agosto",
            "setembro",
            "outubro",
            "novembro",
            "dezembro",
        ],
    ),
];

impl Day {
    /// The day (UTC) of a moment in microseconds since the Unix epoch; the algorithm is Howard Hinnant's `civil_from_days`.
    pub(crate) const fn of_wall_us(wall_us: u64) -> Self {
        let days = wall_us / 86_400_000_000 + 719_468;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + (month <= 2) as u64;
        Self { year: year as u32, month: month as u32, day: day as u32 }
    }

    const fn is_real(self) -> bool {
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        self.day >= 1 && self.day <= days && self.year >= 1900 && self.year <= 2199
    }

    fn written(self) -> Result<String, String> {
        if self.is_real() {
            Ok(format!("{:04}-{:02}-{:02}", self.year, self.month, self.day))
        } else {
            Err("there is no such day".to_owned())
        }
    }
}

/// A day that was said.
pub(super) fn date(text: &str, language: &str) -> Result<String, String> {
    let unclear = || "day, month and year are not clear; ask for all three".to_owned();
    let words = split(text);
    let month = words.iter().find_map(|word| {
        let known = MONTHS.iter().filter(|(known, _)| *known == tag(language) || *known == "en");
        known
            .flat_map(|(_, months)| months.iter().enumerate())
            .find(|(_, name)| *name == word)
            .map(|(at, _)| at as u32 + 1)
    });
    let numbers: Vec<(u32, usize)> = words.iter().filter_map(|word| ordinal(word)).collect();
    let year = |number: &(u32, usize)| number.1 == 4;
    let (year, month, day) = match (month, numbers.as_slice()) {
        (Some(month), [day, last]) if year(last) && day.1 <= 2 => (last.0, month, day.0),
        (None, [first, month, day]) if year(first) => (first.0, month.0, day.0),
        (None, [first, second, last]) if year(last) => match () {
            // Where the day comes first is the custom of the country, and only known of some.
            () if language.eq_ignore_ascii_case("en-US") => (last.0, first.0, second.0),
            () if text.contains('.') || tag(language) != "en" || first.0 > 12 => (last.0, second.0, first.0),
            () if first.0 == second.0 => (last.0, first.0, second.0),
            () if second.0 > 12 => (last.0, first.0, second.0),
            () => return Err("it may be day and month or month and day; ask which".to_owned()),
        },
        _ => return Err(unclear()),
    };
    Day { year, month, day }.written()
}

/// A number in figures, perhaps with an ending such as "st", and how many figures it has.
fn ordinal(word: &str) -> Option<(u32, usize)> {
    let figures: String = word.chars().take_while(char::is_ascii_digit).collect();
    let ending = word.get(figures.len()..)?;
    let known = matches!(ending, "" | "st" | "nd" | "rd" | "th" | "er" | "ter" | "º" | "ª" | "o" | "a" | "e" | "de");
    let number = figures.parse().ok()?;
    known.then_some((number, figures.len()))
}

/// Eight keys: day, month, year.
pub(super) fn date_of_digits(keys: &str) -> Result<String, &'static str> {
    let number = |from: usize, to: usize| keys.get(from..to).and_then(|text| text.parse().ok()).unwrap_or(0);
    let day = Day { day: number(0, 2), month: number(2, 4), year: number(4, 8) };
    day.written().map_err(|_| "there is no such day")
}

/// A time of day that was said.
pub(super) fn time(text: &str, language: &str) -> Result<String, String> {
    let wrong = || "hour and minute are not clear; ask for both".to_owned();
    let lower = text.to_lowercase().replace("p.m", "pm").replace("a.m", "am").replace("o'clock", "");
    let words = split(&lower);
    let (mut numbers, mut half, mut clock, mut at) = (Vec::new(), None, lower.contains(':'), 0);
    while let Some(word) = words.get(at) {
        at += 1;
        // "5pm" is two words.
        let (figures, ending) = word.split_at(word.bytes().take_while(u8::is_ascii_digit).count());
        if let Ok(number) = figures.parse::<u32>() {
            numbers.push(number);
        }
        match if figures.is_empty() { word.as_str() } else { ending } {
            "am" => half = Some(false),
            "pm" => half = Some(true),
            "uhr" | "h" | "heures" | "heure" | "uur" | "horas" | "ore" | "hours" => clock = true,
            "" | "at" | "um" | "à" | "a" | "las" | "om" | "às" | "alle" => {}
            _ if figures.is_empty() => {
                let (number, taken) = below_hundred(&words[at - 1..], language).ok_or_else(wrong)?;
                numbers.push(number);
                at += taken - 1;
            }
            _ => return Err(wrong()),
        }
    }
    let (hour, minute) = match numbers.as_slice() {
        [hour] if half.is_some() || clock => (*hour, 0),
        [hour, minute] => (*hour, *minute),
        _ => return Err(wrong()),
    };
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => return Err(wrong()),
        Some(true) => hour % 12 + 12,
        Some(false) => hour % 12,
        None if !clock && hour <= 12 => return Err("it may be in the morning or in the evening; ask which".to_owned()),
        None => hour,
    };
    written_time(hour, minute).ok_or_else(|| "there is no such time".to_owned())
}

/// Four keys: hour and minute.
pub(super) fn time_of_digits(keys: &str) -> Result<String, &'static str> {
    let number = |from: usize, to: usize| keys.get(from..to).and_then(|text| text.parse().ok()).unwrap_or(99);
    written_time(number(0, 2), number(2, 4)).ok_or("there is no such time")
}

fn written_time(hour: u32, minute: u32) -> Option<String> {
    (hour < 24 && minute < 60).then(|| format!("{hour:02}:{minute:02}"))
}

/// A card's expiry that was said, as four digits.
pub(super) fn expiry(text: &str, language: &str, today: Day) -> Result<String, String> {
    let digits = super::digits::only(text, language).ok_or("it is not month and year")?;
    let four = match digits.len() {
        3 => format!("0{digits}"),
        6 => format!("{}{}", &digits[..2], &digits[4..]),
        _ => digits,
    };
    expiry_of_digits(&four, today).map_err(str::to_owned)
}

/// Month and year of a card that is good at least until the end of this month.
pub(super) fn expiry_of_digits(digits: &str, today: Day) -> Result<String, &'static str> {
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|text| text.parse::<u32>().ok());
    let (Some(month), Some(year), 4) = (number(0, 2), number(2, 4), digits.len()) else {
        return Err("expected two digits of the month and two of the year");
    };
    if !(1..=12).contains(&month) {
        return Err("there is no such month");
    }
    let year = 2000 + year;
    if (year, month) < (today.year, today.month) || year > today.year + 20 {
        return Err("the card has expired");
    }
    Ok(digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_has_a_day() {
        let day = |s: u64| Day::of_wall_us(s * 1_000_000);
        assert_eq!(day(0), Day { year: 1970, month: 1, day: 1 });
        assert_eq!(day(951_782_400), Day { year: 2000, month: 2, day: 29 });
        assert_eq!(day(1_700_000_000), Day { year: 2023, month: 11, day: 14 });
    }
}

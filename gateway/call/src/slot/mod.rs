//! Values of slots: from what was said or pressed to how it is written, and from there to how it is read back. Only what
//! can be understood in one way is; anything else is asked for again.

mod checks;
mod day;
mod digits;
mod letters;
mod readback;
mod words;

use trunkline_api::slots::SlotKind;

pub(crate) use day::Day;
pub(crate) use digits::at_the_end as digits_at_the_end;
pub(crate) use readback::{read_back, read_back_and_ask};

/// What a yes-or-no question was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    Unclear,
}

/// The value of words, or what is wrong with them, for the model.
pub(crate) fn said(kind: &SlotKind, text: &str, language: &str, today: Day) -> Result<String, String> {
    let text = text.trim().trim_end_matches(['.', '!', '?']).trim();
    if text.is_empty() {
        return Err("nothing was given".to_owned());
    }
    let digits = || digits::only(text, language).ok_or_else(|| "it has something else than digits".to_owned());
    let checked = |value: String, checked: Result<(), &'static str>| checked.map(|()| value).map_err(str::to_owned);
    match kind {
        SlotKind::Text => Ok(text.to_owned()),
        SlotKind::Name => Ok(letters::name(text, language)),
        SlotKind::Email => letters::email(text, language),
        SlotKind::Phone => {
            let (plus, rest) = digits::without_plus(text, language);
            let digits = digits::only(rest, language).ok_or_else(|| "it has something else than digits".to_owned())?;
            checks::length(&digits, 5, 15)?;
            Ok(if plus { format!("+{digits}") } else { digits })
        }
        SlotKind::Digits { min, max } => {
            let digits = digits()?;
            checks::length(&digits, *min, *max)?;
            Ok(digits)
        }
        SlotKind::CardNumber => {
            let digits = digits()?;
            let card = checks::card(&digits);
            checked(digits, card)
        }
        SlotKind::CardExpiry => day::expiry(text, language, today),
        SlotKind::Date => day::date(text, language),
        SlotKind::Time => day::time(text, language),
        SlotKind::Number => words::number(text, language).ok_or_else(|| "it is not a number".to_owned()),
        SlotKind::Choice { options } => choice(text, options),
        SlotKind::YesNo => match answer(text, language) {
            Answer::Yes => Ok("yes".to_owned()),
            Answer::No => Ok("no".to_owned()),
            Answer::Unclear => Err("it is neither yes nor no".to_owned()),
        },
        SlotKind::PostalCode { country } => {
            let code = letters::code(text, language);
            checks::postal_code(&code, country.as_deref())
        }
        SlotKind::Iban => {
            let iban = letters::code(text, language);
            let right = checks::iban(&iban);
            checked(iban, right)
        }
        SlotKind::Custom { pattern } => checks::pattern(&letters::code(text, language), pattern),
    }
}

/// The value of keys, or what is wrong with them.
pub(crate) fn keyed(kind: &SlotKind, keys: &str, today: Day) -> Result<String, &'static str> {
    let (min, max) = kind.keys().ok_or("it cannot be made of keys")?;
    let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    if count < min {
        return Err("there are too few digits");
    }
    if count > max {
        return Err("there are too many digits");
    }
    match kind {
        SlotKind::CardNumber => checks::card(keys).map(|()| keys.to_owned()),
        SlotKind::CardExpiry => day::expiry_of_digits(keys, today),
        SlotKind::Date => day::date_of_digits(keys),
        SlotKind::Time => day::time_of_digits(keys),
        SlotKind::PostalCode { country } => {
            checks::postal_code(keys, country.as_deref()).map_err(|_| "it is not a postal code of that country")
        }
        SlotKind::YesNo => match keys {
            "1" => Ok("yes".to_owned()),
            "0" | "2" => Ok("no".to_owned()),
            _ => Err("1 is yes and 2 is no"),
        },
        SlotKind::Number => Ok(keys.trim_start_matches('0')).map(|n| if n.is_empty() { "0" } else { n }.to_owned()),
        SlotKind::Digits { .. } | SlotKind::Phone => Ok(keys.to_owned()),
        SlotKind::Text
        | SlotKind::Name
        | SlotKind::Email
        | SlotKind::Choice { .. }
        | SlotKind::Iban
        | SlotKind::Custom { .. } => Err("it cannot be made of keys"),
    }
}

/// Whether words mean yes or no.
pub(crate) fn answer(text: &str, language: &str) -> Answer {
    let said: Vec<String> = words::split(text);
    let (yes, no) = words::yes_and_no(language);
    let has = |list: &[&str]| said.iter().any(|word| list.contains(&word.as_str()));
    match (has(yes), has(no)) {
        (true, false) => Answer::Yes,
        (false, true) => Answer::No,
        // "No, that is right" and "yes, no" are for the model to make out.
        (true, true) | (false, false) => Answer::Unclear,
    }
}

fn choice(text: &str, options: &[String]) -> Result<String, String> {
    let said = words::split(text);
    let is = |option: &&String| words::split(option) == said;
    if let Some(option) = options.iter().find(is) {
        return Ok(option.clone());
    }
    let within = |option: &&String| {
        let wanted = words::split(option);
        !wanted.is_empty() && said.windows(wanted.len()).any(|part| part == wanted)
    };
    let mut found = options.iter().filter(within);
    match (found.next(), found.next()) {
        (Some(option), None) => Ok(option.clone()),
        _ => Err(format!("it is none of {}", options.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = Day { year: 2026, month: 5, day: 31 };

    fn value(kind: &SlotKind, text: &str, language: &str) -> Option<String> {
        said(kind, text, language, TODAY).ok()
    }

    #[test]
    fn digits_are_understood_as_people_say_them() {
        let kind = SlotKind::Digits { min: 2, max: 8 };
        let value = |text, language| value(&kind, text, language);
        assert_eq!(value("double five oh seven", "en-GB").as_deref(), Some("5507"));
        assert_eq!(value("triple one, nine", "en").as_deref(), Some("1119"));
        assert_eq!(value("forty-two seventeen", "en").as_deref(), Some("4217"));
        assert_eq!(value("12 34-56", "en").as_deref(), Some("123456"));
        assert_eq!(value("null vier zwo einundzwanzig", "de").as_deref(), Some("04221"));
        assert_eq!(value("zéro six douze quatre-vingt-dix-sept", "fr").as_deref(), Some("061297"));
        assert_eq!(value("cero seis treinta y cuatro", "es").as_deref(), Some("0634"));
        assert_eq!(value("zero sei ventuno", "it").as_deref(), Some("0621"));
        assert_eq!(value("nul zes eenentwintig", "nl").as_deref(), Some("0621"));
        assert_eq!(value("zero seis vinte e um", "pt").as_deref(), Some("0621"));
        assert_eq!(value("about forty", "en"), None);
        assert_eq!(value("one", "en"), None, "too few");
    }

    #[test]
    fn numbers_of_cards_and_accounts_are_checked() {
        assert_eq!(value(&SlotKind::CardNumber, "4111 1111 1111 1111", "en").as_deref(), Some("4111111111111111"));
        assert_eq!(value(&SlotKind::CardNumber, "4111 1111 1111 1112", "en"), None);
        let iban = value(&SlotKind::Iban, "D E eight nine 3704 0044 0532 0130 00", "en");
        assert_eq!(iban.as_deref(), Some("DE89370400440532013000"));
        assert_eq!(value(&SlotKind::Iban, "DE88370400440532013000", "en"), None);
        assert_eq!(keyed(&SlotKind::CardExpiry, "0526", TODAY).as_deref(), Ok("0526"));
        assert!(keyed(&SlotKind::CardExpiry, "0426", TODAY).is_err(), "it has passed");
        assert!(keyed(&SlotKind::CardExpiry, "1330", TODAY).is_err(), "there is no such month");
    }

    #[test]
    fn letters_are_understood_as_people_spell_them() {
        let name = |text, language| value(&SlotKind::Name, text, language).unwrap();
        assert_eq!(name("M for mother U L double L E R", "en"), "Mulller");
        assert_eq!(name("mike uniform echo lima lima echo romeo", "en"), "Mueller");
        assert_eq!(name("B as in bravo, E, R, G", "en"), "Berg");
        assert_eq!(name("M wie Martha Ü L L E R", "de"), "Müller");
        assert_eq!(name("Berta Emil Richard Gustav", "de"), "Berg");
        assert_eq!(name("Anna Maria Schmidt", "de"), "Anna Maria Schmidt", "a name is no spelling");
    }

    #[test]
    fn addresses_are_written_as_they_are_meant() {
        let email = |text, language| value(&SlotKind::Email, text, language);
        assert_eq!(email("j dot smith at example dot com", "en").as_deref(), Some("j.smith@example.com"));
        assert_eq!(email("anna minus meier ät web punkt de", "de").as_deref(), Some("anna-meier@web.de"));
        assert_eq!(email("luc arobase exemple point fr", "fr").as_deref(), Some("luc@exemple.fr"));
        assert_eq!(email("Bob.Miller@Example.com", "en").as_deref(), Some("bob.miller@example.com"));
        assert_eq!(email("B O B 7 2 at mail dot org", "en").as_deref(), Some("bob72@mail.org"));
        assert_eq!(email("at at example", "en"), None);
        assert_eq!(email("bob at example", "en"), None);
    }

    #[test]
    fn days_and_times_count_only_where_they_are_clear() {
        let date = |text, language| value(&SlotKind::Date, text, language);
        assert_eq!(date("2026-05-31", "en").as_deref(), Some("2026-05-31"));
        assert_eq!(date("the 31st of May 2026", "en").as_deref(), Some("2026-05-31"));
        assert_eq!(date("31. Mai 2026", "de").as_deref(), Some("2026-05-31"));
        assert_eq!(date("31.5.2026", "de").as_deref(), Some("2026-05-31"));
        assert_eq!(date("5/4/2026", "en"), None, "April or May");
        assert_eq!(date("5/4/2026", "en-US").as_deref(), Some("2026-05-04"));
        assert_eq!(date("30 February 2026", "en"), None);
        let time = |text, language| value(&SlotKind::Time, text, language);
        assert_eq!(time("half past", "en"), None);
        assert_eq!(time("5 pm", "en").as_deref(), Some("17:00"));
        assert_eq!(time("5:30 p.m.", "en").as_deref(), Some("17:30"));
        assert_eq!(time("17 Uhr 30", "de").as_deref(), Some("17:30"));
        assert_eq!(time("25:00", "en"), None);
    }

    #[test]
    fn other_kinds_have_their_own_sense() {
        let options = vec!["economy".to_owned(), "business class".to_owned()];
        let choice = SlotKind::Choice { options };
        assert_eq!(value(&choice, "Business Class please", "en").as_deref(), Some("business class"));
        assert_eq!(value(&choice, "first", "en"), None);
        assert_eq!(value(&SlotKind::YesNo, "ja, genau", "de").as_deref(), Some("yes"));
        assert_eq!(value(&SlotKind::YesNo, "maybe", "en"), None);
        assert_eq!(value(&SlotKind::Number, "minus 3.5", "en").as_deref(), Some("-3.5"));
        assert_eq!(value(&SlotKind::Number, "two hundred and five", "en").as_deref(), Some("205"));
        assert_eq!(value(&SlotKind::Number, "3,5", "de").as_deref(), Some("3.5"));
        assert_eq!(value(&SlotKind::Phone, "plus four nine 30 1234 56", "en").as_deref(), Some("+4930123456"));
        let post = |country: &str| SlotKind::PostalCode { country: Some(country.to_owned()) };
        assert_eq!(value(&post("DE"), "one oh one one five", "en").as_deref(), Some("10115"));
        assert_eq!(value(&post("GB"), "S W 1 A 1 A A", "en").as_deref(), Some("SW1A 1AA"));
        assert_eq!(value(&post("DE"), "SW1A 1AA", "en"), None);
        let custom = SlotKind::Custom { pattern: "AA-9999".to_owned() };
        assert_eq!(value(&custom, "alpha bravo one two three four", "en").as_deref(), Some("AB-1234"));
        assert_eq!(value(&custom, "alpha bravo one two three", "en"), None);
    }

    #[test]
    fn what_is_read_back_can_be_followed() {
        let digits = SlotKind::Digits { min: 1, max: 32 };
        assert_eq!(read_back(&digits, "0427135", "en"), "0 4 2, 7 1 3 5");
        assert_eq!(
            read_back(&SlotKind::Name, "Müller", "de"),
            "M wie Martha, ü, l wie Ludwig, l wie Ludwig, e wie Emil, r wie Richard"
        );
        assert_eq!(
            read_back(&SlotKind::Email, "bo@example.com", "en"),
            "b as in Bravo, o as in Oscar, at example dot com"
        );
        assert!(read_back_and_ask(&digits, "12", "de").ends_with("Wenn das stimmt, drücken Sie die 1, sonst die 2."));
    }
}

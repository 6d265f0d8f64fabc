//! Whether a value can be one: lengths, check digits, patterns.

/// Whether there are as many digits as there should be.
pub(super) fn length(digits: &str, min: u32, max: u32) -> Result<(), String> {
    let count = u32::try_from(digits.len()).unwrap_or(u32::MAX);
    if (min..=max).contains(&count) {
        return Ok(());
    }
    let wanted = if min == max { format!("{min}") } else { format!("{min} to {max}") };
    Err(format!("it has {count} digits and should have {wanted}"))
}

/// A payment card's number: its length, and its check digit (ISO/IEC 7812-1 annex B).
pub(super) fn card(digits: &str) -> Result<(), &'static str> {
    if !(12..=19).contains(&digits.len()) {
        return Err("a card number has 12 to 19 digits");
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte.wrapping_sub(b'0'));
            if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    let zeros = digits.bytes().all(|byte| byte == b'0');
    if sum.is_multiple_of(10) && !zeros { Ok(()) } else { Err("it is not a card number; a digit is wrong") }
}

/// An IBAN: its form, and its check digits (ISO 13616, ISO/IEC 7064 MOD 97-10).
pub(super) fn iban(iban: &str) -> Result<(), &'static str> {
    let bytes = iban.as_bytes();
    let form = (15..=34).contains(&bytes.len())
        && bytes.iter().take(2).all(u8::is_ascii_uppercase)
        && bytes.iter().skip(2).take(2).all(u8::is_ascii_digit)
        && bytes.iter().all(u8::is_ascii_alphanumeric);
    if !form {
        return Err("an IBAN has two letters, two digits and 11 to 30 letters and digits more");
    }
    let rest = bytes.iter().skip(4).chain(bytes.iter().take(4)).fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    if rest == 1 { Ok(()) } else { Err("its check digits are wrong") }
}

/// Forms of postal codes by country.
const POSTAL: [(&str, &[&str]); 16] = [
    ("DE", &["99999"]),
    ("AT", &["9999"]),
    ("CH", &["9999"]),
    ("FR", &["99999"]),
    ("ES", &["99999"]),
    ("IT", &["99999"]),
    ("BE", &["9999"]),
    ("DK", &["9999"]),
    ("NO", &["9999"]),
    ("SE", &["999 99"]),
    ("PL", &["99-999"]),
    ("NL", &["9999 AA"]),
    ("PT", &["9999-999"]),
    ("US", &["99999", "99999-9999"]),
    ("CA", &["A9A 9A9"]),
    ("GB", &["A9 9AA", "A99 9AA", "AA9 9AA", "AA99 9AA", "A9A 9AA", "AA9A 9AA"]),
];

/// A postal code as its country writes it.
pub(super) fn postal_code(code: &str, country: Option<&str>) -> Result<String, String> {
    let forms = country.and_then(|country| POSTAL.iter().find(|(known, _)| *known == country));
    match forms {
        Some((country, forms)) => {
            let fits = forms.iter().find_map(|form| pattern(code, form).ok());
            fits.ok_or_else(|| format!("it is no postal code of {country}"))
        }
        None if (3..=10).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Ok(code.to_owned())
        }
        None => Err("a postal code has 3 to 10 letters and digits".to_owned()),
    }
}

/// A code as a pattern writes it: `9` a digit, `A` a letter, `X` either, others as they are. What is no letter or digit
/// need not have been said.
pub(super) fn pattern(code: &str, pattern: &str) -> Result<String, String> {
    let wrong = || format!("it does not fit the pattern {pattern} (9 a digit, A a letter, X either)");
    let mut given = code.chars().filter(|c| c.is_alphanumeric());
    let mut written = String::new();
    for form in pattern.chars() {
        let c = match form {
            '9' => given.next().filter(char::is_ascii_digit),
            'A' => given.next().filter(|c| c.is_alphabetic()),
            'X' => given.next(),
            form if form.is_alphanumeric() => given.next().filter(|c| c.to_uppercase().eq(form.to_uppercase())),
            form => Some(form),
        };
        written.push(c.ok_or_else(wrong)?);
    }
    if given.next().is_some() { Err(wrong()) } else { Ok(written) }
}

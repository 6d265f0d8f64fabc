//! The check digits that tell a number of consequence from any other run of digits.

/// Luhn's check (ISO/IEC 7812-1, annex B).
pub(crate) fn luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Verhoeff's check over the dihedral group of order ten.
pub(crate) fn verhoeff(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let mut check = 0;
    for (index, digit) in digits.rev().enumerate() {
        let permuted = (0..index % 8).fold(digit, |digit, _| PERMUTATION[usize::from(digit)]);
        check = dihedral(check, permuted);
    }
    check == 0
}

/// The product of two elements of the dihedral group of order ten: 0..=4 are rotations, 5..=9 reflections.
fn dihedral(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// The check of an IBAN in electronic form (ISO 13616-1): moved, spelt in digits, 1 modulo 97.
pub(crate) fn iban(characters: &[u8]) -> bool {
    let Some((head, tail)) = characters.split_at_checked(4) else { return false };
    let remainder = tail.iter().chain(head).try_fold(0u32, |remainder, character| {
        let value = (*character as char).to_digit(36)?;
        Some(if value < 10 { remainder * 10 + value } else { remainder * 100 + value } % 97)
    });
    remainder == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> impl DoubleEndedIterator<Item = u8> {
        text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn known_numbers_pass_and_their_neighbours_do_not() {
        for (check, number) in [
            (luhn as fn(std::vec::IntoIter<u8>) -> bool, "4111111111111111"),
            (luhn, "378282246310005"),
            (verhoeff, "2363"),
            (verhoeff, "234123412346"),
        ] {
            let number: Vec<u8> = digits(number).collect();
            assert!(check(number.clone().into_iter()), "{number:?}");
            for at in 0..number.len() {
                let mut wrong = number.clone();
                wrong[at] = (wrong[at] + 1) % 10;
                assert!(!check(wrong.into_iter()), "{number:?} with digit {at} wrong");
            }
        }
        assert!(iban(b"GB29NWBK60161331926819"));
        assert!(iban(b"DE89370400440532013000"));
        assert!(!iban(b"GB29NWBK60161331926818"));
        assert!(!iban(b"GB2"));
    }

    #[test]
    fn verhoeff_notices_swapped_neighbours() {
        assert!(!verhoeff(digits("324123412346")));
    }
}

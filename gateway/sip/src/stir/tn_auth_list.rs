//! TNAuthorizationList of a certificate (RFC 8226 9): the service providers and telephone numbers that it may speak for.

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};

/// 1.3.6.1.5.5.7.1.26, as it is encoded.
const OID: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1a];
/// Most entries that are looked at.
const MOST: usize = 1024;
/// Longest service provider code.
const MOST_CODE: usize = 16;

/// For whom a certificate speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TnAuthList {
    /// Service providers, by their codes.
    pub(super) providers: Vec<String>,
    /// First numbers with how many there are.
    ranges: Vec<(String, u64)>,
}

impl TnAuthList {
    /// Of a certificate in DER; `None` when it has none.
    pub(super) fn of(certificate: &[u8]) -> der::Result<Option<Self>> {
        let whole = SliceReader::new(certificate)?.decode::<AnyRef<'_>>()?;
        let signed = SliceReader::new(whole.value())?.decode::<AnyRef<'_>>()?;
        let mut fields = SliceReader::new(signed.value())?;
        // What is signed ends with the extensions, [3] (RFC 5280 4.1).
        let third = Tag::ContextSpecific { constructed: true, number: TagNumber::new(3) };
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields)?;
            if field.tag() == third {
                let all = SliceReader::new(field.value())?.decode::<AnyRef<'_>>()?;
                return Self::among(all.value());
            }
        }
        Ok(None)
    }

    fn among(extensions: &[u8]) -> der::Result<Option<Self>> {
        let mut extensions = SliceReader::new(extensions)?;
        while !extensions.is_finished() {
            let extension = AnyRef::decode(&mut extensions)?;
            let mut parts = SliceReader::new(extension.value())?;
            let name = AnyRef::decode(&mut parts)?;
            if name.tag() != Tag::ObjectIdentifier || name.value() != OID {
                continue;
            }
            // Whether it is critical may stand before its value.
            let mut value = AnyRef::decode(&mut parts)?;
            if value.tag() == Tag::Boolean {
                value = AnyRef::decode(&mut parts)?;
            }
            value.tag().assert_eq(Tag::OctetString)?;
            let list = SliceReader::new(value.value())?.decode::<AnyRef<'_>>()?;
            list.tag().assert_eq(Tag::Sequence)?;
            return Self::read(list.value()).map(Some);
        }
        Ok(None)
    }

    fn read(entries: &[u8]) -> der::Result<Self> {
        let mut list = Self::default();
        let mut entries = SliceReader::new(entries)?;
        for _ in 0..MOST {
            if entries.is_finished() {
                break;
            }
            let entry = AnyRef::decode(&mut entries)?;
            let Tag::ContextSpecific { number, .. } = entry.tag() else { continue };
            match number.value() {
                // spc, as the module of RFC 8226 has its tags explicit.
                0 => list.providers.push(text(inner(&entry)?, MOST_CODE)?),
                1 => {
                    let range = inner(&entry)?;
                    let mut range = SliceReader::new(range.value())?;
                    let start = text(AnyRef::decode(&mut range)?, 15)?;
                    list.ranges.push((start, u64::decode(&mut range)?));
                }
                2 => list.ranges.push((text(inner(&entry)?, 15)?, 1)),
                _ => {}
            }
        }
        Ok(list)
    }

    /// Whether it speaks for a number: any, where it is a service provider's; else one that it names.
    pub(super) fn covers(&self, number: &str) -> bool {
        let within = |(start, count): &(String, u64)| {
            let (Ok(first), Ok(asked)) = (start.parse::<u64>(), number.parse::<u64>()) else { return start == number };
            start.len() == number.len() && asked.checked_sub(first).is_some_and(|offset| offset < *count)
        };
        !self.providers.is_empty() || self.ranges.iter().any(within)
    }
}

/// What an explicit tag holds.
fn inner<'a>(entry: &AnyRef<'a>) -> der::Result<AnyRef<'a>> {
    SliceReader::new(entry.value())?.decode()
}

fn text(value: AnyRef<'_>, most: usize) -> der::Result<String> {
    value.tag().assert_eq(Tag::Ia5String)?;
    let fits = (1..=most).contains(&value.value().len()) && value.value().iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(value.value()) {
        Ok(text) if fits => Ok(text.to_owned()),
        _ => Err(Tag::Ia5String.value_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tag, length, value.
    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(value.len()).unwrap()], value].concat()
    }

    #[test]
    fn providers_speak_for_all_numbers_and_others_for_those_that_they_name() {
        let provider = TnAuthList::read(&tlv(0xa0, &tlv(0x16, b"709J"))).unwrap();
        assert_eq!(provider.providers, ["709J"]);
        assert!(provider.covers("12155551212"));
        let one = tlv(0xa2, &tlv(0x16, b"12155551212"));
        let range = tlv(0xa1, &tlv(0x30, &[tlv(0x16, b"12025550100"), tlv(0x02, &[10])].concat()));
        let named = TnAuthList::read(&[one, range].concat()).unwrap();
        for (number, covered) in [
            ("12155551212", true),
            ("12155551213", false),
            ("12025550099", false),
            ("12025550100", true),
            ("12025550109", true),
            ("12025550110", false),
            ("112025550100", false),
        ] {
            assert_eq!(named.covers(number), covered, "{number}");
        }
        assert!(!TnAuthList::default().covers("12155551212"));
        for wrong in [tlv(0xa0, b""), tlv(0xa0, &tlv(0x16, b"")), tlv(0xa0, &tlv(0x0c, b"709J")), vec![0xa0, 9]] {
            assert!(TnAuthList::read(&wrong).is_err(), "{wrong:?}");
        }
    }
}

//! What a peer says itself of the number that it asserts: `verstat` of a URI (3GPP TS 24.229 7.2A.20). Anybody can write it,
//! so it is to be asked of a trusted peer alone.

use super::finding::Verstat;
use crate::variables::identities;

/// `verstat` of what the peer asserts, or else of From, as variables of the call.
#[must_use]
pub fn said(from: &str, headers: &[(String, String)]) -> Vec<(String, String)> {
    let asserted = identities(headers).into_iter().map(|identity| identity.uri);
    let from = crate::address::NameAddr::parse(from).map(|from| from.uri);
    let Some((verstat, attest)) = asserted.chain(from).find_map(verstat) else { return Vec::new() };
    let attest = attest.map(|attest| ("sip_attest".to_owned(), attest.to_owned()));
    [("sip_verstat".to_owned(), verstat.name().to_owned())].into_iter().chain(attest).collect()
}

/// `verstat` of a URI and the attestation that may stand behind it. It is a parameter of the number, which in a SIP URI is the
/// user, but is found behind the host, too.
fn verstat(uri: &str) -> Option<(Verstat, Option<&str>)> {
    let value = uri.split([';', '@', '?']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("verstat").then_some(value.trim())
    })?;
    let is = |verstat: Verstat, text: &str| text.eq_ignore_ascii_case(verstat.name()).then_some(verstat);
    let plain = [Verstat::Passed, Verstat::Failed, Verstat::None].into_iter().find_map(|verstat| is(verstat, value));
    if let Some(verstat) = plain {
        return Some((verstat, None));
    }
    let (text, attest) = value.rsplit_once('-')?;
    let attest = ["A", "B", "C"].into_iter().find(|known| attest.eq_ignore_ascii_case(known))?;
    is(Verstat::Passed, text).map(|verstat| (verstat, Some(attest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, asserted: &str) -> Vec<String> {
        let headers = [("P-Asserted-Identity".to_owned(), asserted.to_owned())];
        said(from, &headers).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn what_the_peer_says_is_read_wherever_it_stands() {
        let passed = ["sip_verstat=TN-Validation-Passed"];
        assert_eq!(read("<sip:+1215@a;user=phone>", "<tel:+1215;verstat=TN-Validation-Passed>"), passed);
        assert_eq!(read("\"A\" <sip:+1215;verstat=tn-validation-passed@a>;tag=1", ""), passed);
        let whole = read("<sip:+1215@a;user=phone;verstat=TN-Validation-Passed-B>;tag=1", "");
        assert_eq!(whole, ["sip_verstat=TN-Validation-Passed", "sip_attest=B"]);
        let failed = "<sip:+1215;verstat=TN-Validation-Failed@a>";
        assert_eq!(read("<sip:+1215;verstat=TN-Validation-Passed@a>", failed), ["sip_verstat=TN-Validation-Failed"]);
        for nothing in
            ["<sip:+1215@a>", "<sip:+1215;verstat=Certainly@a>", "<sip:+1215;verstat=TN-Validation-Failed-A@a>", ""]
        {
            assert!(read(nothing, "").is_empty(), "{nothing}");
        }
    }
}

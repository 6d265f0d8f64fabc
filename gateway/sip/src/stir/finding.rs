//! What was found out about who calls: as variables, as the failure that refuses a call, and as what is counted.

use trunkline_api::Failure;

/// What is counted: passed, nothing to verify, and each fault.
pub const RESULTS: [&str; 13] = [
    "passed",
    "none",
    "malformed",
    "algorithm",
    "info",
    "stale",
    "orig",
    "dest",
    "certificate",
    "untrusted",
    "tn_auth_list",
    "signature",
    "no_roots",
];

/// What whoever verified a number says of it (3GPP TS 24.229 7.2A.20, ATIS-1000074).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verstat {
    /// It was verified.
    Passed,
    /// What was said of it is not true.
    Failed,
    /// It was not verified.
    None,
}

impl Verstat {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "TN-Validation-Passed",
            Self::Failed => "TN-Validation-Failed",
            Self::None => "No-TN-Validation",
        }
    }
}

/// What a signature that holds says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// How well the signer knows the caller: A fully, B the customer but not the number, C neither (RFC 8588 4); nothing of a
    /// PASSporT that is none of SHAKEN.
    pub attest: Option<char>,
    /// Where the call came from, in the signer's own terms (RFC 8588 5).
    pub origid: Option<String>,
    /// Service provider codes that the certificate is for (RFC 8226 9), at most 4.
    pub providers: Vec<String>,
    /// A diversion was signed, too (`div`, RFC 8946), which is not looked into.
    pub is_diverted: bool,
}

/// What is wrong with an Identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("the Identity cannot be read: {0}")]
    Malformed(&'static str),
    /// It is signed in another way.
    #[error("the Identity is signed by another algorithm than ES256")]
    Algorithm,
    /// `info` and `x5u` name two places.
    #[error("`info` of the Identity and `x5u` of its token name two certificates")]
    InfoDiffers,
    /// It is older than is believed, or from the future.
    #[error("the Identity is {age_s} s old; look at the clocks of both sides, or raise `sip.stir.freshness_s`")]
    Stale {
        /// Its age in seconds, below 0 when it is from the future.
        age_s: i64,
    },
    /// It is of another caller.
    #[error("the Identity is of another caller than the call; look at the trunk's `numbering`")]
    Origin,
    /// It is of a call to somebody else.
    #[error("the Identity is of a call to another number; look at the trunk's `numbering`")]
    Destination,
    /// Its certificate cannot be had.
    #[error("the certificate of the Identity was not had: {0}")]
    NotHad(String),
    /// Nobody who is believed has signed its certificate, or not for now.
    #[error("the certificate of the Identity is not believed: {0}; look at `sip.stir.roots`")]
    Untrusted(String),
    /// Its certificate is not for telephone numbers, or not for this one.
    #[error("the certificate of the Identity is not for the number: {0}")]
    NotEntitled(&'static str),
    /// It was not signed with the certificate's key, or was changed.
    #[error("the signature of the Identity does not hold")]
    Signature,
    /// Nobody is believed.
    #[error("no certificate of an Identity is believed; set `sip.stir.roots`")]
    NoRoots,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// There is no Identity that this service reads.
    None,
    /// The caller's number is who it says.
    Passed(Proof),
    /// It is not known to be.
    Failed(Fault),
}

impl Finding {
    /// As it is counted: one of [`RESULTS`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::None => "none",
            Self::Failed(fault) => match fault {
                Fault::Malformed(_) => "malformed",
                Fault::Algorithm => "algorithm",
                Fault::InfoDiffers => "info",
                Fault::Stale { .. } => "stale",
                Fault::Origin => "orig",
                Fault::Destination => "dest",
                Fault::NotHad(_) => "certificate",
                Fault::Untrusted(_) => "untrusted",
                Fault::NotEntitled(_) => "tn_auth_list",
                Fault::Signature => "signature",
                Fault::NoRoots => "no_roots",
            },
        }
    }

    /// What others are told of the number.
    #[must_use]
    pub const fn verstat(&self) -> Verstat {
        match self {
            Self::Passed(_) => Verstat::Passed,
            // What could not be looked at is not shown to be wrong.
            Self::None | Self::Failed(Fault::NotHad(_) | Fault::NoRoots) => Verstat::None,
            Self::Failed(_) => Verstat::Failed,
        }
    }

    /// Why a trunk that insists on it refuses the call (RFC 8224 6.2.2); nothing for one that passed.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        Some(match self {
            Self::Passed(_) => return None,
            Self::None => Failure::IdentityMissing,
            Self::Failed(Fault::Stale { .. }) => Failure::IdentityStale,
            Self::Failed(Fault::NotHad(_)) => Failure::IdentityUncertified,
            Self::Failed(Fault::Untrusted(_) | Fault::NotEntitled(_) | Fault::NoRoots) => Failure::IdentityUntrusted,
            Self::Failed(_) => Failure::IdentityInvalid,
        })
    }

    /// As variables of the call: `sip_verstat`, and of one that passed `sip_attest` and `sip_origid`.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![("sip_verstat".to_owned(), self.verstat().name().to_owned())];
        if let Self::Passed(proof) = self {
            variables.extend(proof.attest.map(|attest| ("sip_attest".to_owned(), attest.to_string())));
            variables.extend(proof.origid.clone().map(|origid| ("sip_origid".to_owned(), origid)));
        }
        variables
    }
}

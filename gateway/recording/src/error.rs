//! What can go wrong with recordings, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a recording was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The disk has too little room left.
    #[error(
        "{free_mib} MiB are free where recordings go and {needed_mib} must stay free; make room or lower `recording.min_free_mib`"
    )]
    DiskLow {
        /// What is free.
        free_mib: u64,
        /// What must stay free.
        needed_mib: u64,
    },
    /// The disk has not answered for a while.
    #[error(
        "the disk that recordings go to has not answered for {seconds} s; look at it, or name another folder in `recording.dir`"
    )]
    DiskSilent {
        /// Since when.
        seconds: u64,
    },
    /// As many recordings are in progress as are allowed.
    #[error("{max} recordings are in progress, which is all there may be; take fewer calls")]
    Full {
        /// How many there may be.
        max: usize,
    },
    /// The path leads out of the folder of recordings.
    #[error("a recording's name must be a plain file name, not {}", .0.display())]
    Name(PathBuf),
    /// The operating system gave no randomness for a file's key.
    #[error("the operating system gives no random numbers: {0}")]
    Randomness(String),
    /// A thread could not be started.
    #[error("cannot start the threads that write recordings: {0}; check the limit on threads")]
    Start(#[source] io::Error),
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not begin as such a key does.
    #[error("expected a key that begins with `{0}`; `trunkline recording keygen` makes a pair")]
    Prefix(&'static str),
    /// What follows is not 32 bytes in base 64.
    #[error("after `{0}` a key has 32 bytes in base 64; copy the whole line that `trunkline recording keygen` printed")]
    Bytes(&'static str),
    /// No secret key belongs to it.
    #[error("this number is nobody's key; `trunkline recording keygen` makes a pair")]
    Nobodys,
}

/// Why a sealed recording, or what follows in it, could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("this is not a sealed recording; what is in clear plays as it is")]
    NotSealed,
    /// It was made by a later version.
    #[error("the recording has format {0}, which this version does not know; open it with a newer one")]
    Format(u8),
    /// The file ends within its first 108 bytes.
    #[error("the recording ends before its first second; there is nothing to open")]
    NoHeader,
    /// The header was changed.
    #[error("the recording's header is damaged, so that nothing of it can be opened; take another copy")]
    Header,
    /// It is sealed to somebody else.
    #[error("the recording is sealed to key {sealed_to} and this is key {given}; use the other one")]
    WrongKey {
        /// Whose it is.
        sealed_to: String,
        /// Whose was given.
        given: String,
    },
    /// The wrapped key does not open although everything else fits.
    #[error(
        "the recording's own key does not open with this key although it names it; the header was forged, or the key damaged"
    )]
    Wrapped,
    /// A record is not what was written.
    #[error("record {record} is damaged; what comes before it is sound, what follows cannot be trusted")]
    Record {
        /// Its number, from 0.
        record: u32,
    },
    /// Something stands behind the last record.
    #[error("{bytes} bytes stand behind the last record, {record}, where nothing may; somebody appended them")]
    Behind {
        /// The last record.
        record: u32,
        /// What follows it, as far as it was looked at.
        bytes: usize,
    },
}

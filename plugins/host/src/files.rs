//! Files of strangers: read whole, once, up to a limit, and only when they are files.

use std::fs;
use std::io::{Error, Read as _, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The bytes of a regular file. What was read is what is verified and used: nothing is opened a second time.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    // A pipe must not keep the host waiting for a writer.
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Error::other(format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

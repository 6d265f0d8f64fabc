//! Reads what a component asks of its host, so that a forbidden import stops the build and not the first call.

use anyhow::{Context, Result, bail, ensure};

const PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const IMPORT_SECTION: u8 = 10;

/// The names of a component's imports, in order.
///
/// # Errors
/// When the bytes are not a component (a bare module, for one) or are cut short.
pub(crate) fn imports(bytes: &[u8]) -> Result<Vec<String>> {
    ensure!(bytes.starts_with(&PREAMBLE), "not a WebAssembly component");
    let mut reader = Reader { rest: &bytes[PREAMBLE.len()..] };
    let mut names = Vec::new();
    while !reader.rest.is_empty() {
        let id = reader.byte()?;
        let size = reader.number()? as usize;
        let mut section = Reader { rest: reader.take(size)? };
        if id == IMPORT_SECTION {
            for _ in 0..section.number()? {
                names.push(section.import()?);
            }
        }
    }
    Ok(names)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).context("the component is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned LEB128 number of up to 32 bits.
    fn number(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("the component holds a number of more than 32 bits");
    }

    fn name(&mut self) -> Result<String> {
        let length = self.number()? as usize;
        Ok(String::from_utf8(self.take(length)?.to_vec())?)
    }

    /// One import: its name, then a descriptor that is only stepped over.
    fn import(&mut self) -> Result<String> {
        match self.byte()? {
            0x00 | 0x01 => {}
            kind => bail!("the component has an import name of unknown kind {kind:#x}"),
        }
        let name = self.name()?;
        match self.byte()? {
            0x00 => drop((self.byte()?, self.number()?)),
            0x01 | 0x04 | 0x05 => drop(self.number()?),
            0x03 => {
                if self.byte()? == 0 {
                    self.number()?;
                }
            }
            kind => bail!("the component imports {name} as an unknown kind {kind:#x}"),
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(imports: &[&str]) -> Vec<u8> {
        let mut section = vec![imports.len() as u8];
        for name in imports {
            section.extend([0x00, name.len() as u8]);
            section.extend(name.as_bytes());
            section.extend([0x05, 0x00]);
        }
        let mut bytes = PREAMBLE.to_vec();
        // A custom section in front, to be stepped over.
        bytes.extend([0, 2, 1, b'x']);
        bytes.extend([IMPORT_SECTION, section.len() as u8]);
        bytes.extend(section);
        bytes
    }

    #[test]
    fn names_every_import() -> Result<()> {
        let names = ["trunkline:plugin/log@0.1.0", "wasi:io/poll@0.2.6"];
        assert_eq!(imports(&component(&names))?, names);
        Ok(())
    }

    #[test]
    fn refuses_modules_and_truncated_components() {
        assert!(imports(b"\0asm\x01\0\0\0").is_err());
        let whole = component(&["trunkline:plugin/log@0.1.0"]);
        for length in 9..whole.len() {
            if length != PREAMBLE.len() + 4 {
                assert!(imports(&whole[..length]).is_err(), "{length} bytes");
            }
        }
    }
}

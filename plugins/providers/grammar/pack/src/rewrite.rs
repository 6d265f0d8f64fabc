//! Writes a module again with another module's memory: what it held at some moment becomes its data segments.
//!
//! Only for what a C linker makes: one memory, and one mutable global, the stack pointer, which is where it began
//! whenever no function is running.

use anyhow::{Result, anyhow, ensure};
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{ConstExpr, DataSection, ExportSection, MemorySection, Module};
use wasmparser::{DataSectionReader, Export, MemorySectionReader, Parser, Payload};

const PAGE: usize = 65_536;
/// Runs of zeros shorter than this stay inside a segment; a segment costs its engine more than these bytes.
const SHORTEST_HOLE: usize = 256;

/// `module` with `memory` as its initial contents and without the exports in `dropped`.
pub(crate) fn with_memory(module: &[u8], memory: &[u8], dropped: &[&str]) -> Result<Vec<u8>> {
    one_mutable_global(module)?;
    let mut rewriter = Rewriter { memory, dropped, segments: segments(memory) };
    let mut out = Module::new();
    rewriter.parse_core_module(&mut out, Parser::new(0), module).map_err(|e| anyhow!("rewrite the module: {e}"))?;
    Ok(out.finish())
}

struct Rewriter<'a> {
    memory: &'a [u8],
    dropped: &'a [&'a str],
    segments: Vec<std::ops::Range<usize>>,
}

impl Reencode for Rewriter<'_> {
    type Error = std::convert::Infallible;

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<(), Error> {
        for memory in section {
            let mut ty = self.memory_type(memory?)?;
            ty.minimum = (self.memory.len() / PAGE) as u64;
            memories.memory(ty);
        }
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), Error> {
        if !self.dropped.contains(&export.name) {
            wasm_encoder::reencode::utils::parse_export(self, exports, export)?;
        }
        Ok(())
    }

    fn data_count(&mut self, _: u32) -> Result<u32, Error> {
        Ok(u32::try_from(self.segments.len()).unwrap_or(u32::MAX))
    }

    fn parse_data_section(&mut self, data: &mut DataSection, _: DataSectionReader<'_>) -> Result<(), Error> {
        for range in &self.segments {
            // Memories of 32 bits end at 2^32; the offset wraps into the sign as the format wants it.
            let offset = ConstExpr::i32_const((range.start as u32).cast_signed());
            data.active(0, &offset, self.memory[range.clone()].iter().copied());
        }
        Ok(())
    }
}

fn one_mutable_global(module: &[u8]) -> Result<()> {
    let mut mutable = 0;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::GlobalSection(section) = payload? {
            for global in section {
                mutable += usize::from(global?.ty.mutable);
            }
        }
    }
    ensure!(mutable == 1, "the guest has {mutable} mutable globals; the snapshot keeps the stack pointer only");
    Ok(())
}

/// The parts of `memory` that are not zero, with short runs of zeros inside them.
fn segments(memory: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(start) = memory[at..].iter().position(|&b| b != 0).map(|n| at + n) {
        let end = memory[start..].iter().position(|&b| b == 0).map_or(memory.len(), |n| start + n);
        match found.last_mut() {
            Some(last) if start - last.end < SHORTEST_HOLE => last.end = end,
            _ => found.push(start..end),
        }
        at = end;
    }
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::single_range_in_vec_init, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_what_is_not_zero_and_little_else() {
        let mut memory = vec![0; 3000];
        assert!(segments(&memory).is_empty());
        (memory[10], memory[200], memory[1000], memory[2999]) = (1, 2, 3, 4);
        assert_eq!(segments(&memory), [10..201, 1000..1001, 2999..3000]);
        memory.fill(1);
        assert_eq!(segments(&memory), [0..3000]);
    }

    #[test]
    fn a_module_starts_with_the_memory_it_was_given() {
        let mut memory = vec![0; 2 * PAGE];
        memory[70_000..70_004].copy_from_slice(&[1, 2, 3, 4]);
        let mut module = Module::new();
        let mut memories = MemorySection::new();
        let ty = wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        };
        memories.memory(ty);
        let mut globals = wasm_encoder::GlobalSection::new();
        let stack = wasm_encoder::GlobalType { val_type: wasm_encoder::ValType::I32, mutable: true, shared: false };
        globals.global(stack, &ConstExpr::i32_const(4096));
        let mut exports = ExportSection::new();
        exports.export("memory", wasm_encoder::ExportKind::Memory, 0);
        exports.export("gone", wasm_encoder::ExportKind::Memory, 0);
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(8), [9]);
        module.section(&memories).section(&globals).section(&exports).section(&data);

        let rewritten = with_memory(&module.finish(), &memory, &["gone"]).unwrap();
        let engine = wasmi::Engine::default();
        let compiled = wasmi::Module::new(&engine, &rewritten[..]).unwrap();
        assert_eq!(compiled.exports().map(|e| e.name().to_owned()).collect::<Vec<_>>(), ["memory"]);
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Linker::<()>::new(&engine).instantiate_and_start(&mut store, &compiled).unwrap();
        assert_eq!(instance.get_memory(&store, "memory").unwrap().data(&store), memory);
    }
}

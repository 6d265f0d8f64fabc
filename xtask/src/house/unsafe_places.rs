//! `unsafe` is denied everywhere; where it is allowed is named here, and every use says why it is sound.

use super::File;

const PLACES: [&str; 8] = [
    "gateway/media/src/sys.rs",
    "dsp/src/simd.rs",
    "dsp/src/vad/webrtc.rs",
    "plugins/host/src/cache.rs",
    "plugins/kit/guest/src/export.rs",
    "tests/allocations/src/lib.rs",
    "tests/load/src/socket.rs",
    // Debian's C libraries, to be compared with.
    "bench/dsp/src/native.rs",
];
/// Lines above a use in which its reason may stand: it is often inside a longer statement.
const ABOVE: usize = 8;

pub(super) fn faults(rust: &[&File]) -> Vec<String> {
    rust.iter().flat_map(|file| of_one(file)).collect()
}

fn of_one(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    let lines: Vec<&str> = file.text.lines().collect();
    let named = PLACES.contains(&file.name.as_str());
    for (at, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let allows = code.contains("unsafe_code") && (code.contains("allow(") || code.contains("expect("));
        let block = code.contains(concat!("unsafe", " {")) || code.contains(concat!("unsafe", " impl"));
        if (allows || block) && !named && !code.contains('"') {
            faults.push(format!("{}:{}: unsafe code has its named places, and this is none", file.name, at + 1));
        }
        let reason = lines[at.saturating_sub(ABOVE)..=at].iter().any(|line| line.contains("SAFETY"));
        if block && named && !reason {
            faults.push(format!("{}:{}: no SAFETY line says why this is sound", file.name, at + 1));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn unsafe_code_elsewhere_or_without_its_reason_is_named() {
        let block = concat!("let x = unsafe", " { y() };\n");
        assert_eq!(of_one(&file("gateway/src/main.rs", block)).len(), 1);
        assert_eq!(of_one(&file("dsp/src/simd.rs", block)).len(), 1);
        assert!(of_one(&file("dsp/src/simd.rs", &format!("// SAFETY: y is sound.\n{block}"))).is_empty());
        assert!(of_one(&file("gateway/src/main.rs", "// no unsafe { } here\n")).is_empty());
    }
}

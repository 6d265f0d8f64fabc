//! `grammar-pack build OUT_DIR CACHE_DIR` makes the plugin folder of the grammar recogniser; `corpus` makes recordings,
//! `hear` and `measure` listen to them.

use anyhow::{Result, bail};
use grammar_pack::{build, corpus, hear, measure};
use std::path::Path;

const USAGE: &str = "usage: grammar-pack build OUT_DIR CACHE_DIR
       grammar-pack corpus DIR SEED
       grammar-pack hear PLUGIN_DIR WAV...
       grammar-pack measure PLUGIN_DIR LIST [SETTINGS_JSON] [-v]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["build", out, cache] => build(Path::new(out), Path::new(cache)),
        ["corpus", folder, seed] => corpus::make(Path::new(folder), seed.parse()?),
        ["hear", folder, ref files @ ..] if !files.is_empty() => listen(Path::new(folder), files),
        ["measure", folder, list, ref rest @ ..] => {
            let settings = rest.iter().find(|r| r.starts_with('{')).unwrap_or(&"{}");
            measure::run(Path::new(folder), Path::new(list), settings, rest.contains(&"-v"))
        }
        _ => bail!(USAGE),
    }
}

fn listen(folder: &Path, files: &[&str]) -> Result<()> {
    let recogniser = hear::Recogniser::load(folder)?;
    for file in files {
        let mut session = recogniser.open("{}", false, &[])?;
        let mut heard = hear::Heard::default();
        session.push(&hear::wav(Path::new(file))?, &mut heard)?;
        session.finalize(&mut heard)?;
        for transcript in &heard.transcripts {
            println!("{file}: {:?} ({:.2})", transcript.text, transcript.confidence.unwrap_or(0.0));
        }
    }
    Ok(())
}

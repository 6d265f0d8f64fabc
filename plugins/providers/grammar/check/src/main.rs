//! `grammar-check`: makes recordings, listens to them with a built plugin folder, and counts the errors.

use anyhow::{Result, bail};
use grammar_check::{corpus, hear, measure};
use std::path::Path;

const USAGE: &str = "usage: grammar-check corpus DIR SEED
       grammar-check hear PLUGIN_DIR WAV...
       grammar-check measure PLUGIN_DIR LIST [SETTINGS_JSON] [-v]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
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

//! The table and the plot of a run: `conversation.md` and `conversation.svg`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{Engine, Figure, Part, Report};

/// A panel a figure; each has a bar an engine.
const SHOWN: [&str; 10] = [
    "false_cuts",
    "talked_over",
    "missed_turns",
    "words_lost",
    "end_of_turn_p50",
    "end_of_turn_p90",
    "interruption_p50",
    "false_interruptions",
    "false_stops",
    "resumed",
];
const WIDTH: f64 = 760.0;
const ACROSS: usize = 2;
const PANEL: f64 = 172.0;
const NAMES: f64 = 178.0;
const BAR: f64 = 16.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#7fb2d9", "#d1495b", "#e39aa5", "#12466d", "#8f2d3b"];

/// Writes both into `folder`.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(folder: &Path, report: &Report) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    std::fs::write(folder.join("conversation.svg"), svg(report))?;
    std::fs::write(folder.join("conversation.md"), tables(report))?;
    Ok(())
}

/// A table for each part of the set.
#[must_use]
pub fn tables(report: &Report) -> String {
    let mut out = format!(
        "# How turns are taken\n\nMade by `cargo xtask bench conversation`: {} calls. What the columns are and how they are \
         measured: [bench](../../README.md#how-turns-are-taken).\n",
        report.scenes
    );
    for part in Part::ALL {
        let of = |engine: &Engine| report.of(*engine, part).is_some_and(|figures| figures.all.iter().any(|f| f.of > 0));
        let engines: Vec<Engine> = Engine::ALL.into_iter().filter(of).collect();
        let names = engines.iter().map(|engine| engine.name()).collect::<Vec<_>>().join(" | ");
        let _ = writeln!(out, "\n## {}\n\n| | {names} | of |\n|---|{}---|", part.title(), "---|".repeat(engines.len()));
        let Some(first) = report.of(Engine::Ours, part) else { continue };
        for figure in &first.all {
            let of =
                |engine: &Engine| report.of(*engine, part).and_then(|all| all.get(figure.name)).map_or("".into(), text);
            let values = engines.iter().map(of).collect::<Vec<_>>().join(" | ");
            let _ = writeln!(out, "| {} | {values} | {} |", figure.title, figure.of);
        }
    }
    out
}

/// A figure with its unit.
#[must_use]
pub fn text(figure: &Figure) -> String {
    match figure.value {
        Some(value) if figure.unit == "ms" => format!("{value:.0} ms"),
        Some(value) => format!("{value:.1} %"),
        None => "-".to_owned(),
    }
}

fn svg(report: &Report) -> String {
    let height = PANEL * SHOWN.len().div_ceil(ACROSS) as f64 + 8.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (place, name) in SHOWN.iter().enumerate() {
        let wide = WIDTH / ACROSS as f64;
        panel(&mut out, report, name, (place % ACROSS) as f64 * wide, (place / ACROSS) as f64 * PANEL, wide);
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, report: &Report, name: &str, x: f64, y: f64, wide: f64) {
    let part = |engine: Engine| if engine.listens() { Part::Listened } else { Part::All };
    let figures = Engine::ALL.map(|engine| report.of(engine, part(engine)).and_then(|figures| figures.get(name)));
    let most = figures.iter().flatten().filter_map(|figure| figure.value).fold(1.0, f64::max);
    let title = figures.iter().flatten().next().map_or("", |figure| figure.title);
    let better = figures.iter().flatten().next().map_or("", |figure| figure.better.word());
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{title} ({better} is better)</text>",
        x + 12.0,
        y + 22.0
    );
    let known =
        Engine::ALL.iter().zip(figures).zip(COLOURS).filter(|((_, figure), _)| figure.is_some_and(|f| f.of > 0));
    for (row, ((engine, figure), colour)) in known.enumerate() {
        let top = y + 34.0 + row as f64 * (BAR + 5.0);
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", x + 12.0, top + 12.5, engine.name());
        let Some(figure) = figure else { continue };
        let length = figure.value.unwrap_or(0.0) / most * (wide - NAMES - 84.0);
        let left = x + NAMES + 12.0;
        let _ =
            writeln!(out, "<rect x=\"{left}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>");
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{}\">{}</text>", left + length + 6.0, top + 12.5, text(figure));
    }
}

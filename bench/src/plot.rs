//! Line plots as SVG: a few panels one above the other, each with axes, named lines and nothing else.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Size of a panel, and of the frame around its lines.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;
/// Lines in the order of their colours, which also differ in brightness.
const COLOURS: [&str; 6] = ["#1b6ca8", "#d1495b", "#6a994e", "#8a5a99", "#b8860b", "#444444"];
/// Points kept of a line.
const POINTS: usize = 600;

/// A line and its name.
pub(crate) struct Line {
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over one pair of axes.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) across: String,
    pub(crate) up: String,
    pub(crate) lines: Vec<Line>,
}

impl Line {
    /// How values are spread: which share (0..=1) does not exceed which.
    pub(crate) fn spread(name: &str, values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let points = sorted.iter().enumerate().map(|(rank, value)| (*value, (rank + 1) as f64 / count)).collect();
        Self { name: name.to_owned(), points }
    }
}

/// Writes the panels to a file, making its folder.
pub(crate) fn write(path: &Path, panels: &[Panel]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, svg(panels)).with_context(|| path.display().to_string())
}

fn svg(panels: &[Panel]) -> String {
    let height = HEIGHT * panels.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, HEIGHT * index as f64);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, y: f64) {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let right = rounded(points().map(|(x, _)| *x).fold(0.0, f64::max));
    let top = rounded(points().map(|(_, y)| *y).fold(0.0, f64::max));
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let at = |x: f64, value: f64| (LEFT + x / right * width, y + TOP + height * (1.0 - value / top));
    let mut text = |x: f64, y: f64, anchor: &str, words: &str| {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
    };
    text(LEFT, y + 20.0, "start", &panel.title);
    text(LEFT + width / 2.0, y + HEIGHT - 8.0, "middle", &panel.across);
    text(LEFT + width + 12.0, y + TOP + 8.0, "start", &panel.up);
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let ((_, line), (across, _)) = (at(0.0, top * share), at(right * share, 0.0));
        text(LEFT - 6.0, line + 4.0, "end", &number(top * share));
        text(across, y + HEIGHT - BOTTOM + 16.0, "middle", &number(right * share));
    }
    for (index, line) in panel.lines.iter().enumerate() {
        let below = y + TOP + 28.0 + 18.0 * index as f64;
        text(LEFT + width + 32.0, below + 4.0, "start", &line.name);
    }
    for step in 0..=4 {
        let (_, line) = at(0.0, top * f64::from(step) / 4.0);
        let end = LEFT + width;
        let _ = writeln!(out, "<path d=\"M{LEFT} {line:.1}H{end}\" stroke=\"#dddddd\"/>");
    }
    for (index, line) in panel.lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let (from, below) = (LEFT + width + 12.0, y + TOP + 28.0 + 18.0 * index as f64);
        let _ = writeln!(out, "<path d=\"M{from} {below}h14\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let every = line.points.len().div_ceil(POINTS).max(1);
        let last = line.points.last().filter(|_| line.points.len() % every != 1);
        let mut path = String::new();
        for (x, value) in line.points.iter().step_by(every).chain(last) {
            let (x, y) = at(*x, *value);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
    }
}

/// The end of an axis that shows everything up to `highest`: 1, 2, 2.5, 4, 5 or 8 times a power of ten.
fn rounded(highest: f64) -> f64 {
    let power = 10_f64.powf(highest.max(1e-9).log10().floor());
    let ends = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0];
    ends.iter().map(|end| end * power).find(|end| *end >= highest * 0.999).unwrap_or(power * 10.0)
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

//! What a long build is doing and how much of it is left: one line that changes on a terminal, now and then a new line
//! elsewhere.
//!
//! Work runs in lanes, several at a time. Everything that prints while lanes are open goes through [`say`], so that it
//! does not end up inside the changing line.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the line on a terminal changes, and a new line is written elsewhere.
const REDRAW: Duration = Duration::from_millis(200);
const REPEAT: Duration = Duration::from_secs(20);

static BOARD: Mutex<Board> = Mutex::new(Board { lanes: Vec::new(), drawn: false, said: None, began: None });

struct Board {
    lanes: Vec<State>,
    /// The changing line is on the screen.
    drawn: bool,
    /// When a line was last written where there is no terminal.
    said: Option<Instant>,
    began: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    name: String,
    now: String,
    done: usize,
    total: Option<usize>,
    of: &'static str,
}

/// A piece of work that others may run beside; it leaves the board when it is dropped.
pub(crate) struct Lane {
    name: String,
    began: Instant,
}

impl Lane {
    /// Opens a lane, for example `[2/4] product`.
    pub(crate) fn open(name: &str) -> Self {
        let mut board = board();
        board.began.get_or_insert_with(Instant::now);
        board.lanes.push(State { name: name.to_owned(), now: String::new(), done: 0, total: None, of: "" });
        let lane = Self { name: name.to_owned(), began: Instant::now() };
        board.draw(false);
        lane
    }

    /// Says what it does now.
    pub(crate) fn now(&self, what: &str) {
        self.change(true, |state| state.now = what.to_owned());
    }

    /// Says how much there is, if that is known: `of` is the plural of what is counted.
    pub(crate) fn expect(&self, total: Option<usize>, of: &'static str) {
        self.change(true, |state| (state.total, state.of, state.done) = (total, of, 0));
    }

    /// One more is done, the one of this name.
    pub(crate) fn done(&self, name: &str) {
        self.change(false, |state| {
            state.done += 1;
            state.now = name.to_owned();
        });
    }

    /// Says how it ended.
    pub(crate) fn finish(&self, text: &str) {
        board().lanes.retain(|state| state.name != self.name);
        say(&format!("{}: {text} in {}", self.name, spoken(self.began.elapsed())));
    }

    fn change(&self, at_once: bool, change: impl FnOnce(&mut State)) {
        let mut board = board();
        if let Some(state) = board.lanes.iter_mut().find(|state| state.name == self.name) {
            change(state);
        }
        board.draw(at_once);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut board = board();
        board.wipe();
        board.lanes.retain(|state| state.name != self.name);
    }
}

/// Prints a line, above the changing one where there is one.
pub(crate) fn say(text: &str) {
    let mut board = board();
    board.wipe();
    println!("{text}");
}

fn board() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    fn draw(&mut self, at_once: bool) {
        let terminal = std::io::stdout().is_terminal();
        let pause = match (terminal, at_once) {
            (true, _) => REDRAW,
            (false, true) => Duration::ZERO,
            (false, false) => REPEAT,
        };
        if self.said.is_some_and(|said| said.elapsed() < pause) || self.lanes.is_empty() {
            return;
        }
        self.said = Some(Instant::now());
        let line = line(&self.lanes, self.began.map_or(Duration::ZERO, |began| began.elapsed()));
        if terminal {
            print!("\r\x1b[K{}", line.chars().take(columns()).collect::<String>());
            self.drawn = true;
            // A screen that cannot be written to is nothing a build should fail for.
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.drawn) {
            print!("\r\x1b[K");
        }
    }
}

/// A line shorter than this fits every terminal; where the width is known it is in `COLUMNS`.
fn columns() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100).max(20) - 1
}

fn line(lanes: &[State], so_far: Duration) -> String {
    let lanes: Vec<String> = lanes.iter().map(shown).collect();
    format!("{} ({} so far)", lanes.join("   "), spoken(so_far))
}

fn shown(state: &State) -> String {
    let mut text = state.name.clone();
    let mut separator = ": ";
    if !state.of.is_empty() {
        let count = match state.total {
            Some(total) => format!("{} of {total} {}", state.done, state.of),
            None => format!("{} {}", state.done, state.of),
        };
        text = format!("{text}{separator}{count}");
        separator = ", ";
    }
    if !state.now.is_empty() {
        text = format!("{text}{separator}{}", state.now);
    }
    text
}

fn spoken(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_every_lane_does_and_what_is_left() {
        let product =
            State { name: "[2/4] product".to_owned(), now: String::new(), done: 312, total: Some(480), of: "crates" };
        let plugins =
            State { name: "[3/4] plugins".to_owned(), now: "grammar".to_owned(), done: 0, total: None, of: "" };
        assert_eq!(
            line(&[product.clone(), plugins], Duration::from_secs(245)),
            "[2/4] product: 312 of 480 crates   [3/4] plugins: grammar (4 min 05 s so far)"
        );
        let unknown = State { total: None, now: "trunkline".to_owned(), ..product };
        assert_eq!(line(&[unknown], Duration::from_secs(59)), "[2/4] product: 312 crates, trunkline (59 s so far)");
    }
}

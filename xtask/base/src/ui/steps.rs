//! Steps with time: each says its name when it starts and its time when it ends, also when it fails. Several may run
//! at once. On a terminal a live line shows what is running; elsewhere a line every few seconds says that it still is.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Style, paint, redact, seconds, terminal};

/// How often the live line is drawn.
const FRAME: Duration = Duration::from_millis(200);
/// Without a terminal: a sign of life after this long, and then each time it has passed again.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

struct Running {
    id: usize,
    name: String,
    detail: String,
    /// It opened a group of GitHub Actions, and closes it.
    is_group: bool,
    started: Instant,
    spoken: Instant,
}

struct Board {
    running: Vec<Running>,
    next_id: usize,
    ticking: bool,
    drawn: bool,
}

static BOARD: Mutex<Board> = Mutex::new(Board { running: Vec::new(), next_id: 0, ticking: false, drawn: false });

fn board() -> MutexGuard<'static, Board> {
    // A thread that panicked while printing leaves nothing that another could misread.
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running step; ends as failed when it is dropped without [`Step::done`] or [`Step::same`].
pub struct Step {
    id: usize,
    ended: bool,
}

/// Starts a step.
pub fn step(name: impl Into<String>) -> Step {
    let name = name.into();
    let mut board = board();
    let id = board.next_id;
    board.next_id += 1;
    // Groups do not nest: what runs beside a step stands in its group.
    let is_group = terminal().github && board.running.iter().all(|running| !running.is_group);
    if !terminal().live {
        let sign = if is_group { "::group::" } else { "> " };
        write_line(&mut board, &redact::mask(&format!("{sign}{name}")));
    }
    let now = Instant::now();
    board.running.push(Running { id, name, detail: String::new(), is_group, started: now, spoken: now });
    if !board.ticking {
        board.ticking = true;
        std::thread::spawn(tick);
    }
    Step { id, ended: false }
}

impl Step {
    /// What the step is doing right now; shown while it runs.
    pub fn detail(&self, text: &str) {
        if let Some(running) = board().running.iter_mut().find(|running| running.id == self.id) {
            running.detail = text.trim().chars().take(100).collect();
        }
    }
    pub fn done(self) {
        self.end(Style::Good, "ok", "");
    }
    /// Done, with a word about the result.
    pub fn done_with(self, result: &str) {
        self.end(Style::Good, "ok", result);
    }
    /// There was nothing to do.
    pub fn same(self, why: &str) {
        self.end(Style::Faint, "same", why);
    }
    /// Failed, with a word about why; the error itself is reported by main.
    pub fn failed(self, why: &str) {
        self.end(Style::Bad, "failed", why);
    }

    fn end(mut self, style: Style, word: &str, result: &str) {
        self.ended = true;
        end(self.id, style, word, result);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            end(self.id, Style::Bad, "failed", "");
        }
    }
}

fn end(id: usize, style: Style, word: &str, result: &str) {
    let mut board = board();
    let Some(index) = board.running.iter().position(|running| running.id == id) else { return };
    let running = board.running.remove(index);
    let result = if result.is_empty() { String::new() } else { format!("  {result}") };
    let time = paint(Style::Faint, &seconds(running.started.elapsed()));
    let word = paint(style, &format!("{word:<6}"));
    let line = format!("{word} {}{result}  {time}", running.name);
    if running.is_group {
        write_line(&mut board, "::endgroup::");
    }
    write_line(&mut board, &redact::mask(&line));
}

/// Prints one line of talk without tearing the live line.
pub(super) fn print_line(line: &str) {
    write_line(&mut board(), line);
}

/// Removes the live line, for a child that is about to own the terminal.
pub fn clear_live_line() {
    clear(&mut board());
}

fn write_line(board: &mut Board, line: &str) {
    clear(board);
    // Nowhere to complain when stderr is gone.
    let _written = writeln!(std::io::stderr().lock(), "{line}");
}

fn clear(board: &mut Board) {
    if board.drawn {
        board.drawn = false;
        let _written = write!(std::io::stderr().lock(), "\r\x1b[K");
    }
}

fn tick() {
    loop {
        std::thread::sleep(FRAME);
        let mut board = board();
        if board.running.is_empty() {
            board.ticking = false;
            clear(&mut board);
            return;
        }
        if terminal().live {
            let parts: Vec<String> = board.running.iter().map(|r| describe(r, board.running.len() == 1)).collect();
            let line: String = redact::mask(&parts.join("  |  ")).chars().take(width() - 1).collect();
            let _written = write!(std::io::stderr().lock(), "\r\x1b[K{line}\r");
            board.drawn = true;
        } else {
            let now = Instant::now();
            let due: Vec<String> = board
                .running
                .iter_mut()
                .filter(|running| now.duration_since(running.spoken) >= SIGN_OF_LIFE)
                .map(|running| {
                    running.spoken = now;
                    format!("  still {}", describe(running, true))
                })
                .collect();
            for line in due {
                write_line(&mut board, &redact::mask(&line));
            }
        }
    }
}

fn describe(running: &Running, with_detail: bool) -> String {
    let time = running.started.elapsed().as_secs();
    let detail =
        if with_detail && !running.detail.is_empty() { format!(": {}", running.detail) } else { String::new() };
    format!("{} {time} s{detail}", running.name)
}

/// Columns of the terminal, as far as the shell says.
fn width() -> usize {
    crate::tools::os::terminal_columns().unwrap_or(80).max(20)
}

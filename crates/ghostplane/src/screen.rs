//! What a person or a program sees: lines, tables, bars and progress for the one, a single JSON document for the other.
//!
//! Human output goes to stdout and progress to stderr. In JSON mode stdout carries what [`Screen::emit`] is given and
//! nothing else. Colour appears on a terminal only, and never when `NO_COLOR` is set or `TERM` is `dumb`. A reader that
//! goes away (`| head`) is no error; any other failed write is remembered and reported by [`Screen::close`].

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use unicode_width::UnicodeWidthStr as _;

const HEADING: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const BAR: Style = AnsiColor::Cyan.on_default();

/// Columns of a full horizontal bar.
const BAR_COLUMNS: usize = 32;

/// Where a command shows what it does. Share it by reference, also between threads.
pub struct Screen {
    json: bool,
    colour: bool,
    /// Columns of the terminal; nothing if there is none, and then nothing wraps.
    columns: Option<usize>,
    progress: MultiProgress,
    /// Whether something was written; the first heading needs no blank line above it.
    begun: AtomicBool,
    failure: Mutex<Option<io::Error>>,
}

impl Screen {
    /// The screen of this process, for a program if `json`, else for a person.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let plain = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = !json && io::stdout().is_terminal() && !plain("NO_COLOR") && !dumb;
        let bars = !json && io::stderr().is_terminal() && !dumb;
        let target = if bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            json,
            colour,
            columns: columns(),
            progress: MultiProgress::with_draw_target(target),
            begun: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Whether a program reads: then only [`Screen::emit`] writes anything.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A bold line with a blank one above it.
    pub fn heading(&self, text: &str) {
        let gap = if self.begun.load(Ordering::Relaxed) { "\n" } else { "" };
        self.show(&format!("{gap}{}", self.styled(HEADING, &self.wrapped(text, 0))));
    }

    /// A plain line. On a terminal it wraps between words.
    pub fn line(&self, text: &str) {
        self.show(&self.wrapped(text, 0));
    }

    /// A dim line: what explains, and may be skipped.
    pub fn note(&self, text: &str) {
        self.show(&self.styled(DIM, &self.wrapped(text, 0)));
    }

    /// A line behind a green check mark.
    pub fn good(&self, text: &str) {
        self.show(&format!("{} {}", self.styled(GOOD, "✓"), self.wrapped(text, 2)));
    }

    /// A line behind a red cross.
    pub fn bad(&self, text: &str) {
        self.show(&format!("{} {}", self.styled(BAD, "✗"), self.wrapped(text, 2)));
    }

    /// A table, two columns in, header dim.
    pub fn table(&self, table: &Table) {
        let mut lines = table.lines().into_iter();
        if let Some(header) = lines.next().filter(|header| !header.trim().is_empty()) {
            self.show(&self.styled(DIM, &header));
        }
        lines.for_each(|line| self.show(&line));
    }

    /// Horizontal bars, one per `(label, value, note)`, the largest value filling the width. Values below 0 count as 0.
    pub fn bars<L: Display, N: Display>(&self, rows: &[(L, f64, N)]) {
        let largest = rows.iter().map(|(_, value, _)| *value).fold(0.0, f64::max);
        let labels: Vec<String> = rows.iter().map(|(label, ..)| cell(label)).collect();
        let width = labels.iter().map(|label| label.width()).max().unwrap_or(0);
        for (label, (_, value, note)) in labels.iter().zip(rows) {
            let bar = bar(*value, largest);
            let gap = " ".repeat(BAR_COLUMNS - bar.width());
            let label = pad(label, width, Align::Left);
            self.show(&format!("  {label}  {}{gap}  {}", self.styled(BAR, &bar), cell(note)));
        }
    }

    /// A progress bar of `total` steps on stderr; a spinner when `total` is 0. It is seen on a terminal only.
    #[must_use]
    pub fn progress(&self, label: &str, total: u64) -> Progress<'_> {
        let bar = match total {
            0 => ProgressBar::new_spinner(),
            _ => ProgressBar::new(total),
        };
        let template = match (total, self.colour) {
            (0, _) => "  {spinner} {msg}  {human_pos}  {elapsed}",
            (_, true) => "  {msg}  {wide_bar:.cyan/dim}  {human_pos}/{human_len}  {rate}  {eta} left",
            (_, false) => "  {msg}  {wide_bar}  {human_pos}/{human_len}  {rate}  {eta} left",
        };
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A style has nobody to tell of a failure, and writing to its buffer does not fail.
            let _ = out.write_str(&per_second(state.per_sec()));
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
        let style = style.progress_chars("█▉▊▋▌▍▎▏ ").with_key("rate", rate);
        let bar = self.progress.add(bar.with_style(style));
        bar.set_message(cell(&label));
        Progress { screen: self, label: label.to_string(), bar }
    }

    /// In JSON mode, writes `value` to stdout as an indented document; otherwise nothing. Call it once per command.
    pub fn emit(&self, value: &serde_json::Value) {
        if self.json {
            self.write(&format!("{value:#}\n"));
        }
    }

    /// Writes `bytes` to stdout whatever the mode: for output that has a format of its own, such as shell completions.
    pub fn raw(&self, text: &str) {
        self.write(text);
    }

    /// Ends the output.
    ///
    /// # Errors
    /// The first write that failed for another reason than a reader that went away.
    pub fn close(self) -> io::Result<()> {
        self.write("");
        let failure = self.failure.into_inner().expect("nothing panics while it holds this lock");
        failure.filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map_or(Ok(()), Err)
    }

    /// `text` made harmless, and broken between words so that no line behind an indent of `indent` leaves the terminal.
    fn wrapped(&self, text: &str, indent: usize) -> String {
        match self.columns {
            Some(columns) => wrap(&clean(text), columns, indent),
            None => clean(text),
        }
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    fn show(&self, text: &str) {
        if !self.json {
            self.write(&format!("{text}\n"));
        }
    }

    /// After a failure nothing more is written: half a document is worse than none.
    fn write(&self, text: &str) {
        let mut failure = self.failure.lock().expect("nothing panics while it holds this lock");
        if failure.is_some() {
            return;
        }
        self.begun.store(true, Ordering::Relaxed);
        let result = self.progress.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        *failure = result.err();
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screen(json: {}, colour: {})", self.json, self.colour)
    }
}

/// Work under way. Dropped without [`Progress::finish`], it just disappears.
#[derive(Debug)]
pub struct Progress<'a> {
    screen: &'a Screen,
    label: String,
    bar: ProgressBar,
}

impl Progress<'_> {
    /// `steps` more are done.
    pub fn inc(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Takes the bar away and leaves a checked line `label: message`; just the label if `message` is empty.
    pub fn finish(self, message: &str) {
        self.bar.finish_and_clear();
        match message {
            "" => self.screen.good(&self.label),
            _ => self.screen.good(&format!("{}: {message}", self.label)),
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.screen.progress.remove(&self.bar);
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells lined up by the width they take on a terminal.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns. If every header is empty, none is shown.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            header: columns.iter().map(|(header, _)| cell(header)).collect(),
            align: columns.iter().map(|(_, align)| *align).collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row. Missing cells stay empty; cells of mixed types go in as `&dyn Display`.
    ///
    /// # Panics
    /// If there are more cells than columns.
    pub fn row<C: Display>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Self {
        let mut row: Vec<String> = cells.into_iter().map(|content| cell(&content)).collect();
        assert!(row.len() <= self.header.len(), "{} cells in a table of {}", row.len(), self.header.len());
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
        self
    }

    /// Whether no row was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The header, then the rows, without blanks at the end of a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let columns = || widths.iter().zip(&self.align);
        let line = |row: &Vec<String>| {
            let padded = row.iter().zip(columns()).map(|(text, (width, align))| pad(text, *width, *align));
            format!("  {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_string()
        };
        all().map(line).collect()
    }
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let gap = " ".repeat(width.saturating_sub(text.width()));
    match align {
        Align::Left => format!("{text}{gap}"),
        Align::Right => format!("{gap}{text}"),
    }
}

/// A bar of `value / largest` of the full width, in eighths of a column; a value above 0 always shows.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and 8 * BAR_COLUMNS by the clamp.
fn bar(value: f64, largest: f64) -> String {
    let share = if largest > 0.0 { (value / largest).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * (8 * BAR_COLUMNS) as f64).round() as usize;
    let eighths = if value > 0.0 { eighths.max(1) } else { eighths };
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{rest}", "█".repeat(eighths / 8))
}

/// One cell: a single line that cannot move the cursor or change the colour, wherever its text came from.
fn cell(content: &impl Display) -> String {
    escape(&content.to_string(), |c| c.is_control())
}

fn columns() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(columns)).filter(|columns| *columns >= 40)
}

/// Breaks lines between words; a word longer than a line stays whole, so that it can be copied. The lines that this adds
/// start with `indent` blanks, and all count as that much longer.
fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let mut used = indent;
        for (place, word) in line.split(' ').enumerate() {
            let blank = usize::from(place > 0);
            if place > 0 && used + blank + word.width() > columns {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                used = indent;
            } else if place > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += word.width();
        }
    }
    out
}

/// Text that may have several lines.
pub(crate) fn clean(text: &str) -> String {
    escape(text, |c| c.is_control() && c != '\n')
}

fn escape(text: &str, refused: impl Fn(char) -> bool) -> String {
    // Besides controls, the marks that reorder text: a key or memo must not read as something else.
    let reorders = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if refused(c) || reorders(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// A whole number with thousands separators: `12,345`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes in binary units, three significant digits: `817 B`, `1.25 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        _ => scaled(count as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
    }
}

/// A time span, three significant digits: `830 ns`, `12.3 ms`, `1.50 s`, `2 min 05 s`.
#[must_use]
pub fn duration(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 100.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        1.. => significant(span.as_secs_f64()) + " s",
        0 if span.as_nanos() < 1000 => format!("{} ns", span.as_nanos()),
        0 => scaled(span.as_nanos() as f64, 1000.0, &["ns", "µs", "ms", "s"]),
    }
}

/// So many in that time, per second, three significant digits: `1.23 M/s`. Nothing in no time is `0 /s`.
#[must_use]
pub fn rate(count: u64, elapsed: Duration) -> String {
    per_second(count as f64 / elapsed.as_secs_f64().max(1e-9))
}

/// So many per second, three significant digits: `1.23 M/s`.
#[must_use]
pub fn per_second(rate: f64) -> String {
    match rate {
        0.0 => "0 /s".to_string(),
        rate if rate < 1000.0 => significant(rate) + " /s",
        rate => scaled(rate, 1000.0, &["", "k", "M", "G", "T"]) + "/s",
    }
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().expect("at least one unit");
    // 999.5 would be shown as 1000 with three digits, so it already goes up.
    while value >= step - 0.5 {
        let Some(next) = units.next() else { break };
        value /= step;
        unit = next;
    }
    format!("{} {unit}", significant(value))
}

/// Three significant digits, no exponent.
fn significant(value: f64) -> String {
    let mut out = String::new();
    let decimals = match value {
        v if v < 0.0005 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    write!(out, "{value:.decimals$}").expect("writing to a string does not fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_display_width() {
        let mut table = Table::new(&[("account", Align::Left), ("balance", Align::Right), ("note", Align::Left)]);
        table.row(["alice", "1.5", ""]).row(["李雷", "12,345.25", "new"]).row(["é"]);
        let expected = ["  account    balance  note", "  alice          1.5", "  李雷     12,345.25  new", "  é"];
        assert_eq!(table.lines(), expected);
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(cell(&"a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(clean("two\nlines\r"), "two\nlines\\r");
        assert_eq!(cell(&"gcc\u{202e}1"), "gcc\\u{202e}1");
    }

    #[test]
    fn lines_break_between_words_only() {
        let text = "the L1 replays it and convicts";
        assert_eq!(wrap(text, 80, 2), text);
        assert_eq!(wrap(text, 18, 2), "the L1 replays\n  it and convicts");
        assert_eq!(wrap(text, 32, 2), text);
        assert_eq!(wrap(text, 31, 2), "the L1 replays it and\n  convicts");
        assert_eq!(wrap("a 0123456789 b\n  c", 6, 0), "a\n0123456789\nb\n  c");
        assert_eq!(wrap("", 6, 0), "");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 69_659, u64::MAX].map(grouped),
            ["0", "999", "1,000", "69,659", "18,446,744,073,709,551,615"]
        );
        assert_eq!(
            [0, 1023, 1024, 1_310_720, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.00 KiB", "1.25 MiB", "16.0 EiB"]
        );
        let spans = [
            (0, "0 ns"),
            (830, "830 ns"),
            (1500, "1.50 µs"),
            (12_345_678, "12.3 ms"),
            (1_500_000_000, "1.50 s"),
            (125_000_000_000, "2 min 05 s"),
        ];
        for (nanos, text) in spans {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(
            [0.0, 0.25, 12.0, 999.0, 1e3, 1.234e6, 999.96e6].map(per_second),
            ["0 /s", "0.25 /s", "12.0 /s", "999 /s", "1.00 k/s", "1.23 M/s", "1.00 G/s"]
        );
        assert_eq!(rate(10, Duration::ZERO), "10.0 G/s");
    }

    #[test]
    fn bars_scale_to_the_largest() {
        assert_eq!(bar(1.0, 1.0), "█".repeat(32));
        assert_eq!(bar(0.5, 1.0), "█".repeat(16));
        assert_eq!(bar(1e-9, 1.0), "▏");
        assert_eq!(bar(0.0, 1.0), "");
        assert_eq!(bar(0.0, 0.0), "");
        assert_eq!(bar(f64::NAN, 1.0), "");
    }
}

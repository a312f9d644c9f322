//! The output: a line for each finished step, and below it the state of the current one.

use metal_base::Locked;
use std::{
    collections::BTreeMap,
    env,
    io::{IsTerminal, Write},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How often to print the progress where the output is not a terminal.
const SIGN: Duration = Duration::from_secs(20);
/// How often to look at the progress.
const LOOK: Duration = Duration::from_millis(250);
/// Columns of a terminal that does not report its width.
const COLUMNS: usize = 80;
/// Indentation of lines that are not steps.
pub(super) const INDENT: &str = "           ";

/// The output.
pub struct Screen(Mutex<Lines>);

struct Lines {
    out: Box<dyn Write + Send>,
    /// Whether the output is a terminal.
    is_terminal: bool,
    /// The lines below the last step.
    drawn: Vec<String>,
    last_sign: Option<Instant>,
    /// The last printed state of each machine.
    told: BTreeMap<String, String>,
}

/// A line for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    /// What is printed where the output is not a terminal: power and reasons would change all the
    /// time.
    pub(super) state: String,
    pub(super) text: String,
}

impl Screen {
    /// Standard output.
    pub fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal()
            && env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self::to(Box::new(std::io::stdout()), is_terminal)
    }

    fn to(out: Box<dyn Write + Send>, is_terminal: bool) -> Self {
        let (drawn, told) = (Vec::new(), BTreeMap::new());
        Self(Mutex::new(Lines { out, is_terminal, drawn, last_sign: None, told }))
    }

    /// Prints a line that stays.
    pub fn tell(&self, line: &str) {
        self.lines().tell(line);
    }

    /// Erases the lines that would be redrawn.
    pub fn erase(&self) {
        self.lines().draw(Vec::new());
    }

    /// Prints a step that began at `since` as done.
    pub fn done(&self, since: Instant, title: &str) {
        self.tell(&format!("{:>7.1} s  {title}", since.elapsed().as_secs_f64()));
    }

    /// Awaits `step`, and shows it as running meanwhile.
    pub(super) async fn step<T>(&self, title: &str, step: impl Future<Output = T>) -> T {
        let since = self.begin();
        let mut step = std::pin::pin!(step);
        loop {
            match tokio::time::timeout(LOOK, &mut step).await {
                Ok(outcome) => return outcome,
                Err(_) => self.goes_on(since, title, ""),
            }
        }
    }

    /// Starts a step.
    pub(super) fn begin(&self) -> Instant {
        self.lines().last_sign = None;
        Instant::now()
    }

    /// Shows a running step that began at `since`.
    pub(super) fn goes_on(&self, since: Instant, title: &str, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        let line = format!("{:>5} s..  {title}{colon}{detail}", since.elapsed().as_secs());
        let mut lines = self.lines();
        if lines.is_terminal {
            return lines.draw(vec![line]);
        }
        match lines.last_sign {
            Some(last) if last.elapsed() < SIGN => return,
            Some(_) => lines.print(&line),
            None => {}
        }
        lines.last_sign = Some(Instant::now());
    }

    /// Shows a running step that began at `since`, with a row for each machine.
    pub(super) fn machines(&self, since: Instant, title: &str, rows: Vec<Row>) {
        let mut lines = self.lines();
        if lines.is_terminal {
            let first = format!("{:>5} s..  {title}", since.elapsed().as_secs());
            let all = rows.into_iter().map(|row| format!("{INDENT}{}", row.text));
            return lines.draw([first].into_iter().chain(all).collect());
        }
        for row in rows {
            let before = lines.told.insert(row.name, row.state.clone());
            if before != Some(row.state) {
                lines.tell(&format!("{:>7.1} s..  {}", since.elapsed().as_secs_f64(), row.text));
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.locked()
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    fn tell(&mut self, line: &str) {
        self.draw(Vec::new());
        self.print(line);
    }

    /// Replaces the lines that were drawn before.
    fn draw(&mut self, lines: Vec<String>) {
        if lines == self.drawn {
            return;
        }
        if !self.drawn.is_empty() {
            let up = self.drawn.len();
            self.print_raw(&format!("\x1b[{up}A\x1b[J"));
        }
        let columns = if lines.is_empty() { COLUMNS } else { columns() };
        for line in &lines {
            let line: String = line.chars().take(columns.saturating_sub(1)).collect();
            self.print(&line);
        }
        self.drawn = lines;
    }

    fn print(&mut self, line: &str) {
        self.print_raw(&format!("{line}\n"));
    }

    fn print_raw(&mut self, text: &str) {
        // A terminal that is gone must not keep the demo from cleaning up.
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).ok();
    }
}

fn columns() -> usize {
    // tput asks the terminal behind standard error.
    let tput = Command::new("tput").arg("cols").stderr(std::process::Stdio::inherit()).output();
    let said = tput.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    said.and_then(|columns| columns.trim().parse().ok()).unwrap_or(COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, sync::Arc};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.locked().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn row(name: &str, state: &str, text: &str) -> Row {
        Row { name: name.to_owned(), state: state.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn without_a_terminal_a_machine_is_told_once_for_each_of_its_states() {
        let paper = Paper::default();
        let screen = Screen::to(Box::new(paper.clone()), false);
        let since = Instant::now();
        for (state, text) in [("BMC", "a BMC"), ("BMC", "a BMC too"), ("Available", "a Available")]
        {
            screen.machines(since, "title", vec![row("a", state, text)]);
        }
        assert_eq!(paper.text(), "    0.0 s..  a BMC\n    0.0 s..  a Available\n");
    }

    #[test]
    fn on_a_terminal_what_goes_on_is_drawn_over_and_what_is_done_stays() {
        let paper = Paper::default();
        let screen = Screen::to(Box::new(paper.clone()), true);
        let since = Instant::now();
        screen.machines(since, "wait", vec![row("a", "BMC", "a BMC")]);
        screen.machines(since, "wait", vec![row("a", "BMC", "a BMC")]);
        screen.done(since, "it is done");
        let drawn = "    0 s..  wait\n           a BMC\n";
        assert_eq!(paper.text(), format!("{drawn}\x1b[2A\x1b[J    0.0 s  it is done\n"));
    }

    #[test]
    fn without_a_terminal_what_takes_no_time_is_told_when_it_is_done() {
        let paper = Paper::default();
        let screen = Screen::to(Box::new(paper.clone()), false);
        let since = screen.begin();
        screen.goes_on(since, "wait", "some");
        screen.goes_on(since, "wait", "more");
        assert_eq!(paper.text(), "");
    }
}

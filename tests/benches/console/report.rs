//! What was measured, beside what was promised.

/// One number.
pub struct Line {
    what: String,
    measured: String,
    target: String,
    holds: Option<bool>,
}

/// All of them, in the order in which they were measured.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// A number that is to be at most `most`; `show` writes both.
    pub fn at_most(
        &mut self,
        what: impl Into<String>,
        value: f64,
        most: f64,
        show: impl Fn(f64) -> String,
        note: &str,
    ) {
        self.add(Line {
            what: what.into(),
            measured: noted(show(value), note),
            target: format!("≤ {}", show(most)),
            holds: Some(value <= most),
        });
    }

    /// A ratio that is to be at least `least`.
    pub fn at_least(&mut self, what: impl Into<String>, value: f64, least: f64, note: &str) {
        let show = |ratio: f64| format!("{ratio:.1} times");
        self.add(Line {
            what: what.into(),
            measured: noted(show(value), note),
            target: format!("≥ {}", show(least)),
            holds: Some(value >= least),
        });
    }

    /// Something that holds or not.
    pub fn holds(&mut self, what: impl Into<String>, holds: bool, note: &str) {
        self.add(Line {
            what: what.into(),
            measured: note.to_owned(),
            target: String::new(),
            holds: Some(holds),
        });
    }

    /// A number without a promise.
    pub fn note(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.add(Line {
            what: what.into(),
            measured: measured.into(),
            target: String::new(),
            holds: None,
        });
    }

    fn add(&mut self, line: Line) {
        // At once, for a later one may fail.
        println!("  {}: {}", line.what, line.measured);
        self.lines.push(line);
    }

    pub fn print(&self) {
        let width = |of: fn(&Line) -> &str| {
            self.lines
                .iter()
                .map(|line| of(line).chars().count())
                .max()
                .unwrap_or(0)
        };
        let (what, measured, target) = (
            width(|line| &line.what),
            width(|line| &line.measured),
            width(|line| &line.target),
        );
        println!();
        for line in &self.lines {
            let verdict = match line.holds {
                Some(true) => "holds",
                Some(false) => "DOES NOT HOLD",
                None => "",
            };
            let text = format!(
                "{:what$}  {:measured$}  {:target$}  {verdict}",
                line.what, line.measured, line.target
            );
            println!("{}", text.trim_end());
        }
        let missed = self.lines.iter().filter(|line| line.holds == Some(false)).count();
        let promised = self.lines.iter().filter(|line| line.holds.is_some()).count();
        println!("\n{} of {promised} promises hold", promised - missed);
    }
}

fn noted(shown: String, note: &str) -> String {
    match note.is_empty() {
        true => shown,
        false => format!("{shown} ({note})"),
    }
}

pub fn seconds(value: f64) -> String {
    format!("{value:.2} s")
}

pub fn milliseconds(value: f64) -> String {
    format!("{value:.1} ms")
}

pub fn bytes(value: f64) -> String {
    match value {
        _ if value < 10_000.0 => format!("{value:.0} B"),
        _ if value < 10e6 => format!("{:.1} kB", value / 1e3),
        _ => format!("{:.0} MB", value / 1e6),
    }
}

pub fn percent(value: f64) -> String {
    format!("{value:.1} %")
}

//! One value on a screen: its text, what it means, and where it comes from when that is in doubt.

use crate::model::row::Cell;

use super::text;

/// What a value means; themes decide how that looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    #[default]
    Plain,
    Muted,
    Accent,
    Title,
    Section,
    Ok,
    Warn,
    Error,
    Unknown,
}

/// One value, ready to lay out. `?` is its text when it is unknown, and `why` says why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Field {
    pub text: String,
    pub tone: Tone,
    /// What sorting and `>90%` compare.
    pub number: Option<f64>,
    /// Ten thousand rows have a field for each column, and of most there is no more to say.
    pub(super) more: Option<Box<More>>,
}

/// What few fields have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct More {
    bar: Option<f64>,
    age: Option<i64>,
    why: Option<String>,
}

impl Field {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub fn muted(text: impl Into<String>) -> Self {
        Self::new(text).tone(Tone::Muted)
    }

    pub fn unknown(why: impl Into<String>) -> Self {
        Self {
            text: "?".to_owned(),
            tone: Tone::Unknown,
            ..Self::default()
        }
        .why(Some(why.into()))
    }

    /// Nothing to say, and nothing wrong with that.
    pub fn none() -> Self {
        Self::muted("–")
    }

    pub fn count(number: i64) -> Self {
        Self::new(text::count(number)).number(number as f64)
    }

    /// A number that is a name: an id, a partition. It is not taken apart into thousands.
    pub fn id(number: i32) -> Self {
        Self::new(number.to_string()).number(f64::from(number))
    }

    /// The cell's value by `show`, or `?` with its reason; a stale one keeps its age.
    pub fn of<T>(cell: &Cell<T>, show: impl FnOnce(&T) -> Self) -> Self {
        let field = match &cell.value {
            Some(value) => show(value),
            None => Self::unknown(cell.reason.as_deref().unwrap_or("nobody told")),
        };
        let why = cell.reason.clone().or_else(|| field.reason().map(str::to_owned));
        field.aged(cell.stale_seconds).why(why)
    }

    /// Like [`Field::of`] for a limit's percentage, which warns from 75 % and alarms from 90 %.
    pub fn percent(cell: &Cell<f64>) -> Self {
        Self::of(cell, |percent| {
            Self::new(text::percent(*percent))
                .number(*percent)
                .tone(strain(*percent))
        })
    }

    /// Like [`Field::percent`], with a bar.
    pub fn gauge(cell: &Cell<f64>) -> Self {
        Self::percent(cell).with_bar(cell.value.map(|percent| percent / 100.0))
    }

    /// An unknown whose reason is one of `reasons` has nothing to know.
    pub fn none_when(self, reasons: &[&str]) -> Self {
        let nothing = |why: &str| reasons.iter().any(|reason| why.contains(reason));
        match self.tone == Tone::Unknown && self.reason().is_some_and(nothing) {
            true => Self::none().why(self.reason().map(str::to_owned)),
            false => self,
        }
    }

    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub fn number(self, number: f64) -> Self {
        Self {
            number: Some(number),
            ..self
        }
    }

    /// Why it is unknown or old.
    pub fn why(self, why: Option<String>) -> Self {
        self.with(|more| more.why = why)
    }

    /// Seconds since it was true, only when its source fails.
    pub fn aged(self, age: Option<i64>) -> Self {
        self.with(|more| more.age = age)
    }

    /// 0..=1, or as near as can be: drawn as a bar before the text.
    pub fn with_bar(self, share: Option<f64>) -> Self {
        self.with(|more| more.bar = share.map(|share| share.clamp(0.0, 1.0)))
    }

    fn with(mut self, change: impl FnOnce(&mut More)) -> Self {
        let mut more = self.more.take().map_or_else(More::default, |more| *more);
        change(&mut more);
        self.more = (more != More::default()).then(|| more.into());
        self
    }

    pub fn bar(&self) -> Option<f64> {
        self.more.as_ref()?.bar
    }

    pub fn age(&self) -> Option<i64> {
        self.more.as_ref()?.age
    }

    pub fn reason(&self) -> Option<&str> {
        self.more.as_ref()?.why.as_deref()
    }

    pub fn is_unknown(&self) -> bool {
        self.tone == Tone::Unknown
    }
}

/// How hard a limit is used.
pub fn strain(percent: f64) -> Tone {
    match percent {
        p if p >= 90.0 => Tone::Error,
        p if p >= 75.0 => Tone::Warn,
        _ => Tone::Plain,
    }
}

//! The levels of this process's log, logger by logger, changed while it runs (Kafka's BROKER_LOGGER, KIP-412).
//!
//! Loggers are this program's modules, with dots because Kafka's tools take no colon in a config's name, and `root`, which stands for all of them. Whoever sets up the log installs a way to
//! change its filter; a process that did not (a test, a program that embeds brokers) has none to change. All nodes of
//! one process share its levels.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use parking_lot::Mutex;

/// The logger of everything.
pub const ROOT: &str = "root";

/// The modules that log, below this program's name.
const MODULES: &[&str] = &[
    "auth",
    "cluster",
    "controller",
    "coordinator",
    "env",
    "group",
    "handler",
    "id",
    "image",
    "log",
    "node",
    "quota",
    "record",
    "replica",
    "server",
    "telemetry",
    "txn",
    "wire",
];
const PROGRAM: &str = "azimuth_broker";

/// How much is logged. Nothing here logs at FATAL, so that it silences a logger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Kafka's names, as its tools print them.
pub const LEVELS: &[&str] = &["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "FATAL" => Self::Fatal,
            "ERROR" => Self::Error,
            "WARN" => Self::Warn,
            "INFO" => Self::Info,
            "DEBUG" => Self::Debug,
            "TRACE" => Self::Trace,
            _ => return Err(()),
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        })
    }
}

impl Level {
    /// As a filter's directive writes it.
    fn directive(self) -> &'static str {
        match self {
            Self::Fatal => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn of_directive(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        match text.as_str() {
            "OFF" => Some(Self::Fatal),
            other => other.parse().ok(),
        }
    }
}

/// Takes a filter's directives: `info,azimuth_broker::log=debug`.
pub type Apply = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The loggers of a process.
pub struct Loggers {
    /// The filter that the process was started with.
    base: String,
    apply: Apply,
    set: Mutex<BTreeMap<String, Level>>,
}

static INSTALLED: OnceLock<Loggers> = OnceLock::new();

/// Makes the levels changeable; `base` is the filter in force, `apply` replaces it. Only the first call counts.
pub fn install(base: &str, apply: Apply) {
    // A second one would leave the first one's changes behind.
    let _ = INSTALLED.set(Loggers::new(base, apply));
}

/// This process's loggers, if its log can be changed.
pub fn installed() -> Option<&'static Loggers> {
    INSTALLED.get()
}

impl Loggers {
    pub fn new(base: &str, apply: Apply) -> Self {
        Self {
            base: base.to_owned(),
            apply,
            set: Mutex::default(),
        }
    }

    /// Every logger and its level in force.
    pub fn levels(&self) -> Vec<(String, Level)> {
        let set = self.set.lock();
        names()
            .map(|name| {
                let level = self.level(&set, &name);
                (name, level)
            })
            .collect()
    }

    /// Whether there is a logger of this name.
    pub fn has(&self, name: &str) -> bool {
        names().any(|known| known == name)
    }

    /// Sets levels, or with `None` takes them back to what the process was started with. All of them or, on an error, none.
    ///
    /// # Errors
    /// A sentence, when the log does not take the new filter.
    pub fn change(&self, changes: &[(String, Option<Level>)]) -> Result<(), String> {
        let mut set = self.set.lock();
        let mut next = set.clone();
        for (name, level) in changes {
            match level {
                Some(level) => next.insert(name.clone(), *level),
                None => next.remove(name),
            };
        }
        (self.apply)(&self.filter(&next))?;
        *set = next;
        Ok(())
    }

    /// Later directives win over earlier ones of the same target.
    fn filter(&self, set: &BTreeMap<String, Level>) -> String {
        let mut filter = self.base.clone();
        for (name, level) in set {
            filter.push(',');
            if name != ROOT {
                filter.push_str(&target(name));
                filter.push('=');
            }
            filter.push_str(level.directive());
        }
        filter
    }

    /// The nearest of what was set and of the base's directives; ERROR is what a filter does without any.
    fn level(&self, set: &BTreeMap<String, Level>, name: &str) -> Level {
        let own = set.get(name).copied();
        let root = || {
            let bare = |directive: &str| Level::of_directive(directive);
            let set = set.get(ROOT).copied();
            set.or_else(|| self.base.split(',').rev().find_map(bare))
        };
        let based = || {
            let directives = self.base.split(',').filter_map(|directive| directive.split_once('='));
            let own = target(name);
            let covering = directives.filter(|(target, _)| is_below(&own, target.trim()));
            let nearest = covering.max_by_key(|(target, _)| target.trim().len());
            nearest.and_then(|(_, level)| Level::of_directive(level))
        };
        let found = if name == ROOT {
            root()
        } else {
            own.or_else(based).or_else(root)
        };
        found.unwrap_or(Level::Error)
    }
}

/// What the log calls a logger.
fn target(logger: &str) -> String {
    logger.replace('.', "::")
}

fn is_below(name: &str, target: &str) -> bool {
    name.strip_prefix(target)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn names() -> impl Iterator<Item = String> {
    let own = MODULES.iter().map(|module| format!("{PROGRAM}.{module}"));
    own.chain([PROGRAM.to_owned(), ROOT.to_owned()])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn loggers(base: &str) -> (Loggers, Arc<Mutex<String>>) {
        let taken = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&taken);
        let apply = move |filter: &str| {
            tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
            filter.clone_into(&mut last.lock());
            Ok(())
        };
        (Loggers::new(base, Box::new(apply)), taken)
    }

    fn level(loggers: &Loggers, name: &str) -> Level {
        let levels = loggers.levels();
        levels.into_iter().find(|(known, _)| known == name).unwrap().1
    }

    #[test]
    fn a_level_is_set_and_taken_back() {
        let (loggers, filter) = loggers("info,azimuth_broker::wire=warn");
        assert_eq!(level(&loggers, ROOT), Level::Info);
        assert_eq!(level(&loggers, "azimuth_broker.wire"), Level::Warn);
        assert_eq!(level(&loggers, "azimuth_broker.log"), Level::Info);
        let log = || "azimuth_broker.log".to_owned();
        loggers
            .change(&[(log(), Some(Level::Debug)), (ROOT.to_owned(), Some(Level::Error))])
            .unwrap();
        assert_eq!(
            *filter.lock(),
            "info,azimuth_broker::wire=warn,azimuth_broker::log=debug,error"
        );
        assert_eq!(level(&loggers, "azimuth_broker.log"), Level::Debug);
        assert_eq!(level(&loggers, "azimuth_broker.node"), Level::Error);
        assert_eq!(level(&loggers, "azimuth_broker.wire"), Level::Warn, "it has its own");
        loggers.change(&[(log(), None)]).unwrap();
        assert_eq!(level(&loggers, "azimuth_broker.log"), Level::Error);
    }

    #[test]
    fn a_filter_that_is_not_taken_changes_nothing() {
        let refusing = Loggers::new("info", Box::new(|_| Err("no".to_owned())));
        assert!(refusing.change(&[(ROOT.to_owned(), Some(Level::Trace))]).is_err());
        assert_eq!(level(&refusing, ROOT), Level::Info);
    }

    #[test]
    fn every_module_is_a_logger() {
        let map = include_str!("../lib.rs");
        let declared = map.lines().filter_map(|line| line.strip_prefix("pub mod "));
        for module in declared.filter_map(|line| line.strip_suffix(';')) {
            assert!(MODULES.contains(&module), "{module} has no logger");
        }
        assert!(
            LEVELS
                .iter()
                .all(|level| level.parse::<Level>().unwrap().to_string() == *level)
        );
    }
}

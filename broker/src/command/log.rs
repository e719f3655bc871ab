//! Log lines on standard error: text for people, or one JSON object each for machines (`AZIMUTH_LOG_FORMAT=json`).
//!
//! Either names the node, where the process has one or the work is one's, and the component: the module of this crate,
//! or the crate.

use std::fmt;
use std::io::IsTerminal;

use azimuth_broker::env::{logger, origin};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const FORMAT: &str = "AZIMUTH_LOG_FORMAT";
const OWN: &str = "azimuth_broker";

/// Begins to log, as `AZIMUTH_LOG` (default: info) and `AZIMUTH_LOG_FORMAT` (default: text) say.
///
/// # Errors
/// A sentence, when the format does not exist.
pub fn init() -> Result<(), String> {
    let lines = match std::env::var(FORMAT).as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("" | "text") => Lines::Text,
        Ok("json") => Lines::Json,
        Ok(other) => return Err(format!("{FORMAT}={other}: there are text and json")),
        Err(error) => return Err(format!("{FORMAT}: {error}")),
    };
    let wanted = std::env::var("AZIMUTH_LOG").unwrap_or_default();
    let base = match EnvFilter::try_new(&wanted) {
        Ok(_) if !wanted.is_empty() => wanted,
        _ => "info".to_owned(),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&base))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(lines)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    subscriber.init();
    // Kafka's tools change levels as configs of a broker's loggers.
    let apply = move |filter: &str| {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    logger::install(&base, Box::new(apply));
    Ok(())
}

#[derive(Clone, Copy)]
enum Lines {
    Text,
    Json,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            time: &time,
            level: *event.metadata().level(),
            node: origin::node(),
            component: component(event.metadata().target()),
            fields,
        };
        match self {
            Self::Text => line.text(&mut out),
            Self::Json => line.json(&mut out),
        }
    }
}

struct Line<'a> {
    time: &'a str,
    level: Level,
    node: Option<i32>,
    component: &'a str,
    fields: Fields,
}

impl Line<'_> {
    fn text(&self, out: &mut Writer<'_>) -> fmt::Result {
        let colour = match self.level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            _ => 34,
        };
        write!(out, "{} ", self.time)?;
        if out.has_ansi_escapes() {
            write!(out, "\u{1b}[{colour}m{:>5}\u{1b}[0m ", self.level.as_str())?;
        } else {
            write!(out, "{:>5} ", self.level.as_str())?;
        }
        if let Some(node) = self.node {
            write!(out, "node={node} ")?;
        }
        // A line feed in what others sent must not begin a line of its own.
        write!(out, "{}: {}", self.component, self.fields.message.replace('\n', "\\n"))?;
        for (key, value) in &self.fields.others {
            write!(out, " {key}={value}")?;
        }
        writeln!(out)
    }

    fn json(&self, out: &mut Writer<'_>) -> fmt::Result {
        let mut object = Map::new();
        object.insert("time".to_owned(), self.time.into());
        object.insert("level".to_owned(), self.level.as_str().into());
        if let Some(node) = self.node {
            object.insert("node".to_owned(), node.into());
        }
        object.insert("component".to_owned(), self.component.into());
        object.insert("message".to_owned(), self.fields.message.as_str().into());
        for (key, value) in &self.fields.others {
            // What an event calls like one of ours does not replace it.
            object.entry(key.clone()).or_insert_with(|| value.clone());
        }
        writeln!(out, "{}", Value::Object(object))
    }
}

/// `azimuth_broker::log::manager` is `log`, `rustls::conn` is `rustls`, and the program itself `main`.
fn component(target: &str) -> &str {
    let mut parts = target.split("::");
    match parts.next() {
        Some(OWN) => parts.next().unwrap_or("main"),
        Some(other) => other,
        None => target,
    }
}

/// An event's fields.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: bool) -> String {
        let fields = Fields {
            message: "two\nlines".to_owned(),
            others: [("bytes".to_owned(), 7.into()), ("level".to_owned(), "mine".into())]
                .into_iter()
                .collect(),
        };
        let line = Line {
            time: "2026-01-02T03:04:05.000006Z",
            level: Level::WARN,
            node: Some(3),
            component: component("azimuth_broker::log::manager"),
            fields,
        };
        let mut out = String::new();
        let mut writer = Writer::new(&mut out);
        if json {
            line.json(&mut writer)
        } else {
            line.text(&mut writer)
        }
        .expect("writes");
        out
    }

    #[test]
    fn a_line_names_time_level_node_and_component() {
        assert_eq!(
            line(false),
            "2026-01-02T03:04:05.000006Z  WARN node=3 log: two\\nlines bytes=7 level=\"mine\"\n"
        );
        let object: Value = serde_json::from_str(&line(true)).expect("JSON");
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["node"], 3);
        assert_eq!(object["component"], "log");
        assert_eq!(object["message"], "two\nlines");
        assert_eq!(object["bytes"], 7);
    }

    #[test]
    fn a_component_is_a_module_of_ours_or_a_crate() {
        assert_eq!(component("azimuth_broker"), "main");
        assert_eq!(component("rustls::conn"), "rustls");
    }
}

//! `azimuth record …`

use clap::{Args, Subcommand};
use strum::VariantArray as _;

use super::value::Offset;
use super::words::Words;
use crate::model::record::filter::Filter;
use crate::model::record::path::JsonPath;
use crate::model::record::range::{Start, Until};
use crate::model::record::view::Form;
use crate::model::{Moment, Snapshot};

/// What can be done with records.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    #[command(flatten)]
    Read(Reading),
    /// Write a record, or one for each line of stdin
    #[command(after_long_help = "\
Examples:
  azimuth record send orders --key customer-7 --value '{\"state\": \"paid\"}' --yes
  azimuth record send orders --key customer-7 --tombstone --yes
  zcat lines.gz | azimuth record send orders --yes")]
    Send(Send),
    /// Write numbered records through every leader with acks=all, and read them back
    #[command(after_long_help = "\
Examples:
  azimuth record check azimuth-probe --yes
  azimuth record check azimuth-probe --records 100 -o json --yes")]
    Check {
        /// A topic made for it: the records stay in it until its retention ends
        #[arg(value_name = "TOPIC")]
        topic: String,
        /// So many to each partition
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        records: u32,
    },
}

/// What is written, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Send {
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// Chosen by the key where it is not given
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// The key, as text
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// A header; may be repeated
    #[arg(long, value_name = "K=V", value_parser = header)]
    pub header: Vec<String>,
    /// The value, as text; without it, every line of stdin is one
    #[arg(long, value_name = "VALUE", conflicts_with = "tombstone")]
    pub value: Option<String>,
    /// No value: what deletes the key from a compacted topic
    #[arg(long, requires = "key")]
    pub tombstone: bool,
}

/// Reading records, once or for ever.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Reading {
    /// Records of a topic, up to its end as it is now; nothing is committed, no group is joined
    #[command(after_long_help = "\
Where: earliest, latest, an offset, -N for the last N of each partition, a time (2026-11-25T21:04:00Z), or a time ago (15m).

Examples:
  azimuth record read orders --offset 15m --grep 'A-17'
  azimuth record read orders --partition 3 --offset 4711 --limit 1 --as json
  azimuth record read orders --offset 2026-11-25T21:00:00Z --to 2026-11-25T21:05:00Z --json-path 'state=paid' -o json")]
    Read(Query),
    /// Follow a topic; nothing is committed, no group is joined
    #[command(after_long_help = "\
Runs until it has printed --limit records, until --timeout, or until interrupted.
Where: earliest, latest, an offset, -N for the last N of each partition, a time (2026-11-25T21:04:00Z), or a time ago (15m).

Examples:
  azimuth record tail orders
  azimuth record tail orders --offset=-10 --limit 10
  azimuth record tail orders --partition 3 --offset earliest --key '^customer-7$' -o json")]
    Tail(Query),
}

/// Which records, and how they are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Query {
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// Only these partitions; may be repeated
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// Where to begin; `read` begins at earliest, `tail` at latest
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true)]
    pub offset: Option<Offset>,
    /// Where to stop, an offset or a time; `read` stops at the end, `tail` never
    #[arg(long, value_name = "WHERE", value_parser = end)]
    pub to: Option<Offset>,
    /// Stop after so many records
    #[arg(long, alias = "count", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Only with this regular expression in the key
    #[arg(long, value_name = "RE", value_parser = pattern, help_heading = "Filters")]
    pub key: Option<String>,
    /// Only with this header; may be repeated
    #[arg(long, value_name = "K=V", value_parser = header, help_heading = "Filters")]
    pub header: Vec<String>,
    /// Only with this regular expression in the value
    #[arg(long, value_name = "RE", value_parser = pattern, help_heading = "Filters")]
    pub grep: Option<String>,
    /// Only where the value is JSON and has this value at this path, such as order.items[0].sku=A-17; may be repeated
    #[arg(long, value_name = "PATH=VALUE", help_heading = "Filters")]
    pub json_path: Vec<JsonPath>,
    /// text, json or hex; for people
    #[arg(long = "as", value_name = "FORM", value_parser = form)]
    pub form: Option<Form>,
    /// Leave out records of transactions that are open or were aborted
    #[arg(long)]
    pub read_committed: bool,
}

impl Query {
    /// What the records must have. Patterns that clap has let through parse.
    pub fn filter(&self) -> Filter {
        let pattern = |text: &Option<String>| text.as_deref().and_then(|text| regex::bytes::Regex::new(text).ok());
        Filter {
            key: pattern(&self.key),
            headers: self
                .header
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            text: pattern(&self.grep),
            json: self.json_path.clone(),
        }
    }

    /// The partitions asked for, or all of the topic.
    ///
    /// # Errors
    /// A sentence, when there is no such topic or partition.
    pub fn partitions(&self, snapshot: &Snapshot) -> Result<Vec<i32>, String> {
        let topic = &self.topic;
        let Some(found) = snapshot.topic(topic) else {
            return Err(format!("there is no topic {topic}"));
        };
        let known: Vec<i32> = found.partitions.iter().map(|own| own.partition).collect();
        match self.partition.iter().find(|partition| !known.contains(partition)) {
            Some(strange) => Err(format!("topic {topic} has {} partitions, no {strange}", known.len())),
            None if self.partition.is_empty() => Ok(known),
            None => Ok(self.partition.clone()),
        }
    }

    fn words(&self, verb: &str) -> Words {
        Words::new(&["record", verb])
            .name(&self.topic)
            .option("--partition", &self.partition)
            .option("--offset", self.offset)
            .option("--to", self.to)
            .option("--limit", self.limit)
            .option("--key", &self.key)
            .option("--header", &self.header)
            .option("--grep", &self.grep)
            .option("--json-path", &self.json_path)
            .option("--as", self.form)
            .flag("--read-committed", self.read_committed)
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Read(Reading::Read(query)) => query.words("read"),
            Self::Read(Reading::Tail(query)) => query.words("tail"),
            Self::Send(wanted) => Words::new(&["record", "send"])
                .name(&wanted.topic)
                .option("--partition", wanted.partition)
                .option("--key", &wanted.key)
                .option("--header", &wanted.header)
                .option("--value", &wanted.value)
                .flag("--tombstone", wanted.tombstone),
            Self::Check { topic, records } => Words::new(&["record", "check"])
                .name(topic)
                .option("--records", Some(*records).filter(|records| *records != 10)),
        }
    }
}

impl Reading {
    /// Where to begin.
    pub fn start(&self, now: Moment) -> Start {
        let from = match self {
            Self::Read(query) => query.offset.unwrap_or(Offset::Start),
            Self::Tail(query) => query.offset.unwrap_or(Offset::End),
        };
        match from {
            Offset::End => Start::End,
            Offset::Start => Start::Beginning,
            Offset::At(offset) => Start::Offset(offset),
            Offset::Last(records) => Start::Last(records),
            Offset::Time(moment) => Start::At(moment),
            Offset::Ago(time) => Start::At(now.checked_sub(time.0).unwrap_or(Moment::MIN)),
        }
    }

    /// Where to stop. `read` without --to stops at the ends that the leaders told, in a partition of a silent leader at
    /// its log's end.
    pub fn until(&self, snapshot: &Snapshot, partitions: &[i32], now: Moment) -> Until {
        let query = self.query();
        let before = |offset: i64| partitions.iter().map(|partition| (*partition, offset)).collect();
        match (query.to, self) {
            (None, Self::Tail(_)) => Until::Followed,
            (None | Some(Offset::End | Offset::Last(_)), _) => {
                let end = |partition: &i32| Some((*partition, snapshot.span(&query.topic, *partition)?.end));
                Until::Offsets(partitions.iter().filter_map(end).collect())
            }
            (Some(Offset::Start), _) => Until::Offsets(before(0)),
            (Some(Offset::At(offset)), _) => Until::Offsets(before(i64::try_from(offset).unwrap_or(i64::MAX))),
            (Some(Offset::Time(moment)), _) => Until::At(moment),
            (Some(Offset::Ago(time)), _) => Until::At(now.checked_sub(time.0).unwrap_or(Moment::MIN)),
        }
    }

    pub fn query(&self) -> &Query {
        match self {
            Self::Read(query) | Self::Tail(query) => query,
        }
    }
}

fn pattern(text: &str) -> Result<String, String> {
    match regex::bytes::Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn header(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("write NAME=VALUE, for example trace-id=4711".to_owned()),
    }
}

fn form(text: &str) -> Result<Form, String> {
    text.parse().map_err(|_| {
        let forms: Vec<String> = Form::VARIANTS.iter().map(Form::to_string).collect();
        format!("there are {}", forms.join(", "))
    })
}

/// The last N before the end is no place to stop at.
fn end(text: &str) -> Result<Offset, String> {
    match text.parse()? {
        Offset::Last(_) => Err("write latest, an offset such as 1200, a time, or a time ago such as 15m".to_owned()),
        offset => Ok(offset),
    }
}

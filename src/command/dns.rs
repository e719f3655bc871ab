//! `azimuth dns …`

use clap::{Args, Subcommand};

use super::value::gate;
use super::words::Words;
use crate::plan::dns::{Want, Wish};

/// What can be done with the name that clients find a cluster by.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// The record sets of a name with their weights, and who still reads and writes on this cluster
    #[command(after_long_help = "\
Exit 1 while somebody is seen who still reads or writes here. Kafka names groups and topics, and no producer.

Examples:
  azimuth dns show bootstrap.kafka.internal --context blue
  azimuth dns show bootstrap.kafka.internal -o json | jq '.still.groups'")]
    Show {
        #[arg(value_name = "RECORD", value_parser = record)]
        record: String,
        /// The hosted zone's id, where the record's name does not tell it
        #[arg(long, value_name = "ID")]
        zone: Option<String>,
    },
    /// Give the record sets of a name other weights, all in one batch, and wait until resolvers ask again
    #[command(after_long_help = "\
Connections that stand stay where they are; azimuth dns show tells who is still there, azimuth wait quiet waits for the last.

Examples:
  azimuth dns switch --record bootstrap.kafka.internal --weights blue=90,green=10 --green green --dry-run
  azimuth dns switch --record bootstrap.kafka.internal --weights blue=0,green=100 --green green --confirm blue
  azimuth dns switch --record bootstrap.kafka.internal --weights blue=100,green=0 --target green=b1.green.internal")]
    Switch(Switch),
    /// The weights that the record sets had before a switch
    #[command(after_long_help = "\
Examples:
  azimuth dns rollback --dry-run
  azimuth dns rollback 7f3c21 --confirm blue
  azimuth dns rollback --record bootstrap.kafka.internal")]
    Rollback {
        /// The switch; the latest of this cluster without it
        #[arg(value_name = "OPERATION")]
        id: Option<String>,
        /// The latest switch of this record
        #[arg(long, value_name = "RECORD", value_parser = record, conflicts_with = "id")]
        record: Option<String>,
        #[command(flatten)]
        how: How,
    },
}

/// Which weights.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Switch {
    /// The name that clients bootstrap from
    #[arg(long, value_name = "RECORD", value_parser = record)]
    pub record: String,
    /// Set identifiers with their weights, 0 to 255; those that are not named keep theirs
    #[arg(long, value_name = "SET=N,…", required = true, value_delimiter = ',', value_parser = weight)]
    pub weights: Vec<String>,
    /// What a set that does not exist yet leads to
    #[arg(long, value_name = "SET=HOST", value_parser = target)]
    pub target: Vec<String>,
    /// The context of the cluster that gets more: it is compared with this one, written to and read from
    #[arg(long, value_name = "CONTEXT")]
    pub green: Option<String>,
    /// The hosted zone's id, where the record's name does not tell it
    #[arg(long, value_name = "ID")]
    pub zone: Option<String>,
    #[command(flatten)]
    pub how: How,
}

/// How a change is begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct How {
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
    /// Go on against these gates; needs --reason
    #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
    pub overrides: Vec<String>,
}

impl How {
    fn words(&self, words: Words) -> Words {
        words.flag("--detach", self.detach).list("--override", &self.overrides)
    }
}

/// A name as resolvers take it. Source: RFC 1035, 2.3.4; `_` and `*` are used beside it.
fn record(text: &str) -> Result<String, String> {
    let fine = |label: &str| {
        let letters = label.chars().all(|c| c.is_ascii_alphanumeric() || "-_*".contains(c));
        (1..=63).contains(&label.len()) && letters && !label.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    match name.len() <= 253 && name.split('.').all(fine) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err("write a name as DNS has it, for example bootstrap.kafka.internal".to_owned()),
    }
}

fn weight(text: &str) -> Result<String, String> {
    let read = pair(text).and_then(|(set, weight)| Some((set, weight.parse::<u8>().ok()?)));
    match read {
        Some((set, weight)) => Ok(format!("{set}={weight}")),
        None => Err("write SET=WEIGHT, a weight is 0 to 255, for example blue=90,green=10".to_owned()),
    }
}

fn target(text: &str) -> Result<String, String> {
    let (set, host) = pair(text).ok_or("write SET=HOST, for example green=b1.green.internal")?;
    Ok(format!("{set}={}", record(host)?))
}

fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(set, _)| !set.is_empty())
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Show { record, zone } => Words::new(&["dns", "show"]).name(record).option("--zone", zone),
            Self::Switch(switch) => switch.how.words(
                Words::new(&["dns", "switch"])
                    .option("--record", Some(&switch.record))
                    .list("--weights", &switch.weights)
                    .option("--target", &switch.target)
                    .option("--green", &switch.green)
                    .option("--zone", &switch.zone),
            ),
            Self::Rollback { id, record, how } => {
                how.words(Words::new(&["dns", "rollback"]).names(id).option("--record", record))
            }
        }
    }

    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Show { .. })
    }
}

impl Switch {
    /// What is wanted, before anything was looked at.
    pub fn wish(&self) -> Wish {
        let weight = |text: &String| {
            let (set, weight) = pair(text)?;
            Some((set.to_owned(), weight.parse().ok()?))
        };
        let target = |text: &String| pair(text).map(|(set, host)| (set.to_owned(), host.to_owned()));
        let want = Want::Weights {
            weights: self.weights.iter().filter_map(weight).collect(),
            targets: self.target.iter().filter_map(target).collect(),
        };
        Wish::new(&self.record, self.zone.as_deref(), want)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_weights_and_targets_are_read_as_route_53_takes_them() {
        assert_eq!(
            record("Bootstrap.Kafka.Internal."),
            Ok("bootstrap.kafka.internal".to_owned())
        );
        for bad in ["", ".", "a..b", "-a.b", "a b", "ü.de"] {
            assert!(record(bad).is_err(), "{bad}");
        }
        assert_eq!(weight("blue=090"), Ok("blue=90".to_owned()));
        for bad in ["blue", "blue=", "=1", "blue=256", "blue=-1", "blue=x"] {
            assert!(weight(bad).is_err(), "{bad}");
        }
        assert_eq!(target("green=B1.green"), Ok("green=b1.green".to_owned()));
        assert!(target("green=").is_err());
    }
}

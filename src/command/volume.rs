//! `azimuth volume …`

use clap::{Args, Subcommand};

use super::value::{Time, driver, gate};
use super::words::Words;
use crate::model::BrokerId;
use crate::model::driver::DriverName;
use crate::plan::intent::Intent;
use crate::plan::swap;
use crate::plan::volume::{Verb as Wanted, Wanted as Shape, Wish};

/// What can be done with EBS volumes.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// All volumes of the brokers' instances, with use and limits
    #[command(after_long_help = "\
Examples:
  azimuth volume list
  azimuth volume list --window 10m                 loads and growth over the last ten minutes
  azimuth volume list -o wide                      what raising a limit costs, burst, latency, snapshots")]
    List {
        /// Loads and growth over so long a time, as far as it was recorded; CloudWatch's newest points without it
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Volumes in full
    #[command(after_long_help = "\
Examples:
  azimuth volume show vol-0c3fd1a2b4c5d6e7f")]
    Show {
        #[arg(required = true, value_name = "VOLUME")]
        ids: Vec<String>,
        /// Loads and growth over so long a time, as far as it was recorded
        #[arg(long, value_name = "TIME")]
        window: Option<Time>,
    },
    /// Make a volume larger or faster, or another type, online; then extend its file system
    #[command(after_long_help = "\
Examples:
  azimuth volume modify vol-0c12 --size 3072 --dry-run
  azimuth volume modify vol-0c12 --throughput 500 --iops 4000 --yes
  azimuth volume modify vol-0c12 --type gp3 --size 3072 --driver ssm --confirm prod-eu")]
    Modify {
        #[arg(value_name = "VOLUME")]
        id: String,
        #[command(flatten)]
        shape: ShapeFlags,
        /// What extends the file system on the host; the context's only driver without it
        #[arg(long, value_name = "command|ssh|ssm", value_parser = driver)]
        driver: Option<DriverName>,
        #[command(flatten)]
        how: How,
    },
    /// Extend a file system that has not grown with its volume
    #[command(after_long_help = "\
Examples:
  azimuth volume extend vol-0c12 --dry-run
  azimuth volume extend vol-0c12 --driver ssm --yes")]
    Extend {
        #[arg(value_name = "VOLUME")]
        id: String,
        /// What extends it on the host; the context's only driver without it
        #[arg(long, value_name = "command|ssh|ssm", value_parser = driver)]
        driver: Option<DriverName>,
        #[command(flatten)]
        how: How,
    },
    /// Snapshot all data volumes of a broker at one moment
    #[command(after_long_help = "\
Examples:
  azimuth volume snapshot --broker 4 --yes
  azimuth volume snapshot --broker 4 --detach --confirm prod-eu")]
    Snapshot {
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: BrokerId,
        #[command(flatten)]
        how: How,
    },
    /// Make a volume from a snapshot, in the zone of a broker's instance and like its own
    #[command(after_long_help = "\
Examples:
  azimuth volume create --from-snapshot snap-0a1b --broker 4 --dry-run
  azimuth volume create --from-snapshot snap-0a1b --broker 4 --size 3072 --yes")]
    Create {
        #[arg(long, value_name = "SNAPSHOT")]
        from_snapshot: String,
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: BrokerId,
        #[command(flatten)]
        shape: ShapeFlags,
        #[command(flatten)]
        how: How,
    },
    /// Exchange the volumes of a broker that are not encrypted for copies that are; it stops only for the exchange
    #[command(after_long_help = "\
The old volumes stay, detached, until somebody deletes them. What is written meanwhile comes from the other replicas.

Examples:
  azimuth volume encrypt --broker 4 --dry-run
  azimuth volume encrypt --broker 4 --kms-key alias/kafka --confirm prod-eu")]
    Encrypt {
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: BrokerId,
        /// Its id, ARN or alias; the account's key for EBS without it
        #[arg(long, value_name = "KEY")]
        kms_key: Option<String>,
        /// What stops and starts the broker; the context's only driver without it
        #[arg(long, value_name = "command|ssh|ssm", value_parser = driver)]
        driver: Option<DriverName>,
        #[command(flatten)]
        how: How,
    },
    /// Attach a volume to a broker's instance
    #[command(after_long_help = "\
Examples:
  azimuth volume attach vol-0c12 --broker 4 --yes
  azimuth volume attach vol-0c12 --broker 4 --device /dev/sdg --dry-run")]
    Attach {
        #[arg(value_name = "VOLUME")]
        id: String,
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(BrokerId).range(0..))]
        broker: BrokerId,
        /// As EC2 calls it; the first that is free from /dev/sdf on without it
        #[arg(long, value_name = "NAME")]
        device: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Detach a volume from its instance; whoever uses it must be stopped
    #[command(after_long_help = "\
Examples:
  azimuth broker stop 4 --yes && azimuth volume detach vol-0c12 --yes")]
    Detach {
        #[arg(value_name = "VOLUME")]
        id: String,
        #[command(flatten)]
        how: How,
    },
}

/// What of a volume shall be otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ShapeFlags {
    /// Size; a volume cannot shrink
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(i64).range(1..))]
    pub size: Option<i64>,
    /// gp3, gp2, io1, io2, st1 or sc1
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Of gp3, io1 and io2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub iops: Option<i64>,
    /// Of gp3, in MiB/s; a quarter MiB/s an IOPS at most
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(i64).range(1..))]
    pub throughput: Option<i64>,
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

impl ShapeFlags {
    fn words(&self, words: Words) -> Words {
        words
            .option("--size", self.size)
            .option("--type", &self.kind)
            .option("--iops", self.iops)
            .option("--throughput", self.throughput)
    }

    fn wanted(&self) -> Shape {
        Shape {
            size_gib: self.size,
            volume_type: self.kind.clone(),
            iops: self.iops,
            throughput_mib_per_second: self.throughput,
        }
    }
}

impl How {
    fn words(&self, words: Words) -> Words {
        words.flag("--detach", self.detach).list("--override", &self.overrides)
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        let start = |verb| Words::new(&["volume", verb]);
        match self {
            Self::List { window } => start("list").option("--window", *window),
            Self::Show { ids, window } => start("show").names(ids).option("--window", *window),
            Self::Modify { id, shape, driver, how } => {
                how.words(shape.words(start("modify").name(id)).option("--driver", *driver))
            }
            Self::Extend { id, driver, how } => how.words(start("extend").name(id).option("--driver", *driver)),
            Self::Snapshot { broker, how } => how.words(start("snapshot").option("--broker", Some(*broker))),
            Self::Create {
                from_snapshot,
                broker,
                shape,
                how,
            } => {
                let words = start("create")
                    .option("--from-snapshot", Some(from_snapshot))
                    .option("--broker", Some(*broker));
                how.words(shape.words(words))
            }
            Self::Encrypt {
                broker,
                kms_key,
                driver,
                how,
            } => {
                let words = start("encrypt").option("--broker", Some(*broker));
                how.words(words.option("--kms-key", kms_key).option("--driver", *driver))
            }
            Self::Attach {
                id,
                broker,
                device,
                how,
            } => {
                let words = start("attach").name(id).option("--broker", Some(*broker));
                how.words(words.option("--device", device))
            }
            Self::Detach { id, how } => how.words(start("detach").name(id)),
        }
    }

    /// The change and how it is begun; `None` of a verb that reads.
    pub fn change(&self) -> Option<(Intent, &How)> {
        let wish = |verb| Wish::new(verb);
        let (wish, how) = match self {
            Self::List { .. } | Self::Show { .. } => return None,
            Self::Encrypt {
                broker,
                kms_key,
                driver,
                how,
            } => {
                let kms_key = kms_key.clone();
                let wish = swap::Wish {
                    driver: *driver,
                    ..swap::Wish::new(*broker, swap::What::Encrypt { kms_key })
                };
                return Some((Intent::Swap(wish), how));
            }
            Self::Modify { id, shape, driver, how } => {
                let verb = Wanted::Modify {
                    volume: id.clone(),
                    wanted: shape.wanted(),
                };
                let driver = *driver;
                (Wish { driver, ..wish(verb) }, how)
            }
            Self::Extend { id, driver, how } => {
                let verb = Wanted::Extend { volume: id.clone() };
                let driver = *driver;
                (Wish { driver, ..wish(verb) }, how)
            }
            Self::Snapshot { broker, how } => (wish(Wanted::Snapshot { broker: *broker }), how),
            Self::Create {
                from_snapshot,
                broker,
                shape,
                how,
            } => {
                let verb = Wanted::Create {
                    snapshot: from_snapshot.clone(),
                    broker: *broker,
                    wanted: shape.wanted(),
                };
                (wish(verb), how)
            }
            Self::Attach {
                id,
                broker,
                device,
                how,
            } => {
                let verb = Wanted::Attach {
                    volume: id.clone(),
                    broker: *broker,
                    device: device.clone(),
                };
                (wish(verb), how)
            }
            Self::Detach { id, how } => (wish(Wanted::Detach { volume: id.clone() }), how),
        };
        Some((Intent::Volume(wish), how))
    }
}

//! `azimuth reassign …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::schedule::When;
use super::value::{Assignment, Brokers, DirName, Rate, Size, Swap, Time, gate, topics};
use super::words::Words;
use crate::plan::intent;
use crate::plan::reassign::{Cancel, Goal, MaxRate, Measure, Target, Wish, parse};

/// What can be done about where replicas are.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one command in a process, and clap's Args cannot be boxed in a variant"
)]
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Work out a plan and show it; nothing is changed
    #[command(after_long_help = "\
Examples:
  azimuth reassign plan --drain-broker 4 --out plan.json
  azimuth reassign plan --add-broker 31..36 --exclude 'audit-.*' --max-bytes-in-flight 50GB
  azimuth reassign plan --balance leaders
  azimuth reassign plan --refresh plan.json --valid 72h --out fresh.json
  azimuth reassign plan --rf 3 --topic 'orders|clicks' --to-json kafka.json --undo-json back.json
  azimuth reassign plan --move orders:3=1,4,5 --out plan.json
  azimuth reassign plan --from-json reassignment.json -o json")]
    Plan(Intent),
    /// Carry out a plan; it goes on when the terminal is lost
    #[command(after_long_help = "\
Examples:
  azimuth reassign apply plan.json --dry-run
  azimuth reassign apply plan.json --context dev --yes
  azimuth reassign apply plan.json --window 22:00-06:00Z --outside-rate 20MB --pause-after first")]
    Apply {
        /// A plan that `reassign plan --out` saved; - reads it from stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Do not wait for the end
        #[arg(long)]
        detach: bool,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
        /// Leave out what has changed since the plan was made, and name it
        #[arg(long)]
        skip_drifted: bool,
        #[command(flatten)]
        when: When,
    },
    /// What is in flight, whoever started it
    #[command(after_long_help = "\
Examples:
  azimuth reassign list
  azimuth reassign list -o json")]
    List,
    /// Cancel what is in flight, whoever started it: partitions go back to where they were
    #[command(after_long_help = "\
Examples:
  azimuth reassign cancel orders:3 --dry-run
  azimuth reassign cancel --all --context dev --yes")]
    Cancel {
        /// TOPIC, or TOPIC:PARTITION
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TOPIC[:P]")]
        names: Vec<String>,
        /// Everything in flight
        #[arg(long)]
        all: bool,
        /// Go on against these gates; needs --reason
        #[arg(long = "override", value_name = "GATE", value_delimiter = ',', value_parser = gate)]
        overrides: Vec<String>,
    },
}

/// What a reassignment is for: one goal, for some topics, so much of it at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[group(id = "goal", required = true, multiple = true, args = [
    "moves", "from_json", "drain_broker", "add_broker", "spread", "balance", "rf", "replace", "drain_dir", "refresh",
])]
pub struct Intent {
    /// Where a partition shall be; may be repeated
    #[arg(long = "move", value_name = "TOPIC:P=ID,ID", conflicts_with_all = WORKED_OUT)]
    pub moves: Vec<Assignment>,
    /// The assignments in a file of kafka-reassign-partitions.sh's format
    #[arg(long, value_name = "FILE", conflicts_with_all = WORKED_OUT)]
    pub from_json: Option<PathBuf>,
    /// Every replica leaves these brokers
    #[arg(long, value_name = "ID,ID|A..B", conflicts_with_all = BUT_DRAIN)]
    pub drain_broker: Option<Brokers>,
    /// These brokers get their share, from those that hold more than theirs
    #[arg(long, value_name = "ID,ID|A..B", conflicts_with_all = ["spread", "balance", "rf", "replace", "drain_dir"])]
    pub add_broker: Option<Brokers>,
    /// Replicas are spread over the racks as evenly as they allow
    #[arg(long, conflicts_with_all = ["balance", "rf", "replace", "drain_dir"])]
    pub spread: bool,
    /// Every broker holds its share of bytes, of preferred leaders, or of replicas
    #[arg(long, value_name = "bytes|leaders|count", value_parser = measure, conflicts_with_all = ["rf", "replace", "drain_dir"])]
    pub balance: Option<Measure>,
    /// Every partition has so many replicas; internal topics only where --topic names them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..), conflicts_with_all = ["replace", "drain_dir"])]
    pub rf: Option<i16>,
    /// NEW takes over what OLD holds; may be repeated
    #[arg(long, value_name = "OLD=NEW", conflicts_with_all = ["drain_dir"])]
    pub replace: Vec<Swap>,
    /// The replicas of a log directory go to other brokers; without DIR the fullest
    #[arg(long, value_name = "ID[:DIR]")]
    pub drain_dir: Option<DirName>,
    /// Only topics whose whole name this regular expression matches
    #[arg(long, value_name = "RE", value_parser = topics, conflicts_with_all = ["moves", "from_json"])]
    pub topic: Option<String>,
    /// No topic whose whole name this regular expression matches
    #[arg(long, value_name = "RE", value_parser = topics, conflicts_with_all = ["moves", "from_json"])]
    pub exclude: Option<String>,
    /// A step copies at most so much, for example 50GB; without it, ten partitions
    #[arg(long, value_name = "SIZE")]
    pub max_bytes_in_flight: Option<Size>,
    /// Copy at most so fast on each broker, for example 50MB; none is as fast as it goes. Without it, 70 % of what the limits of volumes, instances and network leave, where they are known
    #[arg(long, value_name = "RATE|none")]
    pub max_rate: Option<Rate>,
    /// Work a saved plan out again against the cluster as it is, and say what differs; with a goal, compare with that
    #[arg(long, value_name = "FILE")]
    pub refresh: Option<PathBuf>,
    /// How long the plan may wait for its apply, for example 72h; 24 h without it
    #[arg(long, value_name = "DURATION")]
    pub valid: Option<Time>,
    /// Save the plan to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the assignment for kafka-reassign-partitions.sh --execute
    #[arg(long, value_name = "FILE")]
    pub to_json: Option<PathBuf>,
    /// Write the way back, in the same format
    #[arg(long, value_name = "FILE")]
    pub undo_json: Option<PathBuf>,
}

/// The goals that are worked out, by their fields.
const WORKED_OUT: [&str; 7] = [
    "drain_broker",
    "add_broker",
    "spread",
    "balance",
    "rf",
    "replace",
    "drain_dir",
];
const BUT_DRAIN: [&str; 6] = ["add_broker", "spread", "balance", "rf", "replace", "drain_dir"];

fn measure(text: &str) -> Result<Measure, String> {
    text.parse().map_err(|_| "write bytes, leaders or count".to_owned())
}

/// What a flag that may be left out means.
pub fn max_rate(flag: Option<Rate>) -> MaxRate {
    match flag {
        None => MaxRate::Solved,
        Some(Rate(None)) => MaxRate::Unlimited,
        Some(Rate(Some(bytes))) => MaxRate::At(bytes),
    }
}

impl Verb {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Plan(intent) => Words::new(&["reassign", "plan"])
                .option("--move", &intent.moves)
                .option("--from-json", intent.from_json.as_ref().map(|path| path.display()))
                .option("--drain-broker", &intent.drain_broker)
                .option("--add-broker", &intent.add_broker)
                .flag("--spread", intent.spread)
                .option("--balance", intent.balance)
                .option("--rf", intent.rf)
                .option("--replace", &intent.replace)
                .option("--drain-dir", &intent.drain_dir)
                .option("--topic", &intent.topic)
                .option("--exclude", &intent.exclude)
                .option("--max-bytes-in-flight", intent.max_bytes_in_flight)
                .option("--max-rate", intent.max_rate)
                .option("--refresh", intent.refresh.as_ref().map(|path| path.display()))
                .option("--valid", intent.valid)
                .option("--out", intent.out.as_ref().map(|path| path.display()))
                .option("--to-json", intent.to_json.as_ref().map(|path| path.display()))
                .option("--undo-json", intent.undo_json.as_ref().map(|path| path.display())),
            Self::Apply {
                file,
                detach,
                overrides,
                skip_drifted,
                when,
            } => when.words(
                Words::new(&["reassign", "apply"])
                    .name(file.display())
                    .flag("--detach", *detach)
                    .flag("--skip-drifted", *skip_drifted)
                    .list("--override", overrides),
            ),
            Self::List => Words::new(&["reassign", "list"]),
            Self::Cancel { names, all, overrides } => Words::new(&["reassign", "cancel"])
                .names(names)
                .flag("--all", *all)
                .list("--override", overrides),
        }
    }

    /// What it sends back; `None` of another verb.
    pub fn cancel(&self) -> Option<intent::Intent> {
        let wish = match self {
            Self::Cancel { all: true, .. } => Cancel::All,
            Self::Cancel { names, .. } => Cancel::Named(names.clone()),
            _ => return None,
        };
        Some(intent::Intent::CancelReassign(wish))
    }
}

impl Intent {
    /// What is wanted; `file` is the text of [`Intent::from_json`].
    ///
    /// # Errors
    /// When the text is no reassignment file.
    pub fn wish(&self, file: Option<&str>) -> Result<Wish, crate::plan::Error> {
        let goal = match self.goal() {
            Some(goal) => goal,
            None => {
                let named = self.moves.iter();
                let named = named.map(|one| Target::new(&one.topic, one.partition, one.replicas.clone()));
                let read = file.map(parse).transpose()?.unwrap_or_default();
                Goal::Assign(named.chain(read).collect())
            }
        };
        Ok(Wish {
            goal,
            topics: self.topic.clone(),
            exclude: self.exclude.clone(),
            max_bytes_in_flight: self.max_bytes_in_flight.map(|size| size.0),
            max_rate: max_rate(self.max_rate),
        })
    }

    /// Whether nothing but a saved plan says where partitions shall be.
    pub fn only_refreshes(&self) -> bool {
        self.refresh.is_some() && self.goal().is_none() && self.moves.is_empty() && self.from_json.is_none()
    }

    /// The goal that has to be worked out; `None` where every partition is named.
    fn goal(&self) -> Option<Goal> {
        let brokers = |brokers: &Option<Brokers>| brokers.as_ref().map(|brokers| brokers.0.clone());
        let replace = || {
            let pairs = self.replace.iter().map(|swap| (swap.old, swap.new)).collect::<Vec<_>>();
            (!pairs.is_empty()).then_some(Goal::Replace(pairs))
        };
        let dir = |dir: &DirName| Goal::DrainDir {
            broker: dir.broker,
            path: dir.path.clone(),
        };
        brokers(&self.drain_broker)
            .map(Goal::Drain)
            .or_else(|| brokers(&self.add_broker).map(Goal::Add))
            .or_else(|| self.spread.then_some(Goal::Spread))
            .or_else(|| self.balance.map(Goal::Balance))
            .or_else(|| self.rf.map(Goal::Factor))
            .or_else(replace)
            .or_else(|| self.drain_dir.as_ref().map(dir))
    }
}

//! Random lines from a seed, for the round trip of printing and parsing. Names are as nasty as a shell allows.

use std::path::PathBuf;
use std::time::Duration;

use clap_complete::Shell;
use strum::IntoEnumIterator;

use super::schedule::{Begin, Until, When};
use super::throttle::CatchUpRate;
use super::value::{Assignment, Brokers, DirName, Offset, PartitionName, Rate, Size, Swap, Time};
use super::{
    Command, Global, Line, Output, acl, broker, capture, check, completions, config, context, cost, dashboard, demo,
    dns, feature, group, leader, logdir, man, mirror, operation, partition, quorum, quota, reassign, record, recorder,
    replay, restart, runbook, throttle, topic, transaction, triage, user, volume, wait, whatif,
};
use crate::model::Moment;
use crate::model::acl::Operation;
use crate::model::config::Owner;
use crate::model::driver::{Action, DriverName};
use crate::model::quota::{Entity, Whom};
use crate::model::record::view::Form;
use crate::model::row::difference::Part;
use crate::model::when;
use crate::plan::reassign::Measure;
use crate::plan::schedule::{PauseAfter, Window};

/// xorshift64*: small, and the same everywhere.
pub struct Random(u64);

const PIECES: [&str; 16] = [
    "a", "orders", "-", "--", "'", "\"", " ", "\\", "$HOME", "=", "ü", "*", ".", "\n", ":", "0",
];

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) == 0).then(|| make(self))
    }

    fn fail_on(&mut self) -> triage::FailOn {
        match self.flip() {
            true => triage::FailOn::Warn,
            false => triage::FailOn::Fail,
        }
    }

    fn check(&mut self) -> check::Verb {
        let planes = [
            check::Plane::Kafka,
            check::Plane::Aws,
            check::Plane::Metrics,
            check::Plane::Recording,
        ];
        match self.below(3) {
            0 => check::Verb::List {
                section: self.maybe(Self::text),
            },
            1 => check::Verb::Explain { id: self.text() },
            _ => check::Verb::Run(check::Run {
                ids: self.some(0, Self::text),
                section: self.maybe(Self::text),
                fail_on: self.fail_on(),
                unknown: match self.flip() {
                    true => check::Unknown::Fail,
                    false => check::Unknown::Ignore,
                },
                plane: planes.into_iter().filter(|_| self.flip()).collect(),
                quiet: self.flip(),
                expect_brokers: self.maybe(|any| any.below(1000) as u32),
                strict: self.flip(),
            }),
        }
    }

    fn wait(&mut self) -> wait::Verb {
        let how = wait::How {
            hold: self.maybe(Self::time),
        };
        match self.below(6) {
            0 => wait::Verb::Healthy {
                fail_on: self.fail_on(),
                strict: self.flip(),
                how,
            },
            1 => {
                let names = self.some(0, Self::text);
                wait::Verb::Lag {
                    all: names.is_empty(),
                    names,
                    below: self.below(1 << 40),
                    how,
                }
            }
            2 => wait::Verb::Isr {
                topics: self.some(0, Self::text),
                broker: self.maybe(|any| any.below(1000) as i32),
                how,
            },
            3 => wait::Verb::Quiet { how },
            4 => wait::Verb::Mirrored(wait::Mirrored {
                topics: self.some(0, Self::text),
                source: self.text(),
                prefix: self.maybe(Self::text).unwrap_or_default(),
                below: self.maybe(Self::time),
                how,
            }),
            _ => wait::Verb::Reassigned {
                topics: self.some(0, Self::text),
                how,
            },
        }
    }

    fn pair(&mut self) -> runbook::Pair {
        runbook::Pair {
            name: format!("n{}", self.below(9)),
            value: self.text(),
        }
    }

    fn runbook(&mut self) -> runbook::Verb {
        let with = runbook::With {
            answers: self.some(0, Self::pair),
            also_confirm: self.some(0, Self::text),
        };
        match self.below(6) {
            0 => runbook::Verb::List { runs: self.flip() },
            1 => runbook::Verb::Show {
                name: Some(self.text()),
                run: None,
                source: self.flip(),
            },
            2 => runbook::Verb::Show {
                name: None,
                run: Some(self.text()),
                source: false,
            },
            3 => runbook::Verb::Check { file: self.path() },
            4 => runbook::Verb::Run {
                name: self.text(),
                set: self.some(0, Self::pair),
                with,
            },
            _ => {
                let again = self.maybe(Self::text);
                runbook::Verb::Resume {
                    id: self.text(),
                    done: self.maybe(Self::text).filter(|_| again.is_none()),
                    again,
                    with,
                }
            }
        }
    }

    fn time(&mut self) -> Time {
        Time(Duration::from_millis(1 + self.below(100_000)))
    }

    fn some<T>(&mut self, least: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = least + self.below(3);
        (0..count).map(|_| make(self)).collect()
    }

    fn text(&mut self) -> String {
        let count = 1 + self.below(4);
        (0..count)
            .map(|_| PIECES[self.below(PIECES.len() as u64) as usize])
            .collect()
    }

    fn gates(&mut self) -> Vec<String> {
        self.some(0, |random| {
            ["disk", "isr", "rack-spread"][random.below(3) as usize].to_owned()
        })
    }

    fn then(&mut self) -> when::When {
        match self.flip() {
            true => when::When::At(Moment::from_second(self.below(2_000_000_000) as i64).unwrap()),
            false => when::When::Day(self.below(86_400) as u32),
        }
    }

    fn path(&mut self) -> PathBuf {
        PathBuf::from(self.text())
    }

    fn id(&mut self) -> i32 {
        self.below(1 << 31) as i32
    }

    fn dir(&mut self) -> DirName {
        DirName {
            broker: self.id(),
            path: self.maybe(Self::text),
        }
    }

    fn offset(&mut self) -> Offset {
        match self.below(6) {
            0 => Offset::Start,
            1 => Offset::End,
            2 => Offset::At(self.below(1000)),
            3 => Offset::Time(Moment::from_second(self.below(2_000_000_000) as i64).unwrap()),
            4 => Offset::Ago(Time(Duration::from_secs(1 + self.below(1000)))),
            _ => Offset::Last(self.below(1000) as u32),
        }
    }

    fn assignment(&mut self) -> Assignment {
        let first = self.id() / 2;
        Assignment {
            topic: format!("t{}", self.below(9)),
            partition: self.id(),
            replicas: (0..1 + self.below(3) as i32).map(|at| first + at).collect(),
        }
    }

    pub fn line(&mut self) -> Line {
        Line {
            command: (self.below(12) > 0).then(|| self.command()),
            global: self.global(),
        }
    }

    fn global(&mut self) -> Global {
        let outputs = [
            Output::Table,
            Output::Wide,
            Output::Json,
            Output::Yaml,
            Output::Csv,
            Output::Name,
        ];
        Global {
            context: self.maybe(Self::text),
            context_file: self.maybe(Self::path),
            bootstrap: self.maybe(Self::text),
            command_config: self.maybe(Self::path),
            property: self.some(0, Self::text),
            // In a folder, so that it does not look like a time that is none.
            from: self.maybe(|random| PathBuf::from("captures").join(random.path())),
            output: outputs[self.below(6) as usize],
            timeout: self.maybe(Self::time),
            no_color: self.flip(),
            dry_run: self.flip(),
            yes: self.flip(),
            confirm: self.maybe(Self::text),
            reason: self.maybe(Self::text),
            allow_changes: self.flip(),
        }
    }

    fn command(&mut self) -> Command {
        match self.below(32) {
            0 => Command::Broker(match self.below(6) {
                0 => broker::Verb::List {
                    window: self.maybe(Self::time),
                },
                1 => broker::Verb::Show {
                    id: self.id(),
                    window: self.maybe(Self::time),
                },
                2 => broker::Verb::Stop(self.drive()),
                3 => broker::Verb::Start(self.drive()),
                4 => broker::Verb::Replace {
                    drive: self.drive(),
                    instance: format!("i-{:017x}", self.below(1 << 40)),
                    detach: self.flip(),
                },
                _ => broker::Verb::Config {
                    id: self.id(),
                    all: self.flip(),
                    key: self.maybe(Self::text),
                },
            }),
            1 => Command::Topic(self.topic()),
            2 => Command::Partition(partition::Verb::List(partition::Filter {
                offline: self.flip(),
                under_min_isr: self.flip(),
                at_min_isr: self.flip(),
                under_replicated: self.flip(),
                rack_violation: self.flip(),
                leader_not_preferred: self.flip(),
                topic: self.maybe(Self::text),
                broker: self.maybe(Self::id),
            })),
            3 => Command::Group(match self.below(6) {
                0 => group::Verb::List {
                    state: self.maybe(Self::text),
                    window: self.maybe(Self::time),
                },
                1 => group::Verb::Show {
                    names: self.some(1, Self::text),
                    window: self.maybe(Self::time),
                },
                2 => group::Verb::Lag {
                    names: Vec::new(),
                    all: true,
                    window: self.maybe(Self::time),
                },
                3 => group::Verb::Lag {
                    names: self.some(1, Self::text),
                    all: false,
                    window: None,
                },
                4 => {
                    let to = self.maybe(Self::offset);
                    group::Verb::Reset {
                        name: self.text(),
                        topics: self.some(0, Self::text),
                        shift_by: to.is_none().then(|| self.below(2000) as i64 - 1000),
                        to,
                        overrides: self.gates(),
                    }
                }
                _ => group::Verb::Delete {
                    names: self.some(1, Self::text),
                    overrides: self.gates(),
                },
            }),
            4 => Command::Volume(self.volume()),
            5 => Command::Logdir(match self.below(3) {
                0 => logdir::Verb::List {
                    broker: self.maybe(Self::id),
                    window: self.maybe(Self::time),
                },
                1 => logdir::Verb::Show {
                    name: self.dir(),
                    window: self.maybe(Self::time),
                },
                _ => logdir::Verb::Relieve {
                    name: self.dir(),
                    apply: self.maybe(|random| 1 + random.below(9) as u32),
                },
            }),
            6 => Command::Quorum(quorum::Verb::Show),
            7 => {
                let query = record::Query {
                    topic: self.text(),
                    partition: self.some(0, Self::id),
                    offset: self.maybe(Self::offset),
                    to: self.flip().then(|| Offset::At(self.below(1000))),
                    limit: self.maybe(|random| 1 + random.below(1000)),
                    key: self.flip().then(|| "^a.*b$".to_owned()),
                    header: self.some(0, |random| format!("h={}", random.text())),
                    grep: self.flip().then(|| "it's|-x".to_owned()),
                    json_path: self.some(0, |random| format!("a[{}].b=c d", random.below(9)).parse().unwrap()),
                    form: self.flip().then_some(Form::Hex),
                    read_committed: self.flip(),
                };
                let reading = match self.flip() {
                    true => record::Reading::Read(query),
                    false => record::Reading::Tail(query),
                };
                Command::Record(match self.below(4) {
                    0 => record::Verb::Check {
                        topic: self.text(),
                        records: 1 + self.below(20) as u32,
                    },
                    1 => record::Verb::Send(self.sent()),
                    _ => record::Verb::Read(reading),
                })
            }
            8 => match self.below(3) {
                0 => Command::Reassign(self.reassign()),
                1 => Command::Restart(self.restart()),
                _ => Command::Leader(self.leader()),
            },
            9 => Command::Operation(self.operation()),
            10 => Command::Capture(match self.flip() {
                true => capture::Verb::Save { file: self.path() },
                false => capture::Verb::Show { file: self.path() },
            }),
            11 => Command::Context(self.context()),
            19 => Command::Triage(triage::Triage {
                watch: self.flip(),
                strict: self.flip(),
                fail_on: self.fail_on(),
                window: self.maybe(Self::time),
            }),
            20 => match self.below(4) {
                0 => Command::Dns(self.dns()),
                _ => Command::Wait(self.wait()),
            },
            22 => Command::Runbook(self.runbook()),
            24 => Command::Man(man::Man { dir: self.path() }),
            23 => Command::Feature(match self.flip() {
                true => feature::Verb::List,
                false => feature::Verb::Finalize {
                    name: self.text(),
                    level: self.maybe(|any| any.below(100) as i16),
                    overrides: self.gates(),
                },
            }),
            25 => Command::Check(self.check()),
            26 => Command::Whatif(match self.below(4) {
                3 => whatif::Verb::List,
                0 => whatif::Verb::AzLoss { zone: self.text() },
                1 => whatif::Verb::Restart { broker: self.id() },
                _ => whatif::Verb::AddBroker {
                    count: 1 + self.below(1000) as u32,
                },
            }),
            31 => {
                let source = self.maybe(Self::text);
                Command::Mirror(mirror::Verb::List {
                    alias: source.is_some().then(|| self.maybe(Self::text)).flatten(),
                    this: source.is_some().then(|| self.maybe(Self::text)).flatten(),
                    source,
                })
            }
            30 => Command::Dashboard(dashboard::Dashboard {
                metric: self.maybe(Self::text),
                window: self.maybe(Self::time),
            }),
            29 => Command::Cost(cost::Cost {
                window: self.maybe(Self::time),
            }),
            27 => Command::Replay(replay::Replay {
                at: self.maybe(Self::then),
                to: self.maybe(Self::then),
            }),
            28 => Command::Recorder(recorder::Recorder {
                unit: self.flip(),
                metrics: self.maybe(|any| ([127, 0, 0, 1], any.below(60_000) as u16).into()),
                cloudwatch: self.maybe(Self::text),
            }),
            12 => Command::Demo(match self.flip() {
                true => demo::Demo {
                    control: Some(self.path()),
                    action: Some(Action::Restart),
                    broker: Some(self.id()),
                    ..demo::Demo::default()
                },
                false => demo::Demo {
                    drill: self.maybe(Self::text),
                    clock_factor: self.maybe(|any| 1 + u32::from(any.flip())),
                    headless: self.flip(),
                    ..demo::Demo::default()
                },
            }),
            13 => Command::Acl(self.acl()),
            14 => Command::User(self.user()),
            15 => Command::Quota(self.quota()),
            16 => Command::Config(self.config()),
            17 => Command::Throttle(match self.below(3) {
                0 => throttle::Verb::List { stale: self.flip() },
                1 => {
                    let catch_up = self.flip();
                    let zone = catch_up && self.flip();
                    throttle::Verb::Set {
                        rate: Some(CatchUpRate(Some(1 + self.below(1 << 40)))),
                        catch_up,
                        broker: (catch_up && !zone).then(|| self.brokers()),
                        az: zone.then(|| self.text()),
                        detach: self.flip(),
                        overrides: self.gates(),
                    }
                }
                _ => {
                    let broker = self.maybe(Self::brokers);
                    let topic = self.some(0, Self::text);
                    throttle::Verb::Clear {
                        foreign: broker.is_none() && topic.is_empty() && self.flip(),
                        broker,
                        topic,
                        overrides: self.gates(),
                    }
                }
            }),
            18 => {
                let topic = self.maybe(Self::text);
                Command::Transaction(match self.flip() {
                    true => transaction::Verb::List {
                        hanging: topic.is_some() || self.flip(),
                        topic,
                    },
                    false => transaction::Verb::Abort {
                        partition: PartitionName {
                            topic: self.text(),
                            partition: self.below(9) as i32,
                        },
                        producer: self.below(9999) as i64,
                        overrides: self.gates(),
                    },
                })
            }
            _ => Command::Completions(completions::Completions {
                shell: [Shell::Bash, Shell::Zsh, Shell::Fish][self.below(3) as usize],
            }),
        }
    }

    fn acl(&mut self) -> acl::Verb {
        let operations: Vec<Operation> = Operation::iter().collect();
        let operation = operations[self.below(operations.len() as u64) as usize];
        let mut on = acl::On::default();
        match self.below(7) {
            0 => on.topic = Some(self.text()),
            1 => on.group = Some(self.text()),
            2 => on.transactional_id = Some(self.text()),
            3 => on.cluster = true,
            4 => on.delegation_token = Some(self.text()),
            5 => on.user = Some(self.text()),
            _ => {}
        }
        match self.below(5) {
            0 => acl::Verb::Diff { file: self.path() },
            1 => acl::Verb::Apply {
                file: self.path(),
                prune: self.flip(),
                detach: self.flip(),
                overrides: self.gates(),
            },
            2 => {
                let mut of = acl::Of::default();
                match self.below(5) {
                    0 => of.principal = Some(self.text()),
                    1 => of.topic = Some(self.text()),
                    2 => of.topic_prefix = Some(self.text()),
                    3 => of.group = Some(self.text()),
                    _ => {}
                }
                acl::Verb::Edit {
                    of,
                    overrides: self.gates(),
                }
            }
            3 => acl::Verb::List {
                principal: self.maybe(Self::text),
                on,
                host: self.maybe(Self::text),
                operation: self.flip().then_some(operation),
                deny: self.flip(),
            },
            _ => acl::Verb::Explain {
                principal: self.text(),
                operation,
                on,
                host: self.maybe(Self::text),
            },
        }
    }

    fn topic(&mut self) -> topic::Verb {
        match self.below(7) {
            0 => topic::Verb::List {
                name: self.maybe(Self::text),
                internal: self.flip(),
                window: self.maybe(Self::time),
            },
            1 => topic::Verb::Show {
                names: self.some(1, Self::text),
                window: self.maybe(Self::time),
            },
            2 => topic::Verb::Create {
                name: self.text(),
                partitions: self.maybe(|random| 1 + random.below(1000) as i32),
                replication_factor: self.maybe(|random| 1 + random.below(5) as i16),
                config: self.some(0, |random| format!("k={}", random.text())),
                overrides: self.gates(),
            },
            3 => topic::Verb::AddPartitions {
                name: self.text(),
                to: 1 + self.below(100) as i32,
                overrides: self.gates(),
            },
            4 => topic::Verb::Truncate {
                names: self.some(1, Self::text),
                before: self.offset(),
                overrides: self.gates(),
            },
            5 => topic::Verb::Alter {
                name: self.text(),
                config: self.some(1, |random| format!("k={}", random.text())),
                unset: self.some(0, Self::text),
                overrides: self.gates(),
            },
            _ => topic::Verb::Delete {
                names: self.some(1, Self::text),
                overrides: self.gates(),
            },
        }
    }

    fn user(&mut self) -> user::Verb {
        let mechanism = |random: &mut Self| match random.flip() {
            true => user::Mechanism::Sha256,
            false => user::Mechanism::Sha512,
        };
        match self.below(3) {
            0 => user::Verb::List,
            1 => {
                let mut password = user::Password::default();
                match self.below(4) {
                    0 => password.password_file = Some(self.path()),
                    1 => password.password_env = Some(self.text()),
                    2 => password.password_command = Some(self.text()),
                    _ => {}
                }
                user::Verb::Set {
                    name: self.text(),
                    mechanism: mechanism(self),
                    iterations: self.id(),
                    password,
                    overrides: self.gates(),
                }
            }
            _ => user::Verb::Delete {
                name: self.text(),
                mechanism: self.maybe(mechanism),
                overrides: self.gates(),
            },
        }
    }

    fn quota(&mut self) -> quota::Verb {
        let whom = |random: &mut Self| match random.flip() {
            true => Whom::Default,
            false => Whom::Named(random.text()),
        };
        let entity = match self.below(3) {
            0 => Entity {
                ip: Some(whom(self)),
                ..Entity::default()
            },
            1 => Entity {
                user: Some(whom(self)),
                client_id: self.maybe(whom),
                ip: None,
            },
            _ => Entity {
                client_id: Some(whom(self)),
                ..Entity::default()
            },
        };
        match self.below(3) {
            0 => quota::Verb::List {
                user: self.maybe(Self::text),
                client_id: self.maybe(Self::text),
                ip: self.maybe(Self::text),
            },
            1 => quota::Verb::Set {
                pairs: self.some(1, |random| format!("k={}", random.below(1000))),
                of: quota::Of::naming(&entity),
                overrides: self.gates(),
            },
            _ => quota::Verb::Unset {
                names: self.some(1, Self::text),
                of: quota::Of::naming(&entity),
                overrides: self.gates(),
            },
        }
    }

    fn owner(&mut self) -> config::On {
        config::On::of(&match self.below(4) {
            0 => Owner::Topic(self.text()),
            1 => Owner::Broker(self.id()),
            2 => Owner::AllBrokers,
            _ => Owner::Group(self.text()),
        })
    }

    fn config(&mut self) -> config::Verb {
        match self.below(6) {
            0 => config::Verb::Show { name: self.text() },
            1 => config::Verb::Set {
                pairs: self.some(1, |random| format!("k={}", random.text())),
                on: self.owner(),
                from_file: self.some(0, |random| format!("k={}", random.text())),
                overrides: self.gates(),
            },
            2 => config::Verb::Unset {
                names: self.some(1, Self::text),
                on: self.owner(),
                overrides: self.gates(),
            },
            3 => config::Verb::List {
                broker: Some(self.id()),
                topic: None,
                drift: self.flip(),
            },
            _ => config::Verb::List {
                broker: None,
                topic: self.maybe(Self::text),
                drift: self.flip(),
            },
        }
    }

    fn reassign(&mut self) -> reassign::Verb {
        match self.below(5) {
            0 => reassign::Verb::Plan(self.reassignment()),
            1 => reassign::Verb::Apply {
                file: self.path(),
                detach: self.flip(),
                overrides: self.gates(),
                skip_drifted: self.flip(),
                when: self.when(),
            },
            2 => reassign::Verb::List,
            3 => reassign::Verb::Cancel {
                names: Vec::new(),
                all: true,
                overrides: self.gates(),
            },
            _ => reassign::Verb::Cancel {
                names: self.some(1, Self::text),
                all: false,
                overrides: self.gates(),
            },
        }
    }

    fn reassignment(&mut self) -> reassign::Intent {
        let mut intent = reassign::Intent {
            max_bytes_in_flight: self.maybe(|random| Size(1 + random.below(1 << 40))),
            max_rate: self.maybe(|random| Rate(random.flip().then(|| 1 + random.below(1 << 40)))),
            out: self.maybe(Self::path),
            to_json: self.maybe(Self::path),
            refresh: self.maybe(Self::path),
            valid: self.maybe(|random| Time(Duration::from_millis(1 + random.below(10_000_000)))),
            undo_json: self.maybe(Self::path),
            ..reassign::Intent::default()
        };
        let goal = self.below(9);
        match goal {
            0 => intent.drain_broker = Some(self.brokers()),
            1 => intent.add_broker = Some(self.brokers()),
            2 => intent.spread = true,
            3 => {
                let measures = [Measure::Bytes, Measure::Leaders, Measure::Count];
                intent.balance = Some(measures[self.below(3) as usize]);
            }
            4 => intent.rf = Some(1 + self.below(9) as i16),
            5 => {
                intent.replace = self.some(1, |random| {
                    let old = random.id() / 2;
                    Swap { old, new: old + 1 }
                });
            }
            6 => intent.drain_dir = Some(self.dir()),
            _ => {
                intent.moves = self.some(1, Self::assignment);
                intent.from_json = self.maybe(Self::path);
            }
        }
        if goal < 7 {
            intent.topic = self.maybe(|_| "orders-.*|it's".to_owned());
            intent.exclude = self.maybe(|_| "-x".to_owned());
        }
        intent
    }

    fn sent(&mut self) -> record::Send {
        let value = self.maybe(Self::text);
        record::Send {
            topic: self.text(),
            partition: self.maybe(|random| random.below(9) as i32),
            key: Some(self.text()),
            header: self.some(0, |random| format!("h={}", random.text())),
            tombstone: value.is_none() && self.flip(),
            value,
        }
    }

    fn leader(&mut self) -> leader::Verb {
        match self.below(3) {
            0 => {
                let brokers = self.flip();
                leader::Verb::Move(leader::Move {
                    from_broker: brokers.then(|| self.brokers()),
                    from_az: (!brokers).then(|| self.text()),
                    to_broker: self.maybe(Self::id),
                    topic: self.maybe(|_| "orders-.*|it's".to_owned()),
                    exclude: self.maybe(|_| "-x".to_owned()),
                    overrides: self.gates(),
                    begin: self.begin(),
                })
            }
            1 => leader::Verb::Restore {
                id: self.maybe(Self::text),
                begin: self.begin(),
            },
            _ => {
                let unclean = self.flip();
                leader::Verb::Elect {
                    names: self.some(u64::from(unclean), Self::text),
                    unclean,
                    overrides: self.gates(),
                    begin: self.begin(),
                }
            }
        }
    }

    fn begin(&mut self) -> Begin {
        Begin {
            detach: self.flip(),
            when: self.when(),
        }
    }

    fn when(&mut self) -> When {
        let window: Option<Window> = self
            .maybe(|random| {
                let (from, to) = (random.below(24), random.below(60));
                format!("{from:02}:{to:02}-{:02}:{to:02}Z", (from + 1) % 24)
                    .parse()
                    .ok()
            })
            .flatten();
        When {
            outside_rate: window.and_then(|_| self.maybe(|random| Size(1 + random.below(1 << 40)))),
            window,
            until: self.maybe(|random| match random.flip() {
                true => Until::Clock(random.below(24 * 60) as u16),
                false => Until::At(Moment::from_second(random.below(4_000_000_000) as i64).unwrap_or_default()),
            }),
            pause_after: self.maybe(|random| match random.below(3) {
                0 => PauseAfter::First,
                1 => PauseAfter::Zone,
                _ => PauseAfter::Units(1 + random.below(9) as u32),
            }),
            soak: self.maybe(|random| Time(Duration::from_millis(1 + random.below(10_000_000)))),
        }
    }

    fn dns(&mut self) -> dns::Verb {
        let how = |random: &mut Self| dns::How {
            detach: random.flip(),
            overrides: random.gates(),
        };
        let name = |random: &mut Self| format!("a{}.kafka.internal", random.below(100));
        let record = name(self);
        match self.below(3) {
            0 => dns::Verb::Show {
                record,
                zone: self.maybe(Self::text),
            },
            1 => dns::Verb::Switch(dns::Switch {
                record,
                weights: self.some(1, |random| format!("set-{}={}", random.below(9), random.below(256))),
                target: self.some(0, |random| format!("set={}", name(random))),
                green: self.maybe(Self::text),
                zone: self.maybe(Self::text),
                how: how(self),
            }),
            _ => {
                let id = self.maybe(Self::text);
                dns::Verb::Rollback {
                    record: id.is_none().then_some(record),
                    id,
                    how: how(self),
                }
            }
        }
    }

    fn volume(&mut self) -> volume::Verb {
        let shape = |random: &mut Self| volume::ShapeFlags {
            size: random.maybe(|random| 1 + random.below(60_000) as i64),
            kind: random.maybe(Self::text),
            iops: random.maybe(|random| 1 + random.below(80_000) as i64),
            throughput: random.maybe(|random| 1 + random.below(2000) as i64),
        };
        let how = |random: &mut Self| volume::How {
            detach: random.flip(),
            overrides: random.gates(),
        };
        match self.below(9) {
            0 => volume::Verb::List {
                window: self.maybe(Self::time),
            },
            8 => volume::Verb::Encrypt {
                broker: self.id(),
                kms_key: self.maybe(Self::text),
                driver: self.driver(),
                how: how(self),
            },
            7 => volume::Verb::Extend {
                id: self.text(),
                driver: self.driver(),
                how: how(self),
            },
            1 => volume::Verb::Show {
                ids: self.some(1, Self::text),
                window: self.maybe(Self::time),
            },
            2 => volume::Verb::Modify {
                id: self.text(),
                shape: shape(self),
                driver: self.driver(),
                how: how(self),
            },
            3 => volume::Verb::Snapshot {
                broker: self.id(),
                how: how(self),
            },
            4 => volume::Verb::Create {
                from_snapshot: self.text(),
                broker: self.id(),
                shape: shape(self),
                how: how(self),
            },
            5 => volume::Verb::Attach {
                id: self.text(),
                broker: self.id(),
                device: self.maybe(Self::text),
                how: how(self),
            },
            _ => volume::Verb::Detach {
                id: self.text(),
                how: how(self),
            },
        }
    }

    fn driver(&mut self) -> Option<DriverName> {
        self.maybe(|random| match random.below(3) {
            0 => DriverName::Command,
            1 => DriverName::Ssh,
            _ => DriverName::Ssm,
        })
    }

    fn drive(&mut self) -> broker::Drive {
        broker::Drive {
            id: self.id(),
            driver: self.driver(),
            overrides: self.gates(),
        }
    }

    fn restart(&mut self) -> restart::Verb {
        if self.flip() {
            return restart::Verb::Apply {
                file: self.path(),
                detach: self.flip(),
                overrides: self.gates(),
                when: self.when(),
            };
        }
        let whom = self.below(4);
        restart::Verb::Plan(restart::Roll {
            broker: (whom == 0).then(|| self.brokers()),
            az: (whom == 1).then(|| self.text()),
            all: whom == 2,
            controllers: whom == 3,
            driver: self.driver(),
            parallel: (whom != 3 && self.flip()).then(|| 2 + self.below(7) as u32),
            drain_leaders: self.flip(),
            upgrade_to: self.maybe(|random| format!("4.{}.{}", random.below(9), random.below(9))),
            soak: self.maybe(Self::time),
            out: self.maybe(Self::path),
        })
    }

    fn brokers(&mut self) -> Brokers {
        let mut ids: Vec<i32> = self.some(1, |random| random.below(9) as i32);
        ids.sort_unstable();
        ids.dedup();
        Brokers(ids)
    }

    fn operation(&mut self) -> operation::Verb {
        match self.below(9) {
            0 => operation::Verb::List,
            1 => operation::Verb::Show { id: self.text() },
            2 => operation::Verb::Attach { id: self.text() },
            3 => operation::Verb::Pause {
                id: self.text(),
                now: self.flip(),
            },
            4 => {
                let unattended = self.flip();
                operation::Verb::Resume {
                    id: (!unattended).then(|| self.text()),
                    unattended,
                    overrides: if unattended { Vec::new() } else { self.gates() },
                }
            }
            7 => operation::Verb::Unit,
            5 => operation::Verb::Abort { id: self.text() },
            6 => operation::Verb::Undo {
                id: self.text(),
                max_rate: self.maybe(|random| Rate(random.flip().then(|| 1 + random.below(1 << 40)))),
                max_bytes_in_flight: self.maybe(|random| Size(1 + random.below(1 << 40))),
                overrides: self.gates(),
                begin: self.begin(),
            },
            _ => operation::Verb::Engine {
                id: self.text(),
                cluster: self.text(),
                properties: self.flip(),
                unattended: self.flip(),
            },
        }
    }

    fn context(&mut self) -> context::Verb {
        match self.below(5) {
            4 => context::Verb::Diff {
                a: self.text(),
                b: self.text(),
                mirror: self.maybe(Self::text),
                only: self.some(0, |_| Part::Configs),
            },
            0 => context::Verb::List { verdict: self.flip() },
            1 => context::Verb::Show {
                name: self.maybe(Self::text),
            },
            2 => context::Verb::Test {
                name: self.maybe(Self::text),
            },
            _ => context::Verb::Add(context::Entry {
                name: self.text(),
                class: self.maybe(|random| ["prod", "staging", "dev"][random.below(3) as usize].to_owned()),
                changes: self.flip(),
                wants_reason: self.flip(),
                probe_topic: self.maybe(Self::text),
                prometheus: self.some(0, Self::text),
                region: self.maybe(Self::text),
                profile: self.maybe(Self::text),
                endpoint_url: self.maybe(Self::text),
                role_arn: self.maybe(Self::text),
            }),
        }
    }
}

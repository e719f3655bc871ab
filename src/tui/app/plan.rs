//! Capitals: each turns into a command line, which is worked out into a plan, read, and confirmed.

use crate::command::reassign::{Intent, Verb};
use crate::command::schedule::Begin;
use crate::command::throttle::Verb as Throttle;
use crate::command::value::{Assignment, Brokers};
use crate::command::words::quote;
use crate::command::{Command, group, leader, operation, restart, topic, user, volume};
use crate::model::acl::user_of;
use crate::model::row::volume::VolumeRow;
use crate::model::{BrokerId, Moment};

use super::action::Action;
use super::dialog::Dialog;
use super::effect::Effect;
use super::field::Tone;
use super::operation::{Confirm, Sheet};
use super::place::Noun;
use super::state::State;
use super::throttle;

/// The line that makes a volume a quarter larger; the person writes what it shall be.
fn larger(row: &VolumeRow) -> Command {
    Command::Volume(volume::Verb::Modify {
        id: row.id.clone(),
        shape: volume::ShapeFlags {
            size: Some(row.size_gib + (row.size_gib / 4).max(1)),
            ..volume::ShapeFlags::default()
        },
        driver: None,
        how: volume::How::default(),
    })
}

/// More moves than this are too long a line to edit.
const MOVES: usize = 12;

impl State {
    pub(super) fn intend(&mut self, now: Moment, action: Action) -> Vec<Effect> {
        if !self.offers(action) {
            return Vec::new();
        }
        if self.origin.read_only {
            let text = self.read_only();
            self.notify(now, Tone::Warn, text);
            return Vec::new();
        }
        match action {
            Action::Create => {
                self.open_palette("topic create NAME --partitions 6 --replication-factor 3");
                Vec::new()
            }
            Action::Reassign => {
                self.begin_reassignment(now);
                Vec::new()
            }
            Action::Leader => {
                let mut ids: Vec<BrokerId> = self.meant().iter().filter_map(|name| name.parse().ok()).collect();
                ids.sort_unstable();
                match ids.is_empty() {
                    true => Vec::new(),
                    false => self.plan_command(&Command::Leader(leader::Verb::off(ids))),
                }
            }
            Action::Restart => {
                let mut ids: Vec<BrokerId> = self.meant().iter().filter_map(|name| name.parse().ok()).collect();
                ids.sort_unstable();
                match ids.is_empty() {
                    true => Vec::new(),
                    false => self.plan_command(&Command::Restart(restart::Verb::Plan(restart::Roll::of(ids)))),
                }
            }
            Action::Modify => {
                let meant = self.meant().into_iter().next();
                let row = self.rows.volumes.iter().find(|row| Some(&row.id) == meant.as_ref());
                if let Some(command) = row.map(larger) {
                    self.open_palette(&command.to_string());
                }
                Vec::new()
            }
            Action::Snapshot => {
                let meant = self.meant().into_iter().next();
                let row = self.rows.volumes.iter().find(|row| Some(&row.id) == meant.as_ref());
                match row.map(|row| row.broker) {
                    Some(Some(broker)) => self.plan_command(&Command::Volume(volume::Verb::Snapshot {
                        broker,
                        how: volume::How::default(),
                    })),
                    Some(None) => {
                        self.notify(
                            now,
                            Tone::Warn,
                            "no broker's log directory is known to lie on it".to_owned(),
                        );
                        Vec::new()
                    }
                    None => Vec::new(),
                }
            }
            Action::Reset => {
                if let Some(name) = self.meant().into_iter().next() {
                    self.open_palette(&Command::Group(group::Verb::to_earliest(name)).to_string());
                }
                Vec::new()
            }
            Action::Step => {
                if let Some(step) = self.next_step() {
                    self.open_palette(&step.to_string());
                }
                Vec::new()
            }
            Action::Delete => {
                let (names, overrides) = (self.meant(), Vec::new());
                match (names.is_empty(), self.place().noun) {
                    (true, _) => Vec::new(),
                    (false, Noun::Group) => {
                        self.plan_command(&Command::Group(group::Verb::Delete { names, overrides }))
                    }
                    (false, Noun::User) => match names.as_slice() {
                        [one] => {
                            let name = user_of(one).unwrap_or(one).to_owned();
                            self.plan_command(&Command::User(user::Verb::Delete {
                                name,
                                mechanism: None,
                                overrides,
                            }))
                        }
                        _ => {
                            self.notify(now, Tone::Warn, "users are deleted one at a time".to_owned());
                            Vec::new()
                        }
                    },
                    (false, _) => self.plan_command(&Command::Topic(topic::Verb::Delete { names, overrides })),
                }
            }
            Action::Rules => {
                self.edit_rules(now);
                Vec::new()
            }
            Action::Set | Action::Unset => {
                self.draft(now, action);
                Vec::new()
            }
            Action::SetThrottle => {
                self.open_palette("throttle set --rate 50MB");
                Vec::new()
            }
            Action::ClearThrottle => self.clear_throttles(),
            Action::CancelMove => match self.targets() {
                names if names.is_empty() => Vec::new(),
                names => self.plan_command(&Command::Reassign(Verb::Cancel {
                    names,
                    all: false,
                    overrides: Vec::new(),
                })),
            },
            Action::Pause | Action::Resume | Action::Abort | Action::Undo => {
                let Some(id) = self.place().name.clone().or_else(|| self.list().selected.clone()) else {
                    return Vec::new();
                };
                let verb = match action {
                    Action::Pause => operation::Verb::Pause { id, now: false },
                    Action::Resume => operation::Verb::Resume {
                        id: Some(id),
                        unattended: false,
                        overrides: Vec::new(),
                    },
                    Action::Undo => operation::Verb::Undo {
                        id,
                        max_rate: None,
                        max_bytes_in_flight: None,
                        overrides: Vec::new(),
                        begin: Begin::default(),
                    },
                    _ => operation::Verb::Abort { id },
                };
                self.plan_command(&Command::Operation(verb))
            }
            _ => Vec::new(),
        }
    }

    /// What is open; in a list, what is marked, or the row.
    fn meant(&self) -> Vec<String> {
        match &self.place().name {
            Some(open) => vec![open.clone()],
            None => self.targets(),
        }
    }

    /// The first of triage's next steps that changes something, and that no gate closes.
    /// On a log directory's remedies the command of the row.
    pub(super) fn next_step(&self) -> Option<Command> {
        if self.place().noun == Noun::Logdir {
            let selected = self.list().selected.as_ref()?;
            let row = self.table.rows.iter().find(|row| row.key == *selected)?;
            let mut commands = row
                .notes
                .iter()
                .filter_map(|note| note.strip_prefix("azimuth ")?.parse().ok());
            return commands.find(Command::is_planned);
        }
        let steps = self.triage.iter().flat_map(|triage| &triage.next);
        let open = steps.filter(|step| step.blocked_by().is_none());
        let mut commands = open.filter_map(|step| step.action.parse().ok());
        commands.find(Command::is_planned)
    }

    /// Everything that is set on the brokers and topics of the rows, whoever set it: they are named.
    fn clear_throttles(&mut self) -> Vec<Effect> {
        let targets = self.targets();
        let chosen = self.rows.throttles.iter();
        let chosen: Vec<_> = chosen.filter(|row| targets.contains(&throttle::key(row))).collect();
        let mut brokers: Vec<BrokerId> = chosen.iter().filter_map(|row| row.broker).collect();
        brokers.sort_unstable();
        brokers.dedup();
        let mut topic: Vec<String> = chosen.iter().filter_map(|row| row.topic.clone()).collect();
        topic.sort();
        topic.dedup();
        if brokers.is_empty() && topic.is_empty() {
            return Vec::new();
        }
        self.plan_command(&Command::Throttle(Throttle::Clear {
            foreign: false,
            broker: (!brokers.is_empty()).then_some(Brokers(brokers)),
            topic,
            overrides: Vec::new(),
        }))
    }

    /// Opens a line with where the partitions are; the person writes where they shall be.
    fn begin_reassignment(&mut self, now: Moment) {
        let open = self.place().name.clone();
        let targets = self.targets();
        let chosen = |topic: &str, partition: i32| match &open {
            // Only the page of partitions has rows that are some.
            Some(open) => topic == open && targets.contains(&partition.to_string()),
            None => targets.iter().any(|target| target == topic),
        };
        let moves: Vec<Assignment> = self
            .rows
            .partitions
            .iter()
            .filter(|row| chosen(row.topic(), row.partition))
            .map(|row| Assignment {
                topic: row.topic().to_owned(),
                partition: row.partition,
                replicas: row.replicas.to_vec(),
            })
            .collect();
        if moves.is_empty() || moves.len() > MOVES {
            let text = match moves.len() {
                0 => "choose a partition to move".to_owned(),
                many => format!(
                    "{many} partitions are too many for a line: open a topic and mark some, or give a file: \
                     reassign plan --from-json FILE"
                ),
            };
            self.notify(now, Tone::Warn, text);
            return;
        }
        let intent = Intent {
            moves,
            ..Intent::default()
        };
        self.open_palette(&Command::Reassign(Verb::Plan(intent)).to_string());
    }

    fn plan_command(&mut self, command: &Command) -> Vec<Effect> {
        // What is printed reads back as the same words.
        let words = crate::command::words::split(&command.to_string()).unwrap_or_default();
        self.plan(words)
    }

    /// The line that made a plan, to be edited; a text of rules is edited where it is.
    pub(super) fn revise(&mut self, words: &[String]) {
        if self.drafting.is_none() {
            let line: Vec<String> = words.iter().map(|word| quote(word)).collect();
            self.open_palette(&line.join(" "));
        }
    }

    pub(super) fn plan(&mut self, words: Vec<String>) -> Vec<Effect> {
        self.dialog = Some(Dialog::Planning { words: words.clone() });
        vec![Effect::Plan(words)]
    }

    /// A plan that comes after its waiting was cancelled is dropped.
    pub(super) fn planned(&mut self, now: Moment, words: &[String], planned: Result<Sheet, String>) {
        if !matches!(&self.dialog, Some(Dialog::Planning { words: awaited }) if awaited == words) {
            return;
        }
        self.dialog = None;
        match planned {
            Ok(sheet) => self.dialog = Some(Dialog::Confirm(Box::new(Confirm::new(sheet, words.to_vec())))),
            Err(text) => self.notify(now, Tone::Error, text),
        }
    }
}

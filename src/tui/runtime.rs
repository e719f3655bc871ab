//! The screens' wishes carried out: rows computed off the loop, facts asked for, plans made and applied. Everything
//! comes back as a message on one bounded channel; a full channel makes the task wait, never the screen.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use crate::check::{self, Findings, Triage};
use crate::feed::{Feed, Section, Tail};
use crate::model::event::Event;
use crate::model::history::Window;
use crate::model::row::Rows;
use crate::model::snapshot::Revision;
use crate::model::{Moment, Snapshot};
use crate::operation::fleet;
use crate::tui::app::field::Tone;
use crate::tui::app::operation::{self, Operation, Operator, Sheet};
use crate::tui::app::outline::{Made, Outline};
use crate::tui::app::past::{Past, Travel};
use crate::tui::app::place::Noun;
use crate::tui::app::record::Batch;
use crate::tui::app::state::Facts as Known;
use crate::tui::app::table::Table;
use crate::tui::app::{Effect, Message};

/// Nothing that holds it can panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where facts come from, as far as the screens steer it.
pub trait Facts: Send + Sync + 'static {
    fn refresh(&self, section: Section);
    fn focus(&self, sections: BTreeSet<Section>);
    /// Remembers what triage has found.
    fn note(&self, event: Event);
    /// Moves in what was recorded; what is seen now moves by itself.
    fn travel(&self, _: Travel) {}
    /// Where one is in what was recorded, where that is what is shown.
    fn past(&self) -> Option<watch::Receiver<Past>> {
        None
    }
}

impl Facts for Feed {
    fn note(&self, event: Event) {
        Feed::note(self, event);
    }

    fn refresh(&self, section: Section) {
        Feed::refresh(self, section);
    }

    fn focus(&self, sections: BTreeSet<Section>) {
        Feed::focus(self, sections);
    }
}

/// Plans and operations, as far as the screens ask for them. Errors are sentences to show.
pub trait Verbs: Send + Sync + 'static {
    /// Works out what a command line (without the program's name) would do.
    fn plan(&self, words: Vec<String>) -> BoxFuture<'static, Result<Sheet, String>>;
    /// Starts what a sheet of this console says; the answer says what was started.
    fn apply(&self, sheet: String, confirm: Option<String>) -> BoxFuture<'static, Result<String, String>>;
    /// The sheet again, with why, and against its soft gates.
    fn reason(&self, sheet: String, reason: String) -> BoxFuture<'static, Result<Sheet, String>>;
    /// The sheet again, with when its plan may go on, as flags.
    fn schedule(&self, sheet: String, when: String) -> BoxFuture<'static, Result<Sheet, String>>;
    /// Saves a sheet's plan to a file; the answer says where.
    fn save(&self, sheet: String) -> BoxFuture<'static, Result<String, String>>;
    /// Keeps a text of access rules, and works out what applying it would do.
    fn plan_rules(&self, text: String) -> BoxFuture<'static, Result<Sheet, String>>;
    fn operations(&self) -> watch::Receiver<Arc<Vec<Operation>>>;
    /// What triage says of every cluster of the context file.
    fn fleet(&self) -> BoxFuture<'static, Result<Vec<fleet::Line>, String>>;
    /// Who else works on the cluster, on this host or another.
    fn operators(&self) -> watch::Receiver<Arc<Vec<Operator>>>;
    /// Others see that this is on screen.
    fn shows(&self, screen: &str);
    /// Others see that nobody is here any more; returns within a moment.
    fn leave(&self) -> BoxFuture<'static, ()>;
    /// Begins to read records for the words after `record`.
    fn read(&self, words: &[String]) -> Result<Tail, String>;
}

/// After a digest none begins for so many times as long as it took: a wide cluster in which much happens gets at most a fifth of
/// one core, and a small one does not notice.
const REST: u32 = 4;
/// The same where only numbers have moved on, as they always do.
const REST_DRIFTING: u32 = 60;
/// The same where nothing has changed, but time.
const REST_AGEING: u32 = 150;
/// Numbers that have moved on are shown after so long at the latest.
const DRIFTING: Duration = Duration::from_secs(30);
/// Ages are counted again at most this often.
const AGEING: Duration = Duration::from_secs(5);

/// What runs beside the loop.
pub struct Runtime {
    facts: Arc<dyn Facts>,
    verbs: Option<Arc<dyn Verbs>>,
    results: mpsc::Sender<Message>,
    digest: Option<JoinHandle<Digest>>,
    /// What was digested last; the next rows take over what did not change.
    last: Option<Generation>,
    /// What `last` replaced, until the screens have let go of it too.
    spent: Option<Generation>,
    /// Of the snapshot that was digested last, or is being digested.
    digested: Option<Revision>,
    /// When that was begun.
    began: Instant,
    took: Duration,
    /// What the newest snapshot brings.
    news: News,
    findings: Findings,
    /// The records that are being read.
    reading: Mutex<Option<AbortHandle>>,
    /// What rates and trends are to be over and what changed is to be told of, and what was digested so.
    windows: Mutex<Windows>,
    digested_over: Option<Windows>,
}

/// The times that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Windows {
    rates: Window,
    changes: Window,
}

/// What a snapshot brings beyond the one that was digested last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// At most that things are older.
    Age,
    Drift,
    Value,
}

type Generation = (Arc<Snapshot>, Arc<Rows>);

impl Drop for Runtime {
    /// Nobody looks at the records any more.
    fn drop(&mut self) {
        if let Some(reading) = lock(&self.reading).take() {
            reading.abort();
        }
    }
}

struct Digest {
    before: Option<Generation>,
    snapshot: Arc<Snapshot>,
    rows: Arc<Rows>,
    triage: Arc<Triage>,
    made: Option<Made>,
    now: Moment,
    took: Duration,
}

impl Runtime {
    /// The messages come out of the receiver.
    pub fn new(facts: Arc<dyn Facts>, verbs: Option<Arc<dyn Verbs>>) -> (Self, mpsc::Receiver<Message>) {
        let (results, messages) = mpsc::channel(64);
        (
            Self {
                facts,
                verbs,
                results,
                digest: None,
                last: None,
                spent: None,
                digested: None,
                began: Instant::now(),
                took: Duration::ZERO,
                news: News::Value,
                findings: Findings::default(),
                reading: Mutex::default(),
                windows: Mutex::new(Windows {
                    rates: Window::default(),
                    changes: Window::CHANGES,
                }),
                digested_over: None,
            },
            messages,
        )
    }

    /// Nothing is being computed.
    pub fn is_idle(&self) -> bool {
        self.digest.is_none()
    }

    /// When the next digest begins: what happens is shown at once, numbers that move on and ages as often as they cost little.
    pub fn digest_at(&self) -> Instant {
        let outdated = self.digested_over.is_some_and(|over| over != *lock(&self.windows));
        let rest = match self.news {
            // Somebody asked for another window, and waits.
            _ if outdated => Duration::ZERO,
            News::Value => self.took * REST,
            News::Drift => DRIFTING.min(self.took * REST_DRIFTING),
            News::Age => AGEING.max(self.took * REST_AGEING),
        };
        self.began + self.took + rest
    }

    /// There is a new snapshot. One that counts no revisions is always news.
    pub fn tell(&mut self, snapshot: &Snapshot) {
        let is = snapshot.revision;
        self.news = match self.digested {
            Some(was) if was.values == is.values && is.values != 0 => match was.drifts == is.drifts {
                true => News::Age,
                false => News::Drift,
            },
            _ => News::Value,
        };
    }

    /// Begins to compute the rows of a snapshot, what the rules say of them, and the table of an outline, on a thread that
    /// may block.
    pub fn digest(&mut self, snapshot: Arc<Snapshot>, now: Moment, outline: Option<Outline>) {
        let acts = self
            .operations()
            .map(|all| operation::acts(&all.borrow()))
            .unwrap_or_default();
        let windows = *lock(&self.windows);
        self.digested_over = Some(windows);
        self.digested = Some(snapshot.revision);
        (self.news, self.began) = (News::Age, Instant::now());
        let before = self.last.take();
        self.digest = Some(tokio::task::spawn_blocking(move || {
            let began = std::time::Instant::now();
            let rows = Arc::new(match &before {
                Some((before, rows)) => Rows::after(before, rows, &snapshot, now, windows.rates),
                None => Rows::to_show(&snapshot, now, windows.rates),
            });
            let triage = Arc::new(Triage::of(&check::Facts {
                snapshot: &snapshot,
                rows: &rows,
                acts: &acts,
                strict: false,
                changes: windows.changes,
                now,
            }));
            let facts = (Arc::clone(&snapshot), Arc::clone(&rows), Arc::clone(&triage));
            let made = outline.map(|outline| outline.make(now, facts));
            Digest {
                before,
                snapshot,
                rows,
                triage,
                made,
                now,
                took: began.elapsed(),
            }
        }));
    }

    /// The rows, when they are done; never before any were begun.
    pub async fn digested(&mut self) -> Message {
        let Some(digest) = &mut self.digest else {
            return std::future::pending().await;
        };
        let done = digest.await;
        self.digest = None;
        match done {
            Ok(Digest {
                before,
                snapshot,
                rows,
                triage,
                made,
                now,
                took,
            }) => {
                self.spent = before;
                self.took = took;
                self.last = Some((Arc::clone(&snapshot), Arc::clone(&rows)));
                let news = self.findings.news(&triage, now);
                news.into_iter().for_each(|event| self.facts.note(event));
                Message::Facts((snapshot, rows, triage), made.map(Box::new))
            }
            Err(error) => Message::Notice(Tone::Error, format!("the rows could not be computed: {error}")),
        }
    }

    /// Makes a table of facts that the screens have, on a thread that may block.
    pub fn make(&self, outline: Outline, now: Moment, facts: Known) {
        let of = Arc::clone(&facts.0);
        self.spawn(async move {
            match tokio::task::spawn_blocking(move || outline.make(now, facts)).await {
                Ok(made) => Message::Made(of, Box::new(made)),
                Err(error) => Message::Notice(Tone::Error, format!("the table could not be made: {error}")),
            }
        });
    }

    /// Frees what the screens show no more, where nobody waits: a wide cluster's rows are millions of small pieces, and a
    /// key must not wait for them.
    pub fn bury(&mut self, table: Option<Table>) {
        let spent = self.spent.take();
        if spent.is_some() || table.is_some() {
            tokio::task::spawn_blocking(move || drop((spent, table)));
        }
    }

    pub fn operations(&self) -> Option<watch::Receiver<Arc<Vec<Operation>>>> {
        self.verbs.as_ref().map(|verbs| verbs.operations())
    }

    /// Where one is in what was recorded, the present place first.
    pub fn past(&self) -> Option<watch::Receiver<Past>> {
        let mut past = self.facts.past()?;
        past.mark_changed();
        Some(past)
    }

    pub fn operators(&self) -> Option<watch::Receiver<Arc<Vec<Operator>>>> {
        self.verbs.as_ref().map(|verbs| verbs.operators())
    }

    /// The screens are closed.
    pub async fn leave(&self) {
        if let Some(verbs) = &self.verbs {
            verbs.leave().await;
        }
    }

    /// Carries out what does not concern the terminal.
    pub fn run(&self, effect: Effect) {
        match effect {
            Effect::Refresh(noun) => sections(noun)
                .into_iter()
                .for_each(|section| self.facts.refresh(section)),
            Effect::Focus(noun) => {
                if let Some(verbs) = &self.verbs {
                    verbs.shows(noun.name());
                }
                self.facts.focus(sections(noun));
            }
            Effect::Export { name, text } => self.spawn(async move {
                match tokio::task::spawn_blocking(move || export(&name, &text)).await {
                    Ok(Ok(path)) => Message::Notice(Tone::Ok, format!("wrote {path}")),
                    Ok(Err(error)) => Message::Notice(Tone::Error, error),
                    Err(error) => Message::Notice(Tone::Error, format!("nothing was written: {error}")),
                }
            }),
            Effect::Fleet => self.ask(|verbs| verbs.fleet(), Message::Fleet),
            Effect::Travel(travel) => self.facts.travel(travel),
            Effect::Rates(window) => lock(&self.windows).rates = window,
            Effect::Changes(window) => lock(&self.windows).changes = window,
            Effect::Read(words) => self.read(words),
            Effect::Plan(words) => {
                let asked = words.clone();
                self.ask(|verbs| verbs.plan(asked), |planned| Message::Planned(words, planned));
            }
            Effect::PlanRules { words, text } => {
                self.ask(
                    |verbs| verbs.plan_rules(text),
                    |planned| Message::Planned(words, planned),
                );
            }
            Effect::Apply { sheet, confirm } => self.ask(|verbs| verbs.apply(sheet, confirm), Message::Applied),
            Effect::Reason { sheet, words, reason } => self.ask(
                |verbs| verbs.reason(sheet, reason),
                |planned| Message::Planned(words, planned),
            ),
            Effect::Schedule { sheet, words, when } => self.ask(
                |verbs| verbs.schedule(sheet, when),
                |planned| Message::Planned(words, planned),
            ),
            Effect::SavePlan(sheet) => self.ask(|verbs| verbs.save(sheet), Message::Applied),
            Effect::Quit
            | Effect::SwitchContext(_)
            | Effect::Redraw
            | Effect::Make
            | Effect::Copy(_)
            | Effect::Page(_)
            | Effect::Theme(_) => {}
        }
    }

    /// One stream at a time: the one before ends.
    fn read(&self, words: Vec<String>) {
        let next = match (&self.verbs, words.is_empty()) {
            (Some(verbs), false) => {
                let (verbs, results) = (Arc::clone(verbs), self.results.clone());
                Some(tokio::spawn(stream(verbs, words, results)).abort_handle())
            }
            _ => None,
        };
        let mut reading = lock(&self.reading);
        if let Some(before) = std::mem::replace(&mut *reading, next) {
            before.abort();
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Verbs) -> BoxFuture<'static, T>,
        message: impl FnOnce(T) -> Message + Send + 'static,
    ) {
        if let Some(verbs) = &self.verbs {
            let answer = question(verbs.as_ref());
            self.spawn(async move { message(answer.await) });
        }
    }

    fn spawn(&self, task: impl Future<Output = Message> + Send + 'static) {
        let results = self.results.clone();
        tokio::spawn(async move {
            // The console may be gone by now; then nobody wants the answer.
            let _ = results.send(task.await).await;
        });
    }
}

/// Hands records over in batches, a few a second: what comes faster waits in the tail, which is bounded and counts what
/// it drops.
async fn stream(verbs: Arc<dyn Verbs>, words: Vec<String>, results: mpsc::Sender<Message>) {
    let name = crate::tui::app::record::name(&words);
    let batch = || Batch {
        words: name.clone(),
        ..Batch::default()
    };
    let mut tail = match verbs.read(&words) {
        Ok(tail) => tail,
        Err(problem) => {
            let failed = Batch {
                problem: Some(problem),
                ended: true,
                ..batch()
            };
            // The console may be gone by now; then nobody wants the answer.
            let _ = results.send(Message::Records(failed)).await;
            return;
        }
    };
    loop {
        let mut next = batch();
        let mut item = tail.next().await;
        next.ended = item.is_none();
        while let Some(found) = item {
            match found {
                Ok(record) => next.records.push(record),
                Err(error) => next.problem = Some(error.to_string()),
            }
            item = match next.records.len() < BATCH {
                true => tail.try_next(),
                false => None,
            };
        }
        (next.read, next.dropped) = (tail.read(), tail.dropped());
        let ended = next.ended;
        if results.send(Message::Records(next)).await.is_err() || ended {
            return;
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Records of one batch, and the time between two.
const BATCH: usize = 500;
const BETWEEN: Duration = Duration::from_millis(200);

/// The facts that a screen shows.
fn sections(noun: Noun) -> BTreeSet<Section> {
    use Section as S;
    let all: &[S] = match noun {
        Noun::Triage => &[
            S::Cluster,
            S::Links,
            S::Topics,
            S::Offsets,
            S::Groups,
            S::Backlogs,
            S::Retentions,
            S::Logdirs,
            S::BrokerConfigs,
            S::TopicConfigs,
            S::Quorum,
            S::Reassignments,
            S::Instances,
            S::Volumes,
            S::Metrics,
            S::Probes,
        ],
        Noun::Broker => &[
            S::Cluster,
            S::Links,
            S::Topics,
            S::Logdirs,
            S::BrokerConfigs,
            S::Instances,
            S::Volumes,
            S::Metrics,
        ],
        Noun::Topic => &[
            S::Cluster,
            S::Topics,
            S::Offsets,
            S::Logdirs,
            S::TopicConfigs,
            S::Reassignments,
        ],
        Noun::Group => &[S::Groups, S::Offsets, S::Backlogs, S::Retentions],
        Noun::Volume => &[S::Logdirs, S::Instances, S::Volumes, S::Metrics],
        Noun::Transaction => &[S::Topics, S::Offsets, S::Transactions],
        Noun::Quorum => &[S::Cluster, S::Quorum],
        Noun::Check => &[
            S::Cluster,
            S::Links,
            S::Topics,
            S::Offsets,
            S::Groups,
            S::Logdirs,
            S::BrokerConfigs,
            S::BrokerMetrics,
            S::TopicConfigs,
            S::Quorum,
            S::Reassignments,
            S::Acls,
            S::Instances,
            S::Volumes,
            S::Metrics,
            S::Account,
            S::ClientMetrics,
        ],
        Noun::Whatif => &[
            S::Cluster,
            S::Links,
            S::Topics,
            S::TopicConfigs,
            S::Quorum,
            S::Logdirs,
            S::Instances,
            S::Volumes,
            S::Metrics,
        ],
        Noun::Dashboard => &[
            S::Cluster,
            S::Groups,
            S::Offsets,
            S::Logdirs,
            S::BrokerMetrics,
            S::ClientMetrics,
            S::Instances,
            S::Volumes,
            S::Metrics,
            S::Account,
        ],
        Noun::Cost => &[
            S::Cluster,
            S::Links,
            S::Topics,
            S::Offsets,
            S::Groups,
            S::Logdirs,
            S::BrokerConfigs,
            S::Instances,
            S::Volumes,
            S::Metrics,
        ],
        Noun::Throttle => &[
            S::Topics,
            S::Reassignments,
            S::Logdirs,
            S::BrokerConfigs,
            S::TopicConfigs,
        ],
        Noun::Reassignment => &[
            S::Cluster,
            S::Links,
            S::Topics,
            S::Offsets,
            S::Logdirs,
            S::BrokerConfigs,
            S::TopicConfigs,
            S::Reassignments,
        ],
        Noun::Logdir => &[
            S::Cluster,
            S::Topics,
            S::Offsets,
            S::Logdirs,
            S::TopicConfigs,
            S::Instances,
            S::Volumes,
            S::Metrics,
        ],
        Noun::Config => &[S::Cluster, S::BrokerConfigs, S::TopicConfigs],
        Noun::Operation => &[S::Topics, S::Reassignments],
        Noun::Acl => &[S::Acls],
        Noun::User => &[S::Users, S::Acls, S::Quotas],
        Noun::Quota => &[S::Quotas],
        Noun::Record => &[S::Topics],
        Noun::Context => &[S::Cluster, S::Links],
    };
    all.iter().copied().collect()
}

/// Never over a file that is there.
fn export(name: &str, text: &str) -> Result<String, String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::env::current_dir().unwrap_or_default().join(Path::new(name));
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        // Names of topics and groups are nobody else's business.
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(path.display().to_string())
}

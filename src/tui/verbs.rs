//! Plans and operations of a real cluster for the screens: what the command line does, with a sheet to read in between.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::app::field::{Field, Tone};
use super::app::operation::{Operation, Operator, Sheet};
use super::runtime::Verbs;
use crate::command::schedule::When;
use crate::command::words::{quote, split};
use crate::command::{Command, Line, acl, leader, reassign, record, restart};
use crate::feed::{self, Overflow, Sources, Tail, TailRequest};
use crate::model::{Moment, Snapshot};
use crate::operation::client::Client;
use crate::operation::fleet;
use crate::operation::journal::Ask;
use crate::operation::launch::{self, Launch, Route};
use crate::operation::{self, Error, Folder, Ground, Id, Phase, Secrets, prepare};
use crate::plan::Plan;
use crate::plan::acl::change::Wish as Rules;
use crate::plan::acl::text::{Note, Text};
use crate::plan::intent::Intent;
use crate::plan::leader::Wish;
use crate::plan::summary;
use crate::plan::user::PASSWORD;
use crate::settings::file::write_private;
use crate::settings::rule::{Consent, Refusal, Rule, Verdict};
use crate::settings::{Class, Secret};

mod present;
mod sheet;
mod watching;

use present::Present;

/// Looking at the cluster for a plan ends within this.
const PATIENCE: Duration = Duration::from_secs(20);
/// A cluster of the fleet that has not answered by then is not seen.
const FLEET: Duration = Duration::from_secs(10);
/// Records that wait for the screen; a tail drops what is more, and counts it.
const STREAM: usize = 2000;
/// So many sheets are remembered; one is on screen.
const SHEETS: usize = 8;

/// The verbs of one context. Operations go on when it is dropped.
pub struct Live {
    desk: Arc<Desk>,
    operations: watch::Receiver<Arc<Vec<Operation>>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    watcher: AbortHandle,
    present: Present,
}

/// What every question needs.
struct Desk {
    ground: Ground,
    sheets: Mutex<VecDeque<(String, Work)>>,
}

/// What a sheet stands for.
#[derive(Clone)]
enum Work {
    Plan(Box<Proposal>, Secrets),
    Ask { id: Id, ask: Ask, cluster_id: String },
}

/// A plan that is shown, and may be applied.
#[derive(Clone)]
struct Proposal {
    /// That asked for it.
    line: Line,
    /// When it may go on, as it was typed.
    when: When,
    launch: Launch,
}

impl Live {
    /// `snapshots` tell which cluster it is; `sources` are shared with the feed.
    pub fn new(ground: Ground, sources: Sources, snapshots: watch::Receiver<Arc<Snapshot>>) -> Self {
        let ground = Ground { sources, ..ground };
        let (publish, operations) = watch::channel(Arc::default());
        let watcher = tokio::spawn(watching::watch(ground.clone(), snapshots.clone(), publish)).abort_handle();
        let present = Present::begin(&ground, snapshots.clone());
        let desk = Arc::new(Desk {
            ground,
            sheets: Mutex::default(),
        });
        Self {
            desk,
            operations,
            snapshots,
            watcher,
            present,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Verbs for Live {
    fn plan(&self, words: Vec<String>) -> BoxFuture<'static, Result<Sheet, String>> {
        let desk = self.desk.clone();
        async move { desk.plan(&words).await }.boxed()
    }

    fn apply(&self, sheet: String, confirm: Option<String>) -> BoxFuture<'static, Result<String, String>> {
        let desk = self.desk.clone();
        async move { desk.apply(&sheet, confirm).await }.boxed()
    }

    fn reason(&self, sheet: String, reason: String) -> BoxFuture<'static, Result<Sheet, String>> {
        let desk = self.desk.clone();
        async move { desk.reasoned(&sheet, reason) }.boxed()
    }

    fn schedule(&self, sheet: String, when: String) -> BoxFuture<'static, Result<Sheet, String>> {
        let desk = self.desk.clone();
        async move { desk.scheduled(&sheet, when.parse()?) }.boxed()
    }

    fn save(&self, sheet: String) -> BoxFuture<'static, Result<String, String>> {
        let desk = self.desk.clone();
        async move { desk.save(&sheet) }.boxed()
    }

    fn fleet(&self) -> BoxFuture<'static, Result<Vec<fleet::Line>, String>> {
        let desk = self.desk.clone();
        async move {
            let ground = &desk.ground;
            let looked = fleet::look(&ground.asked, &ground.paths, FLEET).await;
            looked.map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn plan_rules(&self, text: String) -> BoxFuture<'static, Result<Sheet, String>> {
        let desk = self.desk.clone();
        async move { desk.plan_rules(&text).await }.boxed()
    }

    fn operations(&self) -> watch::Receiver<Arc<Vec<Operation>>> {
        self.operations.clone()
    }

    fn operators(&self) -> watch::Receiver<Arc<Vec<Operator>>> {
        self.present.operators()
    }

    fn shows(&self, screen: &str) {
        self.present.shows(screen);
    }

    fn leave(&self) -> BoxFuture<'static, ()> {
        self.present.leave()
    }

    fn read(&self, words: &[String]) -> Result<Tail, String> {
        let text: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let command = format!("record {}", text.join(" "));
        let verb = match command.parse::<Command>().map_err(|error| error.to_string())? {
            Command::Record(record::Verb::Read(reading)) => reading,
            _ => return Err(format!("`{command}` reads no records")),
        };
        let snapshot = self.snapshots.borrow().clone();
        if let Some(problem) = snapshot.topics.problem().filter(|_| snapshot.topics.get().is_none()) {
            return Err(problem);
        }
        let (query, now) = (verb.query(), Moment::now());
        let partitions = query.partitions(&snapshot)?;
        let request = TailRequest {
            topic: query.topic.clone(),
            start: verb.start(now),
            until: verb.until(&snapshot, &partitions, now),
            partitions,
            filter: query.filter(),
            limit: query.limit,
            read_committed: query.read_committed,
            capacity: STREAM,
            // What is going on now matters in a tail, and every record in a look back.
            overflow: match verb {
                record::Reading::Tail(_) => Overflow::Drop,
                record::Reading::Read(_) => Overflow::Wait,
            },
        };
        feed::tail(&self.desk.ground.sources, request).map_err(|error| error.to_string())
    }
}

impl Desk {
    async fn plan(&self, words: &[String]) -> Result<Sheet, String> {
        let text = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let line: Line = text.parse().map_err(|error: crate::command::Error| error.to_string())?;
        match &line.command {
            Some(Command::Topic(verb)) => {
                let intent = verb.intent(Moment::now()).ok_or("that changes nothing")?;
                self.work_out(&line, intent, verb.overrides().to_vec()).await
            }
            Some(Command::Throttle(verb)) if verb.intent().is_some() => {
                let intent = verb.intent().ok_or("that changes nothing")?;
                self.work_out(&line, intent, verb.overrides().to_vec()).await
            }
            Some(Command::Reassign(reassign::Verb::Plan(wanted))) => {
                let read = |path: &std::path::PathBuf| {
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
                };
                let file = wanted.from_json.as_ref().map(read).transpose()?;
                if wanted.out.is_some()
                    || wanted.to_json.is_some()
                    || wanted.undo_json.is_some()
                    || wanted.refresh.is_some()
                    || wanted.valid.is_some()
                {
                    return Err("files are saved on the command line; S saves the plan that is shown".to_owned());
                }
                let wish = wanted.wish(file.as_deref()).map_err(|error| error.to_string())?;
                self.work_out(&line, Intent::Reassign(wish), Vec::new()).await
            }
            Some(Command::Reassign(verb @ reassign::Verb::Cancel { overrides, .. })) => {
                let intent = verb.cancel().ok_or("that changes nothing")?;
                self.work_out(&line, intent, overrides.clone()).await
            }
            Some(Command::Restart(restart::Verb::Plan(wanted))) => {
                if wanted.out.is_some() {
                    return Err("files are saved on the command line; S saves the plan that is shown".to_owned());
                }
                self.work_out(&line, Intent::Restart(wanted.wish()), Vec::new()).await
            }
            Some(Command::Broker(verb)) if verb.change().is_some() => {
                let (intent, overrides) = verb.change().ok_or("that changes nothing")?;
                self.work_out(&line, intent, overrides.to_vec()).await
            }
            Some(Command::Volume(verb)) if verb.change().is_some() => {
                let (intent, how) = verb.change().ok_or("that changes nothing")?;
                self.work_out(&line, intent, how.overrides.clone()).await
            }
            Some(Command::Acl(acl::Verb::Apply {
                file,
                prune,
                detach: _,
                overrides,
            })) => {
                let read = std::fs::read_to_string(file);
                let content = read.map_err(|error| format!("{}: {error}", file.display()))?;
                let faults = |faults: Vec<Note>| faults.first().map_or_else(String::new, Note::to_string);
                let text = Text::parse(&content).map_err(faults)?;
                let wish = Rules::Text { text, prune: *prune };
                self.work_out(&line, Intent::Acl(wish), overrides.clone()).await
            }
            Some(Command::Quota(verb)) if verb.change().is_some() => {
                let (intent, overrides) = verb.change().ok_or("that changes nothing")?;
                self.work_out(&line, intent, overrides.to_vec()).await
            }
            Some(Command::User(verb)) if verb.change().is_some() => {
                let (intent, overrides) = verb.change().ok_or("that changes nothing")?;
                let mut secrets = Secrets::default();
                if let Some(given) = verb.password() {
                    let (file, variable) = (given.password_file.as_deref(), given.password_env.as_deref());
                    let secret = prepare::secret(file, variable, given.password_command.as_deref());
                    let secret = secret.ok_or(
                        "a password is not typed here: give --password-file, --password-env or --password-command",
                    )?;
                    secrets = prepare::secrets([(PASSWORD, secret)].into_iter())?;
                }
                self.work_out_with(&line, intent, overrides.to_vec(), secrets).await
            }
            Some(Command::Config(verb)) if verb.change().is_some() => {
                let (intent, overrides) = verb.change().ok_or("that changes nothing")?;
                let files = verb.files().into_iter();
                let files = files.map(|(name, file)| (name, Secret::File(file.into())));
                let secrets = prepare::secrets(files)?;
                self.work_out_with(&line, intent, overrides.to_vec(), secrets).await
            }
            Some(Command::Group(verb)) => {
                let intent = verb.intent(Moment::now()).ok_or("that changes nothing")?;
                self.work_out(&line, intent, verb.overrides().to_vec()).await
            }
            Some(Command::Transaction(verb)) => {
                let (intent, overrides) = verb.change().ok_or("that changes nothing")?;
                self.work_out(&line, intent, overrides.to_vec()).await
            }
            Some(Command::Leader(verb)) => {
                let wish = match (verb.wish(), verb) {
                    (None, leader::Verb::Restore { id, .. }) => self.saved_order(id.as_deref()).await?,
                    (wish, _) => wish.ok_or("that changes nothing")?,
                };
                let overrides = verb.overrides().to_vec();
                self.work_out(&line, Intent::Leaders(wish), overrides).await
            }
            Some(Command::Operation(crate::command::operation::Verb::Undo {
                id,
                max_rate,
                max_bytes_in_flight,
                overrides,
                begin: _,
            })) => {
                let (_, folder) = self.folder().await?;
                let status = folder.find(id).and_then(|id| folder.status(&id)).map_err(told)?;
                let limit = max_bytes_in_flight.map(|size| size.0);
                let intent = status
                    .undoing()
                    .map_err(told)?
                    .within(reassign::max_rate(*max_rate), limit);
                self.work_out(&line, intent, overrides.clone()).await
            }
            Some(Command::Operation(verb)) => {
                use crate::command::operation::Verb as V;
                let (id, ask) = match verb {
                    V::Pause { id, now: true } => (id, Ask::PauseNow),
                    V::Pause { id, now: false } => (id, Ask::Pause),
                    V::Resume {
                        id: Some(id),
                        overrides,
                        ..
                    } if overrides.is_empty() => (id, Ask::Resume),
                    V::Abort { id } => (id, Ask::Abort),
                    _ => return Err(format!("`{text}` is for the command line")),
                };
                self.ask_sheet(&line, id, ask).await
            }
            _ => Err(format!("`{text}` cannot be planned here; it is for the command line")),
        }
    }

    async fn saved_order(&self, id: Option<&str>) -> Result<Wish, String> {
        let (_, folder) = self.folder().await?;
        let (_, order) = operation::saved_order(&folder, id).map_err(told)?;
        Ok(Wish::Restore(order))
    }

    /// The text goes into a file of the person's own, so that the command that does the same is one that can be run.
    async fn plan_rules(&self, text: &str) -> Result<Sheet, String> {
        let name: String = self
            .ground
            .context
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let path = self.ground.paths.state.join("draft").join(format!("{name}.acl"));
        write_private(&path, text).map_err(|error| error.to_string())?;
        let verb = acl::Verb::Apply {
            file: path,
            prune: true,
            detach: false,
            overrides: Vec::new(),
        };
        let printed = Command::Acl(verb).to_string();
        self.plan(&split(&printed)?).await
    }

    /// A plan, ready to read. Worked out on a thread that may block.
    async fn work_out(&self, line: &Line, intent: Intent, overrides: Vec<String>) -> Result<Sheet, String> {
        self.work_out_with(line, intent, overrides, Secrets::default()).await
    }

    /// The same with what its engine needs and its plan must not hold. On the heap: whoever chooses among many of them would else
    /// have room for each on its stack.
    fn work_out_with<'a>(
        &'a self,
        line: &'a Line,
        intent: Intent,
        overrides: Vec<String>,
        secrets: Secrets,
    ) -> BoxFuture<'a, Result<Sheet, String>> {
        self.worked_out(line, intent, overrides, secrets).boxed()
    }

    async fn worked_out(
        &self,
        line: &Line,
        intent: Intent,
        overrides: Vec<String>,
        secrets: Secrets,
    ) -> Result<Sheet, String> {
        let intent = prepare::equipped(intent, &self.ground.context).map_err(told)?;
        let snapshot = prepare::look(&self.ground.sources, &intent, PATIENCE).await;
        let intent = prepare::asked(&self.ground.sources, intent, &snapshot).await;
        let cluster_id = self.ground.hold(&snapshot).map_err(told)?;
        let rule = self.ground.rule(&cluster_id).map_err(told)?;
        let folder = self.ground.folder(&cluster_id).map_err(told)?;
        let intent = prepare::informed(intent, &folder).map_err(told)?;
        let context = self.ground.context.name.clone();
        let planned = tokio::task::spawn_blocking(move || intent.plan(&snapshot, &context, Moment::now()));
        let plan = planned.await.map_err(|error| error.to_string())?;
        let plan = plan.map_err(|error| error.to_string())?;
        let plan = prepare::leased(&self.ground.sources, plan).await;
        if !overrides.is_empty() && line.global.reason.is_none() {
            return Err("--override needs --reason TEXT; it is kept in the journal".to_owned());
        }
        let when = line
            .command
            .as_ref()
            .and_then(Command::when)
            .cloned()
            .unwrap_or_default();
        let launch = Launch {
            plan,
            reason: line.global.reason.clone(),
            overrides,
            schedule: when.schedule(Moment::now()),
        };
        let line = line.clone();
        Ok(self.sheet(Proposal { line, when, launch }, secrets, &rule))
    }

    /// What asking a running, or dead, operation for something would do.
    async fn ask_sheet(&self, line: &Line, id: &str, ask: Ask) -> Result<Sheet, String> {
        let (cluster_id, folder) = self.folder().await?;
        let id = folder.find(id).map_err(told)?;
        let status = folder.status(&id).map_err(told)?;
        let rule = self.ground.rule(&cluster_id).map_err(told)?;
        let over = status.phase.is_over().then(|| format!("it is {}", status.summary()));
        let dead = (matches!(ask, Ask::Pause | Ask::PauseNow) && status.is_orphaned())
            .then(|| "its engine is gone; nothing runs".to_owned());
        let what = match ask {
            Ask::Pause => "the step in flight goes on to its end; the next does not begin",
            Ask::PauseNow => "what is in flight goes back, and is done again after the pause",
            Ask::Resume if status.is_orphaned() => "a new engine looks what was done, and finishes it",
            Ask::Resume => "the next step begins",
            Ask::Abort => "what is in flight goes back; finished steps stay",
        };
        let target = self.ground.target();
        let target = target.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let sheet = Sheet {
            id: uuid::Uuid::new_v4().to_string(),
            title: format!("{ask} operation {id}"),
            lines: vec![
                Field::new(status.plan.title.clone()),
                Field::new(status.summary()),
                Field::new(what).tone(Tone::Warn),
            ],
            command: format!("{} {target}", line.without_consent()),
            // A pause stops nothing that has begun, so nobody need type for it.
            confirm: (!matches!(ask, Ask::Pause | Ask::PauseNow) && rule.class == Class::Prod)
                .then(|| rule.name.clone()),
            blocked: read_only(&rule).or(over).or(dead),
            ..Sheet::default()
        };
        self.remember(&sheet.id, Work::Ask { id, ask, cluster_id });
        Ok(sheet)
    }

    async fn apply(&self, sheet: &str, confirm: Option<String>) -> Result<String, String> {
        let work = self
            .recall(sheet)
            .ok_or("that plan is no longer at hand; make it again")?;
        match work {
            Work::Plan(work, secrets) => {
                let launch = work.launch;
                let plan = &launch.plan;
                let rule = self.ground.rule(&plan.cluster_id).map_err(told)?;
                let typed = plan.wants_name();
                consent(&rule, confirm, typed)?;
                if rule.reason && launch.reason.is_none() {
                    return Err(Refusal::Unreasoned(rule.name).to_string());
                }
                if let Some(refusal) = summary::refusal(plan, &launch.overrides) {
                    return Err(refusal);
                }
                let folder = self.ground.folder(&plan.cluster_id).map_err(told)?;
                let route = Route {
                    secrets,
                    ..self.ground.route()
                };
                let id = launch::begin(&folder, launch, Moment::now()).map_err(told)?;
                match launch::start(&folder, &id, &route).await {
                    Ok(_) => Ok(format!("operation {id} runs; it goes on when you leave")),
                    Err(Error::Over { .. }) => over(&folder, &id),
                    Err(error) => Err(error.to_string()),
                }
            }
            Work::Ask { id, ask, cluster_id } => {
                let rule = self.ground.rule(&cluster_id).map_err(told)?;
                if matches!(ask, Ask::Pause | Ask::PauseNow) {
                    read_only(&rule).map_or(Ok(()), Err)?;
                } else {
                    consent(&rule, confirm, false)?;
                }
                let folder = self.ground.folder(&cluster_id).map_err(told)?;
                self.ask(&folder, &id, ask).await
            }
        }
    }

    async fn ask(&self, folder: &Folder, id: &Id, ask: Ask) -> Result<String, String> {
        let status = folder.status(id).map_err(told)?;
        let route = self.ground.route();
        if status.is_orphaned() {
            let started = match ask {
                Ask::Abort => launch::abort(folder, id, &route).await,
                Ask::Resume => launch::resume(folder, id, &route).await,
                Ask::Pause | Ask::PauseNow => return Err(format!("operation {id} has no engine; nothing runs")),
            };
            return match started {
                Ok(_) => Ok(format!("operation {id}: {ask}, taken up by a new engine")),
                Err(Error::Over { .. }) => over(folder, id),
                Err(error) => Err(error.to_string()),
            };
        }
        let mut client = Client::connect(folder, id).await.map_err(told)?;
        let status = client.ask(ask).await.map_err(told)?;
        Ok(format!("operation {id}: {}", status.summary()))
    }

    /// Never over a file that is there.
    fn save(&self, sheet: &str) -> Result<String, String> {
        let Some(Work::Plan(work, _)) = self.recall(sheet) else {
            return Err("only a plan can be saved".to_owned());
        };
        let plan = work.launch.plan;
        let path = std::env::current_dir().unwrap_or_default().join(file_name(&plan));
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(format!("wrote {}", path.display()))
    }

    async fn folder(&self) -> Result<(String, Folder), String> {
        let cluster_id = self.ground.cluster_id(PATIENCE).await.map_err(told)?;
        let folder = self.ground.folder(&cluster_id).map_err(told)?;
        Ok((cluster_id, folder))
    }

    fn remember(&self, sheet: &str, work: Work) {
        let mut sheets = self.sheets();
        sheets.push_back((sheet.to_owned(), work));
        let surplus = sheets.len().saturating_sub(SHEETS);
        sheets.drain(..surplus);
    }

    fn recall(&self, sheet: &str) -> Option<Work> {
        let sheets = self.sheets();
        let found = sheets.iter().find(|(id, _)| id == sheet);
        found.map(|(_, work)| work.clone())
    }

    fn sheets(&self) -> MutexGuard<'_, VecDeque<(String, Work)>> {
        // Nothing panics while it is held; if something did, the list is whole.
        self.sheets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the person may; on a screen, `A` is the yes and the typed name the confirmation.
fn consent(rule: &Rule, confirm: Option<String>, typed: bool) -> Result<(), String> {
    if typed && confirm.is_none() {
        return Err("nothing was changed: what cannot be undone needs the context's name".to_owned());
    }
    let consent = Consent {
        dry_run: false,
        yes: confirm.is_none() && rule.class != Class::Prod,
        confirm,
        // Asked for on the sheet.
        reasoned: true,
    };
    match rule.verdict(&consent) {
        Verdict::Go => Ok(()),
        Verdict::Refused(refusal) => Err(refusal.to_string()),
        Verdict::DryRun | Verdict::Ask(_) => Err(rule.unconfirmed().to_string()),
    }
}

fn read_only(rule: &Rule) -> Option<String> {
    let asking = Consent {
        reasoned: true,
        ..Consent::default()
    };
    match rule.verdict(&asking) {
        Verdict::Refused(refusal) => Some(refusal.to_string()),
        Verdict::DryRun | Verdict::Go | Verdict::Ask(_) => None,
    }
}

/// An operation that was done before anybody could look.
fn over(folder: &Folder, id: &Id) -> Result<String, String> {
    let status = folder.status(id).map_err(told)?;
    let text = format!("operation {id} {}", status.summary());
    match status.phase {
        Phase::Failed => Err(text),
        Phase::Running | Phase::Paused | Phase::Finished | Phase::Aborted => Ok(text),
    }
}

fn file_name(plan: &Plan) -> String {
    format!("plan-{}.json", plan.made_at.strftime("%Y%m%d-%H%M%S"))
}

fn told(error: Error) -> String {
    error.to_string()
}

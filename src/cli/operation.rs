//! `azimuth operation …`

use std::io::Write as _;
use std::time::Duration;

use futures::FutureExt;

use super::change::{self, ground};
use super::exit::{Exit, Failure, say};
use super::follow::Stay;
use super::output::{Answer, Block, Column, Data, Field, Problem, Rank, Sheet, duration, moment, percent};
use super::{consent, facts, follow};
use crate::command::operation::Verb;
use crate::command::reassign;
use crate::command::words::quote;
use crate::command::{Line, Output};
use crate::model::Moment;
use crate::operation::client::Client;
use crate::operation::engine::Means;
use crate::operation::journal::{Ask, Chain};
use crate::operation::launch::Route;
use crate::operation::presence::others;
use crate::operation::{
    Entry, Error, Folder, Ground, Id, Journal, Phase, Secrets, Status, StepState, Who, engine, launch,
};
use crate::plan::summary;
use crate::settings::rule::Verdict;

pub async fn run(line: &Line, verb: &Verb) -> Result<Exit, Failure> {
    if line.global.from.is_some() {
        return Err(Failure::usage("operations are not in a capture; leave out --from"));
    }
    if let Verb::Engine {
        id,
        cluster,
        properties,
        unattended,
    } = verb
    {
        let mut global = line.global.clone();
        let mut secrets = Secrets::default();
        if *properties {
            let told = launch::told().map_err(|error| Failure::usage(format!("stdin: {error}")))?;
            global.property.extend(told.properties);
            secrets = told.secrets;
        }
        return carry_out(&ground(&global)?, id, cluster, secrets, *unattended).await;
    }
    if matches!(verb, Verb::Unit) {
        return unit(&ground(&line.global)?);
    }
    let ground = ground(&line.global)?;
    let cluster_id = ground.cluster_id(facts::patience(&line.global)).boxed().await?;
    let folder = ground.folder(&cluster_id)?;
    let place = Place {
        line,
        ground,
        cluster_id,
        folder,
    };
    match verb {
        Verb::List => {
            if let Some(badge) = place
                .ground
                .private(&place.cluster_id)
                .filter(|_| line.global.output == Output::Table)
            {
                say(&format!("azimuth: {badge}"));
            }
            place.tell_of_others().await;
            place.print(list(&place.folder)?)
        }
        Verb::Show { id } => place.print(show(&place.folder, &place.folder.find(id)?)?),
        Verb::Attach { id } => place.attach(&place.folder.find(id)?).await,
        Verb::Pause { id, now } => place.pause(&place.folder.find(id)?, *now).await,
        Verb::Resume {
            id: Some(id),
            overrides,
            ..
        } => place.resume(&place.folder.find(id)?, overrides).await,
        Verb::Resume { id: None, .. } => place.take_up().await,
        Verb::Abort { id } => place.abort(&place.folder.find(id)?).await,
        Verb::Undo {
            id,
            max_rate,
            max_bytes_in_flight,
            overrides,
            begin,
        } => {
            let status = place.folder.status(&place.folder.find(id)?)?;
            let limit = max_bytes_in_flight.map(|size| size.0);
            let intent = status.undoing()?.within(reassign::max_rate(*max_rate), limit);
            change::scheduled(line, intent, overrides, begin).boxed().await
        }
        Verb::Engine { .. } | Verb::Unit => Ok(Exit::Done),
    }
}

/// Looking who else is there must not keep anybody waiting who looks at journals while no broker answers.
const GLANCE: Duration = Duration::from_secs(1);

/// The engine itself. What it says goes to its log.
async fn carry_out(
    ground: &Ground,
    id: &str,
    cluster: &str,
    secrets: Secrets,
    unattended: bool,
) -> Result<Exit, Failure> {
    launch::detach();
    let folder = ground.folder(cluster)?;
    let means = Means {
        secrets,
        garage: ground.garage(),
        notify: ground.context.notify.clone(),
        unattended,
    };
    let status = engine::run(&folder, &Id::parse(id)?, &ground.sources, means)
        .boxed()
        .await?;
    Ok(follow::meaning(&status))
}

/// The unit, for this program, this user and this context.
fn unit(ground: &Ground) -> Result<Exit, Failure> {
    let program = std::env::current_exe().map_err(Failure::partial)?;
    let program = program.display().to_string();
    let words = [
        program,
        "operation".to_owned(),
        "resume".to_owned(),
        "--unattended".to_owned(),
    ];
    let line: Vec<String> = words
        .into_iter()
        .chain(ground.target())
        .map(|word| quote(&word))
        .collect();
    let (name, user) = (&ground.context.name, crate::operation::Who::me().user);
    let text = format!(
        "# /etc/systemd/system/azimuth-{name}.service\n\
         [Unit]\n\
         Description=Azimuth: take up operations on {name} after a reboot, up to a pause\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         # The engines that it starts outlive it.\n\
         KillMode=process\n\
         User={user}\n\
         ExecStart={}\n\
         Restart=on-failure\n\
         RestartSec=30\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        line.join(" ")
    );
    super::printed(super::out::stdout().write_all(text.as_bytes()))
}

/// The operations of one cluster, and what may be done about them.
struct Place<'a> {
    line: &'a Line,
    ground: Ground,
    cluster_id: String,
    folder: Folder,
}

impl Place<'_> {
    /// Who else works on this cluster, wherever, as far as it is seen at a glance.
    async fn tell_of_others(&self) {
        if !matches!(self.line.global.output, Output::Table | Output::Wide) {
            return;
        }
        let seen = tokio::time::timeout(GLANCE, others(&self.ground.sources.kafka, &self.cluster_id));
        let Ok(Ok(Some(seen))) = seen.await else { return };
        // Operations of this host are in the list.
        let own = Who::me().host;
        for one in seen.there.iter().filter(|one| !one.is_engine() || one.host != own) {
            say(&format!("azimuth: also here: {}", one.words()));
        }
    }

    fn print(&self, mut answer: Answer) -> Result<Exit, Failure> {
        answer.context = Some(self.ground.context.name.clone());
        answer.cluster_id = Some(self.cluster_id.clone());
        answer.taken_at = Some(Moment::now());
        let Some(command) = &self.line.command else {
            return Ok(Exit::Done);
        };
        super::print(self.line, command, &answer)
    }

    async fn attach(&self, id: &Id) -> Result<Exit, Failure> {
        let status = self.folder.status(id)?;
        if status.phase.is_over() || status.is_orphaned() {
            return follow::report(self.line, &status);
        }
        match Client::connect(&self.folder, id).await {
            Ok(client) => follow::follow(self.line, &self.folder, id, client, Stay::ToTheEnd).await,
            Err(_) => follow::report(self.line, &follow::settled(&self.folder, id).await?),
        }
    }

    async fn pause(&self, id: &Id, now: bool) -> Result<Exit, Failure> {
        // It changes nothing, so it needs no confirmation; but a read-only context may not stop others' work either.
        let given = consent::given(&self.line.global);
        if let Verdict::Refused(refusal) = self.ground.rule(&self.cluster_id)?.verdict(&given) {
            return Err(Failure::refused(refusal));
        }
        let status = self.folder.status(id)?;
        if status.phase.is_over() || status.is_orphaned() {
            return Err(Failure::refused(format!(
                "operation {id} is {}; nothing can be paused",
                status.summary()
            )));
        }
        if self.line.global.dry_run {
            let how = match now {
                true => "at once; what is in flight goes back",
                false => "before its next step",
            };
            say(&format!("would pause operation {id} ({}) {how}", status.plan.title));
            return Ok(Exit::Done);
        }
        let ask = if now { Ask::PauseNow } else { Ask::Pause };
        let status = Client::connect(&self.folder, id).await?.ask(ask).await?;
        if status.phase == Phase::Running && now {
            say("azimuth: what is in flight goes back, then it pauses");
        } else if status.phase == Phase::Running {
            let step = status.current().map_or(0, |at| at + 1);
            say(&format!(
                "azimuth: step {step} of {} goes on to its end, then it pauses",
                status.steps.len()
            ));
        }
        follow::report(self.line, &status)
    }

    async fn resume(&self, id: &Id, overrides: &[String]) -> Result<Exit, Failure> {
        let reason = self.line.global.reason.clone();
        if !overrides.is_empty() && reason.is_none() {
            return Err(Failure::usage(
                "--override needs --reason TEXT; it is kept in the journal",
            ));
        }
        let status = self.folder.status(id)?;
        if status.phase.is_over() {
            return Err(Failure::refused(format!(
                "operation {id} is {}; there is nothing to resume",
                status.summary()
            )));
        }
        if !self.may(&format!(
            "resume operation {id}: {}\n  {}",
            status.plan.title,
            status.summary()
        ))? {
            return Ok(Exit::Done);
        }
        if status.is_orphaned() {
            let route = self.ground.route();
            let engine = launch::resume_against(&self.folder, id, &route, overrides.to_vec(), reason);
            return follow::started(self.line, &self.folder, id, engine.boxed(), false).await;
        }
        let mut client = Client::connect(&self.folder, id).await?;
        let rests = status.phase == Phase::Paused || matches!(status.asked, Some(Ask::Pause | Ask::PauseNow));
        if rests || !overrides.is_empty() {
            client.ask_against(Ask::Resume, overrides.to_vec(), reason).await?;
        } else if let Some(wait) = &status.waits {
            say(&format!("azimuth: operation {id} waits by itself: {wait}"));
        } else {
            say(&format!("azimuth: operation {id} is running already"));
        }
        // What it goes on against still shows closed for a moment.
        let stay = match overrides.is_empty() {
            true => Stay::UntilHeldUp,
            false => Stay::ToTheEnd,
        };
        follow::follow(self.line, &self.folder, id, client, stay).await
    }

    /// After a reboot: every operation without an engine gets one, which finishes the step that was in flight and pauses.
    /// Nothing new begins, so nobody is asked; a read-only context may not do it all the same.
    async fn take_up(&self) -> Result<Exit, Failure> {
        let given = consent::given(&self.line.global);
        if let Verdict::Refused(refusal) = self.ground.rule(&self.cluster_id)?.verdict(&given) {
            return Err(Failure::refused(refusal));
        }
        let mut orphans = Vec::new();
        for (id, told) in self.folder.all()? {
            match told {
                Ok(status) if status.is_orphaned() && status.phase == Phase::Running => orphans.push((id, status)),
                Ok(_) => {}
                Err(error) => say(&format!("azimuth: operation {id}: {error}")),
            }
        }
        let mut taken = Vec::new();
        for (id, status) in orphans {
            if self.line.global.dry_run {
                say(&format!("would take up operation {id} ({})", status.plan.title));
                continue;
            }
            let route = Route {
                unattended: true,
                ..self.ground.route()
            };
            match launch::resume(&self.folder, &id, &route).boxed().await {
                Ok(_) | Err(Error::Over { .. }) => taken.push(self.folder.status(&id)?),
                Err(error) => say(&format!("azimuth: operation {id}: {error}")),
            }
        }
        self.print(answer_of(&taken))
    }

    async fn abort(&self, id: &Id) -> Result<Exit, Failure> {
        let status = self.folder.status(id)?;
        if status.phase.is_over() {
            return Err(Failure::refused(format!(
                "operation {id} is {}; there is nothing to abort",
                status.summary()
            )));
        }
        let what = format!(
            "abort operation {id}: {}\n  {}; what is in flight goes back, finished steps stay",
            status.plan.title,
            status.summary()
        );
        if !self.may(&what)? {
            return Ok(Exit::Done);
        }
        let exit = if status.is_orphaned() {
            let route = self.ground.route();
            let engine = launch::abort(&self.folder, id, &route);
            follow::started(self.line, &self.folder, id, engine.boxed(), false).await?
        } else {
            let mut client = Client::connect(&self.folder, id).await?;
            client.ask(Ask::Abort).await?;
            follow::follow(self.line, &self.folder, id, client, Stay::ToTheEnd).await?
        };
        // Here that is what was asked for.
        let aborted = self.folder.status(id)?.phase == Phase::Aborted;
        Ok(if aborted { Exit::Done } else { exit })
    }

    /// Whether it may be done now; `false` for a dry run, which has said what it would do.
    fn may(&self, what: &str) -> Result<bool, Failure> {
        let rule = self.ground.rule(&self.cluster_id)?;
        match consent::ask(&self.line.global, &rule, what, false)? {
            consent::Permit::Go => Ok(true),
            consent::Permit::DryRun => {
                say(&format!("would {what}"));
                Ok(false)
            }
        }
    }
}

/// Operations as an answer, for every command that ends with one.
pub fn answer_of(operations: &[Status]) -> Answer {
    let mut answer = Answer::list(COLUMNS, operations, "operation", |status| status.id.to_string());
    answer.context = operations.first().map(|status| status.plan.context.clone());
    answer.cluster_id = operations.first().map(|status| status.plan.cluster_id.clone());
    answer.taken_at = Some(Moment::now());
    answer
}

fn list(folder: &Folder) -> Result<Answer, Failure> {
    let mut fine = Vec::new();
    let mut problems = Vec::new();
    for (id, told) in folder.all()? {
        match told {
            Ok(status) => fine.push(status),
            Err(error) => problems.push(Problem {
                subjects: vec![format!("operation {id}")],
                fields: Vec::new(),
                reason: error.to_string(),
            }),
        }
    }
    let mut answer = answer_of(&fine);
    answer.complete = problems.is_empty();
    answer.problems.extend(problems);
    Ok(answer)
}

/// One operation with its steps and its journal.
fn show(folder: &Folder, id: &Id) -> Result<Answer, Failure> {
    let status = folder.status(id)?;
    let entries = Journal::read(&folder.journal(id))?;
    let chain = Journal::chain(&folder.journal(id))?;
    let mut answer = answer_of(std::slice::from_ref(&status));
    answer.blocks[0].upright = true;
    let steps: Vec<Step> = (0..status.steps.len()).map(|at| Step::of(&status, at)).collect();
    let steps = Sheet::of(STEPS, &steps);
    let begun = status.begun_at;
    let told: Vec<Told> = entries.into_iter().map(|entry| Told { begun, entry }).collect();
    let log = Sheet::of(LOG, &told);
    let items = std::mem::take(&mut answer.items).into_iter();
    answer.items = items
        .map(|item| {
            item.with("steps", Data::List(steps.items()))
                .with("journal", Data::List(log.items()))
                .with("chain", Data::from(Some(chain.to_string())))
        })
        .collect();
    for (title, sheet) in [("steps", steps), ("journal", log)] {
        answer.blocks.push(Block {
            title: Some(title.to_owned()),
            sheet,
            upright: false,
        });
    }
    match &chain {
        Chain::Whole(_) => {}
        broken => say(&format!("azimuth: the journal of operation {id} is {broken}")),
    }
    if let Some(way_out) = status.way_out() {
        say(&format!("azimuth: operation {id} is half done: {way_out}"));
    }
    Ok(answer)
}

/// An entry of the journal, and when the operation began.
struct Told {
    begun: Moment,
    entry: Entry,
}

/// A step with its place.
struct Step {
    number: u32,
    name: String,
    state: &'static str,
    at: Option<Moment>,
    outcome: Option<String>,
}

impl Step {
    fn of(status: &Status, at: usize) -> Self {
        let (state, moment, outcome) = match &status.steps[at] {
            StepState::Next => ("next", None, None),
            StepState::Doing { since } if status.alive => ("doing", Some(*since), None),
            StepState::Doing { since } => ("half done", Some(*since), None),
            StepState::Done { at, outcome } => ("done", Some(*at), Some(outcome.clone())),
        };
        Self {
            number: at as u32 + 1,
            name: status.plan.steps.get(at).map(summary::step_name).unwrap_or_default(),
            state,
            at: moment,
            outcome,
        }
    }
}

fn at(moment_: Option<Moment>) -> Field {
    let text = moment_.map(moment);
    Field::data(moment_.map(|at| at.to_string()), text.unwrap_or_else(|| "-".to_owned()))
}

const COLUMNS: &[Column<Status>] = &[
    Column {
        key: "operation",
        title: "OPERATION",
        rank: Rank::Always,
        field: |status| Field::text(status.id.to_string()),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |status| Field::text(status.word()),
    },
    Column {
        key: "title",
        title: "WHAT",
        rank: Rank::Always,
        field: |status| Field::text(&status.plan.title),
    },
    Column {
        key: "kind",
        title: "KIND",
        rank: Rank::Wide,
        field: |status| Field::text(status.plan.kind.to_string()),
    },
    Column {
        key: "percent",
        title: "DONE",
        rank: Rank::Usual,
        field: |status| Field::number(status.percent(), percent(status.percent())),
    },
    Column {
        key: "steps_done",
        title: "STEPS",
        rank: Rank::Usual,
        field: |status| Field::number(status.steps_done() as u64, status.steps_done()),
    },
    Column {
        key: "steps",
        title: "OF",
        rank: Rank::Usual,
        field: |status| Field::number(status.steps.len() as u64, status.steps.len()),
    },
    Column {
        key: "begun_by",
        title: "BY",
        rank: Rank::Usual,
        field: |status| Field::text(status.begun_by.to_string()),
    },
    Column {
        key: "begun_at",
        title: "BEGUN",
        rank: Rank::Usual,
        field: |status| at(Some(status.begun_at)),
    },
    Column {
        key: "last_at",
        title: "LAST",
        rank: Rank::Wide,
        field: |status| at(Some(status.last_at)),
    },
    Column {
        key: "waits_for",
        title: "WAITS FOR",
        rank: Rank::Wide,
        field: |status| {
            let waits = status.waits.as_ref().filter(|_| status.word() == "waiting");
            Field::maybe(waits.map(ToString::to_string).as_ref())
        },
    },
    Column {
        key: "reason",
        title: "REASON",
        rank: Rank::Wide,
        field: |status| Field::maybe(status.reason.as_ref()),
    },
    Column {
        key: "note",
        title: "NOTE",
        rank: Rank::Wide,
        field: |status| Field::maybe(status.note.as_ref()),
    },
];

const STEPS: &[Column<Step>] = &[
    Column {
        key: "step",
        title: "STEP",
        rank: Rank::Always,
        field: |step| Field::number(step.number, step.number),
    },
    Column {
        key: "state",
        title: "STATE",
        rank: Rank::Always,
        field: |step| Field::text(step.state),
    },
    Column {
        key: "what",
        title: "WHAT",
        rank: Rank::Always,
        field: |step| Field::text(&step.name),
    },
    Column {
        key: "at",
        title: "AT",
        rank: Rank::Usual,
        field: |step| at(step.at),
    },
    Column {
        key: "outcome",
        title: "OUTCOME",
        rank: Rank::Usual,
        field: |step| Field::maybe(step.outcome.as_ref()),
    },
];

const LOG: &[Column<Told>] = &[
    Column {
        key: "at",
        title: "AT",
        rank: Rank::Always,
        field: |told| at(Some(told.entry.at)),
    },
    Column {
        key: "after_seconds",
        title: "AFTER",
        rank: Rank::Usual,
        field: |told| {
            let after = told.entry.at.duration_since(told.begun).as_secs_f64();
            Field::number(after, duration(after))
        },
    },
    Column {
        key: "event",
        title: "EVENT",
        rank: Rank::Always,
        field: |told| Field::text(told.entry.event.to_string()),
    },
];

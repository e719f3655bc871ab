//! A change on the command line: worked out, shown, let through by gates and rules, begun, and followed to its end.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;

use super::exit::{Exit, Failure, say};
use super::{consent, facts, follow, output};
use crate::command::schedule::{Begin, When};
use crate::command::{Command, Global, Line, Output, restart};
use crate::model::{Moment, Snapshot, foreign};
use crate::operation::launch::{self, Launch, Route};
use crate::operation::{self, Ground, Secrets, prepare};
use crate::plan::intent::Intent;
use crate::plan::reassign::refresh;
use crate::plan::schedule::Schedule;
use crate::plan::{self, Kind, Plan, drift, gate, reassign, summary};
use crate::settings::properties;
use crate::settings::rule::{Consent, Verdict};

/// What is to be done, and how.
pub struct Wish<'a> {
    pub intent: Intent,
    /// The plan that was saved and shall be carried out, if there is one.
    pub saved: Option<Plan>,
    pub overrides: &'a [String],
    /// Return once it runs.
    pub detach: bool,
    /// When it may go on.
    pub schedule: Schedule,
    /// Of a saved reassignment: what has drifted is left out.
    pub skip_drifted: bool,
    /// What the engine needs and no plan or journal holds.
    pub secrets: Secrets,
}

/// Carries out what needs no file and no secret.
pub async fn carry_out(line: &Line, intent: Intent, overrides: &[String]) -> Result<Exit, Failure> {
    begin(line, intent, overrides, false).await
}

/// The same, and returns once it runs where it is to be left to itself.
pub async fn begin(line: &Line, intent: Intent, overrides: &[String], detach: bool) -> Result<Exit, Failure> {
    let wish = Wish {
        detach,
        ..Wish::of(intent, overrides)
    };
    run(line, wish).await
}

/// The same, when it may go on.
pub async fn scheduled(line: &Line, intent: Intent, overrides: &[String], how: &Begin) -> Result<Exit, Failure> {
    let wish = Wish {
        detach: how.detach,
        schedule: how.when.schedule(Moment::now()),
        ..Wish::of(intent, overrides)
    };
    run(line, wish).await
}

impl<'a> Wish<'a> {
    /// What is begun at once, and followed to its end.
    pub fn of(intent: Intent, overrides: &'a [String]) -> Self {
        Self {
            intent,
            saved: None,
            overrides,
            detach: false,
            schedule: Schedule::default(),
            skip_drifted: false,
            secrets: Secrets::default(),
        }
    }

    /// A plan that was saved.
    pub fn saved(plan: Plan, overrides: &'a [String], detach: bool, when: &When) -> Self {
        Self {
            detach,
            schedule: when.schedule(Moment::now()),
            saved: Some(plan.clone()),
            ..Self::of(Intent::of(&plan), overrides)
        }
    }
}

/// Carries a wish out, from the first look to the last line.
pub async fn run(line: &Line, wish: Wish<'_>) -> Result<Exit, Failure> {
    let global = &line.global;
    if global.from.is_some() {
        return Err(Failure::usage("a capture cannot be changed; leave out --from"));
    }
    if !wish.overrides.is_empty() && global.reason.is_none() {
        return Err(Failure::usage(
            "--override needs --reason TEXT; it is kept in the journal",
        ));
    }
    let ground = ground(global)?;
    let wished = match wish.saved {
        Some(_) => wish.intent,
        None => prepare::equipped(wish.intent, &ground.context)?,
    };
    let snapshot = look(&ground, global, &wished).await;
    let cluster_id = ground.hold(&snapshot)?;
    let rule = ground.rule(&cluster_id)?;
    let folder = ground.folder(&cluster_id)?;
    let intent = prepare::informed(wished, &folder)?;
    // Nobody who may not change anything need read a plan first.
    let given = Consent {
        reasoned: global.reason.is_some(),
        ..consent::given(global)
    };
    if let Verdict::Refused(refusal) = rule.verdict(&given) {
        return Err(Failure::refused(refusal));
    }
    let now = Moment::now();
    let plan = match &wish.saved {
        Some(saved) if wish.skip_drifted => {
            let (left, reasons) = refresh::without_drifted(saved, &snapshot)?;
            reasons.iter().for_each(|why| say(&format!("azimuth: left out: {why}")));
            still(&left, &snapshot, now)?
        }
        Some(saved) => still(saved, &snapshot, now)?,
        None => {
            let intent = prepare::asked(&ground.sources, intent, &snapshot).await;
            intent.plan(&snapshot, &ground.context.name, now)?
        }
    };
    ground.garage().fits(&plan)?;
    let plan = prepare::leased(&ground.sources, plan).boxed().await;
    known(&plan, wish.overrides)?;
    let refusal = summary::refusal(&plan, wish.overrides);
    if global.dry_run {
        show(line, &plan)?;
        return match refusal {
            Some(refusal) => Err(Failure::refused(refusal)),
            None => Ok(Exit::Done),
        };
    }
    for line in summary::lines(&plan) {
        say(&line.text);
    }
    if let Some(refusal) = refusal {
        return Err(Failure::refused(refusal));
    }
    consent::ask_leave(global, &rule, &plan)?;
    follow::tell_of_orphans(&folder);
    let launch = Launch {
        reason: global.reason.clone(),
        overrides: wish.overrides.to_vec(),
        schedule: wish.schedule,
        plan,
    };
    let id = launch::begin(&folder, launch, now)?;
    let route = Route {
        secrets: wish.secrets,
        ..ground.route()
    };
    let started = launch::start(&folder, &id, &route);
    follow::started(line, &folder, &id, started.boxed(), wish.detach).await
}

/// Where a plan is saved, in our format and in Kafka's.
#[derive(Clone, Copy, Default)]
pub struct Files<'a> {
    pub plan: Option<&'a Path>,
    /// What kafka-reassign-partitions.sh executes.
    pub kafka: Option<&'a Path>,
    /// The same for the way back.
    pub undo: Option<&'a Path>,
    /// How long the plan may wait.
    pub valid: Option<Duration>,
    /// The plan that it is compared with, and whether it is worked out from that alone.
    pub refresh: Option<(&'a Plan, bool)>,
}

/// `reassign plan` and `restart plan`: works it out and shows or saves it.
pub async fn plan(line: &Line, mut intent: Intent, files: Files<'_>) -> Result<Exit, Failure> {
    let out = files.plan;
    let global = &line.global;
    let (snapshot, context, sources) = match &global.from {
        Some(path) => {
            let snapshot = crate::feed::capture::load(path).map_err(Failure::usage)?;
            let context = snapshot.context.clone();
            (snapshot, context, None)
        }
        None => {
            let ground = ground(global)?;
            intent = prepare::equipped(intent, &ground.context)?;
            let snapshot = look(&ground, global, &intent).await;
            ground.hold(&snapshot)?;
            (snapshot, ground.context.name, Some(ground.sources))
        }
    };
    let now = Moment::now();
    let mut plan = match files.refresh {
        Some((before, true)) => {
            let (wish, gone) = refresh::wish(before, &snapshot);
            if !gone.is_empty() {
                say(&format!("azimuth: gone since the plan was made: {}", gate::few(&gone)));
            }
            Intent::Reassign(wish).plan(&snapshot, &context, now)?
        }
        _ => intent.plan(&snapshot, &context, now)?,
    };
    if let Some(sources) = &sources {
        plan = prepare::leased(sources, plan).boxed().await;
    }
    if let Some((before, _)) = files.refresh {
        let difference = refresh::difference(before, &plan);
        if difference.is_empty() {
            say("azimuth: the same as the plan that was saved");
        }
        difference
            .iter()
            .for_each(|what| say(&format!("azimuth: differs: {what}")));
    }
    if let Some(valid) = files.valid {
        plan.expires_at = now + jiff::SignedDuration::from_secs(valid.as_secs() as i64);
    }
    let text = file(&plan)?;
    let there = || plan.moves().map(|m| (m.topic.as_str(), m.partition, m.to.as_slice()));
    let back = || plan.moves().map(|m| (m.topic.as_str(), m.partition, m.from.as_slice()));
    let saved = [
        out.map(|path| (path, text)),
        files.kafka.map(|path| (path, reassign::write(there()))),
        files.undo.map(|path| (path, reassign::write(back()))),
    ];
    for (path, text) in saved.into_iter().flatten() {
        save(path, &text)?;
        say(&format!("azimuth: saved {}", path.display()));
    }
    show(line, &plan)?;
    if matches!(global.output, Output::Table | Output::Wide) {
        let file = out.map_or_else(|| "plan.json".into(), Path::to_path_buf);
        let apply = Line {
            command: Some(applying(plan.kind, file)),
            global: Global {
                output: Output::Table,
                dry_run: false,
                property: global.property.iter().map(|text| properties::public(text)).collect(),
                ..line.without_consent().global
            },
        };
        let hint = if out.is_some() {
            ""
        } else {
            "   (save it first: --out plan.json)"
        };
        say(&format!("{apply}{hint}"));
    }
    if let Some(refusal) = summary::refusal(&plan, &[]) {
        say(&format!("azimuth: apply would refuse this: {refusal}"));
    }
    Ok(Exit::Done)
}

/// The command that carries out a plan of this kind from a file.
fn applying(kind: Kind, file: PathBuf) -> Command {
    let (detach, overrides, when) = (false, Vec::new(), When::default());
    match kind {
        Kind::Restart => Command::Restart(restart::Verb::Apply {
            file,
            detach,
            overrides,
            when,
        }),
        _ => Command::Reassign(crate::command::reassign::Verb::Apply {
            file,
            detach,
            overrides,
            skip_drifted: false,
            when,
        }),
    }
}

/// Reads a plan of one kind; `-` is stdin.
pub fn load(path: &Path, kind: Kind) -> Result<Plan, Failure> {
    parse(path, &read(path)?, kind)
}

/// A file's text; `-` is stdin.
pub fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// A plan of one kind from the text of a file.
pub fn parse(path: &Path, text: &str, kind: Kind) -> Result<Plan, Failure> {
    let name = path.display();
    let plan: Plan =
        serde_json::from_str(text).map_err(|error| Failure::usage(format!("{name} is no plan: {error}")))?;
    if plan.azimuth != plan::VERSION {
        let version = plan.azimuth;
        return Err(Failure::usage(format!(
            "{name} is a plan of version {version}, this azimuth knows {}; make it again",
            plan::VERSION
        )));
    }
    if plan.kind != kind {
        return Err(Failure::refused(format!(
            "{name} is a plan of kind {}, not {kind}",
            plan.kind
        )));
    }
    Ok(plan)
}

/// The context and its cluster, with what its properties gave occasion to say told on stderr.
pub fn ground(global: &Global) -> Result<Ground, Failure> {
    let ground = Ground::of(facts::asked(global), facts::paths()?)?;
    for note in &ground.context.connection.notes {
        say(&format!("azimuth: {note}"));
    }
    Ok(ground)
}

async fn look(ground: &Ground, global: &Global, intent: &Intent) -> Snapshot {
    const MARGIN: Duration = Duration::from_millis(250);
    let patience = facts::patience(global);
    let deadline = patience.saturating_sub(MARGIN).max(patience / 2);
    prepare::look(&ground.sources, intent, deadline).boxed().await
}

/// A saved plan, while the cluster is still as it saw it; its gates as they stand now.
fn still(saved: &Plan, snapshot: &Snapshot, now: Moment) -> Result<Plan, Failure> {
    let (material, immaterial): (Vec<_>, Vec<_>) = drift::since(saved, snapshot, now)
        .into_iter()
        .partition(|drift| drift.material);
    for drift in immaterial {
        say(&format!("azimuth: changed since the plan was made: {}", drift.what));
    }
    if !material.is_empty() {
        let list: String = material.iter().map(|drift| format!("\n  {}", drift.what)).collect();
        let way = match saved.kind {
            Kind::Reassign => "make it again, --refresh it, or --skip-drifted",
            _ => "make it again",
        };
        return Err(Failure::refused(format!(
            "the plan no longer fits the cluster; {way}:{list}"
        )));
    }
    Ok(saved.renewed(snapshot, now)?)
}

/// An override of a gate that the plan does not have is a typo, and must not pass as one that was heeded.
fn known(plan: &Plan, overrides: &[String]) -> Result<(), Failure> {
    let names: Vec<&str> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
    match overrides.iter().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(Failure::usage(format!(
            "--override {name}: this plan's gates are {}",
            names.join(", ")
        ))),
        None => Ok(()),
    }
}

/// The plan as the answer: for people, or the file itself.
fn show(line: &Line, plan: &Plan) -> Result<Exit, Failure> {
    let mut out = super::out::stdout();
    let text = match line.global.output {
        Output::Json => file(plan)?,
        Output::Yaml => output::yaml(plan).map_err(Failure::partial)?,
        Output::Table | Output::Wide => summary::lines(plan)
            .into_iter()
            .map(|line| format!("{}\n", line.text))
            .collect(),
        Output::Name => match plan.kind {
            Kind::Reassign => plan.moves().map(|m| format!("{}:{}\n", m.topic, m.partition)).collect(),
            _ => {
                let steps = plan.steps.iter().map(summary::step_name);
                steps.map(|step| format!("{step}\n")).collect()
            }
        },
        Output::Prom | Output::Nagios | Output::Md | Output::Plan => {
            return Err(Failure::usage("a plan is nothing to monitor; -o json prints it whole"));
        }
        Output::Csv => return Err(Failure::usage("a plan is no table; -o json prints it whole")),
    };
    super::printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn file(plan: &Plan) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(plan).map_err(Failure::partial)?;
    Ok(format!("{}\n", foreign::json(&text)))
}

/// Whole or not at all: a plan cut short must not lie about.
fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut draft =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(|error| failed(&error))?;
    draft.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    draft.persist(path).map_err(|error| failed(&error))?;
    Ok(())
}

impl From<operation::Error> for Failure {
    fn from(error: operation::Error) -> Self {
        use operation::Error as E;
        let exit = match &error {
            E::NotAnId(_) | E::Undriven(_) | E::Settings(_) | E::Source(crate::feed::Error::Local(_)) => Exit::Usage,
            E::Unknown(_) => Exit::No,
            E::Running { .. } | E::Locked { .. } | E::Over { .. } | E::Drifted(_) | E::Mismatch(_) | E::Refused(_) => {
                Exit::Refused
            }
            E::Dead { .. } | E::NotStarted { .. } | E::Garbled { .. } => Exit::PartWay,
            E::File { .. } | E::Source(_) | E::Unseen(_) => Exit::Partial,
        };
        Self::new(exit, error)
    }
}

impl From<plan::Error> for Failure {
    fn from(error: plan::Error) -> Self {
        let exit = match &error {
            plan::Error::Nothing(_) => Exit::No,
            plan::Error::Impossible(_) => Exit::Refused,
            plan::Error::Blind { .. } => Exit::Partial,
        };
        Self::new(exit, error)
    }
}

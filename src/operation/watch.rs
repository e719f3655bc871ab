//! Looks beside a running reassignment whether its gates still hold, so that the engine never waits for a broker that does
//! not answer to find out.
//!
//! What shows closed is looked at a second time before it is told: brokers learn of a change one after the other, and
//! nothing shall be held up by what passes within a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::status::{Phase, Status};
use super::throttle;
use crate::feed::{self, Needs, Section, Sources};
use crate::model::Moment;
use crate::model::config::{Config, ConfigSource};
use crate::model::throttle::Setting;
use crate::plan::gate::{Class, Gate, Verdict};
use crate::plan::reassign::Throttle;
use crate::plan::reassign::watch::{self as gates, Baseline, Configs, GUARDED, Overrides};
use crate::plan::throttle::slowing;

/// Between two looks, unless one took long.
const LOOK: Duration = Duration::from_secs(2);
/// Looking must not be most of what the cluster does: a pause lasts so many times what the look took.
const REST: u32 = 4;
/// Between the two looks at what shows closed.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a look may take; what was not seen by then says so.
const DEADLINE: Duration = Duration::from_secs(10);

/// What two looks agree on.
#[derive(Debug, Clone)]
pub(super) struct Report {
    /// Gates that hold the operation up, overridden ones left out.
    pub closed: Vec<Gate>,
    /// Why what is in flight must go back, where it must.
    pub retreat: Option<String>,
    /// What ISRs show, for how much is moved at once; overridden or not.
    pub strain: Option<String>,
    pub baseline: Baseline,
    /// The throttle as clients' traffic has it by now, where it was worked out anew.
    pub throttle: Option<Throttle>,
    /// When the first of the two began.
    pub began: Instant,
}

/// Goes on until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    reports: watch::Receiver<Option<Arc<Report>>>,
    task: AbortHandle,
}

impl Watch {
    /// `status`: the operation's, for what it holds, what was overridden, and how things stood when it began.
    pub fn start(sources: Sources, status: watch::Receiver<Status>) -> Self {
        let (publish, reports) = watch::channel(None);
        let task = tokio::spawn(run(sources, status, publish)).abort_handle();
        Self { reports, task }
    }

    /// The latest, if there is one.
    pub fn report(&self) -> Option<Arc<Report>> {
        self.reports.borrow().clone()
    }

    /// Returns with the next; never where nobody looks any more.
    pub fn next(&self) -> impl Future<Output = ()> + 'static {
        let mut reports = self.reports.clone();
        reports.mark_unchanged();
        async move {
            if reports.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(sources: Sources, mut status: watch::Receiver<Status>, publish: watch::Sender<Option<Arc<Report>>>) {
    let mut own: Option<Baseline> = None;
    let mut load = Load::default();
    loop {
        // Nobody is held up while nothing shall run.
        let idle = |status: &Status| status.phase == Phase::Paused;
        if status.wait_for(|status| !idle(status)).await.is_err() {
            return;
        }
        let began = Instant::now();
        let mut report = look(&sources, &status, &mut own, began).await;
        if !report.closed.is_empty() || report.strain.is_some() {
            sleep(AGAIN).await;
            let first = report;
            report = look(&sources, &status, &mut own, began).await;
            report
                .closed
                .retain(|gate| first.closed.iter().any(|before| before.name == gate.name));
            report.retreat = report.retreat.filter(|_| first.retreat.is_some());
            report.strain = report.strain.filter(|_| first.strain.is_some());
        }
        load.look(&sources, &status).await;
        report.throttle = load.throttle.clone();
        report.strain = report.strain.or_else(|| load.strain.clone());
        if publish.send(Some(Arc::new(report))).is_err() {
            return;
        }
        sleep(LOOK.max(began.elapsed() * REST)).await;
    }
}

/// What clients do to the cluster meanwhile: looked at less often, because it takes two looks and AWS.
#[derive(Default)]
struct Load {
    looked: Option<Instant>,
    throttle: Option<Throttle>,
    /// How long writes took at first, in milliseconds: the slowest broker's.
    append_ms: Option<f64>,
    strain: Option<String>,
}

/// Between two looks at clients' traffic, and at how long a write takes where the context names a topic to try it on.
const TRAFFIC: Duration = Duration::from_secs(30);
/// A write that takes so many times as long as before the first move, and longer than the second in milliseconds, suffers.
/// Source: Cruise Control's concurrency adjuster, which looks at request times against a limit.
const SLOWER: (f64, f64) = (4.0, 250.0);

impl Load {
    async fn look(&mut self, sources: &Sources, status: &watch::Receiver<Status>) {
        if self.looked.is_some_and(|at| at.elapsed() < TRAFFIC) {
            return;
        }
        self.looked = Some(Instant::now());
        let plan = status.borrow().plan.clone();
        let mut needs = Needs::from([Section::Cluster, Section::Topics]);
        if sources.probe_topic.is_some() {
            needs.insert(Section::Probes);
        }
        if plan.throttle.is_some() {
            needs.extend([Section::Offsets, Section::BrokerConfigs]);
        }
        if needs.len() == 2 {
            return;
        }
        if plan.throttle.as_ref().is_some_and(Throttle::is_solved) && sources.aws.is_ok() {
            needs.insert(Section::Metrics);
        }
        let snapshot = feed::collect_rates(sources, &needs, DEADLINE, APART).await;
        self.throttle = plan
            .throttle
            .as_ref()
            .map(|throttle| throttle.again(&plan, &snapshot, Moment::now()));
        self.strain = None;
        let slowest = snapshot
            .probes
            .iter()
            .filter_map(|(id, probe)| Some((*id, probe.get()?.append_ms)));
        if let Some((id, append_ms)) = slowest.max_by(|a, b| a.1.total_cmp(&b.1)) {
            let before = *self.append_ms.get_or_insert(append_ms);
            let (times, least) = SLOWER;
            if append_ms > least && append_ms > before * times {
                self.strain = Some(format!(
                    "a write through broker {id} takes {append_ms:.0} ms, {before:.0} before"
                ));
            }
        }
    }
}

/// Between the two looks that tell how fast somebody writes.
const APART: Duration = Duration::from_secs(1);

async fn look(
    sources: &Sources,
    status: &watch::Receiver<Status>,
    own: &mut Option<Baseline>,
    began: Instant,
) -> Report {
    let plan = status.borrow().plan.clone();
    let needs = Needs::from([
        Section::Cluster,
        Section::Links,
        Section::Topics,
        Section::Reassignments,
        Section::Logdirs,
        Section::MinIsrs,
    ]);
    let before = status.borrow().held.clone();
    let about = slowing(&plan);
    let (snapshot, there) = tokio::join!(
        feed::collect(sources, &needs, DEADLINE),
        tokio::time::timeout(DEADLINE, throttle::there(&sources.kafka, &about)),
    );
    let (held, overrides, begun) = {
        let status = status.borrow();
        (status.held.clone(), status.overrides.clone(), status.baseline.clone())
    };
    // Who does not tell its throttles has changed none that we know of.
    let there = there.ok().and_then(Result::ok);
    let configs = there.map_or_else(Configs::default, |there| told(&there, &before, &held));
    // Before anything can be seen nothing can be compared with.
    let seen = snapshot.topics.get().is_some() && snapshot.reassignments.get().is_some();
    if own.is_none() {
        *own = begun.or_else(|| seen.then(|| Baseline::of(&plan, &snapshot, &configs)));
    }
    let baseline = own.clone().unwrap_or_default();
    let all = gates::gates(&plan, &snapshot, &baseline, &configs);
    let is_closed = |gate: &Gate| {
        let shut = matches!(gate.verdict, Verdict::Fail | Verdict::Unknown);
        shut && (gate.class == Class::Hard || !overrides.contains(&gate.name))
    };
    let closed: Vec<Gate> = all.into_iter().filter(is_closed).collect();
    let full = closed.iter().any(|gate| gate.name == "disk");
    Report {
        retreat: gates::retreat(&plan, &snapshot).filter(|_| full),
        strain: seen.then(|| gates::strain(&plan, &snapshot, &baseline)).flatten(),
        closed,
        baseline,
        throttle: None,
        began,
    }
}

/// What we hold changes while it is looked: what was ours at either end is ours, and is missed only if it was at both.
fn told(there: &throttle::Read, before: &[Setting], after: &[Setting]) -> Configs {
    use crate::model::throttle::{among, hold, release};
    let mut ours = before.to_vec();
    hold(&mut ours, after);
    let mut strangers = there.settings.clone();
    release(&mut strangers, &ours);
    let mut lost = among(before, after);
    release(&mut lost, &there.settings);
    // Who does not tell its rate has lost nothing that we know of.
    // One that is just being changed is there at one of our heights.
    let changing = |one: &Setting| {
        there.settings.iter().any(|set| match (one, set) {
            (Setting::Rate(one), Setting::Rate(set)) => {
                (one.broker, one.side) == (set.broker, set.side) && ours.contains(&Setting::Rate(set.clone()))
            }
            _ => false,
        })
    };
    lost.retain(|one| match one {
        Setting::Rate(rate) => !there.silent.contains(&rate.broker) && !changing(one),
        Setting::List(_) => true,
    });
    Configs {
        strangers,
        lost,
        overrides: there
            .configs
            .iter()
            .map(|(topic, all)| (topic.clone(), guarding(all)))
            .collect(),
    }
}

/// What a topic has of its own of what guards its records.
fn guarding(configs: &[Config]) -> Overrides {
    let own = configs.iter().filter(|config| config.source == ConfigSource::Topic);
    let own = own.filter(|config| GUARDED.contains(&config.name.as_str()));
    own.map(|config| (config.name.clone(), config.value.clone().unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::throttle::{Side, entries};
    use std::collections::BTreeSet;

    fn read(settings: Vec<Setting>) -> throttle::Read {
        throttle::Read {
            settings,
            silent: BTreeSet::from([9]),
            configs: Default::default(),
        }
    }

    #[test]
    fn what_is_set_or_taken_away_while_it_is_looked_is_nobody_elses() {
        let rate = |broker, bytes| Setting::rate(broker, Side::Leader, bytes);
        let list = |text: &str| Setting::list("orders", Side::Leader, entries(text));
        let ours = [rate(1, 50), rate(9, 50), list("0:1,0:2")];
        let all = |there: Vec<Setting>, before: &[Setting], after: &[Setting]| told(&read(there), before, after);
        // Just set, and just taken away.
        assert_eq!(all(vec![rate(1, 50)], &[], &ours), Configs::default());
        assert_eq!(all(vec![rate(1, 50), list("0:1,0:2")], &ours, &[]), Configs::default());
        // Another height is a stranger's, and ours is lost; who is silent has lost nothing.
        let changed = all(vec![rate(1, 7), list("0:1,0:2,5:5")], &ours, &ours);
        assert_eq!(changed.strangers, [rate(1, 7), list("5:5")]);
        assert_eq!(changed.lost, [rate(1, 50)]);
        // Being changed from one of our heights to another.
        let both = [rate(1, 50), rate(1, 25)];
        assert_eq!(all(vec![rate(1, 25)], &both, &both), Configs::default());
        assert_eq!(all(vec![rate(1, 25)], &both[..1], &both), Configs::default());
        // One entry went.
        assert_eq!(all(vec![rate(1, 50), list("0:2")], &ours, &ours).lost, [list("0:1")]);
    }
}

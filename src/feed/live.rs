//! The pollers: one task per section and broker, so that none waits for another, and one that publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::look::{Job, Look};
use super::recorder;
use super::section::{Cadence, Section};
use super::store::{Change, Seen, Store};
use crate::model::{BrokerId, Health, Snapshot};
use crate::source::backoff::Backoff;

/// Values are published at most this often; many pollers answer at nearly the same time.
const COALESCE: Duration = Duration::from_millis(100);

/// How soon a section is tried again that hangs on another which has not answered yet.
const UNSTARTED: Duration = Duration::from_secs(1);

/// Ages alone are published this often: less than half of the shortest cadence, so that no live cell looks old.
const AGES: Duration = Duration::from_millis(900);

/// What is asked for again before its time waits for so many times as long as the last answer took: when a hundred brokers come and
/// go, each of them is a reason to ask for all partitions.
const BREATH: u32 = 9;

/// A wide cluster in which nothing happens is asked for what is much up to so many times more rarely.
const STILL: u32 = 6;

/// The same of log directories: others may fill a disk too.
const STILL_DISKS: u32 = 3;

/// What steers the pollers from outside, and what they tell each other.
#[derive(Debug)]
pub(super) struct Control {
    pub cadence: Cadence,
    pub paused: watch::Sender<bool>,
    pub focus: watch::Sender<BTreeSet<Section>>,
    wake: Mutex<BTreeMap<Job, Arc<Notify>>>,
    /// The brokers may have changed.
    membership: Notify,
}

impl Control {
    pub fn new(cadence: Cadence) -> Self {
        Self {
            cadence,
            paused: watch::Sender::new(false),
            focus: watch::Sender::new(BTreeSet::new()),
            wake: Mutex::default(),
            membership: Notify::new(),
        }
    }

    /// Has a section asked for at once, by all its pollers.
    pub fn kick(&self, section: Section) {
        self.kick_if(|job| job.section == section);
    }

    fn kick_if(&self, which: impl Fn(&Job) -> bool) {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, notify) in wake.iter().filter(|(job, _)| which(job)) {
            notify.notify_one();
        }
    }

    fn enrol(&self, job: Job) -> Arc<Notify> {
        let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wake.entry(job).or_default())
    }

    fn dismiss(&self, broker: BrokerId) {
        let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        wake.retain(|job, _| job.broker != Some(broker));
    }

    /// What else is worth asking because of this answer.
    fn follow(&self, job: Job, seen: Seen) {
        let news = seen.change == Change::Value;
        match job.section {
            Section::Cluster if news => {
                self.membership.notify_one();
                self.kick(Section::Instances);
            }
            Section::Topics if news => {
                self.membership.notify_one();
                self.kick(Section::Offsets);
                if seen.turned {
                    self.kick(Section::Probes);
                }
            }
            Section::Links if seen.turned => {
                // Leaders and coordinators move when a broker goes or comes.
                self.kick(Section::Cluster);
                self.kick(Section::Topics);
                if !seen.failed {
                    self.kick_if(|other| other.broker == job.broker && other.section != Section::Links);
                }
            }
            Section::Reassignments if news => {
                self.kick(Section::Topics);
                // Throttles come and go with moves.
                self.kick(Section::BrokerConfigs);
                self.kick(Section::TopicConfigs);
            }
            Section::Instances if news => {
                self.kick(Section::Volumes);
                self.kick(Section::Account);
            }
            Section::Volumes if news => self.kick(Section::Metrics),
            _ => {}
        }
    }

    /// How long to leave a section alone after so many answers that told nothing new, one after the other. A wide cluster is asked
    /// more rarely for what is much, and where nothing happens more rarely still.
    fn pause_after(&self, job: Job, store: &Store, still: u32) -> Duration {
        let suspects = suspects(job, store);
        let pause = self.pause_of(job, store, suspects);
        let stretch = store.stretch();
        match job.section.is_bulk() && stretch > 1.0 {
            true if suspects => pause.mul_f64(stretch),
            true => {
                let most = match job.section {
                    Section::Logdirs => STILL_DISKS,
                    _ => STILL,
                };
                pause.mul_f64(stretch) * still.clamp(1, most)
            }
            false => pause,
        }
    }

    fn pause_of(&self, job: Job, store: &Store, suspects: bool) -> Duration {
        let cadence = &self.cadence;
        let section = job.section;
        match section {
            Section::Cluster => cadence.cluster,
            Section::Links => cadence.links,
            Section::Topics => cadence.topics,
            Section::Offsets if self.focus.borrow().contains(&section) => cadence.offsets,
            Section::Offsets => cadence.offsets_unseen,
            // One that may have just stopped is looked at again soon.
            Section::Groups if suspects => cadence.links.min(cadence.groups),
            Section::Groups => cadence.groups,
            // What they are about is not known yet; looking costs no request.
            Section::Backlogs if store.read(|snapshot| snapshot.backlogs.is_empty()) => cadence.groups.min(UNSTARTED),
            Section::Backlogs if self.focus.borrow().contains(&section) => cadence.backlogs,
            Section::Backlogs => cadence.backlogs_unseen,
            Section::Retentions if store.read(|snapshot| snapshot.retentions.value.is_none()) => {
                cadence.groups.min(UNSTARTED)
            }
            Section::Retentions => cadence.configs,
            Section::Logdirs => cadence.logdirs,
            Section::BrokerConfigs | Section::TopicConfigs | Section::MinIsrs => cadence.configs,
            Section::Transactions if self.focus.borrow().contains(&section) => cadence.transactions,
            Section::Transactions => cadence.transactions_unseen,
            Section::BrokerMetrics => cadence.broker_metrics,
            Section::Quorum => cadence.quorum,
            Section::Reassignments => {
                let any = store.read(|snapshot| snapshot.reassignments.get().is_some_and(|all| !all.is_empty()));
                if any {
                    cadence.reassignments_active
                } else {
                    cadence.reassignments
                }
            }
            Section::Acls | Section::Users | Section::Quotas => cadence.security,
            // A simulated cloud that is faster than AWS is looked at as much oftener.
            Section::Instances => cadence.instances / tempo(store),
            Section::Volumes => cadence.volumes / tempo(store),
            Section::Metrics => cadence.metrics / tempo(store),
            Section::Account | Section::ClientMetrics => cadence.account,
            Section::Probes if self.focus.borrow().contains(&section) => cadence.probes,
            Section::Probes => cadence.probes_unseen,
        }
    }

    /// How long to leave a section alone that we may not see. A refused login is tried again sooner, by the connection's own
    /// pause: everything hangs on it.
    fn pause_denied(&self, section: Section) -> Duration {
        match section {
            Section::Cluster | Section::Links => Duration::ZERO,
            _ => self.cadence.denied,
        }
    }

    /// The longest pause between failures. Links are tried nearly as often as always: they notice a broker's return.
    fn longest_pause(&self, section: Section, usual: Duration) -> Duration {
        match section {
            Section::Cluster | Section::Links => usual * 2,
            Section::Acls
            | Section::Users
            | Section::Quotas
            | Section::Instances
            | Section::Volumes
            | Section::Metrics
            | Section::Account => usual.max(self.cadence.max_backoff) * 5,
            _ => usual.max(self.cadence.max_backoff),
        }
    }
}

fn tempo(store: &Store) -> u32 {
    store.read(|snapshot| snapshot.cloud.clock_factor).max(1)
}

/// Whether it is asked about a group that is about to be found stuck.
fn suspects(job: Job, store: &Store) -> bool {
    job.section == Section::Groups && store.read(|snapshot| has_suspects(snapshot, job.broker))
}

/// Whether a group of this coordinator is about to be found stuck.
fn has_suspects(snapshot: &Snapshot, coordinator: Option<BrokerId>) -> bool {
    let told = coordinator.and_then(|id| snapshot.coordinators.get(&id));
    let Some(seen_at) = told.and_then(|told| told.seen_at) else {
        return false;
    };
    let groups = snapshot.groups.get().map_or(&[][..], Vec::as_slice);
    let own = groups.iter().filter(|group| group.coordinator == coordinator);
    let mut pasts = own.filter_map(|group| snapshot.history.groups.get(&group.name));
    pasts.any(|past| !past.standing.is_empty() && past.pace.is_suspect(seen_at))
}

/// Runs until dropped.
pub(super) async fn run(look: Look, control: Arc<Control>, sender: watch::Sender<Arc<Snapshot>>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(recorder::run(
        Arc::clone(&look.store),
        look.record.clone(),
        sender.subscribe(),
    ));
    tasks.spawn(publish(Arc::clone(&look.store), sender));
    for section in Section::whole().filter(|section| !section.is_per_broker()) {
        if section.is_cloud() && look.plane.is_absent() {
            continue;
        }
        if section == Section::Probes && look.prober.is_none() {
            continue;
        }
        let job = Job { section, broker: None };
        tasks.spawn(poll(look.clone(), Arc::clone(&control), job));
    }
    let mut known: BTreeMap<BrokerId, Vec<AbortHandle>> = BTreeMap::new();
    loop {
        let brokers = look.brokers();
        known.retain(|id, handles| {
            let stays = brokers.contains(id);
            if !stays {
                handles.iter().for_each(AbortHandle::abort);
                control.dismiss(*id);
                look.forget(*id);
            }
            stays
        });
        for id in brokers {
            let many = known.len();
            known.entry(id).or_insert_with(|| {
                let scraped = look.prometheus.is_some();
                let sections = Section::whole()
                    .filter(|section| section.is_per_broker() && (scraped || *section != Section::BrokerMetrics));
                let jobs = sections.map(|section| Job {
                    section,
                    broker: Some(id),
                });
                jobs.map(|job| {
                    let (look, control, turn) = (look.clone(), Arc::clone(&control), turn(job.section, many));
                    tasks.spawn(async move {
                        tokio::time::sleep(turn).await;
                        poll(look, control, job).await;
                    })
                })
                .collect()
            });
        }
        tokio::select! {
            () = control.membership.notified() => {}
            // Reaps pollers of brokers that are gone.
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// When the poller of a broker begins, where so many began before it. Of a few brokers everything is asked at once; of a
/// hundred it would all be answered at once, and who is up, which says the most, would be known last.
fn turn(section: Section, before: usize) -> Duration {
    const AT_ONCE: usize = 12;
    const EACH: Duration = Duration::from_millis(15);
    let late = u32::try_from(before.saturating_sub(AT_ONCE)).unwrap_or(u32::MAX);
    match section {
        Section::Links => Duration::ZERO,
        _ => EACH.saturating_mul(late),
    }
}

async fn poll(look: Look, control: Arc<Control>, job: Job) {
    let wake = control.enrol(job);
    let mut paused = control.paused.subscribe();
    let mut focus = control.focus.subscribe();
    let usual = control.pause_after(job, &look.store, 0);
    let mut backoff = Backoff::new(usual, control.longest_pause(job.section, usual));
    let mut still = 0;
    loop {
        // Fails only when the feed is gone, and then this task is aborted anyway.
        let _ = paused.wait_for(|paused| !paused).await;
        if job.section.is_on_demand() {
            // As above.
            let _ = focus.wait_for(|focus| focus.contains(&job.section)).await;
        }
        // Apart, because a thousand pollers that rest must not each hold the room for every kind of look.
        let asked = Instant::now();
        let seen = Box::pin(look.at(job)).await;
        // One that came back may answer at once.
        let times = if seen.failed { 1 } else { BREATH };
        let breath = Instant::now() + asked.elapsed() * times;
        still = if seen.change > Change::Waver { 0 } else { still + 1 };
        control.follow(job, seen);
        if job.section == Section::Topics
            && look
                .store
                .read(|snapshot| snapshot.topic_configs.health == Health::Unasked)
        {
            // They could not be asked for before anybody knew a topic.
            control.kick(Section::TopicConfigs);
        }
        let pause = match seen {
            Seen { denied: true, .. } => backoff.fail().max(control.pause_denied(job.section)),
            Seen { failed: true, .. } => backoff.fail(),
            _ => {
                backoff.succeed();
                let usual = control.pause_after(job, &look.store, still);
                usual.mul_f64(0.9) + backoff.jitter(usual.mul_f64(0.1))
            }
        };
        let mut until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                () = wake.notified() => until = until.min(breath),
                Ok(()) = focus.changed() => {
                    if focus.borrow_and_update().contains(&job.section) {
                        still = 0;
                        break;
                    }
                }
            }
        }
    }
}

/// Publishes news soon and ages now and then; an idle cluster is not rendered anew for nothing.
async fn publish(store: Arc<Store>, sender: watch::Sender<Arc<Snapshot>>) {
    let mut last: Option<Instant> = None;
    loop {
        let gap = match store.pending() {
            Change::Nothing => {
                store.changed().await;
                continue;
            }
            Change::Age | Change::Waver => AGES,
            Change::Drift | Change::Value => COALESCE,
        };
        let due = last.map_or_else(Instant::now, |last| last + gap);
        if Instant::now() < due {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = store.changed() => {}
            }
            continue;
        }
        sender.send_replace(store.publish());
        last = Some(Instant::now());
    }
}

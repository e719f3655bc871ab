//! Who works on this cluster, from wherever: what screens and engines say of themselves in a consumer group, for others to see.
//!
//! Everybody who may change something is a member of the group `azimuth.<cluster-id>` for as long as they are there, which
//! takes Read on that group; who looks at it needs Describe. A member that is not heard of is gone after its session's time.
//! A cluster that has never had a group keeps none of this either: joining would make `__consumer_offsets`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Error, Who};
use crate::model::Moment;
use crate::source;
use crate::source::kafka::Kafka;
use crate::source::kafka::presence::{BEAT, Member, Present};

/// Where offsets are kept; without it there is no group.
const OFFSETS: &str = "__consumer_offsets";
/// A group that changes tells nothing of its members for a moment.
const SETTLE: Duration = Duration::from_millis(300);
/// Whoever lives has joined again by then: it beats more often.
const SETTLED: Duration = Duration::from_secs(4);
/// Brokers log each refusal.
const REFUSED: Duration = Duration::from_secs(300);
/// How often screens look who else is there.
const LOOK: Duration = Duration::from_secs(10);
/// Everybody joins again for every change, so no screen says it sooner after its last.
const CALM: Duration = Duration::from_secs(15);

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The shape's version.
    pub azimuth: u32,
    pub user: String,
    pub host: String,
    #[serde(default)]
    pub pid: u32,
    /// Of the screens: what is shown on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<String>,
    /// Of an engine: its operation.
    #[serde(default)]
    pub operation: String,
    /// What that does.
    #[serde(default)]
    pub title: String,
    /// Lock scopes that it holds on its host; `data` is exclusive.
    #[serde(default)]
    pub scopes: Vec<String>,
    pub since: Moment,
}

/// Who is there, and of which hosts engines are there that do not say yet what they do: the group is changing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub there: Vec<Presence>,
    pub silent: Vec<String>,
}

/// What kind of member it is, which its client id tells at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Engine,
    Screens,
}

/// The group of a cluster.
pub fn group(cluster_id: &str) -> String {
    format!("azimuth.{cluster_id}")
}

impl Presence {
    /// Of this process, which has begun just now.
    pub(super) fn mine() -> Self {
        let Who { user, host, pid, .. } = Who::me();
        Self {
            azimuth: 1,
            user,
            host,
            pid,
            since: Moment::now(),
            ..Self::default()
        }
    }

    /// `carl@bastion-c`
    pub fn who(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    /// One sentence of whoever it is.
    pub fn words(&self) -> String {
        match &self.screen {
            Some(screen) => format!("{} has the screens open ({screen})", self.who()),
            None => format!("operation {} of {} ({})", self.operation, self.who(), self.title),
        }
    }

    pub fn is_engine(&self) -> bool {
        self.screen.is_none()
    }

    fn is_of(&self, who: &Who) -> bool {
        (&self.user, &self.host, self.pid) == (&who.user, &who.host, who.pid)
    }
}

impl Kind {
    /// Nothing else uses `@` in a client id here.
    fn client(self, host: &str) -> String {
        match self {
            Self::Engine => format!("azimuth-engine@{host}"),
            Self::Screens => format!("azimuth-screens@{host}"),
        }
    }
}

/// The host of an engine that does not say what it does.
fn silent(one: &Present) -> Option<String> {
    let host = one.client.strip_prefix("azimuth-engine@")?;
    one.metadata.is_empty().then(|| host.to_owned())
}

/// Everybody but this process. Waits a moment for engines of other hosts that do not say yet what they do; `None` where
/// the cluster keeps no groups.
///
/// # Errors
/// When it cannot be read.
pub async fn others(kafka: &Kafka, cluster_id: &str) -> Result<Option<Seen>, Error> {
    if !kafka.has_topic(OFFSETS).await? {
        return Ok(None);
    }
    let me = Who::me();
    let began = Instant::now();
    loop {
        let present = kafka.present(&group(cluster_id)).await?;
        let silent: Vec<String> = present
            .iter()
            .filter_map(silent)
            .filter(|host| *host != me.host)
            .collect();
        if silent.is_empty() || began.elapsed() >= SETTLED {
            let there = present.iter().filter_map(read).filter(|one| !one.is_of(&me)).collect();
            return Ok(Some(Seen { there, silent }));
        }
        sleep(SETTLE).await;
    }
}

fn read(one: &Present) -> Option<Presence> {
    serde_json::from_slice(&one.metadata).ok()
}

/// Being there, until it is ended or dropped.
#[derive(Debug)]
pub(super) struct Holding {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Holding {
    /// Joins beside what else is done; what cannot be joined is tried again with the next beat. `said` may change.
    pub fn begin(kafka: Kafka, cluster_id: &str, kind: Kind, said: watch::Receiver<Presence>) -> Self {
        let name = group(cluster_id);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(hold(kafka, name, kind, said, stopped));
        Self { stop, task }
    }

    /// Leaves, within a moment.
    pub async fn end(self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let abort = self.task.abort_handle();
        let _ = self.stop.send(());
        if timeout(PATIENCE, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// What is said now.
fn metadata(said: &mut watch::Receiver<Presence>) -> Vec<u8> {
    serde_json::to_vec(&*said.borrow_and_update()).unwrap_or_default()
}

async fn hold(
    kafka: Kafka,
    name: String,
    kind: Kind,
    mut said: watch::Receiver<Presence>,
    mut stopped: oneshot::Receiver<()>,
) {
    let client = kind.client(&Who::me().host);
    let mut member: Option<Member> = None;
    loop {
        let beat = async {
            let news = said.has_changed().unwrap_or(false);
            let told = match &mut member {
                Some(member) if news => member.say(metadata(&mut said)).await,
                Some(member) => member.beat().await,
                None if kafka.has_topic(OFFSETS).await.unwrap_or(false) => {
                    let metadata = metadata(&mut said);
                    kafka
                        .join(&client, &name, metadata)
                        .await
                        .map(|joined| member = Some(joined))
                }
                None => Ok(()),
            };
            // What was not told is told with the next.
            sleep(match told {
                Err(source::Error::Denied { .. }) => REFUSED,
                _ => BEAT,
            })
            .await;
        };
        tokio::select! {
            () = beat => {}
            _ = &mut stopped => break,
        }
    }
    if let Some(member) = member {
        member.leave().await;
    }
}

/// The screens of one console: there for others to see where something may be changed from it, and looking who else is.
#[derive(Debug)]
pub struct Attendance {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Attendance {
    /// `screen`: what is shown. `others` gets everybody else, whenever that changes.
    pub fn begin(
        kafka: Kafka,
        cluster_id: String,
        joins: bool,
        screen: watch::Receiver<String>,
        others: watch::Sender<Arc<Vec<Presence>>>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(attend(kafka, cluster_id, joins, screen, others, stopped));
        Self { stop, task }
    }

    /// Leaves, within a moment.
    pub async fn end(self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        let abort = self.task.abort_handle();
        let _ = self.stop.send(());
        if timeout(PATIENCE, self.task).await.is_err() {
            abort.abort();
        }
    }
}

async fn attend(
    kafka: Kafka,
    cluster_id: String,
    joins: bool,
    screen: watch::Receiver<String>,
    others: watch::Sender<Arc<Vec<Presence>>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let shown = || Some(screen.borrow().clone());
    let (say, said) = watch::channel(Presence {
        screen: shown(),
        ..Presence::mine()
    });
    let holding = joins.then(|| Holding::begin(kafka.clone(), &cluster_id, Kind::Screens, said));
    let mut known = BTreeMap::new();
    let (mut said_at, mut looked): (Instant, Option<Instant>) = (Instant::now(), None);
    loop {
        let round = async {
            let mut rest = BEAT;
            if looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                match look(&kafka, &cluster_id, &mut known).await {
                    Ok(there) => {
                        others.send_if_modified(|before| {
                            let changed = **before != there;
                            if changed {
                                *before = Arc::new(there);
                            }
                            changed
                        });
                    }
                    Err(Error::Source(source::Error::Denied { .. })) => rest = REFUSED,
                    // Who was there is there until the next look says otherwise.
                    Err(_) => {}
                }
            }
            if said_at.elapsed() >= CALM && say.borrow().screen != shown() {
                said_at = Instant::now();
                say.send_modify(|said| said.screen = shown());
            }
            sleep(rest).await;
        };
        tokio::select! {
            () = round => {}
            _ = &mut stopped => break,
        }
    }
    if let Some(holding) = holding {
        holding.end().await;
    }
}

/// Who else is there. What a member said is remembered while the group changes.
async fn look(kafka: &Kafka, cluster_id: &str, known: &mut BTreeMap<String, Presence>) -> Result<Vec<Presence>, Error> {
    if !kafka.has_topic(OFFSETS).await? {
        return Ok(Vec::new());
    }
    let present = kafka.present(&group(cluster_id)).await?;
    known.retain(|member, _| present.iter().any(|one| one.member == *member));
    for one in &present {
        if let Some(said) = read(one) {
            known.insert(one.member.clone(), said);
        }
    }
    let me = Who::me();
    let mut there: Vec<Presence> = known.values().filter(|one| !one.is_of(&me)).cloned().collect();
    there.sort_by(|one, other| (one.since, &one.user).cmp(&(other.since, &other.user)));
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_and_engines_say_what_they_are() {
        let mine = Presence {
            screen: Some("topic".into()),
            user: "carl".into(),
            host: "bastion-c".into(),
            ..Presence::mine()
        };
        assert_eq!(mine.words(), "carl@bastion-c has the screens open (topic)");
        let written = serde_json::to_vec(&mine).unwrap();
        assert_eq!(serde_json::from_slice::<Presence>(&written).unwrap(), mine);
        // An engine of the version before, which knew no screens.
        let older = br#"{"azimuth":1,"user":"carl","host":"bastion-c","operation":"7f3c21","title":"drain broker 4",
            "scopes":["data"],"since":"2026-11-26T12:00:00Z"}"#;
        let older: Presence = serde_json::from_slice(older).unwrap();
        assert!(older.is_engine());
        assert_eq!(older.words(), "operation 7f3c21 of carl@bastion-c (drain broker 4)");
    }

    #[test]
    fn who_does_not_say_what_it_does_is_told_by_its_client_id() {
        let one = |kind: Kind, metadata: &[u8]| Present {
            member: "m".into(),
            address: "10.0.0.7".into(),
            client: kind.client("bastion-c"),
            metadata: metadata.to_vec(),
        };
        assert_eq!(silent(&one(Kind::Engine, b"")).as_deref(), Some("bastion-c"));
        assert_eq!(silent(&one(Kind::Engine, b"{}")), None);
        assert_eq!(silent(&one(Kind::Screens, b"")), None);
    }
}

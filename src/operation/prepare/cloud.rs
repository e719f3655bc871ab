//! What AWS has to say before a plan is made: agents, credentials, and whether it would carry a change out, by DryRun.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::timeout;

use super::{late, observed};
use crate::feed::Sources;
use crate::model::driver::DriverName;
use crate::model::identity::Identity;
use crate::model::volume::Change;
use crate::model::{Observed, Snapshot};
use crate::plan::{swap, volume};
use crate::source::aws::Scope;

/// Names what is only tried to EC2.
const TRIAL: &str = "azimuth-trial";

/// Asks AWS what a driver of its kind needs: which agents answer, those of `more` too, and how long our credentials last.
pub(super) async fn ask_reach(
    sources: &Sources,
    snapshot: &mut Snapshot,
    driver: Option<DriverName>,
    more: impl IntoIterator<Item = String>,
    deadline: Duration,
) {
    if driver != Some(DriverName::Ssm) {
        return;
    }
    let cloud = &snapshot.cloud;
    let known = cloud.identities.values().filter_map(Identity::instance);
    let instances: BTreeSet<String> = known.map(ToOwned::to_owned).chain(more).collect();
    let instances: Vec<String> = instances.into_iter().collect();
    let (agents, credentials) = match &sources.aws {
        Ok(aws) => {
            let asked = async { futures::join!(aws.agents(&instances), aws.credentials()) };
            match timeout(deadline, asked).await {
                Ok((agents, credentials)) => (observed(agents), observed(credentials)),
                Err(_) => (late(), late()),
            }
        }
        Err(why) => (Observed::absent(why), Observed::absent(why)),
    };
    (snapshot.cloud.agents, snapshot.cloud.credentials) = (agents, credentials);
}

/// Asks how long our AWS credentials last.
pub(super) async fn ask_credentials(sources: &Sources, snapshot: &mut Snapshot, deadline: Duration) {
    snapshot.cloud.credentials = match &sources.aws {
        Ok(aws) => timeout(deadline, aws.credentials())
            .await
            .map_or_else(|_| late(), observed),
        Err(why) => Observed::absent(why),
    };
}

/// What EC2 tells of a volume or snapshot that belongs to no broker that is seen, and whether it would carry the change out.
#[cfg_attr(
    not(feature = "aws"),
    expect(unused_variables, reason = "without AWS there is none to ask")
)]
pub(super) async fn tried(sources: &Sources, wish: &mut volume::Wish, snapshot: &Snapshot) {
    let aws = match &sources.aws {
        Ok(aws) => aws,
        Err(why) => {
            wish.found.problem = Some(why.clone());
            wish.trial = Some(Err(why.clone()));
            return;
        }
    };
    if wish.is_stranger(snapshot) {
        let asked = match &wish.verb {
            volume::Verb::Create { snapshot, .. } => aws
                .ebs_snapshots(std::slice::from_ref(snapshot), None)
                .await
                .map(|found| wish.found.snapshot = found.into_iter().next().map(Box::new)),
            volume::Verb::Modify { volume, .. }
            | volume::Verb::Attach { volume, .. }
            | volume::Verb::Detach { volume } => aws
                .volume(volume)
                .await
                .map(|found| wish.found.volume = found.map(Box::new)),
            volume::Verb::Snapshot { .. } | volume::Verb::Extend { .. } => Ok(()),
        };
        wish.found.problem = asked.err().map(|error| error.to_string());
    }
    // What cannot be said cannot be tried; the plan says why.
    if let Ok(change) = wish.change(snapshot) {
        let aws = aws.clone();
        let tried = tokio::spawn(async move { aws.change(&change, TRIAL, true).await }).await;
        let tried = tried.map_err(|error| error.to_string());
        wish.trial = Some(tried.and_then(|tried| tried.map(drop).map_err(|error| error.to_string())));
    }
}

/// An instance that no broker is known to run on, and what is attached to it.
pub(super) async fn host(sources: &Sources, id: &str) -> Result<Box<swap::Host>, String> {
    let aws = sources.aws.as_ref().map_err(Clone::clone)?;
    let ids = [id.to_owned()];
    let found = aws.instances(&Scope::Ids(ids.to_vec())).await;
    let found = found.map_err(|error| error.to_string())?.remove(id);
    let volumes = aws.volumes(&ids).await.map_err(|error| error.to_string())?;
    Ok(Box::new(swap::Host {
        instance: found.ok_or_else(|| format!("there is no instance {id}"))?,
        volumes: volumes.into_values().collect(),
        broker_tag: aws.broker_tag().to_owned(),
    }))
}

/// What EC2 says to each kind of call of such a plan. It looks at rights before it looks at states, which are others when the call is
/// made, so that any other refusal than a denial says that the right is there.
pub(super) async fn swapped(
    sources: &Sources,
    wish: &swap::Wish,
    snapshot: &Snapshot,
) -> BTreeMap<String, Result<(), String>> {
    let mut trials = BTreeMap::new();
    let (Ok(aws), Ok(changes)) = (&sources.aws, wish.changes(snapshot)) else {
        return trials;
    };
    for change in changes {
        let name = change.operation().to_owned();
        if trials.contains_key(&name) {
            continue;
        }
        // What a step before will make; EC2 reads an id of the wrong kind before it looks at rights.
        let nobodys = match &change {
            Change::Create { .. } => "snap-00000000000000000",
            _ => "vol-00000000000000000",
        };
        let change = change.resolved(|_| Some(nobodys.to_owned())).unwrap_or(change);
        let tried = aws.change(&change, TRIAL, true).boxed().await;
        let tried = match tried {
            Err(crate::source::Error::Refused { code, .. }) if code != "no DryRun" => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Ok(()),
        };
        trials.insert(name, tried);
    }
    trials
}

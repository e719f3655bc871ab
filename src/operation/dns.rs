//! Names: what a zone has of one, how far a change of it is, who is still where clients were sent away from, and the switch that
//! an earlier operation made.

use std::time::Duration;

use super::{Error, Folder, Id, Phase};
use crate::feed::{self, Needs, Section, Sources};
use crate::model::dns::Records;
use crate::model::row::Rows;
use crate::model::{Moment, Snapshot};
use crate::plan::dns::{Mark, Still, Wish, still, undoing};
use crate::plan::{Kind, Step};

/// Between the two looks that tell whether somebody writes.
const APART: Duration = Duration::from_secs(2);

/// The record sets of a name, or why they are not known.
pub async fn found(sources: &Sources, record: &str, zone: Option<&str>) -> Result<Records, String> {
    let aws = sources.aws.as_ref().map_err(Clone::clone)?;
    aws.records(record, zone).await.map_err(|error| error.to_string())
}

/// A look at who reads and writes, twice, so that rates are known.
pub async fn look(sources: &Sources, deadline: Duration) -> Snapshot {
    let needs = Needs::from([Section::Cluster, Section::Topics, Section::Offsets, Section::Groups]);
    feed::collect_rates(sources, &needs, deadline, APART).await
}

/// Who is still on the cluster.
pub(super) async fn still_here(sources: &Sources, deadline: Duration) -> Still {
    let snapshot = look(sources, deadline).await;
    still(&snapshot, &Rows::of(&snapshot, Moment::now()))
}

/// How far a cluster was written.
pub async fn mark(sources: &Sources, context: &str, deadline: Duration) -> Result<Mark, String> {
    let needs = Needs::from([Section::Cluster, Section::Topics, Section::Offsets]);
    Mark::of(&feed::collect(sources, &needs, deadline).await, context)
}

/// What takes back the switch of this operation, or the latest one of this record that is in the journals.
///
/// # Errors
/// When there is none, or the operation is another one.
pub fn saved_switch(folder: &Folder, name: Option<&str>, record: Option<&str>) -> Result<(Id, Wish), Error> {
    let is_about = |wish: &Wish| record.is_none_or(|record| wish.record == crate::model::dns::plain(record));
    let of = |status: &super::Status| {
        let begun = status.plan.steps.iter().enumerate();
        let begun = begun.filter(|(at, _)| status.steps[*at] != super::StepState::Next);
        let steps: Vec<&Step> = begun.map(|(_, step)| step).collect();
        undoing(status.id.as_str(), &steps)
    };
    let is_switch = |kind: Kind| matches!(kind, Kind::DnsSwitch | Kind::DnsRollback);
    if let Some(name) = name {
        let status = folder.status(&folder.find(name)?)?;
        let (id, kind) = (&status.id, status.plan.kind);
        if !is_switch(kind) {
            return Err(Error::Refused(format!(
                "operation {id} is a {kind}, it switched no record"
            )));
        }
        let wish = of(&status).ok_or_else(|| Error::Refused(format!("operation {id} did nothing")))?;
        return Ok((status.id.clone(), wish));
    }
    let told = folder.all()?.into_iter().filter_map(|(_, status)| status.ok());
    // One that was refused left all as it was; the one before it is to be taken back.
    let refused = |status: &super::Status| {
        status.phase == Phase::Failed
            && !status
                .steps
                .iter()
                .any(|step| matches!(step, super::StepState::Done { .. }))
    };
    let mut switched = told
        .filter(|status| status.plan.kind == Kind::DnsSwitch && !refused(status))
        .filter_map(|status| Some((status.id.clone(), of(&status)?)))
        .filter(|(_, wish)| is_about(wish));
    let nothing = || match record {
        Some(record) => Error::Refused(format!("no dns switch of {record} is in the journal of this cluster")),
        None => Error::Refused("no dns switch is in the journal of this cluster".to_owned()),
    };
    switched.next().ok_or_else(nothing)
}

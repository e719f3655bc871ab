//! Switches of names: asked for in one batch, followed until all of Route 53 answers so, and then as long as resolvers may keep the
//! old answer.
//!
//! What must stay true: record sets that are neither as they were planned from nor as they shall be are touched no more; what was
//! asked before an engine died is asked again, because the same UPSERT changes nothing and names a change that can be followed.

use std::time::Duration;

use futures::FutureExt;

use super::volume::passes;
use super::{End, Engine, GATES, Pace, Wish};
use crate::model::Moment;
use crate::operation::status::{Progress, StepState};
use crate::operation::{Error, crash, dns};
use crate::plan::dns::{Act, Switch};
use crate::source::aws::Aws;

impl Engine {
    /// Carries one out.
    pub(super) async fn dns(&mut self, at: usize, act: &Act) -> Result<End, Error> {
        match act {
            Act::Switch(switch) => self.switch(at, switch).await,
            Act::Settle { record, seconds } => self.settle(at, record, *seconds).await,
        }
    }

    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_variables, reason = "without AWS there is none to ask")
    )]
    async fn switch(&mut self, at: usize, switch: &Switch) -> Result<End, Error> {
        let aws = match &self.sources.aws {
            Ok(aws) => aws.clone(),
            Err(why) => return Ok(End::Failed(why.clone())),
        };
        let mut change: Option<String> = None;
        let mut answered = false;
        let mut pace = Pace::new();
        loop {
            let looked = follow(aws.clone(), switch.clone(), change.clone(), answered);
            match self.hear(looked.boxed()).await? {
                Err(stop) => return Ok(End::Stopped(stop)),
                Ok(Ok(Standing::Ready)) => {
                    crash::point();
                    let comment = format!("azimuth {}", self.token(at));
                    // Not `hear`: what is asked must not be left half-way.
                    let asked = aws.upsert(&switch.zone.id, &switch.to, &comment);
                    let asked = self.attend(asked.boxed()).await?;
                    crash::point();
                    match asked {
                        Ok(id) => change = Some(id),
                        Err(error) if passes(&error) => self.wait_for(error.to_string()),
                        Err(error) => return Ok(End::Failed(error.to_string())),
                    }
                }
                Ok(Ok(Standing::Pending(note))) => self.show(Progress {
                    step: at,
                    note,
                    ..Progress::default()
                }),
                Ok(Ok(Standing::InSync)) => answered = true,
                Ok(Ok(Standing::Done)) => {
                    let words = format!("all of Route 53 answers so for {}", switch.record);
                    return Ok(End::Done(words));
                }
                Ok(Ok(Standing::Astray(why))) => return Ok(End::Failed(why)),
                Ok(Err(error)) if passes(&error) => self.wait_for(error.to_string()),
                Ok(Err(error)) => return Ok(End::Failed(error.to_string())),
            }
            if let Wish::Stop(stop) = self.pass(pace.next()).await? {
                return Ok(End::Stopped(stop));
            }
        }
    }

    /// Counted from the step before, so that an engine that took over does not begin anew.
    async fn settle(&mut self, at: usize, record: &str, seconds: u64) -> Result<End, Error> {
        let before = at
            .checked_sub(1)
            .map(|before| self.status.borrow().steps[before].clone());
        let since = match before {
            Some(StepState::Done { at, .. }) => at,
            _ => Moment::now(),
        };
        loop {
            let passed = Moment::now().duration_since(since).as_secs().max(0).unsigned_abs();
            if passed >= seconds {
                break;
            }
            self.show(Progress {
                step: at,
                done: u32::try_from(passed).unwrap_or(u32::MAX),
                total: u32::try_from(seconds).unwrap_or(u32::MAX),
                note: format!("resolvers may keep the old answer for {record}"),
                ..Progress::default()
            });
            if let Wish::Stop(stop) = self.pass(Duration::from_secs(1)).await? {
                return Ok(End::Stopped(stop));
            }
        }
        let sources = self.sources.clone();
        let still = self.hear(async move { dns::still_here(&sources, GATES).await }.boxed());
        Ok(match still.await? {
            Err(stop) => End::Stopped(stop),
            Ok(still) => End::Done(still.words()),
        })
    }
}

/// How a switch stands.
enum Standing {
    /// It can be asked for.
    Ready,
    Pending(String),
    /// Every server has it.
    InSync,
    Done,
    Astray(String),
}

/// Looks. `change` is what Route 53 named it; `answered` once every server has it.
async fn follow(
    aws: Aws,
    switch: Switch,
    change: Option<String>,
    answered: bool,
) -> Result<Standing, crate::source::Error> {
    if let Some(id) = change.as_ref().filter(|_| !answered) {
        return Ok(match aws.dns_change(id).await? {
            // It is not known everywhere at once.
            None => Standing::Pending(format!("Route 53 does not know the change {id} yet")),
            Some(false) => Standing::Pending("Route 53 tells its servers (PENDING)".to_owned()),
            Some(true) => Standing::InSync,
        });
    }
    let now = aws.records(&switch.record, Some(&switch.zone.id)).await?.sets;
    let is_all = |of: &[crate::model::dns::RecordSet]| now.len() == of.len() && now.iter().all(|set| of.contains(set));
    if answered && is_all(&switch.to) {
        return Ok(Standing::Done);
    }
    if answered && is_all(&switch.from) {
        return Ok(Standing::Pending(
            "the list of record sets is still the old one".to_owned(),
        ));
    }
    if is_all(&switch.from) || is_all(&switch.to) {
        return Ok(Standing::Ready);
    }
    let strange = now
        .iter()
        .find(|set| !switch.from.contains(set) && !switch.to.contains(set));
    Ok(Standing::Astray(match strange {
        Some(set) => format!(
            "{} {} is {} with weight {} now: somebody else has changed it",
            set.name,
            set.title(),
            set.answer(),
            set.weight.unwrap_or_default()
        ),
        None => format!(
            "{} has other record sets now: somebody else has changed them",
            switch.record
        ),
    }))
}

//! What a command does itself while somebody waits for it: where, with whose leave, and the journal that it begins.

use super::change;
use super::consent::{self, Permit};
use super::exit::{Failure, say};
use super::facts::patience;
use crate::command::Global;
use crate::feed::{self, Needs, Section};
use crate::model::{Moment, Snapshot};
use crate::operation::Ground;
use crate::operation::direct::{Act, Direct};
use crate::plan::Kind;

/// A cluster that something is done to, and what was seen of it.
pub struct Here {
    pub ground: Ground,
    pub snapshot: Snapshot,
    pub cluster_id: String,
}

impl Here {
    /// Looks at these sections. `refusal` is said of a capture, to which nothing can be done.
    pub async fn look(global: &Global, sections: &[Section], refusal: &str) -> Result<Self, Failure> {
        if global.from.is_some() {
            return Err(Failure::usage(format!("{refusal}; leave out --from")));
        }
        let ground = change::ground(global)?;
        let needs = Needs::from_iter(sections.iter().copied());
        let snapshot = feed::collect(&ground.sources, &needs, patience(global)).await;
        let cluster_id = ground.hold(&snapshot)?;
        Ok(Self {
            ground,
            snapshot,
            cluster_id,
        })
    }

    /// Leave to do it, and its journal; `None` where it was only to be told what would be done.
    pub fn begin(&self, global: &Global, kind: Kind, what: String) -> Result<Option<Direct>, Failure> {
        let rule = self.ground.rule(&self.cluster_id)?;
        if consent::ask_why(global, &rule, &what)? == Permit::DryRun {
            say(&format!("azimuth: would {what}"));
            return Ok(None);
        }
        let act = Act {
            kind,
            what,
            context: &self.ground.context.name,
            reason: global.reason.clone(),
        };
        let folder = self.ground.folder(&self.cluster_id)?;
        Ok(Some(Direct::begin(&folder, &self.snapshot, act, Moment::now())?))
    }
}

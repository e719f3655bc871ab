//! What was seen before, to be looked at again: a capture, or the steps of a recording.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::recorder;
use super::reel::{ENDING, Player};
use crate::model::snapshot::Revision;
use crate::model::when::When;
use crate::model::{Moment, Snapshot};
use crate::settings::pin::Pins;
use crate::settings::target::{self, Asked};
use crate::settings::{self, Paths};
use crate::source::{Error, capture};

/// Moments of one cluster, at least one.
#[derive(Debug)]
pub struct Past {
    steps: Vec<Step>,
    source: Source,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub at: Moment,
    /// A finding of triage began or was over since the step before.
    pub finding: bool,
}

#[derive(Debug)]
enum Source {
    Capture(Arc<Snapshot>),
    Recording(Box<Player>),
}

impl Past {
    /// One moment; see [`capture::load`].
    pub fn of_capture(path: &Path) -> Result<Self, Error> {
        let snapshot = capture::load(path)?;
        let at = snapshot.taken_at.unwrap_or(Moment::UNIX_EPOCH);
        Ok(Self {
            steps: vec![Step { at, finding: false }],
            source: Source::Capture(Arc::new(snapshot)),
        })
    }

    /// What this user's consoles recorded of a cluster, from the first step at or after `from` to the last at or before `until`.
    ///
    /// # Errors
    /// [`Error::Local`] where nothing was recorded then.
    pub fn of_cluster(
        cluster_id: &str,
        paths: &Paths,
        from: Option<Moment>,
        until: Option<Moment>,
    ) -> Result<Self, Error> {
        let folder = recorder::folder(cluster_id, paths)
            .ok_or_else(|| Error::Local(format!("cluster {cluster_id} has no state folder")))?;
        Self::of_folder(&folder, from, until)
    }

    /// What `--from` names: a capture, a recording that was copied here, or a moment of what this user's consoles recorded of
    /// the cluster that is asked for; and the step that is meant.
    ///
    /// # Errors
    /// [`Error::Local`] with the file, or with what leads to no recording.
    pub fn of_argument(from: &Path, asked: &Asked, paths: Option<&Paths>, now: Moment) -> Result<(Self, usize), Error> {
        let last = |past: Self| {
            let step = past.steps.len() - 1;
            (past, step)
        };
        match (from.exists(), moment(from, now)) {
            (false, Some(at)) => {
                let past = Self::recorded(asked, paths, None, None)?;
                let step = past.step_at(at);
                Ok((past, step))
            }
            _ if is_recording(from) => Self::of_folder(from, None, None).map(last),
            _ => Self::of_capture(from).map(last),
        }
    }

    /// What `replay --from` and `--to` name: a stretch of what was recorded of the cluster that is asked for, or of a file.
    ///
    /// # Errors
    /// As [`Past::of_argument`].
    pub fn between(
        from: Option<&Path>,
        until: Option<Moment>,
        asked: &Asked,
        paths: Option<&Paths>,
        now: Moment,
    ) -> Result<Self, Error> {
        match from {
            Some(from) if from.exists() && is_recording(from) => Self::of_folder(from, None, until),
            Some(from) => match (from.exists(), moment(from, now)) {
                (false, Some(at)) => Self::recorded(asked, paths, Some(at), until),
                _ => Self::of_capture(from),
            },
            None => Self::recorded(asked, paths, None, until),
        }
    }

    fn recorded(
        asked: &Asked,
        paths: Option<&Paths>,
        from: Option<Moment>,
        until: Option<Moment>,
    ) -> Result<Self, Error> {
        let local = |error: settings::Error| Error::Local(error.to_string());
        let paths = paths.ok_or_else(|| local(settings::Error::NoHome))?;
        let context = target::resolve(asked, paths).map_err(local)?;
        let pins = Pins::load(paths).map_err(local)?;
        let id = pins.expected(&context).ok_or_else(|| {
            Error::Local(format!(
                "nothing was recorded of {}: no console of this user has seen it yet",
                context.name
            ))
        })?;
        Self::of_cluster(id, paths, from, until)
    }

    /// The same, of a folder with recordings, or of one segment that was copied from there.
    pub fn of_folder(folder: &Path, from: Option<Moment>, until: Option<Moment>) -> Result<Self, Error> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::Local(format!("cannot read the recording {}: {why}", folder.display()))
        };
        let segments = segments(folder).map_err(|why| wrong(&why))?;
        let all = Player::of(segments).map_err(|why| wrong(&why))?;
        let (first, last) = match all.places() {
            [] => {
                return Err(wrong(
                    &"nothing is recorded there; a console or azimuth recorder records",
                ));
            }
            [first, .., last] => (first.at, last.at),
            [only] => (only.at, only.at),
        };
        let player = all.between(from, until);
        if player.places().is_empty() {
            return Err(wrong(&format_args!(
                "it has nothing of that time; it reaches from {} to {}",
                first.strftime("%F %TZ"),
                last.strftime("%F %TZ")
            )));
        }
        let steps = player.places().iter().map(|place| Step {
            at: place.at,
            finding: place.finding,
        });
        Ok(Self {
            steps: steps.collect(),
            source: Source::Recording(Box::new(player)),
        })
    }

    /// Oldest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn is_capture(&self) -> bool {
        matches!(self.source, Source::Capture(_))
    }

    /// The last step at or before a moment; the first where all are later.
    pub fn step_at(&self, at: Moment) -> usize {
        self.steps.partition_point(|step| step.at <= at).saturating_sub(1)
    }

    /// What was seen at a step. It reads a file: for a thread that may block.
    pub fn look(&mut self, step: usize) -> Result<Arc<Snapshot>, Error> {
        match &mut self.source {
            Source::Capture(snapshot) => Ok(Arc::clone(snapshot)),
            Source::Recording(player) => {
                let told = player.look(step);
                let mut snapshot =
                    told.map_err(|why| Error::Local(format!("step {} of the recording: {why}", step + 1)))?;
                // It counts the publications of whoever recorded it, several one after the other.
                snapshot.revision = Revision::default();
                Ok(Arc::new(snapshot))
            }
        }
    }
}

fn moment(text: &Path, now: Moment) -> Option<Moment> {
    Some(text.to_str()?.parse::<When>().ok()?.moment(now))
}

fn is_recording(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|ending| ending == ENDING)
}

fn segments(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            segments.push(path);
        }
    }
    Ok(segments)
}

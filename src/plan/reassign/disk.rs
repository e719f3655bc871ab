//! The disks of one broker while replicas land on them: where each goes, and how full that makes the fullest.

use crate::model::logdir::LogDir;

/// A disk may be filled so far by a plan, at its worst moment. Source: AWS MSK best practices, alarm at 85 %.
pub(in crate::plan) const LIMIT_PERCENT: f64 = 85.0;

/// What lands is there beside what will go, until its move ends: nothing is ever taken away here.
#[derive(Debug, Clone, Default)]
pub(in crate::plan) struct Disks {
    dirs: Vec<Dir>,
}

#[derive(Debug, Clone)]
struct Dir {
    logs: usize,
    /// Used and total bytes of the file system; `None` where the broker does not tell.
    fill: Option<(u64, u64)>,
}

impl Disks {
    /// Directories that are offline take nothing.
    pub fn of(dirs: &[LogDir]) -> Self {
        let dir = |dir: &LogDir| Dir {
            logs: dir.replicas.len(),
            fill: dir.used_bytes().zip(dir.total_bytes.filter(|total| *total > 0)),
        };
        Self {
            dirs: dirs.iter().filter(|dir| dir.error.is_none()).map(dir).collect(),
        }
    }

    /// Kafka puts a new log into the directory with the fewest. Source: `LogManager.nextLogDirs`.
    fn next(&self) -> Option<usize> {
        (0..self.dirs.len()).min_by_key(|at| self.dirs[*at].logs)
    }

    /// Whether so many bytes keep the disk below the limit; a disk whose size is not known takes everything, and the gate
    /// of the disk then says what is not known.
    pub fn fits(&self, bytes: u64) -> bool {
        let fill = self.next().and_then(|at| self.dirs[at].fill);
        fill.is_none_or(|(used, total)| bytes == 0 || percent(used + bytes, total) <= LIMIT_PERCENT)
    }

    pub fn land(&mut self, bytes: u64) {
        let Some(at) = self.next() else { return };
        let dir = &mut self.dirs[at];
        dir.logs += 1;
        if let Some((used, _)) = &mut dir.fill {
            *used += bytes;
        }
    }

    /// 0..; of the fullest directory. `None` where one is not known.
    pub fn fullest_percent(&self) -> Option<f64> {
        let percents: Option<Vec<f64>> = self
            .dirs
            .iter()
            .map(|dir| dir.fill.map(|(used, total)| percent(used, total)))
            .collect();
        percents?.into_iter().max_by(f64::total_cmp)
    }
}

fn percent(used: u64, total: u64) -> f64 {
    used as f64 * 100.0 / total as f64
}

//! What can go wrong around a node, set from outside: its directories, its links, its clock and its
//! certificates.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Surroundings;
use crate::env::clock::Clock;
use crate::env::disk::{DirFault, Disk};
use crate::env::expiry::Expiry;
use crate::env::net::{self, Net};

/// All that is wrong at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    pub dirs: Vec<(PathBuf, DirFault)>,
    pub links: Vec<net::Rule>,
    /// How far the clock is ahead, in ms.
    pub skew_ms: i64,
    /// Whether its listeners show certificates that have run out.
    #[serde(default)]
    pub expired: bool,
}

/// Holds the surroundings that a node was started in.
#[derive(Clone)]
pub struct Faults {
    disk: Disk,
    links: net::Faults,
    clock: Clock,
    expiry: Expiry,
}

impl Faults {
    /// From now on exactly this is wrong.
    pub fn set(&self, effects: &Effects) {
        self.disk.set_dir_faults(&effects.dirs);
        self.links.set(effects.links.clone());
        self.clock.set_skew_ms(effects.skew_ms);
        self.expiry.set(effects.expired);
    }

    /// Ends everything that waits for the node's disk with an error: the node is gone.
    pub fn abandon(&self) {
        self.disk.abandon();
    }
}

impl Surroundings {
    /// The same, in which everything can go wrong.
    pub fn at_fault(self) -> (Self, Faults) {
        self.with(net::Faults::relaying(), Disk::faulty, Clock::skewable, Expiry::settable)
    }

    /// The same, in which links can be cut and nothing else goes wrong; it costs nothing.
    pub fn severable(self) -> (Self, Faults) {
        self.with(net::Faults::default(), |disk| disk, |clock| clock, |expiry| expiry)
    }

    fn with(
        self,
        links: net::Faults,
        disk: impl FnOnce(Disk) -> Disk,
        clock: impl FnOnce(Clock) -> Clock,
        expiry: impl FnOnce(Expiry) -> Expiry,
    ) -> (Self, Faults) {
        let faults = Faults {
            disk: disk(self.disk),
            links,
            clock: clock(self.clock),
            expiry: expiry(self.expiry),
        };
        let around = Self {
            disk: faults.disk.clone(),
            clock: faults.clock.clone(),
            expiry: faults.expiry.clone(),
            net: Net::with_faults(faults.links.clone()),
            ..self
        };
        (around, faults)
    }
}

//! What the tests of this module begin with.

use std::collections::BTreeMap;

use super::{Event, Who};
use crate::model::Moment;
use crate::plan::impact::{Impact, Load};
use crate::plan::schedule::Schedule;
use crate::plan::{Kind, Plan, Step, Undo, VALID, VERSION};

pub fn now() -> Moment {
    "2026-11-22T21:04:00Z".parse().unwrap()
}

/// A plan of topics to create, one a step.
pub fn plan(names: &[&str]) -> Plan {
    let step = |name: &&str| Step::CreateTopic {
        name: (*name).to_owned(),
        partitions: Some(1),
        replication_factor: Some(1),
        configs: BTreeMap::new(),
    };
    Plan {
        azimuth: VERSION,
        kind: Kind::TopicCreate,
        title: "create topics".into(),
        context: "dev".into(),
        cluster_id: "X".into(),
        made_at: now(),
        expires_at: now() + VALID,
        steps: names.iter().map(step).collect(),
        gates: Vec::new(),
        // Keys that are numbers must come back from a journal's line.
        impact: Impact {
            brokers: BTreeMap::from([(1, Load::default())]),
            ..Impact::default()
        },
        undo: Undo::None { why: "test".into() },
        aim: None,
        throttle: None,
    }
}

pub fn who() -> Who {
    Who {
        user: "anna".into(),
        host: "bastion-b".into(),
        pid: 7,
        ..Who::default()
    }
}

pub fn begun() -> Event {
    Event::Begun {
        plan: Box::new(plan(&["a", "b"])),
        by: who(),
        reason: None,
        overrides: Vec::new(),
        schedule: Schedule::default(),
    }
}

//! Who else works on the cluster, and being there for them to see while the screens are open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::model::Snapshot;
use crate::operation::Ground;
use crate::operation::presence::{Attendance, Presence};
use crate::tui::app::operation::Operator;

/// One console's.
pub struct Present {
    screen: watch::Sender<String>,
    operators: watch::Receiver<Arc<Vec<Operator>>>,
    /// Once it is known which cluster it is.
    attendance: Arc<Mutex<Option<Attendance>>>,
    tasks: [AbortHandle; 2],
}

impl Present {
    pub fn begin(ground: &Ground, snapshots: watch::Receiver<Arc<Snapshot>>) -> Self {
        let (screen, shown) = watch::channel(String::new());
        let (tell, others) = watch::channel(Arc::default());
        let (publish, operators) = watch::channel(Arc::default());
        let attendance = Arc::default();
        let begin = begin(ground.clone(), snapshots, shown, tell, Arc::clone(&attendance));
        let tasks = [tokio::spawn(begin), tokio::spawn(translate(others, publish))].map(|task| task.abort_handle());
        Self {
            screen,
            operators,
            attendance,
            tasks,
        }
    }

    pub fn operators(&self) -> watch::Receiver<Arc<Vec<Operator>>> {
        self.operators.clone()
    }

    /// What is on screen now.
    pub fn shows(&self, screen: &str) {
        self.screen.send_if_modified(|shown| {
            let changed = *shown != screen;
            if changed {
                screen.clone_into(shown);
            }
            changed
        });
    }

    pub fn leave(&self) -> BoxFuture<'static, ()> {
        let attendance = lock(&self.attendance).take();
        async move {
            if let Some(attendance) = attendance {
                attendance.end().await;
            }
        }
        .boxed()
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Waits until it is known which cluster it is, and whether something may be changed there from here.
async fn begin(
    ground: Ground,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    shown: watch::Receiver<String>,
    tell: watch::Sender<Arc<Vec<Presence>>>,
    attendance: Arc<Mutex<Option<Attendance>>>,
) {
    let id = loop {
        let seen = snapshots
            .borrow_and_update()
            .cluster
            .get()
            .map(|cluster| cluster.id.clone());
        match seen {
            Some(id) => break id,
            None if snapshots.changed().await.is_err() => return,
            None => {}
        }
    };
    // Who can only look harms nobody, and writes nothing into the cluster.
    let joins = ground.rule(&id).is_ok_and(|rule| rule.changes);
    let begun = Attendance::begin(ground.sources.kafka.clone(), id, joins, shown, tell);
    *lock(&attendance) = Some(begun);
}

async fn translate(mut others: watch::Receiver<Arc<Vec<Presence>>>, publish: watch::Sender<Arc<Vec<Operator>>>) {
    while others.changed().await.is_ok() {
        let mut there: Vec<Operator> = others.borrow_and_update().iter().map(operator).collect();
        // The group tells them in any order, and another each time.
        there.sort_by(|a, b| (&a.who, a.since).cmp(&(&b.who, b.since)));
        if publish.send(Arc::new(there)).is_err() {
            return;
        }
    }
}

fn operator(one: &Presence) -> Operator {
    Operator {
        who: one.who(),
        host: one.host.clone(),
        operation: one.is_engine().then(|| one.operation.clone()),
        does: match &one.screen {
            Some(screen) => format!("has the screens open: {screen}"),
            None => one.title.clone(),
        },
        since: one.since,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

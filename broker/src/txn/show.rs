//! What operators are told of transactions.

use super::{State, Transaction, Transactions};

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub id: String,
    pub producer: i64,
    pub state: State,
    /// How long it has been open, in ms; 0 when it is not.
    pub open_ms: i64,
}

impl Transactions {
    /// All ids, in order.
    pub fn list(&self, now_ms: i64) -> Vec<Listing> {
        self.held
            .iter()
            .map(|(id, held)| Listing {
                id: id.clone(),
                producer: held.now.producer,
                state: held.now.state,
                open_ms: match held.now.started_ms {
                    -1 => 0,
                    started => now_ms.saturating_sub(started),
                },
            })
            .collect()
    }

    pub fn describe(&self, id: &str) -> Option<&Transaction> {
        self.held.get(id).map(|held| &held.now)
    }
}

//! Why transactions were not applied: the newest of them, for whoever asks.
//!
//! What is kept is what was found when the transaction was executed; finding out what would make it pass waits until somebody
//! asks. Older ones can be had from the log: `explain --dir`.

use super::Node;
use super::api::QueryError;
use ghostplane_engine::{Refusal, Refused};
use ghostplane_ghostcipher::Digest;
use std::collections::{BTreeMap, VecDeque};

/// How many are kept.
const KEPT_MAX: usize = 4_096;

/// The newest refusals by transaction.
#[derive(Default)]
pub(super) struct Refusals {
    by_id: BTreeMap<Digest, Box<Refused>>,
    order: VecDeque<Digest>,
}

impl Refusals {
    pub(super) fn note(&mut self, id: Digest, refused: Box<Refused>) {
        // What was in a batch that was taken back may come again.
        if self.by_id.insert(id, refused).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}

impl Node {
    /// Why a transaction was not applied. Decides for some time, when its turn comes.
    pub async fn refusal(&self, id: &Digest) -> Result<Refusal, QueryError> {
        let id = *id;
        self.inner.thinking.wait_for(self, move |node| node.find_out(&id)).await
    }

    fn find_out(&self, id: &Digest) -> Result<Refusal, QueryError> {
        let view = self.transaction(id)?;
        if view.record.outcome.is_applied() {
            return Err(QueryError::NotFound { what: "a refusal: the transaction was applied" });
        }
        let refused = self.inner.refusals.lock().by_id.get(id).cloned();
        let refused = refused.ok_or(QueryError::NotFound {
            what: "why, any more: the node keeps the newest refusals; `ghostplane explain --dir` finds it in the log",
        })?;
        Ok(refused.explain())
    }
}

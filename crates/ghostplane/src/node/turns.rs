//! Work that anybody may ask for and that takes much of the node's time: one piece at a time, and few wait for their turn.
//!
//! Who waits keeps no thread, and who gives up keeps no place, so that nothing else that is asked of the node waits behind it.

use super::Node;
use super::api::QueryError;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pieces that wait or run; more are refused.
const PLACES: usize = 32;

/// A queue for one kind of such work.
pub(super) struct Turns {
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// The one who works.
struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), turn: Arc::new(Semaphore::new(1)) }
    }

    async fn take(&self) -> Result<Turn, QueryError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| QueryError::Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.expect("nobody closes it");
        Ok(Turn { _place: place, _turn: turn })
    }

    /// Does a piece of work when its turn comes.
    pub(super) async fn wait_for<T: Send + 'static>(
        &self,
        node: &Node,
        work: impl FnOnce(&Node) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let turn = self.take().await?;
        let node = node.clone();
        // The turn goes along: a caller who gives up does not free what still works.
        let done = tokio::task::spawn_blocking(move || {
            let _held = turn;
            work(&node)
        });
        done.await.map_err(|_| QueryError::Unavailable("the query failed inside the node".into()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn one_works_few_wait_and_who_gives_up_leaves_his_place() {
        let turns = Turns::new();
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(first)) = pin!(turns.take()).poll(&mut context) else { panic!("nobody works") };
        let mut waiting: Vec<_> = (1..PLACES).map(|_| Box::pin(turns.take())).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
        let more = pin!(turns.take()).poll(&mut context);
        assert!(matches!(more, Poll::Ready(Err(QueryError::Busy))));
        waiting.pop();
        assert!(pin!(turns.take()).poll(&mut context).is_pending(), "there is room for one, who gives up at once");
        drop(first);
        assert!(matches!(waiting[0].as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }
}

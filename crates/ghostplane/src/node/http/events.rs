//! What happens, as server-sent events.

use super::error::Error;
use super::parse::{Asked, EventsQuery};
use super::{App, SUBSCRIBERS_MAX, json};
use crate::node::api::NodeEvent;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use ghostplane_ghostcipher::Digest;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// How often a quiet stream shows that it lives.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const BUSY_AGAIN_AFTER_MS: u64 = 5_000;

/// Every kind there is, by the name of its event.
const KINDS: [&str; 7] = ["batch_sealed", "committed", "proven", "final", "l1_block", "reverted", "flushed"];

pub(super) fn kind(event: &NodeEvent) -> &'static str {
    match event {
        NodeEvent::BatchSealed { .. } => "batch_sealed",
        NodeEvent::Committed { .. } => "committed",
        NodeEvent::Proven { .. } => "proven",
        NodeEvent::Final { .. } => "final",
        NodeEvent::L1Block { .. } => "l1_block",
        NodeEvent::Reverted { .. } => "reverted",
        NodeEvent::Flushed { .. } => "flushed",
    }
}

/// The kinds of a list with commas between; all if it is empty.
fn kinds(text: &str) -> Result<BTreeSet<&'static str>, Error> {
    if text.is_empty() {
        return Ok(KINDS.into());
    }
    let known = |name: &str| {
        let known = KINDS.into_iter().find(|known| *known == name);
        known.ok_or_else(|| Error::bad_request(format!("kinds are some of {}, with commas between", KINDS.join(", "))))
    };
    text.split(',').map(known).collect()
}

/// The events of one subscriber. Ends when the server stops.
pub(super) struct Subscription {
    events: BroadcastStream<NodeEvent>,
    kinds: BTreeSet<&'static str>,
    chain_id: u64,
    plane_id: Digest,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    _room: OwnedSemaphorePermit,
}

impl Stream for Subscription {
    type Item = Result<Event, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            let (name, data) = match ready!(Pin::new(&mut this.events).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(BroadcastStreamRecvError::Lagged(events))) => {
                    ("missed", serde_json::json!({ "events": events }))
                }
                Some(Ok(event)) if !this.kinds.contains(kind(&event)) => continue,
                Some(Ok(event)) => (kind(&event), json::event(this.chain_id, &this.plane_id, event)),
            };
            return Poll::Ready(Some(Event::default().event(name).json_data(data)));
        }
    }
}

pub(super) async fn subscribe(
    State(app): State<App>,
    Asked(query): Asked<EventsQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Error> {
    let kinds = kinds(&query.kinds)?;
    let room = Arc::clone(&app.shared.subscribers).try_acquire_owned().map_err(|_| {
        let message = format!("{SUBSCRIBERS_MAX} subscribers, the most there may be");
        Error::new(700, message).retry_after_ms(BUSY_AGAIN_AFTER_MS)
    })?;
    let mut stopping = app.shared.stopping.subscribe();
    let plane = app.node.plane();
    let subscription = Subscription {
        events: BroadcastStream::new(app.node.events()),
        kinds,
        chain_id: plane.chain_id(),
        plane_id: plane.plane_id(),
        stopping: Box::pin(async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }),
        _room: room,
    };
    Ok(Sse::new(subscription).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_EVERY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt as _;
    use tokio::sync::{Semaphore, broadcast, watch};

    #[test]
    fn kinds_are_chosen_by_name() {
        assert_eq!(kinds("").map(|all| all.len()), Ok(KINDS.len()));
        assert_eq!(kinds("final,committed"), Ok(["committed", "final"].into()));
        for bad in ["Final", "final,", ",", "missed", "final committed"] {
            assert!(kinds(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_subscriber_gets_its_kinds_learns_what_it_missed_and_ends_with_the_server() {
        let (send, events) = broadcast::channel(2);
        let (stop, mut stopping) = watch::channel(false);
        let room = Arc::new(Semaphore::new(1));
        let subscription = Subscription {
            events: BroadcastStream::new(events),
            kinds: kinds("final,l1_block").expect("both are kinds"),
            chain_id: 1,
            plane_id: Digest([0; 32]),
            stopping: Box::pin(async move {
                let _ = stopping.wait_for(|stopping| *stopping).await;
            }),
            _room: Arc::clone(&room).try_acquire_owned().expect("there is room"),
        };
        for height in 1..=4 {
            send.send(NodeEvent::L1Block { height, time: 9, inbox_end: 0 }).expect("somebody listens");
        }
        let mut body: Body = Sse::new(subscription).into_response().into_body();
        let mut next = async || {
            let frame = body.frame().await?.expect("a frame");
            Some(String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text"))
        };
        assert_eq!(next().await.as_deref(), Some("event: missed\ndata: {\"events\":2}\n\n"));
        let block = |height| format!("event: l1_block\ndata: {{\"height\":{height},\"time\":9,\"inbox_end\":0}}\n\n");
        assert_eq!(next().await, Some(block(3)));
        assert_eq!(next().await, Some(block(4)));
        send.send(NodeEvent::Reverted { first_batch: 1, generation: 1 }).expect("somebody listens");
        send.send(NodeEvent::Final { batch: 7, l1_height: 5 }).expect("somebody listens");
        assert_eq!(next().await.as_deref(), Some("event: final\ndata: {\"batch\":7,\"l1_height\":5}\n\n"));
        stop.send_replace(true);
        assert_eq!(next().await, None);
        drop(body);
        assert_eq!(room.available_permits(), 1);
    }
}

//! A stream of submissions and its answers.

use super::convert;
use crate::node::api::Answers;
use crate::node::{Node, STREAM_MESSAGE_BYTES_MAX, STREAM_MESSAGE_TRANSACTIONS_MAX, STREAM_OUTSTANDING_MAX, Submitter};
use ghostplane_client::wire;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

/// The answers, as the client reads them. Nothing is fetched before it is read; dropping it stops the reading too.
pub(super) struct AnswerStream {
    answers: mpsc::UnboundedReceiver<Answers>,
    ready: VecDeque<wire::SubmitStreamResponse>,
    room: Arc<Room>,
    reader: Option<JoinHandle<Result<(), Status>>>,
    _place: OwnedSemaphorePermit,
}

/// What reader and answers share.
struct Room {
    /// One permit for each transaction that may be handed in.
    permits: Semaphore,
    without_paths: AtomicBool,
}

pub(super) fn open(
    node: &Node,
    requests: Streaming<wire::SubmitStreamRequest>,
    place: OwnedSemaphorePermit,
) -> AnswerStream {
    let (submitter, answers) = node.submitter();
    let permits = Semaphore::new(STREAM_OUTSTANDING_MAX);
    let room = Arc::new(Room { permits, without_paths: AtomicBool::new(false) });
    let reader = Some(tokio::spawn(read(submitter, requests, Arc::clone(&room))));
    AnswerStream { answers, ready: VecDeque::new(), room, reader, _place: place }
}

/// Hands in what the client sends. Its end drops the submitter, so that the answers end once all are known.
async fn read(
    mut submitter: Submitter,
    mut requests: Streaming<wire::SubmitStreamRequest>,
    room: Arc<Room>,
) -> Result<(), Status> {
    while let Some(request) = requests.message().await? {
        let count = check(&request)?;
        room.without_paths.store(request.without_paths, Ordering::Relaxed);
        // Permits come back as answers are read: a client that does not read is not read from.
        let permits = room.permits.acquire_many(count).await;
        permits.map_err(|_| Status::cancelled("the stream is closed"))?.forget();
        submitter.submit(request.first_reference, request.transactions).await;
    }
    Ok(())
}

/// How many transactions a message holds, if it keeps the bounds.
fn check(request: &wire::SubmitStreamRequest) -> Result<u32, Status> {
    let (count, bytes) = (request.transactions.len(), request.transactions.iter().map(|one| one.len()).sum::<usize>());
    if count > STREAM_MESSAGE_TRANSACTIONS_MAX {
        let limit = STREAM_MESSAGE_TRANSACTIONS_MAX;
        return Err(convert::bad_request(format!("{count} transactions in one message, at most {limit} are allowed")));
    }
    if bytes > STREAM_MESSAGE_BYTES_MAX {
        let limit = STREAM_MESSAGE_BYTES_MAX;
        return Err(convert::bad_request(format!("{bytes} bytes of transactions in one message, at most {limit}")));
    }
    let count = u32::try_from(count).expect("bounded above");
    let last = request.first_reference.checked_add(count.into());
    last.map(|_| count).ok_or_else(|| convert::bad_request("the references of the message run over 2^64"))
}

impl Stream for AnswerStream {
    type Item = Result<wire::SubmitStreamResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(message) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            if let Some(answers) = ready!(this.answers.poll_recv(context)) {
                this.room.permits.add_permits(convert::answered(&answers));
                this.ready.extend(convert::answers(&answers, !this.room.without_paths.load(Ordering::Relaxed)));
                continue;
            }
            // Everything is answered: say why the reading ended, if that was not the client's wish.
            let Some(reader) = this.reader.as_mut() else { return Poll::Ready(None) };
            let ended = ready!(Pin::new(reader).poll(context));
            this.reader = None;
            return Poll::Ready(match ended {
                Ok(Ok(())) => None,
                Ok(Err(status)) => Some(Err(status)),
                Err(_) => Some(Err(Status::internal("the stream's reader ended early"))),
            });
        }
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tonic::codegen::Bytes;

    #[test]
    fn messages_over_the_bounds_are_refused() {
        let message = |first_reference, count, bytes| wire::SubmitStreamRequest {
            first_reference,
            transactions: vec![Bytes::from(vec![0; bytes]); count],
            without_paths: false,
        };
        assert_eq!(check(&message(0, 512, 2_048)).ok(), Some(512));
        for over in [message(0, 513, 1), message(0, 512, 2_049), message(u64::MAX, 1, 1)] {
            assert_eq!(check(&over).map_err(|status| status.code()), Err(Code::InvalidArgument));
        }
    }
}

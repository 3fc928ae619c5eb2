//! Many transactions over one stream, with a bound on those that are unanswered.

use crate::check::{CheckError, Claimed, Plane, Receipt, digest};
use crate::client::Client;
use crate::error::{ClientError, Refused};
use crate::wire;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{Transaction, TransactionBody};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::codegen::Bytes;

/// The most transactions that may be unanswered: what a node reads before it waits for its answers to be read.
pub const OUTSTANDING_MAX: usize = 16_384;
/// The most transactions of one message.
pub const MESSAGE_TRANSACTIONS_MAX: usize = 512;
/// The most bytes of one message's transactions.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const MESSAGES_QUEUED_MAX: usize = 16;

/// What is checked of a stream's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Signature and path of each: answers carry receipts.
    Verified,
    /// Nothing but that each answers what was sent; paths are left out. Receipts can be had, and are checked, later.
    Unverified,
}

/// What became of one transaction of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Executed, and the sequencer's promise was checked.
    Verified(Receipt),
    /// Executed, says the node.
    Unverified {
        /// The transaction.
        id: Digest,
        /// Its place in the log.
        position: u64,
        /// What became of it.
        claimed: Claimed,
    },
    /// Not executed; nothing was charged.
    Refused(Refused),
}

/// One open stream of submissions. Send and read in turn; sending waits for no answer and is refused beyond the bound.
#[derive(Debug)]
pub struct Submissions {
    client: Client,
    plane: Arc<Plane>,
    trust: Trust,
    requests: Option<mpsc::Sender<wire::SubmitStreamRequest>>,
    answers: Streaming<wire::SubmitStreamResponse>,
    /// Ids of what is unanswered, by reference.
    outstanding: BTreeMap<u64, Digest>,
    ready: VecDeque<(u64, Answer)>,
}

impl Client {
    /// Opens a stream of submissions.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn submit_stream(&self, trust: Trust) -> Result<Submissions, ClientError> {
        let (requests, receiver) = mpsc::channel(MESSAGES_QUEUED_MAX);
        let mut service = wire::transactions_client::TransactionsClient::new(self.channel());
        let call = service.submit_stream(ReceiverStream::new(receiver));
        let answers = self.within("submit_stream", call).await?;
        Ok(Submissions {
            plane: Arc::new(self.plane().clone()),
            client: self.clone(),
            trust,
            requests: Some(requests),
            answers,
            outstanding: BTreeMap::new(),
            ready: VecDeque::new(),
        })
    }
}

impl Submissions {
    /// How many transactions are unanswered.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many more may be sent before answers are read.
    #[must_use]
    pub fn room(&self) -> usize {
        OUTSTANDING_MAX - self.outstanding.len()
    }

    /// Sends canonical transactions, whose references count up from `first_reference`. They are not decoded.
    ///
    /// # Errors
    /// [`ClientError::Failed`] if they exceed a bound of the message or of what may be unanswered, or repeat a reference:
    /// nothing is sent then. [`ClientError::Unreachable`] if the stream has ended, [`ClientError::TimedOut`] if the node does
    /// not read for as long as one call may take: open another stream then, and send again what is unanswered.
    pub async fn send(&mut self, first_reference: u64, transactions: Vec<Bytes>) -> Result<(), ClientError> {
        let bytes: usize = transactions.iter().map(Bytes::len).sum();
        if transactions.len() > MESSAGE_TRANSACTIONS_MAX || bytes > MESSAGE_BYTES_MAX {
            return Err(misuse(format!(
                "{} transactions of {bytes} bytes in a message, at most {MESSAGE_TRANSACTIONS_MAX} and {MESSAGE_BYTES_MAX} fit",
                transactions.len()
            )));
        }
        if transactions.len() > self.room() {
            return Err(misuse(format!("{} transactions are unanswered: read answers first", self.outstanding.len())));
        }
        let end = first_reference.checked_add(transactions.len() as u64);
        let end = end.ok_or_else(|| misuse("references run over".to_owned()))?;
        if let Some((reference, _)) = self.outstanding.range(first_reference..end).next() {
            return Err(misuse(format!("reference {reference} is unanswered already")));
        }
        let chain_id = self.plane.chain_id();
        let ids = transactions.iter().map(|bytes| TransactionBody::id_of_bytes(chain_id, Transaction::body_of(bytes)));
        self.outstanding.extend((first_reference..end).zip(ids));
        let without_paths = self.trust == Trust::Unverified;
        let request = wire::SubmitStreamRequest { first_reference, transactions, without_paths };
        let sent = match &self.requests {
            Some(requests) => self.within(requests.send(request)).await?.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(self.ended()) }
    }

    /// Says that nothing more will be sent. Answers go on until all are there.
    pub fn finish(&mut self) {
        self.requests = None;
    }

    /// The next answer with its reference; `None` once the node has ended the stream and everything is answered.
    ///
    /// # Errors
    /// [`ClientError::Lied`] if an answer does not pass its check, [`ClientError::Unreachable`] if the stream ends while
    /// something is unanswered, [`ClientError::TimedOut`] if no answer comes for as long as one call may take: sending the same
    /// transactions again is safe.
    pub async fn next(&mut self) -> Result<Option<(u64, Answer)>, ClientError> {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return Ok(Some(answer));
            }
            let after_ms = self.client.timeout_ms();
            let message = tokio::time::timeout(Duration::from_millis(after_ms), self.answers.message()).await;
            let message = message.map_err(|_| late(after_ms))?;
            match message.map_err(|status| self.client.status_error("submit_stream", &status))? {
                Some(response) => self.take(response)?,
                None if self.outstanding.is_empty() => return Ok(None),
                None => return Err(self.ended()),
            }
        }
    }

    fn take(&mut self, response: wire::SubmitStreamResponse) -> Result<(), ClientError> {
        if !response.executed.is_empty() {
            let flush = match self.trust {
                Trust::Verified => Some(self.plane.flush(&response.signed_flush)?),
                Trust::Unverified => None,
            };
            for executed in &response.executed {
                let expected = self.answered(executed.reference)?;
                let answer = match &flush {
                    Some(flush) => {
                        let count = response.flush_transactions;
                        Answer::Verified(self.plane.executed(&expected, flush, count, executed)?)
                    }
                    None => {
                        let id = digest("id of the transaction", &executed.id)?;
                        if id != expected {
                            return Err(differs("id of the transaction", &expected, &id).into());
                        }
                        Answer::Unverified { id, position: executed.position, claimed: Claimed::new(executed)? }
                    }
                };
                self.ready.push_back((executed.reference, answer));
            }
        }
        for refused in response.refused {
            self.answered(refused.reference)?;
            let refusal = refused.refusal.ok_or(CheckError::Lacks("refusal"))?;
            self.ready.push_back((refused.reference, Answer::Refused(refusal.into())));
        }
        Ok(())
    }

    fn answered(&mut self, reference: u64) -> Result<Digest, CheckError> {
        self.outstanding.remove(&reference).ok_or_else(|| differs("reference", &"one that is unanswered", &reference))
    }

    /// Waits no longer than one call may take.
    async fn within<T>(&self, what: impl Future<Output = T>) -> Result<T, ClientError> {
        let after_ms = self.client.timeout_ms();
        tokio::time::timeout(Duration::from_millis(after_ms), what).await.map_err(|_| late(after_ms))
    }

    fn ended(&self) -> ClientError {
        let reason = format!("the stream ended with {} transactions unanswered", self.outstanding.len());
        ClientError::Unreachable { url: self.client.url().to_owned(), reason }
    }
}

fn differs(what: &'static str, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display) -> CheckError {
    CheckError::Differs { what, expected: expected.to_string(), found: found.to_string() }
}

fn late(after_ms: u64) -> ClientError {
    ClientError::TimedOut { what: "the stream of submissions".to_owned(), after_ms }
}

fn misuse(message: String) -> ClientError {
    ClientError::Misuse(message)
}

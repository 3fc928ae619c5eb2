//! The connection to a node, and its questions and answers.

use crate::check::{self, Anchored, CheckError, Plane, ProvenAccount, ProvenAsset, Receipt, Rung};
use crate::error::{ClientError, Refused};
use crate::wire;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{
    Address, AssetId, Attestation, BatchHeader, Commitment, Decode as _, Encode as _, InboxEntry, L1Address,
    Transaction, Withdrawal,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status, Streaming};

/// The largest answer that is read: a full batch in its posted form with its records.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest job for a prover: the witnesses of many batches.
const PROOF_JOB_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Attempts at one submission, the first included.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE_MS_MIN: u64 = 20;
const PAUSE_MS_MAX: u64 = 2_000;
/// A node that is gone without a word is noticed after so long, whatever is waited for.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The plane that must be there. Without it the client believes that the node's plane is the one meant.
    pub expected_plane: Option<Digest>,
    /// How long one call may take, in milliseconds; of a stream of submissions, how long nothing may come while it is waited
    /// for.
    pub timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { expected_plane: None, timeout_ms: 30_000 }
    }
}

/// A connection to one node of one plane. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    url: Arc<str>,
    timeout_ms: u64,
    plane: Arc<Plane>,
    info: Arc<wire::Info>,
}

/// Calls one method of one service within the time, and turns its status into an error.
macro_rules! call {
    ($client:expr, $module:ident :: $service:ident :: $method:ident ($request:expr)) => {{
        let mut service =
            wire::$module::$service::new($client.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        $client.within(stringify!($method), service.$method($request)).await
    }};
}

impl Client {
    /// Connects to `url`, as in `http://127.0.0.1:9900`, and learns which plane is there.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if nobody answers, [`ClientError::Lied`] if the node contradicts itself or serves
    /// another plane than expected.
    pub async fn connect(url: &str, options: Options) -> Result<Self, ClientError> {
        let unreachable = |error: &dyn std::error::Error| {
            let mut reason = error.to_string();
            let mut below = error.source();
            while let Some(error) = below {
                reason = format!("{reason}: {error}");
                below = error.source();
            }
            ClientError::Unreachable { url: url.to_owned(), reason }
        };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| unreachable(&error))?;
        let endpoint = endpoint.connect_timeout(Duration::from_millis(options.timeout_ms)).tcp_nodelay(true);
        let endpoint = endpoint.http2_keep_alive_interval(KEEPALIVE_EVERY).keep_alive_timeout(KEEPALIVE_WITHIN);
        let channel = endpoint.connect().await.map_err(|error| unreachable(&error))?;
        let mut node = wire::node_client::NodeClient::new(channel.clone());
        let info = within(url, options.timeout_ms, "info", node.get_info(wire::GetInfoRequest {})).await?;
        let plane = Plane::from_info(&info, options.expected_plane.as_ref())?;
        Ok(Self {
            channel,
            url: url.into(),
            timeout_ms: options.timeout_ms,
            plane: Arc::new(plane),
            info: Arc::new(info),
        })
    }

    /// The plane, as its genesis has it.
    #[must_use]
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// What the node said of itself when it was connected to.
    #[must_use]
    pub fn info(&self) -> &wire::Info {
        &self.info
    }

    /// The node's connection, for calls that this library does not wrap.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Submits a transaction once and checks the receipt.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it is not executed; any other if nobody knows.
    pub async fn submit_once(&self, transaction: &Transaction) -> Result<Receipt, ClientError> {
        let id = transaction.body.id();
        self.submit_bytes(&id, transaction.to_bytes()).await
    }

    /// Submits canonical bytes of a transaction, whose id is worked out from them, and checks the receipt.
    ///
    /// # Errors
    /// As [`Client::submit_once`], and [`ClientError::Transaction`] if the bytes are none.
    pub async fn submit_encoded(&self, bytes: &[u8]) -> Result<Receipt, ClientError> {
        self.submit(&Transaction::decode_bounded(bytes)?).await
    }

    /// Submits a transaction and checks the receipt. Tries again where that is safe: the same signed transaction uses its
    /// number once, so that sending it twice executes it once. If the node knows it already, the receipt is looked up.
    ///
    /// # Errors
    /// As [`Client::submit_once`], from the last attempt.
    pub async fn submit(&self, transaction: &Transaction) -> Result<Receipt, ClientError> {
        let id = transaction.body.id();
        let bytes = transaction.to_bytes();
        let mut pause_ms = PAUSE_MS_MIN;
        let mut attempt = 1;
        loop {
            let error = match self.submit_bytes(&id, bytes.clone()).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => error,
            };
            let wait_ms = match &error {
                ClientError::Refused(refused) if refused.passes() => pause_ms.max(refused.retry_after_ms),
                ClientError::Refused(refused) if refused.code == Refused::KNOWN || refused.name == "NonceUsed" => {
                    match self.receipt(&id).await {
                        Ok(receipt) => return Ok(receipt),
                        // Known and not executed yet: its receipt is on the way.
                        Err(ClientError::NotFound(_)) if refused.code == Refused::KNOWN => pause_ms,
                        Err(ClientError::NotFound(_)) => return Err(error),
                        Err(other) => return Err(other),
                    }
                }
                ClientError::Unreachable { .. } => pause_ms,
                _ => return Err(error),
            };
            if attempt == ATTEMPTS_MAX {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(Duration::from_millis(wait_ms.min(PAUSE_MS_MAX))).await;
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
        }
    }

    async fn submit_bytes(&self, id: &Digest, transaction: Vec<u8>) -> Result<Receipt, ClientError> {
        let request = wire::SubmitRequest { transaction: transaction.into(), wait: wire::Wait::Executed.into() };
        let answer = call!(self, transactions_client::TransactionsClient::submit(request))?;
        match answer.answer {
            Some(wire::submit_response::Answer::Receipt(receipt)) => Ok(self.plane.receipt(id, &receipt)?),
            Some(wire::submit_response::Answer::Refusal(refusal)) => Err(Refused::from(refusal).into()),
            None => Err(CheckError::Lacks("receipt or refusal").into()),
        }
    }

    /// The receipt of a transaction, checked.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node has none.
    pub async fn receipt(&self, id: &Digest) -> Result<Receipt, ClientError> {
        let request = wire::GetReceiptRequest { id: id.0.to_vec().into() };
        let answer = call!(self, transactions_client::TransactionsClient::get_receipt(request))?;
        Ok(self.plane.receipt(id, &answer)?)
    }

    /// What became of a transaction: the node's word, except that the transaction itself, if given, has that id.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node has none.
    pub async fn transaction(&self, id: &Digest) -> Result<wire::TransactionStatus, ClientError> {
        let request = wire::GetTransactionRequest { id: id.0.to_vec().into() };
        let answer = call!(self, transactions_client::TransactionsClient::get(request))?;
        equal("id of the transaction", id, &check::digest("id of the transaction", &answer.id)?)?;
        if !answer.transaction.is_empty() {
            let decoded = Transaction::from_bytes(&answer.transaction)
                .map_err(|error| CheckError::Decode { what: "transaction", error })?;
            equal("id of the transaction", id, &decoded.body.id())?;
        }
        Ok(answer)
    }

    /// Waits until the batch of a transaction has come as far as `rung`, by the node's word.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] if it takes longer, [`ClientError::NotFound`] if it is gone.
    pub async fn wait_for(
        &self,
        id: &Digest,
        rung: Rung,
        timeout_ms: u64,
    ) -> Result<wire::TransactionStatus, ClientError> {
        let until = async {
            let mut pause_ms = PAUSE_MS_MIN;
            loop {
                let status = self.transaction(id).await?;
                if Rung::from_wire(status.rung)? >= rung {
                    return Ok(status);
                }
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX / 4);
            }
        };
        let late =
            |_| ClientError::TimedOut { what: format!("waiting until {id} is {}", rung.word()), after_ms: timeout_ms };
        tokio::time::timeout(Duration::from_millis(timeout_ms), until).await.map_err(late)?
    }

    /// An account with all its proofs checked under the header it carries.
    ///
    /// # Errors
    /// [`ClientError::Lied`] if anything is not proven.
    pub async fn account(&self, address: &Address) -> Result<ProvenAccount, ClientError> {
        let answer = self.account_answer(address, true).await?;
        Ok(self.plane.account(address, &answer)?)
    }

    /// An account without proofs: the node's word.
    ///
    /// # Errors
    /// If the call fails or the answer is about another account.
    pub async fn account_unproven(&self, address: &Address) -> Result<wire::Account, ClientError> {
        let answer = self.account_answer(address, false).await?;
        equal("address", &Digest(*address.as_bytes()), &check::digest("address", &answer.address)?)?;
        Ok(answer)
    }

    async fn account_answer(&self, address: &Address, proof: bool) -> Result<wire::Account, ClientError> {
        let request = wire::GetAccountRequest { address: address.as_bytes().to_vec().into(), proof, at: 0 };
        call!(self, state_client::StateClient::get_account(request))
    }

    /// An asset, with its registration proven under the header it carries; genesis registers the bridged ones.
    ///
    /// # Errors
    /// [`ClientError::Lied`] if anything is not proven.
    pub async fn asset(&self, asset: AssetId) -> Result<ProvenAsset, ClientError> {
        let request = wire::GetAssetRequest { asset: asset.number(), proof: true };
        let answer = call!(self, state_client::StateClient::get_asset(request))?;
        Ok(self.plane.asset(asset, &answer)?)
    }

    /// Up to `count` assets from where an earlier list ended (empty for the beginning), and where this one ended if there are
    /// more. What is said of each agrees with the registration beside it; that there are no others is the node's word.
    ///
    /// # Errors
    /// If the call fails or an answer contradicts itself.
    pub async fn assets(&self, after: Vec<u8>, count: u32) -> Result<(Vec<wire::Asset>, Vec<u8>), ClientError> {
        let request = wire::ListAssetsRequest { after: after.into(), count };
        let answer = call!(self, state_client::StateClient::list_assets(request))?;
        for asset in &answer.assets {
            self.plane.listed_asset(asset)?;
            equal("whether a listed asset exists", &true, &asset.exists)?;
        }
        Ok((answer.assets, answer.next.to_vec()))
    }

    pub(crate) async fn get_credential(
        &self,
        request: wire::GetCredentialRequest,
    ) -> Result<wire::CredentialOf, ClientError> {
        call!(self, state_client::StateClient::get_credential(request))
    }

    pub(crate) async fn list_credentials(
        &self,
        request: wire::ListCredentialsRequest,
    ) -> Result<wire::Credentials, ClientError> {
        call!(self, state_client::StateClient::list_credentials(request))
    }

    /// Finds the commitment that a header is under, and checks its path and the sequencer's attestation.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] while there is no commitment to it.
    pub async fn anchor(&self, header: &BatchHeader) -> Result<Anchored, ClientError> {
        let request = wire::GetCommitmentRequest { batch: header.number };
        let answer = call!(self, bridge_client::BridgeClient::get_commitment(request))?;
        Ok(self.plane.anchor(header, &answer)?)
    }

    /// A batch: its header, which agrees with the fields beside it, and the answer.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is none.
    pub async fn batch(
        &self,
        number: u64,
        records: bool,
        posted: bool,
    ) -> Result<(BatchHeader, wire::Batch), ClientError> {
        let request = wire::GetBatchRequest { number, records, posted };
        let answer = call!(self, batches_client::BatchesClient::get(request))?;
        equal("number of the batch", &number, &answer.number)?;
        Ok((self.plane.batch(&answer)?, answer))
    }

    /// The `count` batches up to `upto`, newest first; 0 for the newest, and for 20.
    ///
    /// # Errors
    /// If the call fails or a header does not agree with the fields beside it.
    pub async fn batches(&self, upto: u64, count: u32) -> Result<Vec<(BatchHeader, wire::Batch)>, ClientError> {
        let request = wire::ListBatchesRequest { upto, count };
        let answer = call!(self, batches_client::BatchesClient::list(request))?;
        answer.batches.into_iter().map(|batch| Ok((self.plane.batch(&batch)?, batch))).collect()
    }

    /// How the node does; its word.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn status(&self) -> Result<wire::Status, ClientError> {
        call!(self, node_client::NodeClient::get_status(wire::GetStatusRequest {}))
    }

    /// The roots of the newest sealed batch; the node's word.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn roots(&self) -> Result<wire::StateRoots, ClientError> {
        call!(self, state_client::StateClient::get_roots(wire::GetRootsRequest {}))
    }

    /// How plane and L1 stand to each other; the node's word.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn bridge(&self) -> Result<wire::BridgeStatus, ClientError> {
        call!(self, bridge_client::BridgeClient::get_status(wire::GetBridgeStatusRequest {}))
    }

    /// An account on the L1; the node's word.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn l1_account(&self, address: &L1Address) -> Result<wire::L1Account, ClientError> {
        let request = wire::GetL1AccountRequest { address: address.0.to_vec().into() };
        call!(self, bridge_client::BridgeClient::get_l1_account(request))
    }

    /// A withdrawal, whose canonical bytes agree with the fields beside them; the rest is the node's word.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is none.
    pub async fn withdrawal(&self, index: u64) -> Result<(Withdrawal, wire::Withdrawal), ClientError> {
        let request = wire::GetWithdrawalRequest { index };
        let answer = call!(self, bridge_client::BridgeClient::get_withdrawal(request))?;
        equal("index of the withdrawal", &index, &answer.index)?;
        let withdrawal = Withdrawal::from_bytes(&answer.withdrawal)
            .map_err(|error| CheckError::Decode { what: "withdrawal", error })?;
        equal("amount of the withdrawal", &withdrawal.amount.units(), &answer.amount)?;
        equal("asset of the withdrawal", &withdrawal.asset.number(), &answer.asset)?;
        Ok((withdrawal, answer))
    }

    /// Hands canonical bytes of a signed message to the L1 and waits until a block holds it, by the node's word.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the L1 refuses it.
    pub async fn send_to_l1(&self, message: Vec<u8>) -> Result<wire::SendToL1Response, ClientError> {
        let request = wire::SendToL1Request { message: message.into() };
        let mut answer = call!(self, bridge_client::BridgeClient::send_to_l1(request))?;
        match answer.refusal.take() {
            Some(refusal) => Err(Refused::from(refusal).into()),
            None => Ok(answer),
        }
    }

    /// The kept proof over a batch, with headers and flows; the node's word until it is verified.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is none.
    pub async fn proof(&self, batch: u64) -> Result<wire::Proof, ClientError> {
        call!(self, proofs_client::ProofsClient::get(wire::GetProofRequest { batch }))
    }

    /// Batches to be proved, if there are any worth it now. They are the caller's for two minutes.
    ///
    /// # Errors
    /// If the call fails, or the node has nothing proved elsewhere.
    pub async fn proof_job(&self) -> Result<Option<wire::ProofJob>, ClientError> {
        let mut service =
            wire::proofs_client::ProofsClient::new(self.channel.clone()).max_decoding_message_size(PROOF_JOB_BYTES_MAX);
        let job = self.within("get_job", service.get_job(wire::GetProofJobRequest {})).await?;
        Ok(job.present.then_some(job))
    }

    /// Hands in the proof of a job. Returns the batches that it is over.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it is no proof of that, or the job is no longer the caller's.
    pub async fn submit_proof(&self, id: u64, proof: Vec<u8>) -> Result<(u64, u64), ClientError> {
        let request = wire::SubmitProofRequest { id, proof: proof.into() };
        let taken = call!(self, proofs_client::ProofsClient::submit(request))?;
        Ok((taken.first_batch, taken.last_batch))
    }

    /// Gives a job back that is too large. Returns how many of its batches are offered together from now on.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the job is no longer the caller's.
    pub async fn decline_proof(&self, id: u64) -> Result<u64, ClientError> {
        let request = wire::DeclineProofJobRequest { id };
        Ok(call!(self, proofs_client::ProofsClient::decline(request))?.batches_max)
    }

    /// Inbox entries from `from` up to, not with, `upto`, by the node's word; as many as it gives at a time.
    ///
    /// # Errors
    /// [`ClientError::Lied`] if they do not decode, or stand elsewhere than asked for.
    pub async fn inbox(&self, from: u64, upto: u64) -> Result<Vec<InboxEntry>, ClientError> {
        let request = wire::GetInboxRequest { from, upto };
        let answer = call!(self, bridge_client::BridgeClient::get_inbox(request))?;
        let mut entries = Vec::with_capacity(answer.entries.len());
        for (expected, bytes) in (from..upto).zip(&answer.entries) {
            let entry =
                InboxEntry::from_bytes(bytes).map_err(|error| CheckError::Decode { what: "inbox entry", error })?;
            equal("index of the inbox entry", &expected, &entry.index)?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What the sequencer wants to commit and committers are to vouch for, with what was said so far; the node's word.
    ///
    /// # Errors
    /// If the call fails, genesis names no committers, or the commitment does not decode.
    pub async fn proposal(&self) -> Result<Option<Commitment>, ClientError> {
        let request = wire::GetCommitmentProposalRequest {};
        let answer = call!(self, committers_client::CommittersClient::get_proposal(request))?;
        if !answer.present {
            return Ok(None);
        }
        let commitment = Commitment::from_bytes(&answer.commitment)
            .map_err(|error| CheckError::Decode { what: "commitment", error })?;
        Ok(Some(commitment))
    }

    /// Brings a committer's word for the commitment with this digest. Returns the weight of all so far, and the weight needed.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if something else is proposed by now, [`ClientError::Failed`] if it is not taken.
    pub async fn attest(&self, digest: &Digest, by: &Attestation) -> Result<(u32, u32), ClientError> {
        let request = wire::AttestRequest { digest: digest.0.to_vec().into(), attestation: by.to_bytes().into() };
        let taken = call!(self, committers_client::CommittersClient::attest(request))?;
        Ok((taken.weight, taken.quorum))
    }

    /// What happens from now on; all kinds if none is named. It ends with an error or with the node.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn events(&self, kinds: &[wire::EventKind]) -> Result<Streaming<wire::Event>, ClientError> {
        let request = wire::SubscribeRequest { kinds: kinds.iter().map(|kind| i32::from(*kind)).collect() };
        call!(self, events_client::EventsClient::subscribe(request))
    }

    pub(crate) const fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn within<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        within(&self.url, self.timeout_ms, what, call).await
    }

    pub(crate) fn status_error(&self, what: &str, status: &Status) -> ClientError {
        ClientError::from_status(&self.url, what, self.timeout_ms, status)
    }
}

async fn within<T>(
    url: &str,
    timeout_ms: u64,
    what: &str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(Duration::from_millis(timeout_ms), call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(ClientError::from_status(url, what, timeout_ms, &status)),
        Err(_) => Err(ClientError::TimedOut { what: what.to_owned(), after_ms: timeout_ms }),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &'static str, expected: &T, found: &T) -> Result<(), CheckError> {
    if expected == found {
        return Ok(());
    }
    Err(CheckError::Differs { what, expected: format!("{expected:?}"), found: format!("{found:?}") })
}

//! The calls, service by service.

use super::{NO_STORAGE, SUBMIT_STREAMS_MAX, SUBSCRIBERS_MAX, WAIT_MAX, convert, stream};
use crate::node::Node;
use crate::node::api::{QueryError, Rung};
use ghostplane_client::wire;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{Address, AssetId, Attestation, Decode as _, L1Address, ObjectKey};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, Streaming};

const BATCHES_MAX: u32 = 256;
const BATCHES_DEFAULT: u32 = 20;
const ASSETS_MAX: u32 = 256;
const ASSETS_DEFAULT: u32 = 64;
const CREDENTIALS_MAX: u32 = 256;
const CREDENTIALS_DEFAULT: u32 = 64;
const KINDS_MAX: usize = 16;

/// All services at once.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) node: Node,
    pub(super) streams: Arc<Semaphore>,
    pub(super) subscribers: Arc<Semaphore>,
    pub(super) queries: Arc<Semaphore>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// Asks what reads the disk where that may be waited for, a bounded number at a time.
    async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Node) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Status> {
        let room = Arc::clone(&self.queries).acquire_owned().await.expect("nobody closes it");
        let node = self.node.clone();
        // The room goes along: a caller who gives up does not free what still reads.
        let answer = tokio::task::spawn_blocking(move || {
            let _held = room;
            query(&node)
        });
        let failed = |_| convert::status(Code::Internal, 712, "the query failed inside the node");
        let answer = answer.await.map_err(failed)?;
        answer.map_err(|error| convert::query_error(&error))
    }
}

/// A place among those that may last.
fn place(room: &Arc<Semaphore>, what: &str, most: usize) -> Result<OwnedSemaphorePermit, Status> {
    let full = |_| convert::status(Code::ResourceExhausted, 700, format!("{most} {what}, the most there may be"));
    Arc::clone(room).try_acquire_owned().map_err(full)
}

fn unimplemented<T>(reason: &'static str) -> Answer<T> {
    Err(convert::query_error(&QueryError::Unimplemented(reason)))
}

#[tonic::async_trait]
impl wire::transactions_server::Transactions for Service {
    type SubmitStreamStream = stream::AnswerStream;

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Answer<wire::SubmitResponse> {
        use wire::submit_response::Answer;
        let request = request.into_inner();
        let wait = wire::Wait::try_from(request.wait)
            .map_err(|_| convert::bad_request(format!("there is no way to wait of number {}", request.wait)))?;
        let view = match self.node.submit(request.transaction).await {
            Ok(view) => view,
            Err(refusal) => {
                let answer = Some(Answer::Refusal(convert::refusal(&refusal)));
                return Ok(Response::new(wire::SubmitResponse { answer, rung: 0 }));
            }
        };
        let wanted = match wait {
            wire::Wait::Unspecified | wire::Wait::Executed => None,
            wire::Wait::Committed => Some(Rung::Challengeable),
            wire::Wait::Proven => Some(Rung::Proven),
            wire::Wait::Final => Some(Rung::Final),
        };
        let mut rung = Rung::Attested;
        if let Some(wanted) = wanted {
            // The transport drops this future at the call's own deadline.
            let reached = tokio::time::timeout(WAIT_MAX, self.node.reached(view.record.batch, wanted)).await;
            let late = |_| convert::status(Code::DeadlineExceeded, 713, "executed, but not as far as asked in time");
            rung = reached.map_err(late)?.map_err(|error| convert::query_error(&error))?;
        }
        let answer = Some(Answer::Receipt(convert::receipt(&view)));
        Ok(Response::new(wire::SubmitResponse { answer, rung: convert::rung(rung) }))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<wire::SubmitStreamRequest>>,
    ) -> Answer<Self::SubmitStreamStream> {
        let place = place(&self.streams, "streams of submissions", SUBMIT_STREAMS_MAX)?;
        Ok(Response::new(stream::open(&self.node, request.into_inner(), place)))
    }

    async fn get(&self, request: Request<wire::GetTransactionRequest>) -> Answer<wire::TransactionStatus> {
        let id = Digest(convert::parse_32("id", &request.into_inner().id)?);
        let view = self.ask(move |node| node.transaction(&id)).await?;
        Ok(Response::new(convert::transaction(&view)))
    }

    async fn get_receipt(&self, request: Request<wire::GetReceiptRequest>) -> Answer<wire::Receipt> {
        let id = Digest(convert::parse_32("id", &request.into_inner().id)?);
        let view = self.ask(move |node| node.receipt(&id)).await?;
        Ok(Response::new(convert::receipt(&view)))
    }

    async fn explain(&self, request: Request<wire::ExplainRequest>) -> Answer<wire::Explanation> {
        let id = Digest(convert::parse_32("id", &request.into_inner().id)?);
        let refusal = self.node.refusal(&id).await.map_err(|error| convert::query_error(&error))?;
        Ok(Response::new(convert::explanation(&refusal)))
    }

    async fn simulate(&self, request: Request<wire::SimulateRequest>) -> Answer<wire::Simulation> {
        let wire::SimulateRequest { transaction, is_priced } = request.into_inner();
        self.node.caught_up().await;
        let simulated =
            self.node.simulate(&transaction, is_priced).await.map_err(|error| convert::query_error(&error))?;
        Ok(Response::new(convert::simulation(&simulated)))
    }
}

#[tonic::async_trait]
impl wire::state_server::State for Service {
    async fn get_account(&self, request: Request<wire::GetAccountRequest>) -> Answer<wire::Account> {
        let request = request.into_inner();
        let address = Address::from_bytes(convert::parse_32("address", &request.address)?);
        self.node.caught_up().await;
        let view =
            self.ask(move |node| node.account(&address, (request.at > 0).then_some(request.at), request.proof)).await?;
        Ok(Response::new(convert::account(&view, request.proof)))
    }

    async fn get_credential(&self, request: Request<wire::GetCredentialRequest>) -> Answer<wire::CredentialOf> {
        let request = request.into_inner();
        let issuer = Address::from_bytes(convert::parse_32("issuer", &request.issuer)?);
        let subject = Address::from_bytes(convert::parse_32("subject", &request.subject)?);
        let claims = Digest(convert::parse_32("claims", &request.claims)?);
        self.node.caught_up().await;
        let view = self.ask(move |node| node.credential(&issuer, &subject, &claims, request.proof)).await?;
        Ok(Response::new(convert::credential(&view, request.proof)))
    }

    async fn list_credentials(&self, request: Request<wire::ListCredentialsRequest>) -> Answer<wire::Credentials> {
        let request = request.into_inner();
        let subject = Address::from_bytes(convert::parse_32("subject", &request.subject)?);
        let after = match &request.after[..] {
            [] => None,
            after => Some(ObjectKey::from_bytes(convert::parse_32("after", after)?)),
        };
        let count = match request.count {
            0 => CREDENTIALS_DEFAULT,
            count @ 1..=CREDENTIALS_MAX => count,
            count => {
                return Err(convert::bad_request(format!("count is 1 to {CREDENTIALS_MAX}, found {count}")));
            }
        };
        self.node.caught_up().await;
        let view = self.ask(move |node| node.credentials(&subject, after.as_ref(), count as usize)).await?;
        Ok(Response::new(convert::credentials(&view)))
    }

    async fn get_roots(&self, _: Request<wire::GetRootsRequest>) -> Answer<wire::StateRoots> {
        Ok(Response::new(convert::roots(&self.node.roots())))
    }

    async fn get_covenant(&self, request: Request<wire::GetCovenantRequest>) -> Answer<wire::Covenant> {
        let digest = Digest(convert::parse_32("digest", &request.into_inner().digest)?);
        self.node.caught_up().await;
        let text = self.ask(move |node| node.covenant(&digest)).await?;
        Ok(Response::new(convert::covenant(text)))
    }

    async fn get_plane_rules(&self, _: Request<wire::GetPlaneRulesRequest>) -> Answer<wire::PlaneRules> {
        self.node.caught_up().await;
        let view = self.ask(|node| node.plane_rules()).await?;
        Ok(Response::new(convert::plane_rules(&view)))
    }

    async fn get_asset(&self, request: Request<wire::GetAssetRequest>) -> Answer<wire::Asset> {
        let wire::GetAssetRequest { asset, proof } = request.into_inner();
        let asset =
            AssetId::new(asset).ok_or_else(|| convert::bad_request(format!("asset {asset} is over 2^30 - 1")))?;
        self.node.caught_up().await;
        let view = self.ask(move |node| node.asset(asset, proof)).await?;
        Ok(Response::new(convert::asset(&view, proof)))
    }

    async fn list_assets(&self, request: Request<wire::ListAssetsRequest>) -> Answer<wire::ListAssetsResponse> {
        let wire::ListAssetsRequest { after, count } = request.into_inner();
        let after = match after.len() {
            0 => None,
            _ => Some(ObjectKey::from_bytes(convert::parse_32("after", &after)?)),
        };
        let count = if count == 0 { ASSETS_DEFAULT } else { count };
        if count > ASSETS_MAX {
            return Err(convert::bad_request(format!("{count} assets asked for, at most {ASSETS_MAX} at a time")));
        }
        let count = usize::try_from(count).expect("at most 256");
        self.node.caught_up().await;
        let view = self.ask(move |node| node.assets(after.as_ref(), count)).await?;
        Ok(Response::new(convert::assets(&view)))
    }

    async fn get_storage(&self, _: Request<wire::GetStorageRequest>) -> Answer<wire::GetStorageResponse> {
        unimplemented(NO_STORAGE)
    }
}

#[tonic::async_trait]
impl wire::batches_server::Batches for Service {
    async fn get(&self, request: Request<wire::GetBatchRequest>) -> Answer<wire::Batch> {
        let request = request.into_inner();
        self.node.shown(request.number).await;
        let view = self.ask(move |node| node.batch(request.number, request.records, request.posted)).await?;
        let plane = self.node.plane();
        Ok(Response::new(convert::batch(plane.chain_id(), &plane.plane_id(), &view)))
    }

    async fn list(&self, request: Request<wire::ListBatchesRequest>) -> Answer<wire::ListBatchesResponse> {
        let request = request.into_inner();
        let count = if request.count == 0 { BATCHES_DEFAULT } else { request.count };
        if count > BATCHES_MAX {
            return Err(convert::bad_request(format!("{count} batches asked for, at most {BATCHES_MAX} at a time")));
        }
        let count = usize::try_from(count).expect("at most 256");
        let upto = (request.upto != 0).then_some(request.upto);
        let views = self.ask(move |node| node.batches(upto, count)).await?;
        let (chain_id, plane_id) = (self.node.plane().chain_id(), self.node.plane().plane_id());
        let batches = views.iter().map(|view| convert::batch(chain_id, &plane_id, view)).collect();
        Ok(Response::new(wire::ListBatchesResponse { batches }))
    }
}

#[tonic::async_trait]
impl wire::events_server::Events for Service {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<wire::Event, Status>> + Send>>;

    async fn subscribe(&self, request: Request<wire::SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        let kinds = request.into_inner().kinds;
        if kinds.len() > KINDS_MAX {
            return Err(convert::bad_request(format!("{} kinds of events, at most {KINDS_MAX}", kinds.len())));
        }
        let place = place(&self.subscribers, "subscribers", SUBSCRIBERS_MAX)?;
        let (chain_id, plane_id) = (self.node.plane().chain_id(), self.node.plane().plane_id());
        let events = BroadcastStream::new(self.node.events()).filter_map(move |event| {
            // Held as long as the subscription.
            let _place = &place;
            match event {
                Ok(event) => convert::event(chain_id, &plane_id, event, &kinds).map(Ok),
                Err(BroadcastStreamRecvError::Lagged(events)) => Some(Ok(convert::missed(events))),
            }
        });
        Ok(Response::new(Box::pin(events)))
    }
}

#[tonic::async_trait]
impl wire::bridge_server::Bridge for Service {
    async fn get_status(&self, _: Request<wire::GetBridgeStatusRequest>) -> Answer<wire::BridgeStatus> {
        Ok(Response::new(convert::bridge(self.node.plane(), &self.node.bridge())))
    }

    async fn send_to_l1(&self, request: Request<wire::SendToL1Request>) -> Answer<wire::SendToL1Response> {
        let sent = self.node.send_to_l1(request.into_inner().message).await;
        Ok(Response::new(convert::sent_to_l1(sent)))
    }

    async fn get_l1_account(&self, request: Request<wire::GetL1AccountRequest>) -> Answer<wire::L1Account> {
        let address = L1Address(convert::parse_32("address", &request.into_inner().address)?);
        let (next, balances) = self.ask(move |node| node.l1_account(&address)).await?;
        Ok(Response::new(convert::l1_account(self.node.plane(), &address, next, &balances)))
    }

    async fn get_withdrawal(&self, request: Request<wire::GetWithdrawalRequest>) -> Answer<wire::Withdrawal> {
        let index = request.into_inner().index;
        let view = self.ask(move |node| node.withdrawal(index)).await?;
        Ok(Response::new(convert::withdrawal(&view)))
    }

    async fn get_commitment(&self, request: Request<wire::GetCommitmentRequest>) -> Answer<wire::CommitmentOf> {
        let batch = request.into_inner().batch;
        let view = self.ask(move |node| node.commitment(batch)).await?;
        Ok(Response::new(convert::commitment(&view)))
    }

    async fn get_inbox(&self, request: Request<wire::GetInboxRequest>) -> Answer<wire::InboxEntries> {
        let wire::GetInboxRequest { from, upto } = request.into_inner();
        if upto < from {
            return Err(convert::bad_request(format!("inbox entries from {from} up to {upto}: that is backwards")));
        }
        let entries = self.ask(move |node| node.inbox(from, upto)).await?;
        Ok(Response::new(convert::inbox(&entries)))
    }
}

#[tonic::async_trait]
impl wire::committers_server::Committers for Service {
    async fn get_proposal(&self, _: Request<wire::GetCommitmentProposalRequest>) -> Answer<wire::CommitmentProposal> {
        let proposal = self.node.proposal().map_err(|error| convert::query_error(&error))?;
        Ok(Response::new(convert::proposal(proposal.as_ref())))
    }

    async fn attest(&self, request: Request<wire::AttestRequest>) -> Answer<wire::AttestResponse> {
        let wire::AttestRequest { digest, attestation } = request.into_inner();
        let digest = Digest(convert::parse_32("digest", &digest)?);
        let by = Attestation::from_bytes(&attestation)
            .map_err(|error| convert::bad_request(format!("attestation: {error}")))?;
        let taken = self.ask(move |node| Ok(node.attest(&digest, by))).await?;
        let (weight, quorum) = taken.map_err(|error| convert::attest_error(&error))?;
        Ok(Response::new(wire::AttestResponse { weight, quorum }))
    }
}

#[tonic::async_trait]
impl wire::proofs_server::Proofs for Service {
    async fn get(&self, request: Request<wire::GetProofRequest>) -> Answer<wire::Proof> {
        let batch = request.into_inner().batch;
        let kept = self.ask(move |node| node.proof(batch)).await?;
        let (first_batch, last_batch) = (kept.first_batch, kept.last_batch);
        Ok(Response::new(wire::Proof { first_batch, last_batch, bundle: kept.bundle.into() }))
    }

    async fn get_job(&self, _: Request<wire::GetProofJobRequest>) -> Answer<wire::ProofJob> {
        let job = self.ask(Node::proof_job).await?;
        Ok(Response::new(job.map_or_else(wire::ProofJob::default, |job| convert::proof_job(&job))))
    }

    async fn submit(&self, request: Request<wire::SubmitProofRequest>) -> Answer<wire::SubmitProofResponse> {
        let wire::SubmitProofRequest { id, proof } = request.into_inner();
        let taken = self.node.hand_in_proof(id, proof.to_vec()).await.map_err(|error| convert::query_error(&error))?;
        let (first_batch, last_batch) = taken.map_err(|error| convert::bad_request(error.to_string()))?;
        Ok(Response::new(wire::SubmitProofResponse { first_batch, last_batch }))
    }

    async fn decline(&self, request: Request<wire::DeclineProofJobRequest>) -> Answer<wire::DeclineProofJobResponse> {
        let declined = self.node.decline_proof(request.into_inner().id);
        let batches_max = declined.map_err(|error| convert::bad_request(error.to_string()))?;
        Ok(Response::new(wire::DeclineProofJobResponse { batches_max }))
    }
}

#[tonic::async_trait]
impl wire::node_server::Node for Service {
    async fn get_info(&self, _: Request<wire::GetInfoRequest>) -> Answer<wire::Info> {
        Ok(Response::new(convert::info(self.node.plane())))
    }

    async fn get_status(&self, _: Request<wire::GetStatusRequest>) -> Answer<wire::Status> {
        Ok(Response::new(convert::node_status(&self.node.status())))
    }
}

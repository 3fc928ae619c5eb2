//! The client against a node that is honest, busy, or lies.

use crate::plane::{ALICE, World, sequencer};
use ghostplane_client::{Answer, Client, ClientError, Draft, Options, Trust, wire};
use ghostplane_ghostcipher::{Digest, SigningKey};
use ghostplane_types::{Amount, AssetId, Encode as _, EntityType, Gid, PublicKey, Transaction, TransactionBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::Bytes;
use tonic::{Request, Response, Status, Streaming};
use wire::transactions_server::{Transactions, TransactionsServer};

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    /// Signs with a key that is not the sequencer's.
    Forger,
    /// Says twice that it is busy.
    Busy,
    /// Knows every transaction already.
    Forgetful,
    /// Reads what is streamed to it and says nothing.
    Silent,
    /// Does not even read it.
    Deaf,
}

#[derive(Clone)]
struct Node {
    world: Arc<World>,
    manner: Manner,
    calls: Arc<AtomicU32>,
}

impl Node {
    fn receipt(&self, ids: &[Digest], index: usize) -> wire::Receipt {
        let seed = if self.manner == Manner::Forger { [2; 32] } else { [1; 32] };
        self.world.receipt_by(&SigningKey::from_seed(seed), self.world.plane.id(), ids, index)
    }
}

fn id_of(world: &World, bytes: &Bytes) -> Digest {
    TransactionBody::id_of_bytes(world.plane.chain_id(), Transaction::body_of(bytes))
}

fn refusal(code: u32, name: &str) -> wire::Refusal {
    wire::Refusal { code, name: name.to_owned(), message: "as the test wants it".to_owned(), retry_after_ms: 1 }
}

#[tonic::async_trait]
impl wire::node_server::Node for Node {
    async fn get_info(&self, _: Request<wire::GetInfoRequest>) -> Result<Response<wire::Info>, Status> {
        Ok(Response::new(self.world.info()))
    }

    async fn get_status(&self, _: Request<wire::GetStatusRequest>) -> Result<Response<wire::Status>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

#[tonic::async_trait]
impl Transactions for Node {
    type SubmitStreamStream = ReceiverStream<Result<wire::SubmitStreamResponse, Status>>;

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitResponse>, Status> {
        use wire::submit_response::Answer;
        let id = id_of(&self.world, &request.into_inner().transaction);
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = match self.manner {
            Manner::Busy if call < 2 => Answer::Refusal(refusal(700, "Busy")),
            Manner::Forgetful => Answer::Refusal(refusal(703, "Known")),
            _ => Answer::Receipt(self.receipt(&[Digest::ZERO, id], 1)),
        };
        Ok(Response::new(wire::SubmitResponse { answer: Some(answer), rung: wire::Rung::Attested.into() }))
    }

    async fn explain(&self, _: Request<wire::ExplainRequest>) -> Result<Response<wire::Explanation>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn simulate(&self, _: Request<wire::SimulateRequest>) -> Result<Response<wire::Simulation>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<wire::SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(4);
        let (node, mut requests) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            if node.manner == Manner::Deaf {
                std::future::pending::<()>().await;
            }
            while let Some(Ok(request)) = requests.next().await {
                if node.manner == Manner::Silent {
                    continue;
                }
                let ids: Vec<Digest> = request.transactions.iter().map(|bytes| id_of(&node.world, bytes)).collect();
                let receipts: Vec<wire::Receipt> = (0..ids.len()).map(|at| node.receipt(&ids, at)).collect();
                let executed = (request.first_reference..).zip(&receipts).map(|(reference, receipt)| {
                    let mut executed = receipt.executed.clone().unwrap();
                    executed.reference = reference;
                    executed
                });
                let response = wire::SubmitStreamResponse {
                    signed_flush: receipts[0].signed_flush.clone(),
                    flush_transactions: receipts[0].flush_transactions,
                    executed: executed.collect(),
                    refused: Vec::new(),
                };
                answers.send(Ok(response)).await.unwrap();
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get(&self, _: Request<wire::GetTransactionRequest>) -> Result<Response<wire::TransactionStatus>, Status> {
        Err(Status::not_found("no such transaction"))
    }

    async fn get_receipt(&self, request: Request<wire::GetReceiptRequest>) -> Result<Response<wire::Receipt>, Status> {
        let id = Digest(request.into_inner().id[..].try_into().unwrap());
        Ok(Response::new(self.receipt(&[Digest::ZERO, id], 1)))
    }
}

async fn connect(manner: Manner) -> (Client, Arc<AtomicU32>) {
    connect_with(manner, Options::default()).await
}

async fn connect_with(manner: Manner, options: Options) -> (Client, Arc<AtomicU32>) {
    let node = Node { world: Arc::new(World::new()), manner, calls: Arc::default() };
    let calls = node.calls.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(wire::node_server::NodeServer::new(node.clone()))
        .add_service(TransactionsServer::new(node));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (Client::connect(&url, options).await.unwrap(), calls)
}

fn transaction(client: &Client, sequence: u64) -> Transaction {
    let key = sequencer();
    let public_key = PublicKey::Ed25519(key.verification_key());
    let chain_id = client.plane().chain_id();
    let identity = Gid { public_key, chain_id, entity_type: EntityType::Wallet, version: 1 };
    let draft = Draft::new(client.plane(), 1).transfer(ALICE, AssetId::GCC, Amount::new(1).unwrap()).valid(0, 5_000);
    draft.sign(&key, identity, sequence).unwrap()
}

#[tokio::test]
async fn a_busy_node_is_asked_again_until_it_answers() {
    let (client, calls) = connect(Manner::Busy).await;
    let sent = transaction(&client, 0);
    assert_eq!(client.submit(&sent).await.unwrap().id(), sent.body.id());
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let error = client.transaction(&sent.body.id()).await.unwrap_err();
    assert_eq!((error.code(), matches!(error, ClientError::NotFound(_))), (Some(710), true));
}

#[tokio::test]
async fn a_transaction_that_is_known_already_has_its_receipt_looked_up() {
    let (client, calls) = connect(Manner::Forgetful).await;
    let sent = transaction(&client, 0);
    assert_eq!(client.submit(&sent).await.unwrap().id(), sent.body.id());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_forger_is_not_believed_and_not_asked_again() {
    let (client, calls) = connect(Manner::Forger).await;
    let error = client.submit(&transaction(&client, 0)).await.unwrap_err();
    assert!(matches!(error, ClientError::Lied(_)), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stream_answers_each_once_and_with_a_receipt() {
    for (manner, believed) in [(Manner::Honest, true), (Manner::Forger, false)] {
        let (client, _) = connect(manner).await;
        let mut stream = client.submit_stream(Trust::Verified).await.unwrap();
        let sent: Vec<Transaction> = (0..5).map(|sequence| transaction(&client, sequence)).collect();
        let bytes = || sent.iter().map(|one| Bytes::from(one.to_bytes())).collect::<Vec<_>>();
        stream.send(40, bytes()).await.unwrap();
        let again = stream.send(44, bytes()).await.unwrap_err();
        assert!(matches!(again, ClientError::Misuse(_)), "{again}");
        assert_eq!(stream.outstanding(), 5);
        if !believed {
            assert!(matches!(stream.next().await, Err(ClientError::Lied(_))));
            continue;
        }
        stream.finish();
        for (reference, one) in (40..).zip(&sent) {
            let Some((found, Answer::Verified(receipt))) = stream.next().await.unwrap() else { panic!("no receipt") };
            assert_eq!((found, receipt.id()), (reference, one.body.id()));
        }
        assert_eq!(stream.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::connect(&url, Options::default()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { .. }) && error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn a_silent_node_is_waited_for_no_longer_than_asked() {
    let options = || Options { timeout_ms: 100, ..Options::default() };
    // One that takes the connection and says nothing at all.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = Client::connect(&url, options()).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { after_ms: 100, .. }), "{error}");

    // One that reads payments and never answers them.
    let (client, _) = connect_with(Manner::Silent, options()).await;
    let mut stream = client.submit_stream(Trust::Verified).await.unwrap();
    stream.send(0, vec![transaction(&client, 0).to_bytes().into()]).await.unwrap();
    let error = stream.next().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { after_ms: 100, .. }), "{error}");
    assert_eq!(stream.outstanding(), 1, "what is unanswered is still known");

    // One that does not even read: sending ends as well, long before memory does.
    let (client, _) = connect_with(Manner::Deaf, options()).await;
    let mut stream = client.submit_stream(Trust::Verified).await.unwrap();
    let large: Vec<Bytes> = vec![vec![7; 2_000].into(); 500];
    let mut first = 0;
    let error = loop {
        match stream.send(first, large.clone()).await {
            Ok(()) => first += 500,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::TimedOut { after_ms: 100, .. }), "{error}");
}

//! The node over gRPC.

mod accept;
mod convert;
mod service;
mod stream;

use crate::node::api::Condition;
use crate::node::{Node, handles};
use ghostplane_client::wire;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tonic::transport::Server;
use tonic_health::ServingStatus;

/// Bytes of one message, either way.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Connections at a time, fewer where the system allows fewer open files; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Streams of submissions at a time; more are refused.
pub const SUBMIT_STREAMS_MAX: usize = 1_024;
/// Subscribers at a time; more are refused.
pub const SUBSCRIBERS_MAX: usize = 256;
/// Queries that read the disk at a time; more wait.
pub const QUERIES_MAX: usize = 64;
/// Bytes of a message about proofs, which carry witnesses: a job, or a proof with what it is about.
pub const PROOF_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Calls of one connection that run at a time.
pub const CALLS_MAX: u32 = 256;
/// How long [`wire::Wait::Committed`] and [`wire::Wait::Final`] wait at most.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system could not: it has no handles left, and trying at once finds none either.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long calls may run on once the server shall stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

const NO_STORAGE: &str = "contract storage: no contracts run yet";

/// Why the server ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("gRPC cannot be served: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// Reflection cannot read the API's definition.
    #[error("the API's definition cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown` is ready, and then as long as running calls need, at most ten seconds.
pub async fn serve(node: Node, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (streams, subscribers) = (Semaphore::new(SUBMIT_STREAMS_MAX), Semaphore::new(SUBSCRIBERS_MAX));
    let (streams, subscribers) = (Arc::new(streams), Arc::new(subscribers));
    let queries = Arc::new(Semaphore::new(QUERIES_MAX));
    let service = service::Service { node: node.clone(), streams, subscribers, queries };
    macro_rules! bounded {
        ($module:ident, $server:ident) => {
            wire::$module::$server::new(service.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    let (stop, stopping) = oneshot::channel::<()>();
    let server = Server::builder()
        .max_concurrent_streams(CALLS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(bounded!(transactions_server, TransactionsServer))
        .add_service(bounded!(state_server, StateServer))
        .add_service(bounded!(batches_server, BatchesServer))
        .add_service(bounded!(events_server, EventsServer))
        .add_service(bounded!(bridge_server, BridgeServer))
        .add_service(bounded!(committers_server, CommittersServer))
        .add_service(
            wire::proofs_server::ProofsServer::new(service.clone())
                .max_decoding_message_size(2 * MESSAGE_BYTES_MAX)
                .max_encoding_message_size(PROOF_MESSAGE_BYTES_MAX),
        )
        .add_service(bounded!(node_server, NodeServer))
        .serve_with_incoming_shutdown(accept::connections(listener, handles::connections(CONNECTIONS_MAX)), async {
            let _ = stopping.await;
        });
    // Subscriptions never end by themselves, so that waiting for every call would be waiting for ever.
    let deadline = async {
        shutdown.await;
        let _ = stop.send(());
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = deadline => Ok(()),
        () = tell_health(&node, &health) => Ok(()),
    }
}

/// Health says "serving" while transactions are taken: of the node as a whole, and of the service that takes them.
async fn tell_health(node: &Node, health: &tonic_health::server::HealthReporter) {
    const TRANSACTIONS: &str = "ghostplane.v1.Transactions";
    let mut condition = node.status().condition;
    loop {
        let takes = condition == Condition::Ready;
        let status = if takes { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", TRANSACTIONS] {
            health.set_service_status(service, status).await;
        }
        condition = node.condition_other_than(condition).await;
    }
}

//! The node over HTTP and JSON.

mod calls;
mod error;
mod events;
mod json;
mod metrics;
mod parse;

use crate::node::Node;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, Router, get, post};
use error::Error;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics::Counters;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Bytes of a body that submits a transaction.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a body that carries an L1 message.
pub const L1_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Connections at a time, fewer where the system allows fewer open files; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Calls of one connection that run at a time, over HTTP/2.
pub const CALLS_MAX: u32 = 128;
/// Queries at a time that read the disk; more wait.
pub const QUERIES_MAX: usize = 64;
/// Subscribers at a time; more are refused.
pub const SUBSCRIBERS_MAX: usize = 256;
/// How long a client may take to send its headers, or to start its next request.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(20);
/// How long a call may take that does not ask to wait for the L1, its body included.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);

const HEADERS_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// How long calls may run on once the server shall stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system could not: it has no handles left, and trying at once finds none either.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

const OPENAPI: &str = include_str!("http/openapi.json");

/// One call.
struct Route {
    method: &'static str,
    path: &'static str,
    /// What it does, for people.
    what: &'static str,
    call: fn() -> MethodRouter<App>,
}

impl Route {
    /// How long the call may take. What waits for the L1 bounds that wait itself, and the rest as others do.
    fn within(&self) -> Duration {
        let waits = matches!(self.path, "/v1/transactions" | "/v1/l1/messages");
        if waits { super::grpc::WAIT_MAX + 2 * CALL_WITHIN } else { CALL_WITHIN }
    }
}

macro_rules! routes {
    ($($make:ident $method:literal $path:literal $call:path => $what:literal),+ $(,)?) => {
        /// Every call there is: the router, the page of them, the counters and the checks of the documents start from here.
        const ROUTES: &[Route] =
            &[$(Route { method: $method, path: $path, what: $what, call: || $make($call) }),+];
    };
}

routes! {
    get "GET" "/" calls::page => "this page",
    get "GET" "/healthz" calls::health => "whether the node takes transactions: 200 or 503",
    get "GET" "/metrics" calls::metrics => "figures in Prometheus' text form",
    get "GET" "/openapi.json" calls::openapi => "these calls for programs, OpenAPI 3.1",
    get "GET" "/v1/status" calls::status => "how the node does",
    get "GET" "/v1/info" calls::info => "what plane this is: genesis, ids, prices",
    get "GET" "/v1/roots" calls::roots => "the roots of the newest sealed batch",
    get "GET" "/v1/accounts/{address}" calls::account => "an account, its balances, mana and who may act for it; ?proof=true&at=MS",
    get "GET" "/v1/identities/{address}" calls::identity => "who speaks for an address, with its DID document; ?proof=true",
    get "GET" "/v1/assets" calls::assets => "the assets there are; ?after=&count=",
    get "GET" "/v1/assets/{asset}" calls::asset => "an asset by its number; ?proof=true",
    get "GET" "/v1/credentials/{subject}" calls::credentials => "what is said of an account; ?after=&count=",
    get "GET" "/v1/credentials/{subject}/{issuer}/{claims}" calls::credential => "a credential, or that there is none; ?proof=true",
    post "POST" "/v1/transactions" calls::submit => "submits a transaction; ?wait=executed|committed|proven|final",
    get "GET" "/v1/transactions/{id}" calls::transaction => "what became of a transaction",
    get "GET" "/v1/transactions/{id}/explanation" calls::explanation => "why a transaction was not applied",
    post "POST" "/v1/simulate" calls::simulate => "what would become of a transaction now",
    get "GET" "/v1/covenants/{digest}" calls::covenant => "a published covenant",
    get "GET" "/v1/rules" calls::plane_rules => "the rules of the plane and of bridged assets",
    get "GET" "/v1/receipts/{id}" calls::receipt => "the sequencer's promise, and the path to it",
    get "GET" "/v1/batches" calls::batches => "sealed batches, newest first; ?upto=&count=",
    get "GET" "/v1/batches/{number}" calls::batch => "a batch; ?records=true&posted=true",
    get "GET" "/v1/events" events::subscribe => "what happens from now on, as server-sent events; ?kinds=",
    get "GET" "/v1/l1/status" calls::bridge => "how plane and L1 stand to each other",
    get "GET" "/v1/l1/accounts/{address}" calls::l1_account => "an account on the L1",
    get "GET" "/v1/l1/withdrawals/{index}" calls::withdrawal => "a withdrawal, and what claims it",
    get "GET" "/v1/l1/commitments/{batch}" calls::commitment => "the commitment that a batch is under",
    post "POST" "/v1/l1/messages" calls::send_to_l1 => "hands a signed message to the L1",
}

/// Method and path of every call, in the order of the page at `/`.
pub fn calls() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method, route.path))
}

/// What the calls share.
#[derive(Clone)]
struct App {
    node: Node,
    shared: Arc<Shared>,
}

struct Shared {
    counters: Counters,
    queries: Arc<Semaphore>,
    subscribers: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    connections_max: usize,
    /// True once subscriptions shall end.
    stopping: watch::Sender<bool>,
}

impl App {
    fn new(node: Node) -> Self {
        let connections_max = super::handles::connections(CONNECTIONS_MAX);
        let shared = Shared {
            counters: Counters::new(ROUTES.len() + 1),
            queries: Arc::new(Semaphore::new(QUERIES_MAX)),
            subscribers: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)),
            connections: Arc::new(Semaphore::new(connections_max)),
            connections_max,
            stopping: watch::Sender::new(false),
        };
        Self { node, shared: Arc::new(shared) }
    }

    fn router(self) -> Router {
        let counted = |index: usize, within: Duration| {
            let app = self.clone();
            middleware::from_fn_with_state((app, index, within), observe)
        };
        let mut router = Router::new();
        for (index, route) in ROUTES.iter().enumerate() {
            router = router.route(route.path, (route.call)().layer(counted(index, route.within())));
        }
        let nowhere: MethodRouter<Self> = axum::routing::any(|| async { Error::new(710, NO_SUCH_CALL) });
        router
            .method_not_allowed_fallback(|| async { Error::wrong_method() })
            .fallback_service(nowhere.layer(counted(ROUTES.len(), CALL_WITHIN)).with_state(self.clone()))
            .with_state(self)
    }
}

const NO_SUCH_CALL: &str = "there is no such call; / lists what there is";

/// Counts a call and ends it in time.
async fn observe(State((app, index, within)): State<(App, usize, Duration)>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let running = app.shared.counters.begin();
    let answered = tokio::time::timeout(within, next.run(request)).await;
    let response = answered.unwrap_or_else(|_| Error::new(713, "the call took too long").into_response());
    drop(running);
    app.shared.counters.end(index, response.status().as_u16(), start.elapsed());
    response
}

/// Serves until `shutdown` is ready, and then as long as running calls need, at most ten seconds.
pub async fn serve(node: Node, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let app = App::new(node);
    let router = app.clone().router();
    let builder = connection_builder();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let room = Arc::clone(&app.shared.connections).acquire_owned();
        let next = async { (room.await, listener.accept().await) };
        let (room, accepted) = tokio::select! {
            next = next => next,
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        let stream: TcpStream = match accepted {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A connection that fails is its client's business.
            let _ = connection.await;
            drop(room);
        });
    }
    drop(listener);
    app.shared.stopping.send_replace(true);
    let _ = tokio::time::timeout(STOP_WITHIN, graceful.shutdown()).await;
    connections.shutdown().await;
}

fn connection_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS_MAX)
        .max_header_list_size(16 * 1024)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN);
    builder
}

#[cfg(test)]
mod tests;

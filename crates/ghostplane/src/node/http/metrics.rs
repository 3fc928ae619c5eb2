//! Figures for Prometheus, in its text form.

use super::{ROUTES, SUBSCRIBERS_MAX, Shared};
use crate::node::api::{Bounded, Condition, StatusView};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts calls by route and status: a bounded number of both.
pub(super) struct Counters {
    answered: Mutex<BTreeMap<(usize, u16), u64>>,
    micros: Vec<AtomicU64>,
    running: AtomicU64,
}

/// A call that runs. Ends when it is dropped, so that a client who hangs up is not counted for ever.
pub(super) struct Running<'a>(&'a AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub(super) fn new(routes: usize) -> Self {
        let micros = (0..routes).map(|_| AtomicU64::new(0)).collect();
        Self { answered: Mutex::new(BTreeMap::new()), micros, running: AtomicU64::new(0) }
    }

    pub(super) fn begin(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(&self.running)
    }

    pub(super) fn end(&self, route: usize, status: u16, took: Duration) {
        *self.answered.lock().entry((route, status)).or_default() += 1;
        if let Some(micros) = self.micros.get(route) {
            micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn write(&self, text: &mut Text) {
        let name = "ghostplane_http_requests_total";
        text.head(name, "counter", "Calls answered.");
        for ((route, status), count) in &*self.answered.lock() {
            let _ = writeln!(text.0, "{name}{{{},status=\"{status}\"}} {count}", labels(*route));
        }
        let name = "ghostplane_http_request_seconds_total";
        text.head(name, "counter", "Time until calls were answered, in sum.");
        for (route, micros) in self.micros.iter().enumerate() {
            let micros = micros.load(Ordering::Relaxed);
            let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
            let _ = writeln!(text.0, "{name}{{{}}} {whole}.{part:06}", labels(route));
        }
        text.gauge("ghostplane_http_running", "Calls that run.", self.running.load(Ordering::Relaxed));
    }
}

fn labels(route: usize) -> String {
    let (method, path) = ROUTES.get(route).map_or(("", "other"), |route| (route.method, route.path));
    format!("method=\"{method}\",path=\"{path}\"")
}

/// The text while it grows.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn bounded(&mut self, name: &str, help: &str, value: Bounded) {
        self.gauge(name, help, value.now);
        self.gauge(&format!("{name}_max"), "The bound of the figure above.", value.max);
    }
}

/// Everything the node tells about itself.
pub(super) fn text(view: &StatusView, shared: &Shared) -> String {
    let mut text = Text(String::with_capacity(8 * 1024));
    node(&mut text, view);
    shared.counters.write(&mut text);
    let used = |max: usize, free: usize| Bounded { now: wide(max.saturating_sub(free)), max: wide(max) };
    let connections = used(shared.connections_max, shared.connections.available_permits());
    text.bounded("ghostplane_http_connections", "Open connections, and the one that is waited for.", connections);
    let subscribers = used(SUBSCRIBERS_MAX, shared.subscribers.available_permits());
    text.bounded("ghostplane_http_subscribers", "Subscribers to events over HTTP.", subscribers);
    text.0
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn node(text: &mut Text, view: &StatusView) {
    let name = "ghostplane_condition";
    text.head(name, "gauge", "1 for the condition the node is in.");
    for condition in [Condition::Ready, Condition::Replaying, Condition::DiskFull, Condition::Stopping] {
        let is = u8::from(condition == view.condition);
        let _ = writeln!(text.0, "{name}{{condition=\"{}\"}} {is}", condition.word());
    }
    text.gauge("ghostplane_batch", "The newest sealed batch.", view.batch);
    text.gauge("ghostplane_batch_time_ms", "Its time, in milliseconds since the Unix epoch.", view.batch_time);
    text.gauge("ghostplane_committed_batch", "The last batch with a commitment on the L1.", view.committed);
    text.gauge("ghostplane_proven_batch", "The last batch up to which all are proven, replayed or final.", view.proven);
    text.gauge("ghostplane_final_batch", "The last final batch.", view.final_batch);
    text.gauge("ghostplane_checkpoint_batch", "The batch of the newest checkpoint.", view.checkpoint);
    text.gauge("ghostplane_log_position", "The log position that is next.", view.log_position);
    text.gauge("ghostplane_l1_height", "The newest L1 block.", view.l1_height);
    text.gauge("ghostplane_generation", "The plane's generation at the L1.", view.generation.into());
    text.gauge("ghostplane_uptime_ms", "Milliseconds since the node started.", view.uptime_ms);
    text.gauge("ghostplane_objects", "Objects of the newest state.", view.objects_used.into());
    text.gauge("ghostplane_slots", "Slots of the newest state.", view.slots_used.into());
    text.bounded("ghostplane_pool_transactions", "Transactions in the pool.", view.pool);
    text.bounded("ghostplane_pool_bytes", "Bytes in the pool.", view.pool_bytes);
    text.bounded("ghostplane_verifying", "Transactions whose signature is or waits to be checked.", view.verifying);
    text.bounded("ghostplane_unsealed_batches", "Batches cut and not sealed.", view.unsealed);
    text.bounded("ghostplane_uncommitted_batches", "Batches cut and not committed.", view.uncommitted);
    text.bounded("ghostplane_uncommitted_bytes", "Their posted bytes.", view.uncommitted_bytes);
    text.gauge("ghostplane_unproven_batches", "Batches that wait for a proof.", view.unproven_batches);
    text.gauge("ghostplane_unproven_entries", "Their journal entries.", view.unproven_entries);
    text.bounded("ghostplane_unproven_bytes", "Bytes of their witnesses.", view.unproven_bytes);
    if let Some(attesting) = &view.attesting {
        let (weight, quorum) = (attesting.weight.into(), attesting.quorum.into());
        let name = "ghostplane_attested_weight";
        text.gauge(name, "Weight of the committers who have vouched for what is proposed.", weight);
        text.gauge("ghostplane_attested_weight_needed", "The weight that a commitment needs.", quorum);
        let waited = Bounded { now: attesting.waited_ms, max: attesting.wait_max_ms };
        text.bounded("ghostplane_attesting_ms", "Milliseconds that commitments wait for committers.", waited);
    }
    text.counter("ghostplane_witness_us_total", "Microseconds that collecting witnesses took.", view.witness_us);
    text.counter("ghostplane_accepted_total", "Transactions executed and durable since the start.", view.accepted);
    text.counter("ghostplane_refused_total", "Submissions refused since the start.", view.refused);
    text.counter("ghostplane_flushes_total", "Flushes of the log since the start.", view.flushes);
    if let Some(bytes) = view.memory_bytes {
        text.gauge("ghostplane_memory_bytes", "Resident memory.", bytes);
    }
    text.gauge(
        "ghostplane_rate_per_second",
        "Transactions executed a second, over about the last two.",
        view.rate_per_second,
    );
    text.gauge("ghostplane_subscribers", "Subscribers to events over all interfaces.", view.subscribers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::http::tests::status_view;

    #[test]
    fn every_figure_has_its_help_and_type_once() {
        let mut text = Text(String::new());
        node(&mut text, &status_view());
        let counters = Counters::new(ROUTES.len() + 1);
        let running = counters.begin();
        counters.end(0, 200, Duration::from_micros(1_500_000));
        counters.end(0, 200, Duration::from_micros(7));
        counters.end(ROUTES.len(), 404, Duration::ZERO);
        counters.write(&mut text);
        let mut typed = Vec::new();
        for line in text.0.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(!typed.contains(&name), "{name} twice");
                typed.push(name);
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(name.split('{').next(), typed.last().copied(), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        let has = |line: &str| assert!(text.0.lines().any(|found| found == line), "{line} in\n{}", text.0);
        has("ghostplane_condition{condition=\"ready\"} 1");
        has("ghostplane_condition{condition=\"disk full\"} 0");
        has("ghostplane_pool_transactions 5");
        has("ghostplane_pool_transactions_max 50");
        has("ghostplane_http_requests_total{method=\"GET\",path=\"/\",status=\"200\"} 2");
        has("ghostplane_http_requests_total{method=\"\",path=\"other\",status=\"404\"} 1");
        has("ghostplane_http_request_seconds_total{method=\"GET\",path=\"/\"} 1.500007");
        has("ghostplane_http_running 1");
        drop(running);
        assert_eq!(counters.running.load(Ordering::Relaxed), 0);
    }
}

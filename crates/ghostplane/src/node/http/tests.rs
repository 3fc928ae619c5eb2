//! The calls and what is written about them.

use super::*;
use crate::node::api::{Bounded, Condition, StatusView};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn status_view() -> StatusView {
    let bounded = Bounded { now: 5, max: 50 };
    StatusView {
        condition: Condition::Ready,
        batch: 9,
        batch_time: 1_000,
        log_position: 100,
        committed: 8,
        proven: 8,
        final_batch: 7,
        l1_height: 6,
        generation: 0,
        uptime_ms: 5,
        objects_used: 4,
        slots_used: 3,
        pool: bounded,
        pool_bytes: bounded,
        verifying: bounded,
        unsealed: bounded,
        uncommitted: bounded,
        uncommitted_bytes: bounded,
        accepted: 2,
        refused: 1,
        flushes: 1,
        memory_bytes: None,
        rate_per_second: 0,
        prover: crate::node::ProverMode::InProcess,
        unproven_batches: 1,
        unproven_entries: 9,
        unproven_bytes: bounded,
        attesting: Some(crate::node::AttestingView {
            quorum: 2,
            weight: 1,
            batches: (9, 9),
            waited_ms: 40,
            wait_max_ms: 60_000,
            missing: Vec::new(),
        }),
        witness_us: 3,
        checkpoint: 0,
        subscribers: 0,
    }
}

fn document() -> Value {
    serde_json::from_str(OPENAPI).expect("the document is JSON")
}

#[test]
fn the_document_describes_every_call_and_no_other() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<(String, &str)> = paths
        .iter()
        .flat_map(|(path, calls)| {
            let methods = calls.as_object().expect("calls").keys();
            methods.map(move |method| (method.to_uppercase(), path.as_str()))
        })
        .collect();
    let routed: BTreeSet<(String, &str)> = calls().map(|(method, path)| (method.to_owned(), path)).collect();
    assert_eq!(described, routed);
    assert_eq!(routed.len(), ROUTES.len(), "no call twice");
}

#[test]
fn the_document_names_the_parameters_of_every_path_and_its_references_lead_somewhere() {
    let document = document();
    for route in ROUTES {
        let call = &document["paths"][route.path][route.method.to_lowercase()];
        let parameters = call["parameters"].as_array().cloned().unwrap_or_default();
        let names = |place: &str| -> BTreeSet<String> {
            let of_place = parameters.iter().filter(|parameter| parameter["in"] == place);
            of_place.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
        };
        let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(names("path"), in_path.map(str::to_owned).collect(), "{}", route.path);
        let (_, query) = route.what.split_once('?').unwrap_or_default();
        let asked = query.split('&').filter_map(|part| part.split_once('=')).map(|(name, _)| name.to_owned());
        assert_eq!(names("query"), asked.collect(), "{}", route.path);
        assert!(call["responses"]["200"].is_object(), "{}", route.path);
        assert_eq!(call["requestBody"].is_object(), route.method == "POST", "{}", route.path);
    }
    let mut open = vec![&document];
    let mut followed = 0;
    while let Some(value) = open.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            followed += 1;
        }
        match value {
            Value::Object(object) => open.extend(object.values()),
            Value::Array(array) => open.extend(array),
            _ => {}
        }
    }
    assert!(followed > 0);
}

#[test]
fn the_page_lists_every_call() {
    let page = calls::page_text();
    for route in ROUTES {
        assert!(page.contains(route.path) && page.contains(&route.what.replace('&', "&amp;")), "{}", route.path);
    }
}

#[test]
fn only_who_takes_transactions_is_healthy() {
    let status = |condition| calls::health_of(condition).into_response().status().as_u16();
    assert_eq!(status(Condition::Ready), 200);
    for condition in [Condition::Replaying, Condition::DiskFull, Condition::Stopping] {
        assert_eq!(status(condition), 503, "{condition:?}");
    }
}

#[test]
fn every_call_is_bounded_in_time() {
    for route in ROUTES {
        // What is tried out waits for nothing.
        let waits = route.method == "POST" && route.path != "/v1/simulate";
        assert_eq!(route.within() > CALL_WITHIN, waits, "{}", route.path);
        assert!(route.within() < Duration::from_secs(900), "{}", route.path);
    }
}

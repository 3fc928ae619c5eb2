//! Why something was refused, for people and programs: the same wherever it was found out.

use crate::node::api::code_name;
use ghostplane_engine::Refusal;
use serde_json::{Value, json};

/// A refusal as JSON. Whoever finds it out from the batch and a witness writes the same bytes.
#[must_use]
pub fn json(refusal: &Refusal) -> Value {
    let code = refusal.reject.code();
    let because = refusal.because.clone().unwrap_or_default();
    let policies = because.policies.iter().map(|(at, id)| json!({ "at": at, "id": id }));
    let facts = because.facts.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    json!({
        "code": code,
        "name": code_name(code),
        "message": refusal.reject.to_string(),
        "policies": policies.collect::<Vec<_>>(),
        "facts": facts.collect::<Vec<_>>(),
        "would_pass": because.would_pass,
    })
}

//! The settlement from outside: stories, a table of every refusal, and random sequences of messages against a model.

use ghostplane_proof as proof;
#[allow(dead_code, reason = "shared with the tests of the proof, which need more of it")]
#[path = "../../../proof/fixtures/ledger.rs"]
mod ledger;

mod fixture;
mod hostile_bytes;
mod plane;
mod proofs;
mod random;
mod refusals;
mod stories;

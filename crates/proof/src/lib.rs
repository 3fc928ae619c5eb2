//! The proof of conservation: a STARK that a plane's ledger moved by exactly the journals of its batches.
//!
//! ```text
//! headers, flows --Statement::new--> Statement --.
//! Keystone, journal, changes --BatchWitness--> prove --> bytes --> verify(Statement, bytes) --> Verified
//! ```
//!
//! Proved: every entry's two slots exist and hold one asset, no balance is below 0 or above 2^63 - 1 after any entry, value
//! comes and goes only through the outside and in the sums that the flows say, owner, asset and kind of a slot never
//! change, and the ledger root after each batch is the one before it with these entries applied, in order. What is not
//! proved is listed in [`security::NOT_PROVED`]. `docs/proof.md` has the tables, columns and bytes.
//!
//! The crate is pure, and starts no thread: the prover runs in a pool that it is handed.

mod air;
#[cfg(feature = "prove")]
mod bare;
mod codec;
mod config;
mod layout;
pub mod security;
mod statement;
mod verify;

#[cfg(feature = "prove")]
mod prove;
#[cfg(feature = "prove")]
mod stark;
#[cfg(feature = "prove")]
mod trace;
#[cfg(feature = "prove")]
mod witness;

#[cfg(feature = "prove")]
#[cfg(test)]
mod tests;

pub use codec::{PROOF_BYTES_MAX, Part, PartKind};
pub use config::{Parameters, Settings};
pub use layout::{Layout, Table, TableShape};
pub use statement::{BATCHES_MAX, BatchClaim, CIRCUIT_VERSION, Statement, StatementError};
pub use verify::{Verified, VerifyError, info, parts, verify};

#[cfg(feature = "prove")]
pub use bare::prove_bare;
#[cfg(feature = "prove")]
pub use prove::{Phase, ProveError, prove, prove_with};
#[cfg(feature = "prove")]
pub use rayon::{ThreadPool, ThreadPoolBuilder};
#[cfg(feature = "prove")]
pub use trace::{Rows, compressions};
#[cfg(feature = "prove")]
pub use witness::{BATCH_WITNESS_BYTES_MAX, BatchWitness, WitnessFault};

//! The engine: everything a batch does to a plane, as one pure function.
//!
//! ```text
//! Transaction --verify_all--> Verified --ProposedBatch::new--> ProposedBatch --execute--> ExecutedBatch --seal--> SealedBatch
//! ```
//!
//! A node that cannot wait for a batch to be full executes it part by part, and comes to the same:
//!
//! ```text
//! OpenBatch::open --inbox--> --push--> ... --push--> --close--> ExecutedBatch
//! ```
//!
//! The node, the replay on the L1 and the simulator call this same function; only the reader of state differs: the node's
//! memory, an overlay, or a witness. There is no file, socket, clock, random source, log or thread here.

pub mod batch;
pub mod execute;
pub mod explain;
mod meter;
pub mod open;
pub mod plane;
pub mod posted;
pub mod replay;
pub mod ring;
pub mod simulate;
pub mod verify;
mod working;

pub use batch::{BatchError, ExecutedBatch, ProposedBatch, SealedBatch, SealedParts};
pub use execute::{ExecuteError, Halt, execute};
pub use explain::{Because, Explained, Refusal, Refused, explain};
pub use open::{Closed, InboxTaken, OpenBatch, Pushed};
pub use plane::Plane;
pub use posted::{PostedBatch, PostedError};
pub use replay::{Case, Difference, Verdict, replay, witness};
pub use ring::{KeyRing, verify_ring};
pub use simulate::{Simulated, simulate};
pub use verify::{CheckedEntry, SenderKeys, Verified, check_inbox, registered_keys, verify_all};

pub(crate) use foldhash::fast::FixedState;
use ghostplane_keystone::StateView;

/// A seed for maps that live for one batch. It follows from the state, which a sender cannot know when picking addresses;
/// no result depends on it, because no such map is ever iterated.
pub(crate) fn hash_seed(view: &impl StateView) -> FixedState {
    let root = view.roots().object_root;
    let bytes = root.0.first_chunk().expect("a digest has 32 bytes");
    FixedState::with_seed(u64::from_le_bytes(*bytes))
}

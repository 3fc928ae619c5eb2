//! The L1's half of Ghostplane as a pure state machine: it holds the money, keeps the inbox, takes commitments with
//! their data, lets anybody challenge or prove a batch, makes batches final in order, and pays withdrawals out.
//!
//! | module | what it gives |
//! |---|---|
//! | [`settlement`] | [`Settlement`]: `advance` for what time does, `apply` for what messages do, and the queries |
//! | [`message`] | everything anybody can ask of it |
//! | [`refusal`] | every way a message is refused, by stable number |
//! | [`event`] | what the host must do and may tell: money taken, paid and burned, batches committed, proven, reverted, final |
//! | [`judge`] | the trait through which it replays a batch |
//! | [`archive`] | final commitments for ever, in a few digests |
//! | [`limits`] | how large its state can get |
//!
//! The crate is pure: no file, socket, clock, random source, log or thread, and no iteration in hash order. Height, time,
//! sender and judge arrive as input. Two hosts that feed it the same input hold the same bytes.

pub mod archive;
mod case;
mod claims;
mod codec;
mod convert;
pub mod event;
mod inbox;
pub mod judge;
pub mod limits;
pub mod message;
mod pending;
mod posted;
mod proofs;
pub mod refusal;
pub mod settlement;

pub use archive::FinalRecord;
pub use case::OpenCase;
pub use event::{CaseOutcome, Event, Money};
pub use judge::{Case, Judge, Purpose, Verdict};
pub use message::{Claim, ClaimedUnder, L1Block, Message, OpenCaseRequest, Reserved};
pub use pending::Pending;
pub use proofs::{OpenProof, ProofBundle, ProvenBatch};
pub use refusal::{REFUSAL_CODES, Refusal};
pub use settlement::{Rung, Settlement, SetupError, bond_digest};

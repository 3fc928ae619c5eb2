//! The bridge to the L1: the port through which a node speaks to it, and an L1 of one node that lives in the same process
//! and on its disk, with the real settlement and the engine as its judge.
//!
//! | module | what it gives |
//! |---|---|
//! | [`l1`] | [`L1`]: messages in, blocks and history out |
//! | [`run`] | what an operator sends, made from batches |
//! | [`refusal`] | every way a message is refused, by stable number |
//! | [`judge`] | the engine as the settlement's judge |
//! | [`limits`] | what bounds it |
//!
//! **On disk**, under `l1/`: `blocks-` and the height of the first block, 20 digits: a mark of 8 bytes, then blocks, see
//! `record.rs`; each is durable before anybody hears of it. `snapshot`: the state after some block, replaced as a
//! whole; without it the state is made again from the blocks. `genesis`: what the L1 started from. `lock`: one process at a time.

mod files;
mod index;
pub mod judge;
pub mod l1;
pub mod limits;
mod log;
mod record;
pub mod refusal;
pub mod run;
mod state;

pub use files::{ReadError, ReadReason};
pub use judge::EngineJudge;
pub use l1::{
    Block, ClaimError, Included, L1, L1Config, L1Genesis, ProduceError, Published, PublishedCommitment, RunRefused,
};
pub use log::OpenError;
pub use record::Damage;
pub use refusal::{L1_REFUSAL_CODES, L1Refusal};
pub use state::Account;

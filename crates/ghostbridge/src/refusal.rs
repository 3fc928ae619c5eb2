//! Why the L1 refuses a message, by a stable number: 600 and up its own reasons, 300 to 499 those of the settlement.

use ghostplane_settlement::Refusal;
use ghostplane_types::{AssetId, DecodeError, L1Address};
use thiserror::Error;

macro_rules! refusals {
    ($($(#[$doc:meta])* $code:literal $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),+ $(,)? })? => $message:literal),+ $(,)?) => {
        /// Why a message is refused. Nothing of it is in any block, and its sequence number is not used.
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        pub enum L1Refusal {
            $($(#[$doc])* #[error($message)] $name $({ $($(#[$field_doc])* $field: $kind),+ })?,)+
            /// The settlement refuses what the message asks for.
            #[error(transparent)]
            Settlement(#[from] Refusal),
        }

        impl L1Refusal {
            /// The stable number of this reason; the settlement's own for a refusal of the settlement.
            pub fn code(&self) -> u16 {
                match self { $(Self::$name { .. } => $code,)+ Self::Settlement(refusal) => refusal.code() }
            }
        }

        /// The code and name of every reason of the L1 itself, ascending by code.
        pub const L1_REFUSAL_CODES: &[(u16, &str)] = &[$(($code, stringify!($name))),+];
    };
}

refusals! {
    /// The inner bytes are no message of the settlement.
    600 Malformed {
        /// What is wrong with them.
        error: DecodeError,
    } => "not a message of the settlement: {error}",
    /// It is signed for another L1.
    601 WrongChain {
        /// The chain id of the message.
        found: u64,
        /// That of this L1.
        expected: u64,
    } => "signed for L1 {found}, this is {expected}",
    /// The signature is not the sender's.
    602 BadSignature => "the signature is not the sender's",
    /// A message with this sequence number is in a block already.
    603 SequenceUsed {
        /// The number of the message.
        found: u64,
        /// The one that comes next.
        next: u64,
    } => "sequence number {found} is used, {next} comes next: was the message sent twice?",
    /// Messages of this sender are missing before this one.
    604 SequenceGap {
        /// The number of the message.
        found: u64,
        /// The one that comes next.
        next: u64,
    } => "sequence number {found} leaves a gap, {next} comes next: send what is missing first",
    /// The sender does not have what the message takes.
    605 InsufficientBalance {
        /// Who sends.
        account: L1Address,
        /// Which asset.
        asset: AssetId,
        /// What he has, in the L1's base units.
        found: u128,
        /// What it takes.
        needed: u128,
    } => "{account} has {found} of asset {asset} on the L1, {needed} are needed",
    /// The queue for the next blocks is full.
    606 BlockFull {
        /// Messages that wait.
        waiting: usize,
        /// Their bytes.
        bytes: usize,
    } => "the next blocks are full: {waiting} messages of {bytes} bytes wait; retry after a block",
    /// The messages of a run do not fit one block.
    607 RunTooLarge {
        /// Messages in it.
        messages: usize,
        /// Their bytes.
        bytes: usize,
    } => "{messages} messages of {bytes} bytes do not fit one block: send fewer together",
    /// A run without messages, or of several senders.
    608 RunShape => "a run has at least one message, and all are of one sender",
    /// The L1 was stopped before a block took the message.
    609 Stopped => "the L1 is stopped: send the message again when it runs",
    /// The L1 could not write a block. Whether the message is in one shows when the L1 is opened again.
    610 Failed => "the L1 could not write its block and stopped: look at its disk, start it again, then look whether the message was taken",
}

impl L1Refusal {
    /// Whether the same message can be taken later as it is.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::BlockFull { .. } | Self::Stopped)
    }
}

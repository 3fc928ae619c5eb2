//! Formats of Ghostplane: the values that are signed, hashed, stored and posted, and their one canonical byte form.
//!
//! Nothing here decides anything: a value that decodes is well formed, not allowed. Every format is described down to
//! the byte in `docs/formats.md` and frozen by `vectors/`.

pub mod account;
pub mod action;
pub mod address;
pub mod amount;
pub mod asset;
pub mod batch;
pub mod codec;
pub mod commitment;
pub mod committers;
pub mod consent;
pub mod covenant;
pub mod credential;
pub mod few;
pub mod gas;
pub mod genesis;
pub mod guardian;
pub mod inbox;
pub mod l1;
pub mod limits;
pub mod mana;
pub mod object;
pub mod reach;
pub mod receipt;
pub mod reject;
pub mod session;
pub mod sign_in;
pub mod slot;
pub mod state;
pub mod transaction;

pub use account::{AccountRecord, Gates, Identity, LiveSession};
pub use action::{Action, KeyChange};
pub use address::{Address, AddressError, EntityType, Gid, L1Address, PublicKey, Scheme};
pub use amount::{Amount, AmountError, Money};
pub use asset::{AssetId, AssetRecord};
pub use batch::BatchHeader;
pub use codec::{Decode, DecodeError, Encode, Reader};
pub use commitment::{Attestation, Commitment};
pub use committers::{Committer, Committers, CommittersError};
pub use consent::{Auth, ConsentError, ConsentForm, PreparedKey, Signer};
pub use covenant::{CovenantAt, CovenantText, Covenants, PlaneRules, Scheduled, Spending};
pub use credential::{Authority, Certification, Credential, CredentialTerms, EntityTypes, Standing};
pub use few::Few;
pub use genesis::{Genesis, GenesisError};
pub use guardian::{Approval, GuardianSet};
pub use inbox::{InboxEntry, InboxPayload, Withdrawal};
pub use l1::SignedL1Message;
pub use mana::{Mana, ManaNow, ManaReserve, ManaTerms};
pub use object::{ObjectClass, ObjectIndex, ObjectKey};
pub use receipt::{Flush, LogRecord, Outcome, SignedFlush, Source};
pub use reject::Reject;
pub use session::{Holder, KindSet, Limit, Scope, Session, Spent, Window};
pub use slot::{Flow, JournalEntry, Slot, SlotIndex, SlotKind, TREE_DEPTH};
pub use state::{PlaneState, Roots};
pub use transaction::{KeyRef, Nonce, Pay, SponsorTerms, Transaction, TransactionBody};

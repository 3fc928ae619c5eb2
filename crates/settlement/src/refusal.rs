//! Why a message is refused, by a stable number. The sender is wrong; the state is as it was before, byte for byte.
//!
//! | codes | about |
//! |---|---|
//! | 300.. | block, sender, messages of later releases |
//! | 310.. | inbox |
//! | 330.. | the operator's bond |
//! | 340.. | posted data |
//! | 360.. | commitments |
//! | 400.. | cases |
//! | 440.. | claims |
//! | 470.. | proofs |

use crate::archive::ArchivePathError;
use ghostplane_ghostcipher::merkle::PathError;
use ghostplane_ghostcipher::{Digest, VerificationKey};
use ghostplane_proof::{BATCHES_MAX, StatementError, VerifyError};
use ghostplane_types::{AssetId, L1Address};
use thiserror::Error;

macro_rules! refusals {
    ($($(#[$doc:meta])* $code:literal $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),+ $(,)? })? => $message:literal),+ $(,)?) => {
        /// Why a message is refused. [`Refusal::code`] is stable; the fields carry what was found and what was needed.
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error($message)] $name $({ $($(#[$field_doc])* $field: $kind),+ })?,)+
        }

        impl Refusal {
            /// The stable number of this reason.
            pub fn code(&self) -> u16 {
                match self { $(Self::$name { .. } => $code,)+ }
            }
        }

        /// The code and name of every reason, ascending by code.
        pub const REFUSAL_CODES: &[(u16, &str)] = &[$(($code, stringify!($name))),+];
    };
}

refusals! {
    /// The host went back behind a block it has shown.
    300 BlockBackwards {
        /// The block's height.
        found: u64,
        /// The height of the block shown last.
        current: u64,
    } => "L1 block {found} comes after L1 block {current}",
    /// The block's time is before that of the one shown last, or another time of the same block.
    301 BlockTime {
        /// The block's time in milliseconds.
        found: u64,
        /// The time of the block shown last.
        current: u64,
    } => "L1 block of {found} ms comes after one of {current} ms, or is the same",
    /// The message is in another block than the one the settlement was advanced to.
    302 OtherBlock {
        /// The message's block.
        found: u64,
        /// The block the settlement stands at.
        current: u64,
    } => "message in L1 block {found}, the settlement was advanced to {current}",
    /// Only the operator may send this.
    303 NotOperator {
        /// Who sent it.
        found: L1Address,
        /// The operator, if there is one.
        operator: Option<L1Address>,
    } => "{found} is not the operator",
    /// A message that a later release runs.
    304 Unimplemented {
        /// What is missing.
        what: &'static str,
    } => "unimplemented: {what}",

    /// Genesis registers no such asset.
    310 UnknownAsset {
        /// The asset.
        asset: AssetId,
    } => "genesis registers no asset {asset}",
    /// The plane counts this asset in coarser units.
    311 InexactDeposit {
        /// The deposit, in the L1's base units.
        l1_amount: u128,
        /// What it must be a multiple of.
        unit: u64,
    } => "a deposit of {l1_amount} is no multiple of {unit}",
    /// More than an amount can be.
    312 DepositTooLarge {
        /// The deposit, in the L1's base units.
        l1_amount: u128,
        /// The largest amount, in the plane's base units.
        limit: u64,
    } => "a deposit of {l1_amount} on the L1 is over {limit} on the plane",
    /// Less than the smallest deposit.
    313 DepositTooSmall {
        /// The deposit, in the plane's base units.
        found: u64,
        /// The smallest.
        needed: u64,
    } => "a deposit of {found}, the smallest is {needed}",
    /// The settlement would hold more than a supply can be.
    314 EscrowFull {
        /// What it holds.
        escrow: u64,
        /// What would be added.
        amount: u64,
        /// The largest supply.
        limit: u64,
    } => "escrow holds {escrow}, {amount} more would be over {limit}",
    /// The inbox holds as many entries as it may.
    315 InboxFull {
        /// Entries it holds.
        entries: usize,
        /// Entries it may hold.
        limit: usize,
    } => "the inbox holds {entries} entries of {limit}",
    /// The inbox would hold more bytes than it may.
    316 InboxBytesFull {
        /// Bytes it would hold.
        bytes: u64,
        /// Bytes it may hold.
        limit: u64,
    } => "the inbox would hold {bytes} bytes of {limit}",
    /// This block has added as many entries as a block may.
    317 InboxBlockFull {
        /// Entries it added.
        entries: u32,
        /// Entries it may add.
        limit: u32,
    } => "this block added {entries} inbox entries of {limit}",
    /// This block would add more bytes than a block may.
    318 InboxBlockBytesFull {
        /// Bytes it would add.
        bytes: u64,
        /// Bytes it may add.
        limit: u64,
    } => "this block would add {bytes} bytes to the inbox, of {limit}",
    /// More bytes than a transaction has.
    319 ForcedTooLong {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    } => "a forced transaction of {found} bytes, at most {limit}",
    /// Nothing is forced.
    320 ForcedEmpty => "a forced transaction of no bytes",

    /// The sequencer did not let this sender operate, or let him in an earlier term.
    330 BondSignature {
        /// The sequencer's key.
        key: VerificationKey,
        /// The term that the signature must be for.
        term: u64,
    } => "not signed by the sequencer {key} for term {term}",
    /// Nothing is added.
    331 BondZero => "a bond of nothing",
    /// The L1 cannot pay this amount.
    332 BondInexact {
        /// The amount, in the plane's base units.
        amount: u64,
        /// What it must be a multiple of.
        unit: u64,
    } => "a bond of {amount} is no multiple of {unit}",
    /// The bond would be over the largest amount.
    333 BondTooLarge {
        /// What is bonded.
        bond: u64,
        /// What would be added.
        amount: u64,
    } => "{bond} is bonded, {amount} more is over the largest amount",
    /// The bond still answers for commitments.
    334 BondLocked {
        /// Commitments that are not final.
        pending: usize,
    } => "the bond answers for {pending} commitments that are not final",
    /// There is nothing to return.
    335 NoBond => "nothing is bonded",

    /// Data for another batch than the next.
    340 DataBatch {
        /// The batch it is for.
        found: u64,
        /// The batch that is posted next.
        expected: u64,
    } => "data of batch {found}, batch {expected} is next",
    /// Another chunk than the next.
    341 DataChunk {
        /// The chunk.
        found: u32,
        /// The chunk that is next.
        expected: u32,
    } => "chunk {found}, chunk {expected} is next",
    /// A chunk before the last that is not full, or one that is empty.
    342 DataChunkShort {
        /// Its bytes.
        found: usize,
        /// Bytes needed.
        needed: usize,
    } => "a chunk of {found} bytes, {needed} are needed here",
    /// A chunk that is more than full.
    343 DataChunkLong {
        /// Its bytes.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    } => "a chunk of {found} bytes, at most {limit}",
    /// The batch has the bytes of a full one and is still not at its last chunk.
    344 DataBatchLong {
        /// Bytes it would have.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    } => "the batch would have {found} bytes of {limit} and more to come",
    /// This block would take more data than a block may.
    345 DataBlockFull {
        /// Bytes it would take.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    } => "this block would take {found} bytes of data, at most {limit}",
    /// Too many batches wait for a commitment.
    346 DataQueueFull {
        /// Batches that wait.
        found: usize,
        /// Batches that may wait.
        limit: usize,
    } => "{found} posted batches wait for a commitment, at most {limit}",
    /// There is nothing to discard.
    347 NothingPosted => "no data waits for a commitment",

    /// Less than the operator must have at stake.
    360 BondTooLow {
        /// What is bonded.
        found: u64,
        /// What must be.
        needed: u64,
    } => "{found} is bonded, {needed} is needed",
    /// A version that this release does not know.
    361 CommitmentVersion {
        /// The commitment's.
        found: u16,
        /// This release's.
        expected: u16,
    } => "commitment of version {found}, not {expected}",
    /// For another plane.
    362 WrongPlane {
        /// The commitment's plane.
        found: Digest,
        /// This plane.
        expected: Digest,
    } => "for plane {found}, this is plane {expected}",
    /// Of a generation that a conviction ended, or that has not begun.
    363 WrongGeneration {
        /// The commitment's.
        found: u32,
        /// The plane's.
        expected: u32,
    } => "of generation {found}, the plane is in {expected}",
    /// There was a commitment in this block already.
    364 CommittedAlready {
        /// The block.
        height: u64,
    } => "L1 block {height} has its commitment",
    /// Too many commitments are not final.
    365 PendingFull {
        /// How many.
        found: usize,
        /// How many may be.
        limit: usize,
    } => "{found} commitments are not final, at most {limit}",
    /// The first batch does not follow the last committed one.
    366 FirstBatch {
        /// The commitment's first.
        found: u64,
        /// The one that follows.
        expected: u64,
    } => "starts at batch {found}, batch {expected} is next",
    /// It builds on another header than the last committed one.
    367 PrevHeader {
        /// The digest it names.
        found: Digest,
        /// The digest of the last committed header.
        expected: Digest,
    } => "builds on header {found}, the last is {expected}",
    /// No batches, or too many.
    368 BatchCount {
        /// How many it claims, 0 also where first and last make no sense.
        found: u64,
        /// How many it may.
        limit: u64,
    } => "claims {found} batches, 1 to {limit} are allowed",
    /// Not one header per batch.
    369 HeaderCount {
        /// Headers found.
        found: u64,
        /// Batches claimed.
        expected: u64,
    } => "{found} headers for {expected} batches",
    /// The last header is not the one in the commitment.
    370 LastHeader {
        /// The digest of the last header.
        found: Digest,
        /// The digest of the commitment's.
        expected: Digest,
    } => "the last header is {found}, the commitment's {expected}",
    /// The headers are not those of the commitment.
    371 HeadersRoot {
        /// Their root.
        found: Digest,
        /// The commitment's.
        expected: Digest,
    } => "the headers have root {found}, the commitment says {expected}",
    /// A header is not numbered as its place needs.
    372 HeaderNumber {
        /// Its number.
        found: u64,
        /// Its place.
        expected: u64,
    } => "header {found} in the place of {expected}",
    /// A header of a protocol that the plane does not run.
    373 Protocol {
        /// The batch.
        batch: u64,
        /// Its protocol.
        found: u32,
        /// The plane's.
        expected: u32,
    } => "batch {batch} runs protocol {found}, the plane {expected}",
    /// A header of another generation than its commitment.
    374 HeaderGeneration {
        /// The batch.
        batch: u64,
        /// Its generation.
        found: u32,
        /// The commitment's.
        expected: u32,
    } => "batch {batch} is of generation {found}, its commitment of {expected}",
    /// A header that starts from another state than the one before it ends with.
    375 PrevState {
        /// The batch.
        batch: u64,
        /// The state it starts from.
        found: Digest,
        /// The state before it.
        expected: Digest,
    } => "batch {batch} starts from state {found}, the one before ends with {expected}",
    /// A batch from the future.
    376 TimeAfterBlock {
        /// The batch.
        batch: u64,
        /// Its time in milliseconds.
        found: u64,
        /// The time of this L1 block.
        limit: u64,
    } => "batch {batch} is of {found} ms, this L1 block of {limit} ms",
    /// A batch before the one ahead of it.
    377 TimeBackwards {
        /// The batch.
        batch: u64,
        /// Its time in milliseconds.
        found: u64,
        /// The time of the batch ahead.
        before: u64,
    } => "batch {batch} is of {found} ms, the one ahead of {before} ms",
    /// A batch before the L1 block of an inbox entry it consumes.
    378 TimeBeforeInbox {
        /// The batch.
        batch: u64,
        /// Its time in milliseconds.
        found: u64,
        /// The time of the last entry it consumes.
        entry: u64,
    } => "batch {batch} is of {found} ms and consumes an inbox entry of {entry} ms",
    /// A batch that consumes entries that do not exist.
    379 InboxUnknown {
        /// The batch.
        batch: u64,
        /// How far it consumes.
        found: u64,
        /// How many entries there are.
        known: u64,
    } => "batch {batch} consumes the inbox up to {found}, it has {known}",
    /// It consumes an entry that a reorganisation of the L1 could still undo.
    380 InboxTooFresh {
        /// The entry.
        entry: u64,
        /// How old it is, in L1 blocks.
        age: u64,
        /// How old it must be.
        needed: u64,
    } => "inbox entry {entry} is {age} L1 blocks old, {needed} are needed",
    /// It leaves an entry that it must consume.
    381 InboxLag {
        /// The entry.
        entry: u64,
        /// How old it is, in L1 blocks.
        age: u64,
        /// How old an entry may get.
        limit: u64,
    } => "inbox entry {entry} is {age} L1 blocks old and not consumed, the deadline is {limit}",
    /// A counter of a header goes back.
    382 CounterBackwards {
        /// The batch.
        batch: u64,
        /// Which counter.
        what: &'static str,
        /// Its value.
        found: u64,
        /// Its value before the batch.
        before: u64,
    } => "batch {batch} takes {what} from {before} back to {found}",
    /// More slots or objects than genesis allows.
    383 StateOverBound {
        /// The batch.
        batch: u64,
        /// Which counter.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The bound.
        limit: u64,
    } => "batch {batch} has {what} {found}, genesis allows {limit}",
    /// More in one batch than a judge has to take.
    384 HeaderOverLimit {
        /// The batch.
        batch: u64,
        /// What.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much is allowed.
        limit: u64,
    } => "batch {batch} has {found} {what}, at most {limit}",
    /// Not all batches have been posted.
    385 DataMissing {
        /// Batches posted in full.
        found: u64,
        /// Batches claimed.
        needed: u64,
    } => "{found} batches are posted, {needed} are claimed",
    /// A header tells another length than its data has.
    386 DataBytes {
        /// The batch.
        batch: u64,
        /// Bytes by its header.
        found: u64,
        /// Bytes posted.
        expected: u64,
    } => "batch {batch} claims {found} bytes, {expected} are posted",
    /// The commitment tells another length than its data has.
    387 DataLength {
        /// Bytes claimed.
        found: u64,
        /// Bytes posted.
        expected: u64,
    } => "claims {found} bytes of data, {expected} are posted",
    /// The commitment is to other data than was posted.
    388 DataDigest {
        /// The digest claimed.
        found: Digest,
        /// The digest of what was posted.
        expected: Digest,
    } => "claims data {found}, posted is {expected}",
    /// Nobody vouches for it.
    389 NoAttestation => "no attestation; the sequencer's comes first",
    /// More attestations than a commitment has.
    390 AttestationCount {
        /// How many.
        found: usize,
        /// How many are allowed.
        limit: usize,
    } => "{found} attestations, at most {limit}",
    /// The first attestation is not the sequencer's.
    391 NotSequencer {
        /// Whose it is.
        found: VerificationKey,
        /// The sequencer.
        expected: VerificationKey,
    } => "attested first by {found}, not by the sequencer {expected}",
    /// Somebody vouches twice.
    392 AttestationTwice {
        /// Who.
        key: VerificationKey,
    } => "attested twice by {key}",
    /// An attestation does not verify.
    393 AttestationInvalid {
        /// Whose.
        key: VerificationKey,
    } => "the attestation of {key} does not verify",
    /// Somebody vouches whom genesis does not ask.
    394 UnknownAttester {
        /// Who.
        key: VerificationKey,
    } => "attested by {key}, who is no committer of the plane",
    /// Too few of the committers vouch for it.
    395 CommitterQuorum {
        /// What those weigh who do.
        found: u32,
        /// What is needed.
        needed: u32,
    } => "committers of weight {found} vouch for it, {needed} is needed",

    /// The batch is not committed, or final.
    400 BatchNotPending {
        /// The batch.
        batch: u64,
        /// The last final batch.
        final_number: u64,
        /// The last committed batch.
        tip: u64,
    } => "batch {batch} is not pending: {final_number} is final, {tip} is committed",
    /// The batch was replayed and is true.
    401 ReplayedAlready {
        /// The batch.
        batch: u64,
    } => "batch {batch} was replayed and is true",
    /// The window for challenges is over.
    402 WindowOver {
        /// L1 blocks that the batch could be challenged in.
        age: u64,
        /// The window.
        window: u64,
    } => "the batch could be challenged for {age} L1 blocks of {window}",
    /// The table of cases is full. Windows stand still until it is not.
    403 CasesFull {
        /// Open cases.
        open: usize,
        /// Cases that may be open.
        limit: usize,
    } => "{open} cases are open, at most {limit}",
    /// As many replays are open as may be.
    404 ReplaysFull {
        /// Open replays.
        open: usize,
        /// Replays that may be open.
        limit: usize,
    } => "{open} replays are open, at most {limit}",
    /// The sender has the same case open already.
    405 CaseTwice {
        /// The open case.
        case: u64,
    } => "the sender has this open as case {case}",
    /// The header is not where its number says under the commitment.
    406 CaseHeaderPosition {
        /// Its place by its path.
        found: u64,
        /// Its place by its number.
        expected: u64,
    } => "the header's path is for place {found}, its number for {expected}",
    /// The header is not under the commitment.
    407 CaseHeaderPath {
        /// How the path fails.
        error: PathError,
    } => "header: {error}",
    /// The header before it is not numbered as the one before.
    408 CasePrevNumber {
        /// Its number.
        found: u64,
        /// The number before the batch's.
        expected: u64,
    } => "the header before is {found}, not {expected}",
    /// A path for the header before is given where none is needed, or not where one is.
    409 CasePrevPathNeeded {
        /// Whether one is needed.
        needed: bool,
    } => "a path for the header before is needed: {needed}",
    /// The path of the header before is for another place.
    410 CasePrevPosition {
        /// Its place by its path.
        found: u64,
        /// Its place by its number.
        expected: u64,
    } => "the path of the header before is for place {found}, its number for {expected}",
    /// The header before is not under the commitment.
    411 CasePrevPath {
        /// How the path fails.
        error: PathError,
    } => "header before: {error}",
    /// The header before is not the one the commitment builds on.
    412 CasePrevDigest {
        /// Its digest.
        found: Digest,
        /// The digest the commitment builds on.
        expected: Digest,
    } => "the header before is {found}, the commitment builds on {expected}",
    /// The path of the posted batch is for another place.
    413 CasePostedPosition {
        /// Its place by its path.
        found: u64,
        /// The batch's place.
        expected: u64,
    } => "the path of the posted batch is for place {found}, the batch is at {expected}",
    /// The posted batch is not under the commitment.
    414 CasePostedPath {
        /// How the path fails.
        error: PathError,
    } => "posted batch: {error}",
    /// A longer witness than a judge has to take.
    415 WitnessLong {
        /// Bytes announced.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    } => "a witness of {found} bytes, at most {limit}",
    /// No such open case.
    416 UnknownCase {
        /// The case.
        case: u64,
    } => "case {case} is not open",
    /// Only who opened a case brings its material.
    417 NotChallenger {
        /// Who sent it.
        found: L1Address,
        /// Who opened the case.
        expected: L1Address,
    } => "{found} did not open the case, {expected} did",
    /// Material for another place than the next.
    418 MaterialOffset {
        /// The place.
        found: u64,
        /// Bytes the case has.
        expected: u64,
    } => "material for byte {found}, the case has {expected}",
    /// No material.
    419 MaterialEmpty => "material of no bytes",
    /// More material than fits a message.
    420 MaterialLong {
        /// Its bytes.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    } => "material of {found} bytes, at most {limit}",
    /// More material than was announced.
    421 MaterialOver {
        /// Bytes the case would have.
        found: u64,
        /// Bytes announced.
        limit: u64,
    } => "the case would have {found} bytes of {limit}",
    /// The case is not complete.
    422 MaterialMissing {
        /// Bytes the case has.
        found: u64,
        /// Bytes announced.
        needed: u64,
    } => "the case has {found} bytes of {needed}",

    /// No such commitment here: it was reverted, never was, or is in the archive.
    440 UnknownCommitment {
        /// The first batch it was asked for by.
        first_batch: u64,
    } => "no commitment here starts at batch {first_batch}",
    /// The record is not in the archive.
    441 ArchivePath {
        /// How the path fails.
        error: ArchivePathError,
    } => "record: {error}",
    /// The batch is not one of the commitment's, or was cut off it by a conviction.
    442 NotUnderCommitment {
        /// The batch.
        batch: u64,
        /// The commitment's first.
        first_batch: u64,
        /// The commitment's last.
        last_batch: u64,
    } => "batch {batch} is not among {first_batch} to {last_batch}",
    /// The batch is not final.
    443 NotFinal {
        /// The batch.
        batch: u64,
        /// The last final batch.
        final_number: u64,
    } => "batch {batch} is not final, {final_number} is",
    /// The header is not where its number says under the commitment.
    444 ClaimHeaderPosition {
        /// Its place by its path.
        found: u64,
        /// Its place by its number.
        expected: u64,
    } => "the header's path is for place {found}, its number for {expected}",
    /// The header is not under the commitment.
    445 ClaimHeaderPath {
        /// How the path fails.
        error: PathError,
    } => "header: {error}",
    /// The withdrawal is not in the batch's outbox.
    446 ClaimOutboxPath {
        /// How the path fails.
        error: PathError,
    } => "withdrawal: {error}",
    /// The withdrawal is not numbered as its place in the outbox needs.
    447 ClaimIndex {
        /// Its index.
        found: u64,
        /// Its place by the header's count and its path; the largest number where they make no sense.
        expected: u64,
    } => "withdrawal {found} in the place of {expected}",
    /// It was claimed.
    448 ClaimedAlready {
        /// Its index.
        index: u64,
    } => "withdrawal {index} was claimed",
    /// The settlement cannot note more claims that are apart from each other.
    449 ClaimsFull {
        /// Runs of claims it notes.
        limit: usize,
    } => "{limit} runs of claims are noted, the most; claim the gaps between them first",
    /// Genesis registers no such asset.
    450 ClaimUnknownAsset {
        /// The asset.
        asset: AssetId,
    } => "genesis registers no asset {asset}",
    /// The L1 cannot pay this amount.
    451 ClaimInexact {
        /// The amount, in the plane's base units.
        amount: u64,
        /// What it must be a multiple of.
        unit: u64,
    } => "a withdrawal of {amount} is no multiple of {unit}",
    /// The settlement does not hold that much: the batch took out more than went in.
    452 EscrowShort {
        /// What it holds.
        escrow: u64,
        /// What is claimed.
        amount: u64,
    } => "escrow holds {escrow}, {amount} is claimed",

    /// No proof can be over these batches.
    470 ProofRange {
        /// The first.
        first_batch: u64,
        /// The last.
        last_batch: u64,
    } => "a proof over batches {first_batch} to {last_batch}; one covers 1 to {BATCHES_MAX}",
    /// The commitment of a batch is not here: not made yet, reverted, or archived as final.
    471 ProofNotPending {
        /// The batch.
        batch: u64,
        /// The last final batch.
        final_number: u64,
        /// The last committed batch.
        tip: u64,
    } => "the commitment of batch {batch} is not pending: {final_number} is final, {tip} is committed",
    /// Each of the batches is proven or final.
    472 ProvenAlready {
        /// The first.
        first_batch: u64,
        /// The last.
        last_batch: u64,
    } => "batches {first_batch} to {last_batch} are all proven or final",
    /// A bundle of no bytes or of more than any takes.
    473 ProofLength {
        /// Bytes announced.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    } => "a bundle of {found} bytes, it takes 1 to {limit}",
    /// The sender has begun another proof. A first piece drops it.
    474 ProofOther {
        /// The first batch of that one.
        first_batch: u64,
        /// The last batch of that one.
        last_batch: u64,
    } => "the sender has begun another proof, over batches {first_batch} to {last_batch}",
    /// A piece for another place than the next.
    475 ProofOffset {
        /// The place.
        found: u64,
        /// Bytes brought so far.
        expected: u64,
    } => "a piece for byte {found}, {expected} bytes were brought",
    /// A piece of nothing.
    476 ProofPieceEmpty => "a piece of no bytes",
    /// A piece of more than fits a message.
    477 ProofPieceLong {
        /// Its bytes.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    } => "a piece of {found} bytes, at most {limit}",
    /// More than was announced.
    478 ProofOver {
        /// Bytes that would be brought.
        found: u64,
        /// Bytes announced.
        limit: u64,
    } => "{found} bytes would be brought of {limit}",
    /// As many proofs are begun as may be. They are dropped when they are not completed soon.
    479 ProofsFull {
        /// Proofs begun.
        open: usize,
        /// Proofs that may be.
        limit: usize,
    } => "{open} proofs are begun, at most {limit}",
    /// The bytes are no bundle in canonical form.
    480 ProofUnreadable => "the bytes brought are no bundle of a proof",
    /// A bundle with another number of batches than it was announced with.
    481 ProofBatches {
        /// Batches of the bundle.
        found: u64,
        /// Batches announced.
        expected: u64,
    } => "the bundle has {found} batches, announced were {expected}",
    /// A header is not where its number says under the commitment.
    482 ProofHeaderPosition {
        /// The batch.
        batch: u64,
        /// Its place by its path.
        found: u64,
        /// Its place by its number.
        expected: u64,
    } => "the path of header {batch} is for place {found}, its number for {expected}",
    /// A header is not the one that was committed.
    483 ProofHeaderPath {
        /// The batch.
        batch: u64,
        /// How the path fails.
        error: PathError,
    } => "header {batch}: {error}",
    /// Headers and flows do not belong together.
    484 ProofStatement {
        /// Why.
        error: StatementError,
    } => "{error}",
    /// The proof does not prove them.
    485 ProofInvalid {
        /// Why.
        error: VerifyError,
    } => "{error}",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_unique() {
        assert!(REFUSAL_CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(REFUSAL_CODES.iter().all(|(code, _)| (300..500).contains(code)));
        assert_eq!(Refusal::NoBond.code(), 335);
        let refusal = Refusal::WrongGeneration { found: 1, expected: 2 };
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (363, "of generation 1, the plane is in 2"));
    }
}

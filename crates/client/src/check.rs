//! From bytes to what they prove: pure functions, so that anything that gets answers of a node from anywhere can check them.
//!
//! Nothing here trusts the node. What an answer says beside its proofs is compared with them, and what no proof covers is
//! set apart under a name that says so.

use crate::gates;
use crate::wire;
use ghostplane_ghostcipher::{Digest, FieldDigest, VerificationKey, ed25519, merkle};
use ghostplane_keystone::{ObjectProof, ProofError, SlotProof};
use ghostplane_types::limits::COMMITMENT_BATCHES_MAX;
use ghostplane_types::slot::SlotKind;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, AssetRecord, BatchHeader, Commitment, Decode, DecodeError, Flush, Genesis,
    GenesisError, ManaNow, ObjectKey, SignedFlush,
};
use thiserror::Error;

/// Why an answer of the node proves nothing. The node is wrong, or somebody between.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// Bytes that should be canonical do not decode.
    #[error("the node's {what} does not decode: {error}")]
    Decode {
        /// Which bytes.
        what: &'static str,
        /// What is wrong with them.
        error: DecodeError,
    },
    /// Something does not have the length it must have.
    #[error("the node's {what} has {found} bytes, which is not {expected}")]
    Length {
        /// Which bytes.
        what: &'static str,
        /// The length needed, in words.
        expected: &'static str,
        /// The length found.
        found: usize,
    },
    /// An answer lacks a part.
    #[error("the node's answer has no {0}")]
    Lacks(&'static str),
    /// The genesis decodes and makes no sense.
    #[error("the node's genesis is no genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// Two values that must be the same are not.
    #[error("{what}: the node says {found}, it must be {expected}")]
    Differs {
        /// What was compared.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What the node says.
        found: String,
    },
    /// A signature is not the sequencer's.
    #[error("the signature of the {what} is not the sequencer's: {error}")]
    Signature {
        /// What is signed.
        what: &'static str,
        /// What is wrong.
        error: ed25519::SignatureError,
    },
    /// A path in a list does not lead where it must.
    #[error("the path of the {what} is wrong: {error}")]
    Path {
        /// Whose path.
        what: &'static str,
        /// What is wrong.
        error: merkle::PathError,
    },
    /// A proof about the state proves nothing.
    #[error("the proof of the {what} is wrong: {error}")]
    Proof {
        /// Proof of what.
        what: &'static str,
        /// What is wrong.
        error: ProofError,
    },
}

/// What is known of a plane without asking anybody: its genesis, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    genesis: Genesis,
    id: Digest,
}

impl Plane {
    /// The plane that begins with this genesis.
    ///
    /// # Errors
    /// If the genesis makes no sense.
    pub fn new(genesis: Genesis) -> Result<Self, GenesisError> {
        genesis.check()?;
        Ok(Self { id: genesis.plane_id(), genesis })
    }

    /// Reads what a node says of its plane and checks that it agrees with itself and with the id expected, if any.
    ///
    /// Without an expected id this says only that there is such a plane, not that it is the one meant.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn from_info(info: &wire::Info, expected: Option<&Digest>) -> Result<Self, CheckError> {
        let plane = Self::new(decode("genesis", &info.genesis)?)?;
        same("plane id", &plane.id, &digest("plane id", &info.plane_id)?)?;
        if let Some(expected) = expected {
            same("plane id", expected, &plane.id)?;
        }
        same("chain id", &plane.genesis.chain_id, &info.chain_id)?;
        same("chain id of the L1", &plane.genesis.l1_chain_id, &info.l1_chain_id)?;
        same("protocol", &plane.genesis.protocol, &info.protocol)?;
        let key = digest("sequencer's key", &info.sequencer)?;
        same("sequencer's key", &plane.genesis.sequencer, &VerificationKey::from_bytes(key.0))?;
        Ok(plane)
    }

    /// How it began.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The digest of its genesis.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// Its chain.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.genesis.chain_id
    }

    /// Checks a receipt: that the sequencer signed a flush of this plane which holds transaction `id` at its position.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn receipt(&self, id: &Digest, answer: &wire::Receipt) -> Result<Receipt, CheckError> {
        let flush = self.flush(&answer.signed_flush)?;
        let executed = answer.executed.as_ref().ok_or(CheckError::Lacks("executed transaction"))?;
        self.executed(id, &flush, answer.flush_transactions, executed)
    }

    /// Checks a signed flush by itself, before what it holds.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn flush(&self, bytes: &[u8]) -> Result<VerifiedFlush, CheckError> {
        let signed: SignedFlush = decode("signed flush", bytes)?;
        same("plane of the flush", &self.id, &signed.flush.plane_id)?;
        let verified = signed.verify(self.chain_id(), &self.genesis.sequencer);
        verified.map_err(|error| CheckError::Signature { what: "flush", error })?;
        Ok(VerifiedFlush(signed))
    }

    /// Checks that a flush holds transaction `id` where the answer says.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn executed(
        &self,
        id: &Digest,
        flush: &VerifiedFlush,
        count: u32,
        executed: &wire::Executed,
    ) -> Result<Receipt, CheckError> {
        let promise = &flush.0.flush;
        same("id of the transaction", id, &digest("id of the transaction", &executed.id)?)?;
        let index = executed.position.checked_sub(promise.first_position).ok_or_else(|| CheckError::Differs {
            what: "position in the log",
            expected: format!("at least {}", promise.first_position),
            found: executed.position.to_string(),
        })?;
        included("transaction", &promise.root, id, index, u64::from(count), &executed.path)?;
        if executed.batch > promise.batch_at_most {
            return Err(CheckError::Differs {
                what: "batch of the transaction",
                expected: format!("at most {}", promise.batch_at_most),
                found: executed.batch.to_string(),
            });
        }
        let claimed = Claimed::new(executed)?;
        Ok(Receipt { id: *id, position: executed.position, flush: flush.0, count, claimed })
    }

    /// Checks an account's answer with proofs, all of it, against the header that comes with it.
    ///
    /// The header itself is the node's word until [`Plane::anchor`] finds it under a commitment.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn account(&self, address: &Address, answer: &wire::Account) -> Result<ProvenAccount, CheckError> {
        let header = self.header(&answer.header)?;
        same("batch of the account", &header.number, &answer.batch)?;
        same("time of the account", &header.time, &answer.time)?;
        same("address", address, &Address::from_bytes(digest("address", &answer.address)?.0))?;
        let roots = header.state().roots;
        let proof: ObjectProof = decode("proof of the record", &answer.record_proof)?;
        same("key of the record's proof", &ObjectKey::account(address).as_bytes(), &proof.key.as_bytes())?;
        let proven = proof.verify(&roots).map_err(|error| CheckError::Proof { what: "record", error })?;
        let Some((index, bytes)) = proven.object() else {
            same("whether the account exists", &false, &answer.exists)?;
            same("balances of no account", &0, &answer.balances.len())?;
            same("record of no account", &0, &answer.record.len())?;
            same("number of no account", &0, &answer.number)?;
            same("next sequence number", &0, &answer.next_sequence)?;
            self.check_mana(answer, None, Amount::ZERO)?;
            same("identity of no account", &None, &answer.identity)?;
            same("gates of no account", &None, &answer.gates)?;
            return Ok(ProvenAccount { address: *address, header, record: None, balances: Vec::new() });
        };
        same("whether the account exists", &true, &answer.exists)?;
        same("number of the account", &index.index(), &answer.number)?;
        same("record of the account", &Hex(bytes), &Hex(&answer.record))?;
        let record: AccountRecord = decode("record", bytes)?;
        same("address of the record", address, &record.address)?;
        same("next sequence number", &record.next_in_lane(0), &answer.next_sequence)?;
        same("identity of the account", &gates::identity_message(&record, header.time), &answer.identity)?;
        same("gates of the account", &gates::gates_message(&record, header.time), &answer.gates)?;
        same("number of balances", &record.slots.len(), &answer.balances.len())?;
        let mut balances = Vec::with_capacity(record.slots.len());
        for (of, balance) in record.slots.iter().zip(&answer.balances) {
            let proof: SlotProof = decode("proof of a slot", &balance.proof)?;
            same("slot", &of.slot, &proof.index)?;
            same("slot", &of.slot.index(), &balance.slot)?;
            let proven = proof.verify(&roots).map_err(|error| CheckError::Proof { what: "slot", error })?;
            let slot = proven.slot().ok_or(CheckError::Lacks("slot that the record lists"))?;
            same("kind of the slot", &SlotKind::Account, &slot.kind)?;
            same::<FieldDigest>("owner of the slot", &address.owner_digest(), &slot.owner)?;
            same("asset of the slot", &of.asset, &slot.asset)?;
            same("asset of the balance", &of.asset.number(), &balance.asset)?;
            same("balance", &slot.balance.units(), &balance.amount)?;
            balances.push((slot.asset, slot.balance));
        }
        let zman =
            balances.iter().find(|(asset, _)| *asset == AssetId::ZMAN).map_or(Amount::ZERO, |(_, amount)| *amount);
        self.check_mana(answer, Some(&record), zman)?;
        Ok(ProvenAccount { address: *address, header, record: Some(record), balances })
    }

    /// Checks what an answer says of mana against record, balance of ZMAN and genesis, from which it follows.
    fn check_mana(
        &self,
        answer: &wire::Account,
        record: Option<&AccountRecord>,
        zman: Amount,
    ) -> Result<(), CheckError> {
        let said = answer.mana.as_ref().ok_or(CheckError::Lacks("mana"))?;
        let (now, terms) = (self.mana(record, zman, said.at), &self.genesis.mana);
        same("gas that is left of the base grant", &now.granted, &said.granted)?;
        same("gas that mana pays", &now.regenerated, &said.regenerated)?;
        same("gas that is regenerated in a window", &terms.gas_per_window(zman), &said.per_window)?;
        same("gas that is saved up", &terms.gas_cap(zman), &said.cap)?;
        same("gas of the base grant", &record.map_or(0, |record| terms.grant(record.level(said.at))), &said.grant)
    }

    fn mana(&self, record: Option<&AccountRecord>, zman: Amount, time: u64) -> ManaNow {
        let now = record.map(|record| self.genesis.mana.now(record.mana(), zman, record.level(time), time));
        now.unwrap_or_default()
    }

    /// What a proven account that does nothing else could pay with at some time.
    #[must_use]
    pub fn mana_of(&self, account: &ProvenAccount, time: u64) -> ManaNow {
        self.mana(account.record(), account.balance(AssetId::ZMAN).unwrap_or(Amount::ZERO), time)
    }

    /// The earliest time, from `time` on, at which a proven account that does nothing else could pay so much gas with mana;
    /// `None` if it never could.
    #[must_use]
    pub fn mana_ready_at(&self, account: &ProvenAccount, gas: u64, time: u64) -> Option<u64> {
        let record = account.record()?;
        let zman = account.balance(AssetId::ZMAN).unwrap_or(Amount::ZERO);
        self.genesis.mana.ready_at(record.mana(), zman, record.level(time), time, gas)
    }

    /// Checks an asset's answer with its proof against the header that comes with it. Genesis registers the bridged ones: of
    /// those there is nothing to prove.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn asset(&self, asset: AssetId, answer: &wire::Asset) -> Result<ProvenAsset, CheckError> {
        let header = self.header(&answer.header)?;
        same("batch of the asset", &header.number, &answer.batch)?;
        if asset.is_bridged() {
            self.listed_asset(answer)?;
            same("number of the asset", &asset.number(), &answer.asset)?;
            return Ok(ProvenAsset { asset, header, record: None });
        }
        same("number of the asset", &asset.number(), &answer.asset)?;
        let proof: ObjectProof = decode("proof of the asset", &answer.proof)?;
        same("key of the asset's proof", &ObjectKey::asset(asset).as_bytes(), &proof.key.as_bytes())?;
        let proven = proof.verify(&header.state().roots);
        let proven = proven.map_err(|error| CheckError::Proof { what: "asset", error })?;
        match proven.object() {
            None => {
                same("whether the asset exists", &false, &answer.exists)?;
                same("registration of no asset", &0, &answer.record.len())?;
                Ok(ProvenAsset { asset, header, record: None })
            }
            Some((_, bytes)) => {
                same("registration of the asset", &Hex(bytes), &Hex(&answer.record))?;
                let record = self.listed_asset(answer)?;
                Ok(ProvenAsset { asset, header, record })
            }
        }
    }

    /// Checks what an answer says of an asset against the registration that it carries, or against genesis. Without a proof the
    /// registration is the node's word.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn listed_asset(&self, answer: &wire::Asset) -> Result<Option<AssetRecord>, CheckError> {
        let known = AssetId::new(answer.asset);
        let known = known.ok_or_else(|| CheckError::Differs {
            what: "number of the asset",
            expected: "below 2^30".to_owned(),
            found: answer.asset.to_string(),
        })?;
        same("whether the asset is bridged", &known.is_bridged(), &answer.bridged)?;
        if known.is_bridged() {
            let of_genesis = self.genesis.asset(known);
            same("whether the asset exists", &of_genesis.is_some(), &answer.exists)?;
            if let Some(of_genesis) = of_genesis {
                same("symbol of the asset", &Hex(&of_genesis.symbol), &Hex(answer.symbol.as_bytes()))?;
                same("decimals of the asset", &u32::from(of_genesis.decimals), &answer.decimals)?;
            }
            return Ok(None);
        }
        same("whether the asset exists", &!answer.record.is_empty(), &answer.exists)?;
        if !answer.exists {
            return Ok(None);
        }
        let record: AssetRecord = decode("registration of the asset", &answer.record)?;
        same("number in the registration", &known, &record.asset)?;
        same("symbol of the asset", &Hex(&record.symbol), &Hex(answer.symbol.as_bytes()))?;
        same("decimals of the asset", &u32::from(record.decimals), &answer.decimals)?;
        same("issuer of the asset", &Hex(record.issuer.as_bytes()), &Hex(&answer.issuer))?;
        same("cap of the asset", &record.cap.units(), &answer.cap)?;
        same("supply of the asset", &record.supply.units(), &answer.supply)?;
        same("whether the asset is frozen", &record.is_frozen, &answer.frozen)?;
        Ok(Some(record))
    }

    /// Decodes a header and checks that it is of this plane's protocol.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn header(&self, bytes: &[u8]) -> Result<BatchHeader, CheckError> {
        let header: BatchHeader = decode("header", bytes)?;
        same("protocol of the header", &self.genesis.protocol, &header.protocol)?;
        Ok(header)
    }

    /// Checks that `header` is under a commitment which the sequencer attested, and a quorum of the committers where genesis
    /// names some.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn anchor(&self, header: &BatchHeader, answer: &wire::CommitmentOf) -> Result<Anchored, CheckError> {
        same("header", header, &self.header(&answer.header)?)?;
        let commitment: Commitment = decode("commitment", &answer.commitment)?;
        same("plane of the commitment", &self.id, &commitment.plane_id)?;
        same("generation of the commitment", &header.generation, &commitment.generation)?;
        same("generation of the last header", &commitment.generation, &commitment.last_header.generation)?;
        let batches = commitment.batches().unwrap_or(0);
        if batches == 0 || batches > COMMITMENT_BATCHES_MAX as u64 {
            return Err(CheckError::Differs {
                what: "batches under the commitment",
                expected: format!("1 to {COMMITMENT_BATCHES_MAX}"),
                found: batches.to_string(),
            });
        }
        same("batches under the commitment", &batches, &u64::from(answer.batches))?;
        let index = header.number.checked_sub(commitment.first_batch).ok_or_else(|| CheckError::Differs {
            what: "first batch of the commitment",
            expected: format!("at most {}", header.number),
            found: commitment.first_batch.to_string(),
        })?;
        let leaf = header.digest(self.chain_id());
        included("header", &commitment.headers_root, &leaf, index, batches, &answer.path)?;
        if index + 1 == batches {
            same("last header", header, &commitment.last_header)?;
        }
        self.attested(&commitment)?;
        let rung = Rung::from_wire(answer.rung)?;
        Ok(Anchored { commitment, l1_height: answer.l1_height, rung })
    }

    /// That everybody vouches for a commitment who has to.
    fn attested(&self, commitment: &Commitment) -> Result<(), CheckError> {
        let (attestations, committers) = (&commitment.attestations, &self.genesis.committers);
        let first = attestations.first().ok_or(CheckError::Lacks("attestation"))?;
        same("first to attest", &self.genesis.sequencer, &first.key)?;
        for (at, by) in attestations.iter().enumerate() {
            let is_first = attestations[..at].iter().all(|earlier| earlier.key != by.key);
            same("whether an attestation is the first of its key", &true, &is_first)?;
            let verified = commitment.verify_attestation(self.chain_id(), by);
            verified.map_err(|error| CheckError::Signature { what: "commitment", error })?;
        }
        let (found, needed) = (committers.weight(attestations), committers.quorum);
        if found >= needed {
            return Ok(());
        }
        let expected = format!("at least {needed}");
        Err(CheckError::Differs { what: "weight of the committers' attestations", expected, found: found.to_string() })
    }

    /// Checks a batch's header against the fields beside it.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn batch(&self, answer: &wire::Batch) -> Result<BatchHeader, CheckError> {
        let header = self.header(&answer.header)?;
        same("number of the batch", &header.number, &answer.number)?;
        same("generation of the batch", &header.generation, &answer.generation)?;
        same("time of the batch", &header.time, &answer.time)?;
        same("gas of the batch", &header.gas, &answer.gas)?;
        same("entries of the batch", &header.entries, &answer.entries)?;
        let state = header.state().digest(self.chain_id(), &self.id);
        same("state root", &state, &digest("state root", &answer.state_root)?)?;
        Ok(header)
    }
}

/// A flush whose signature was found to be the sequencer's. Only [`Plane::flush`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedFlush(SignedFlush);

impl VerifiedFlush {
    /// What is promised.
    #[must_use]
    pub const fn flush(&self) -> &Flush {
        &self.0.flush
    }
}

/// The sequencer's promise that a transaction has its place in the log. Only a check makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    id: Digest,
    position: u64,
    flush: SignedFlush,
    count: u32,
    claimed: Claimed,
}

impl Receipt {
    /// The transaction.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// Its place in the log; signed.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The sequencer's signed promise: keep it, it convicts a sequencer that breaks it.
    #[must_use]
    pub const fn signed_flush(&self) -> &SignedFlush {
        &self.flush
    }

    /// How many transactions the flush holds; bound by its root.
    #[must_use]
    pub const fn flush_transactions(&self) -> u32 {
        self.count
    }

    /// The last batch that may include it; signed.
    #[must_use]
    pub const fn batch_at_most(&self) -> u64 {
        self.flush.flush.batch_at_most
    }

    /// What became of it, as the node says. A flush signs order, not outcomes: these are bound by the batch's log root.
    #[must_use]
    pub const fn claimed(&self) -> &Claimed {
        &self.claimed
    }
}

/// What the node says became of a transaction, and no signature of the flush covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The batch that includes it.
    pub batch: u64,
    /// 0 if applied, else the reason's code.
    pub code: u16,
    /// Which action failed, if one did.
    pub action: u32,
    /// Gas used.
    pub gas: u64,
    /// All that it cost, in base units of GCC.
    pub fee: u64,
}

impl Claimed {
    /// Takes what the node says, if it is well formed.
    ///
    /// # Errors
    /// If the code is none.
    pub fn new(executed: &wire::Executed) -> Result<Self, CheckError> {
        let code = u16::try_from(executed.code).map_err(|_| CheckError::Differs {
            what: "code of the outcome",
            expected: "at most 65535".to_owned(),
            found: executed.code.to_string(),
        })?;
        let wire::Executed { batch, action, gas, fee, .. } = *executed;
        Ok(Self { batch, code, action, gas, fee })
    }

    /// Whether all actions applied.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        self.code == 0
    }
}

/// An account and its balances, proven under the header it carries. Only [`Plane::account`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenAccount {
    address: Address,
    header: BatchHeader,
    record: Option<AccountRecord>,
    balances: Vec<(AssetId, Amount)>,
}

impl ProvenAccount {
    /// Whose.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The header of the batch whose state this is.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The record; `None` if it is proven that there is none.
    #[must_use]
    pub const fn record(&self) -> Option<&AccountRecord> {
        self.record.as_ref()
    }

    /// All balances, ascending by asset.
    #[must_use]
    pub fn balances(&self) -> &[(AssetId, Amount)] {
        &self.balances
    }

    /// The balance of one asset; `None` if there is no slot of it.
    #[must_use]
    pub fn balance(&self, asset: AssetId) -> Option<Amount> {
        self.balances.iter().find(|(of, _)| *of == asset).map(|(_, amount)| *amount)
    }
}

/// An asset, proven under the header it carries, or known from genesis. Only [`Plane::asset`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenAsset {
    asset: AssetId,
    header: BatchHeader,
    record: Option<AssetRecord>,
}

impl ProvenAsset {
    /// Which.
    #[must_use]
    pub const fn asset(&self) -> AssetId {
        self.asset
    }

    /// The header of the batch whose state this is.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Its registration; `None` if it is bridged, or if it is proven that there is none.
    #[must_use]
    pub const fn record(&self) -> Option<&AssetRecord> {
        self.record.as_ref()
    }
}

/// How far a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The sequencer vouches for it.
    Attested,
    /// The L1 has a commitment and its data.
    Challengeable,
    /// A proof shows that it conserves value.
    Proven,
    /// It stays.
    Final,
}

impl Rung {
    /// The rung of the number that travels.
    ///
    /// # Errors
    /// If there is no such rung.
    pub fn from_wire(number: i32) -> Result<Self, CheckError> {
        match wire::Rung::try_from(number) {
            Ok(wire::Rung::Attested) => Ok(Self::Attested),
            Ok(wire::Rung::Challengeable) => Ok(Self::Challengeable),
            Ok(wire::Rung::Proven) => Ok(Self::Proven),
            Ok(wire::Rung::Final) => Ok(Self::Final),
            Ok(wire::Rung::Unspecified) | Err(_) => {
                Err(CheckError::Differs { what: "rung", expected: "1 to 4".to_owned(), found: number.to_string() })
            }
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Challengeable => "challengeable",
            Self::Proven => "proven",
            Self::Final => "final",
        }
    }
}

/// A header found under a commitment that the sequencer attested. Only [`Plane::anchor`] makes one.
///
/// That the L1 took the commitment, at which height, and whether it stays, is the node's word: compare
/// [`Anchored::commitment`] with your own view of the L1 where that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    commitment: Commitment,
    /// The L1 block that took it, as the node says.
    pub l1_height: u64,
    /// How far it has come, as the node says.
    pub rung: Rung,
}

impl Anchored {
    /// The commitment, whose attestation by the sequencer was checked.
    #[must_use]
    pub const fn commitment(&self) -> &Commitment {
        &self.commitment
    }
}

pub(crate) fn decode<T: Decode>(what: &'static str, bytes: &[u8]) -> Result<T, CheckError> {
    T::from_bytes(bytes).map_err(|error| CheckError::Decode { what, error })
}

/// The digest in 32 bytes of an answer.
///
/// # Errors
/// If they are not 32.
pub fn digest(what: &'static str, bytes: &[u8]) -> Result<Digest, CheckError> {
    let array = bytes.try_into().map_err(|_| CheckError::Length { what, expected: "32", found: bytes.len() })?;
    Ok(Digest(array))
}

fn included(
    what: &'static str,
    root: &Digest,
    leaf: &Digest,
    index: u64,
    count: u64,
    path: &[u8],
) -> Result<(), CheckError> {
    let (nodes, rest) = path.as_chunks::<32>();
    if !rest.is_empty() || nodes.len() > merkle::depth(merkle::COUNT_MAX) {
        return Err(CheckError::Length { what, expected: "a multiple of 32 up to 1,024", found: path.len() });
    }
    let siblings = nodes.iter().map(|node| Digest(*node)).collect();
    let verified = merkle::verify(root, leaf, &merkle::Path { index, count, siblings });
    verified.map(drop).map_err(|error| CheckError::Path { what, error })
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), CheckError> {
    if expected == found {
        return Ok(());
    }
    Err(CheckError::Differs { what, expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// Bytes that are shown by their length and beginning.
#[derive(PartialEq)]
struct Hex<'a>(&'a [u8]);

impl std::fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes ", self.0.len())?;
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

//! Objects: what the object tree holds under keys that sort by class and owner.

use crate::address::Address;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::slot::TREE_DEPTH;
use ghostplane_ghostcipher::{Digest, Domain, digest};
use std::fmt;

/// The position of an object in the object tree, below 2^30; handed out in order and never reused.
///
/// The position of an account's record is the account's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectIndex(u32);

impl ObjectIndex {
    /// The sentinel: leaf 0, whose key is all zero and belongs to nobody.
    pub const SENTINEL: Self = Self(0);

    /// The object at that position, unless the tree ends before it.
    pub const fn new(index: u32) -> Option<Self> {
        if index < 1 << TREE_DEPTH { Some(Self(index)) } else { None }
    }

    /// The position.
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl Encode for ObjectIndex {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for ObjectIndex {
    const BYTES_MIN: usize = 4;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = reader.read()?;
        Self::new(index).ok_or_else(|| reader.over_limit("object index", u64::from(index), (1 << TREE_DEPTH) - 1))
    }
}

/// What an object is. The class is the first byte of its key, so that objects of one class sort together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectClass {
    /// An account record; owner number 0, raw key the address.
    Account = 1,
    /// An asset's registration; owner number 0, raw key the asset id.
    Asset = 2,
    /// A text of rules; owner number 0, raw key its digest. Under the raw key "plane" the rules of plane and bridged assets.
    Covenant = 3,
    /// A guardian set; owner number the account's.
    Guardians = 4,
    /// A held proposal; owner number the account's.
    Proposal = 5,
    /// A session key's scope; owner number the account's.
    Session = 6,
    /// A credential; owner number the first four bytes of the subject's address, raw key issuer, subject and claims.
    Credential = 7,
    /// A window counter of a covenant; owner number the account's.
    Window = 8,
    /// Contract code; owner number 0, raw key the code's digest.
    Code = 9,
    /// Contract storage; owner number the contract's account number.
    Storage = 10,
    /// A payment stream's terms; owner number the payer's.
    Stream = 11,
    /// A name; owner number 0, raw key the normalised name.
    Name = 12,
}

/// Where an object is found: class, owner number, and a digest of the raw key.
///
/// Bytes 0..8 are `class << 56 | owner` in big-endian order, bytes 8..32 the first 24 bytes of the raw key's BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey([u8; 32]);

impl ObjectKey {
    /// The sentinel's key, below every other.
    pub const SENTINEL: Self = Self([0; 32]);

    /// The key of `raw` among the objects of `class` that belong to account number `owner`.
    pub fn new(class: ObjectClass, owner: u32, raw: &[u8]) -> Self {
        let digest = digest::hash(Domain::ObjectKey, 0, &[raw]);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&((class as u64) << 56 | u64::from(owner)).to_be_bytes());
        key[8..].copy_from_slice(&digest.0[..24]);
        Self(key)
    }

    /// The key of the record of `address`.
    pub fn account(address: &Address) -> Self {
        Self::new(ObjectClass::Account, 0, address.as_bytes())
    }

    /// The key of the registration of `asset`.
    pub fn asset(asset: AssetId) -> Self {
        Self::new(ObjectClass::Asset, 0, &asset.number().to_le_bytes())
    }

    /// The key of the text of rules with that name.
    pub fn covenant(digest: &Digest) -> Self {
        Self::new(ObjectClass::Covenant, 0, &digest.0)
    }

    /// The key of the rules of plane and bridged assets.
    pub fn plane_rules() -> Self {
        Self::new(ObjectClass::Covenant, 0, b"plane")
    }

    /// The key of what `issuer` says of `subject` by these claims.
    ///
    /// An account has its number only from the batch after the one that made it, but can have credentials at once.
    pub fn credential(issuer: &Address, subject: &Address, claims: &Digest) -> Self {
        let raw = [&issuer.as_bytes()[..], subject.as_bytes(), claims.as_bytes()].concat();
        Self::new(ObjectClass::Credential, Self::subject_number(subject), &raw)
    }

    /// What stands for the owner's number in the keys of credentials. Others may have the same.
    pub const fn subject_number(subject: &Address) -> u32 {
        let [a, b, c, d, ..] = *subject.as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether the key is of an object of `class`.
    pub const fn is_of(&self, class: ObjectClass) -> bool {
        self.0[0] == class as u8
    }

    /// A key from its bytes, as a witness or a checkpoint carries it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes; they sort as the keys do.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKey({})", Digest(self.0))
    }
}

impl Encode for ObjectKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for ObjectKey {
    const BYTES_MIN: usize = 32;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

//! Identities: the GID, its 32-byte address, and the text forms of both.

use crate::codec::{Decode, DecodeError, Encode, Reader, fields};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use ghostplane_ghostcipher::{
    Digest, Domain, FieldDigest, Passkey, VerificationKey, digest, p256, poseidon2, secp256k1,
};
use std::fmt;
use thiserror::Error;

/// What a GID claims to be. Only a certified type lets an account act as bridge, oracle or validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntityType {
    /// A person's or a program's wallet.
    Wallet = 0,
    /// A validator of the L1 or an attester of the plane.
    Validator = 1,
    /// A service that is paid.
    Service = 2,
    /// A contract.
    Contract = 3,
    /// A bridge.
    Bridge = 4,
    /// An oracle.
    Oracle = 5,
}

impl EntityType {
    /// All types, by number.
    pub const ALL: [Self; 6] =
        [Self::Wallet, Self::Validator, Self::Service, Self::Contract, Self::Bridge, Self::Oracle];

    /// Its name, as rules write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Validator => "validator",
            Self::Service => "service",
            Self::Contract => "contract",
            Self::Bridge => "bridge",
            Self::Oracle => "oracle",
        }
    }

    /// The human-readable prefix of an address of this type.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Wallet => "ghost",
            Self::Validator => "gval",
            Self::Service => "gsvc",
            Self::Contract => "gcon",
            Self::Bridge => "gbrg",
            Self::Oracle => "gorc",
        }
    }
}

impl Encode for EntityType {
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as u8).encode(out);
    }
}

impl Decode for EntityType {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number: u8 = reader.read()?;
        let known = Self::ALL.get(usize::from(number)).copied();
        known.ok_or_else(|| reader.unknown("entity type", u64::from(number)))
    }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scheme {
    /// Ed25519, verified by ZIP-215.
    Ed25519 = 1,
    /// ECDSA over secp256k1.
    Secp256k1 = 2,
    /// ECDSA over P-256.
    P256 = 3,
    /// ECDSA over P-256 in an assertion of Web Authentication.
    Passkey = 4,
}

impl Scheme {
    /// All schemes, by number.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::Secp256k1, Self::P256, Self::Passkey];

    /// Its name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
            Self::P256 => "p256",
            Self::Passkey => "passkey",
        }
    }
}

/// A public key together with its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicKey {
    /// Ed25519, verified by ZIP-215.
    Ed25519(VerificationKey),
    /// ECDSA over secp256k1, 33 bytes compressed.
    Secp256k1(secp256k1::VerificationKey),
    /// ECDSA over P-256, 33 bytes compressed.
    P256(p256::VerificationKey),
    /// P-256 in an authenticator, for one relying party.
    Passkey(Passkey),
}

impl PublicKey {
    /// How it signs.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Ed25519(_) => Scheme::Ed25519,
            Self::Secp256k1(_) => Scheme::Secp256k1,
            Self::P256(_) => Scheme::P256,
            Self::Passkey(_) => Scheme::Passkey,
        }
    }
}

/// The point alone, in lowercase hexadecimal.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => key.fmt(f),
            Self::Secp256k1(key) => key.fmt(f),
            Self::P256(key) => key.fmt(f),
            Self::Passkey(passkey) => passkey.key.fmt(f),
        }
    }
}

impl Encode for PublicKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.scheme() as u8);
        match self {
            Self::Ed25519(key) => key.encode(out),
            Self::Secp256k1(key) => out.extend_from_slice(key.as_bytes()),
            Self::P256(key) => out.extend_from_slice(key.as_bytes()),
            Self::Passkey(Passkey { key, rp_id_hash, verifies_user }) => {
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(rp_id_hash);
                verifies_user.encode(out);
            }
        }
    }
}

impl Decode for PublicKey {
    const BYTES_MIN: usize = 33;
    /// Reads the bytes; whether they are a usable key is decided where a key is set or used.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number: u8 = reader.read()?;
        let scheme = Scheme::ALL.into_iter().find(|scheme| *scheme as u8 == number);
        Ok(match scheme.ok_or_else(|| reader.unknown("key scheme", u64::from(number)))? {
            Scheme::Ed25519 => Self::Ed25519(reader.read()?),
            Scheme::Secp256k1 => Self::Secp256k1(secp256k1::VerificationKey::from_bytes(reader.array()?)),
            Scheme::P256 => Self::P256(p256::VerificationKey::from_bytes(reader.array()?)),
            Scheme::Passkey => Self::Passkey(Passkey {
                key: p256::VerificationKey::from_bytes(reader.array()?),
                rp_id_hash: reader.array()?,
                verifies_user: reader.read()?,
            }),
        })
    }
}

/// An identity before it is hashed: what an [`Address`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gid {
    /// The first key; rotation changes the account's keys, never its GID.
    pub public_key: PublicKey,
    /// The plane's chain.
    pub chain_id: u64,
    /// What the identity claims to be.
    pub entity_type: EntityType,
    /// Lets one key have several addresses.
    pub version: u16,
}

fields!(Gid { public_key: PublicKey, chain_id: u64, entity_type: EntityType, version: u16 });

impl Gid {
    /// The address of this identity.
    pub fn address(&self) -> Address {
        Address(digest::hash(Domain::Address, self.chain_id, &[&self.to_bytes()]))
    }
}

/// Where money goes: the domain-separated BLAKE3 digest of a [`Gid`]. It can receive before it is registered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Digest);

impl Address {
    /// The address with these bytes; any 32 bytes can receive.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest(bytes))
    }

    /// An address that belongs to the plane itself. No GID encodes to these bytes, so nobody can sign for it.
    pub fn system(chain_id: u64, name: &str) -> Self {
        Self(digest::hash(Domain::Address, chain_id, &[b"system:", name.as_bytes()]))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The owner lanes of this address's slots: eight little-endian u64 of the BLAKE3 XOF, each mod p.
    pub fn owner_digest(&self) -> FieldDigest {
        poseidon2::reduce_wide(&digest::hash_wide(Domain::OwnerDigest, 0, self.as_bytes()))
    }

    /// The bech32m text under the prefix of `entity_type`.
    pub fn to_text(self, entity_type: EntityType) -> String {
        let prefix = Hrp::parse_unchecked(entity_type.prefix());
        bech32::encode::<Bech32m>(prefix, self.as_bytes()).expect("a short prefix and 32 bytes fit a bech32m string")
    }

    /// The decentralised identifier, `did:ghost:` and the text.
    pub fn to_did(self, entity_type: EntityType) -> String {
        format!("{DID_METHOD}{}", self.to_text(entity_type))
    }

    /// Reads a text or DID, and tells which type its prefix claims.
    pub fn parse(text: &str) -> Result<(Self, EntityType), AddressError> {
        let text = text.strip_prefix(DID_METHOD).unwrap_or(text);
        // Longer than any address can be: say so before the checksum is computed.
        if text.len() > 128 {
            return Err(AddressError::Length { bytes: text.len() });
        }
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| AddressError::Checksum)?;
        let prefix = checked.hrp().to_lowercase();
        let entity_type = EntityType::ALL.into_iter().find(|kind| kind.prefix() == prefix);
        let entity_type = entity_type.ok_or(AddressError::Prefix { prefix })?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| AddressError::Length { bytes: bytes.len() })?;
        Ok((Self::from_bytes(bytes), entity_type))
    }
}

const DID_METHOD: &str = "did:ghost:";

impl fmt::Display for Address {
    /// The text form under the wallet prefix, the only one that claims nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(EntityType::Wallet))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.0)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).map(|(address, _)| address)
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not bech32m, or mistyped.
    #[error("not an address: its checksum does not fit; copy it again, it looks like ghost1… or did:ghost:ghost1…")]
    Checksum,
    /// A good checksum under a foreign prefix.
    #[error("'{prefix}1…' is not an address of a plane; those begin with ghost1, gval1, gsvc1, gcon1, gbrg1 or gorc1")]
    Prefix {
        /// The prefix found.
        prefix: String,
    },
    /// Not 32 bytes.
    #[error("an address holds 32 bytes, this one {bytes}")]
    Length {
        /// Bytes found.
        bytes: usize,
    },
}

impl Encode for Address {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Address {
    const BYTES_MIN: usize = 32;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.read()?))
    }
}

/// An account on the L1: 32 bytes that only the L1 interprets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct L1Address(pub [u8; 32]);

impl fmt::Display for L1Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l1:{}", Digest(self.0))
    }
}

impl fmt::Debug for L1Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L1Address({})", Digest(self.0))
    }
}

impl Encode for L1Address {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for L1Address {
    const BYTES_MIN: usize = 32;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_carry_the_type_and_a_checksum() {
        let address = Address::from_bytes([7; 32]);
        for entity_type in EntityType::ALL {
            let text = address.to_text(entity_type);
            assert!(text.starts_with(entity_type.prefix()), "{text}");
            assert_eq!(Address::parse(&text), Ok((address, entity_type)));
            assert_eq!(Address::parse(&address.to_did(entity_type)), Ok((address, entity_type)));
            assert_eq!(Address::parse(&text.to_uppercase()), Ok((address, entity_type)));
        }
    }

    #[test]
    fn mistyped_texts_are_refused() {
        let text = Address::from_bytes([7; 32]).to_string();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
            let typo = String::from_utf8(bytes).expect("ascii");
            assert!(Address::parse(&typo).is_err(), "{typo}");
        }
        assert!(matches!(Address::parse(&"q".repeat(500)), Err(AddressError::Length { bytes: 500 })));
        let foreign = bech32::encode::<Bech32m>(Hrp::parse_unchecked("bc"), &[7; 32]).expect("short");
        assert!(matches!(Address::parse(&foreign), Err(AddressError::Prefix { .. })));
        let short = bech32::encode::<Bech32m>(Hrp::parse_unchecked("ghost"), &[7; 31]).expect("short");
        assert_eq!(Address::parse(&short), Err(AddressError::Length { bytes: 31 }));
        let old = bech32::encode::<bech32::Bech32>(Hrp::parse_unchecked("ghost"), &[7; 32]).expect("short");
        assert_eq!(Address::parse(&old), Err(AddressError::Checksum));
    }

    #[test]
    fn every_field_of_a_gid_changes_the_address() {
        let key = |byte| PublicKey::Ed25519(VerificationKey::from_bytes([byte; 32]));
        let gid = Gid { public_key: key(1), chain_id: 1337, entity_type: EntityType::Wallet, version: 0 };
        let others = [
            Gid { public_key: key(2), ..gid },
            Gid { chain_id: 10_000, ..gid },
            Gid { entity_type: EntityType::Service, ..gid },
            Gid { version: 1, ..gid },
        ];
        for other in others {
            assert_ne!(gid.address(), other.address(), "{other:?}");
        }
        assert_ne!(gid.address(), Address::system(1337, "fees"));
    }
}

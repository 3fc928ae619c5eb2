//! Cryptography of Ghostplane: everything above this crate names what it hashes or signs, and nothing above it touches a
//! primitive.
//!
//! | module | what it gives |
//! |---|---|
//! | [`domain`] | one tag per kind of hashed or signed byte string, and the 16-byte prefix made of it |
//! | [`digest`] | BLAKE3 digests under a domain, and the 48-byte messages that get signed |
//! | [`node`] | fixed-size keyed BLAKE3 for tree nodes, many independent inputs at a time |
//! | [`merkle`] | the bounded binary tree over a list of digests: roots, paths, checked inclusion |
//! | [`poseidon2`] | Poseidon2 over KoalaBear: the hash of what the ledger proof covers |
//! | [`ed25519`] | signatures by the rules of ZIP-215, singly and in batches that agree with the single check |
//! | [`secp256k1`], [`p256`] | ECDSA over both curves, with the smaller `s` of the two that fit |
//! | [`webauthn`] | assertions of passkeys: P-256 in the form that browsers and authenticators sign |
//! | [`workers`] | the executor that lends threads to pure code |
//! | [`hex`] | bytes as text |
//!
//! The crate is pure: no file, socket, clock, random source, log or thread, and no iteration in hash order. The same
//! input gives the same output on every machine, whichever vector instructions it has.

pub mod digest;
pub mod domain;
mod ecdsa;
pub mod ed25519;
pub mod hex;
pub mod merkle;
pub mod node;
pub mod p256;
pub mod poseidon2;
pub mod secp256k1;
pub mod webauthn;
pub mod workers;

pub use digest::{Digest, Hasher, hash, hash_wide, signing_bytes, signing_digest};
pub use domain::{Domain, FORMAT_VERSION};
pub use ed25519::{Signature, SigningKey, VerificationKey};
pub use poseidon2::FieldDigest;
pub use webauthn::{Assertion, Passkey};

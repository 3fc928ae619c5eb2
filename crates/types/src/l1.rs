//! Messages to the L1 as their senders sign them. What a message asks for is the settlement's format; here it is bytes.

use crate::address::L1Address;
use crate::codec::{Decode, DecodeError, Encode, Reader, put_byte_string};
use crate::limits::L1_MESSAGE_BYTES_MAX;
use ghostplane_ghostcipher::{Digest, Domain, Signature, SigningKey, VerificationKey, digest, ed25519};
use thiserror::Error;

/// A message to the L1 and who vouches for it.
///
/// | size | field |
/// |---|---|
/// | 8 | chain id of the L1 |
/// | 32 | verification key of the sender; these bytes are also the address of the account |
/// | 8 | sequence number, from 0 without gaps for each sender |
/// | varint, n | the message: canonical bytes of the settlement, at most [`L1_MESSAGE_BYTES_MAX`] |
/// | 64 | signature under [`Domain::L1Message`] over the digest of everything before it |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedL1Message {
    /// Which L1 it is for.
    pub chain_id: u64,
    /// Who sends it.
    pub sender: VerificationKey,
    /// How many messages of this sender the L1 took before.
    pub sequence: u64,
    /// What it asks for.
    pub message: Vec<u8>,
    /// Over [`Self::digest`].
    pub signature: Signature,
}

/// Why a message cannot be signed. Whoever made it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message of {found} bytes, an L1 message has at most {L1_MESSAGE_BYTES_MAX}")]
pub struct L1MessageTooLong {
    /// Bytes of the message.
    pub found: usize,
}

impl SignedL1Message {
    /// Bytes of the signature, which stands at the end.
    pub const SIGNATURE_BYTES: usize = 64;
    /// The most bytes that one takes.
    pub const BYTES_MAX: usize = L1_MESSAGE_BYTES_MAX + 8 + 32 + 8 + 3 + Self::SIGNATURE_BYTES;

    /// Signs a message of at most [`L1_MESSAGE_BYTES_MAX`] bytes.
    pub fn sign(key: &SigningKey, chain_id: u64, sequence: u64, message: Vec<u8>) -> Result<Self, L1MessageTooLong> {
        if message.len() > L1_MESSAGE_BYTES_MAX {
            return Err(L1MessageTooLong { found: message.len() });
        }
        let sender = key.verification_key();
        let digest = claim_digest(chain_id, &sender, sequence, &message);
        let signature = key.sign(Domain::L1Message, chain_id, &digest);
        Ok(Self { chain_id, sender, sequence, message, signature })
    }

    /// What is signed.
    pub fn digest(&self) -> Digest {
        claim_digest(self.chain_id, &self.sender, self.sequence, &self.message)
    }

    /// Checks the signature and says whose account it speaks for.
    pub fn verify(&self) -> Result<L1Address, ed25519::SignatureError> {
        ed25519::verify(Domain::L1Message, self.chain_id, &self.sender, &self.digest(), &self.signature)?;
        Ok(L1Address(*self.sender.as_bytes()))
    }
}

fn claim_digest(chain_id: u64, sender: &VerificationKey, sequence: u64, message: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(message.len() + 64);
    encode_claim(&mut bytes, chain_id, sender, sequence, message);
    digest::hash(Domain::L1Message, chain_id, &[&bytes])
}

fn encode_claim(out: &mut Vec<u8>, chain_id: u64, sender: &VerificationKey, sequence: u64, message: &[u8]) {
    chain_id.encode(out);
    sender.encode(out);
    sequence.encode(out);
    put_byte_string(out, message);
}

impl Encode for SignedL1Message {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_claim(out, self.chain_id, &self.sender, self.sequence, &self.message);
        self.signature.encode(out);
    }
}

impl Decode for SignedL1Message {
    const BYTES_MIN: usize = 8 + 32 + 8 + 1 + Self::SIGNATURE_BYTES;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            chain_id: reader.read()?,
            sender: reader.read()?,
            sequence: reader.read()?,
            message: reader.byte_string("L1 message bytes", L1_MESSAGE_BYTES_MAX)?.to_vec(),
            signature: reader.read()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> SignedL1Message {
        SignedL1Message::sign(&SigningKey::from_seed([7; 32]), 9_999, 3, vec![4]).expect("short")
    }

    #[test]
    fn the_sender_is_the_account_that_the_key_names() {
        let signed = signed();
        assert_eq!(signed.verify().map(|address| address.0), Ok(*signed.sender.as_bytes()));
        assert_eq!(SignedL1Message::from_bytes(&signed.to_bytes()), Ok(signed));
    }

    #[test]
    fn a_touched_message_is_not_the_senders() {
        let bytes = signed().to_bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut touched = bytes.clone();
                touched[at] ^= 1 << bit;
                let valid = SignedL1Message::from_bytes(&touched).map(|message| message.verify());
                assert!(!matches!(valid, Ok(Ok(_))), "byte {at}, bit {bit}");
            }
            assert!(SignedL1Message::from_bytes(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn a_message_has_a_longest_length() {
        let key = SigningKey::from_seed([7; 32]);
        let full =
            SignedL1Message::sign(&key, 1, 0, vec![1; L1_MESSAGE_BYTES_MAX]).expect("it is as long as it may be");
        assert_eq!(full.to_bytes().len(), SignedL1Message::BYTES_MAX);
        let found = L1_MESSAGE_BYTES_MAX + 1;
        assert_eq!(SignedL1Message::sign(&key, 1, 0, vec![1; found]), Err(L1MessageTooLong { found }));
        let over = SignedL1Message { message: vec![1; found], ..full };
        assert!(matches!(SignedL1Message::from_bytes(&over.to_bytes()), Err(DecodeError::OverLimit { .. })));
    }
}

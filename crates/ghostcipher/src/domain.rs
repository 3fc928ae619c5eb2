//! Domain tags: a byte string hashed or signed for one purpose can never be taken for one of another.
//!
//! Every such byte string starts with 16 bytes:
//!
//! | bytes | content |
//! |---|---|
//! | 0..4 | `GHPL` |
//! | 4..6 | the tag, `u16` little-endian |
//! | 6..8 | [`FORMAT_VERSION`], `u16` little-endian |
//! | 8..16 | the chain id, `u64` little-endian; 0 where a value is the same on every chain |

/// Version of all hashed and signed formats. It rises when a format changes, and every digest changes with it.
pub const FORMAT_VERSION: u16 = 1;

/// Length of the prefix in bytes.
pub const PREFIX_LEN: usize = 16;

const MAGIC: [u8; 4] = *b"GHPL";

macro_rules! domains {
    ($($(#[$doc:meta])* $name:ident = $tag:literal,)*) => {
        /// What a hashed or signed byte string is. The tags are frozen: a tag is never reused or renumbered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Domain {
            $($(#[$doc])* $name = $tag,)*
        }

        impl Domain {
            /// Every domain, by rising tag.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name of the domain, as written in the code and in conformance vectors.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

domains! {
    /// The address of a GID.
    Address = 1,
    /// The id of a transaction: the digest of its body.
    TransactionId = 2,
    /// The sender's signature over a transaction id.
    TransactionAuth = 3,
    /// A guardian's signature over a transaction or proposal id.
    Approval = 4,
    /// A sponsor's signature over a transaction id.
    Sponsor = 5,
    /// The genesis document; its digest is the plane id.
    Genesis = 6,
    /// A batch header.
    Header = 7,
    /// The state fields of a header: the state root.
    State = 8,
    /// A commitment to a run of batches.
    Commitment = 9,
    /// A signature of an attester over a commitment.
    Attestation = 10,
    /// One entry of the L1 inbox.
    InboxEntry = 11,
    /// The chain of inbox entries.
    InboxChain = 12,
    /// One record of the transaction log.
    LogRecord = 13,
    /// The outcome of a transaction.
    Outcome = 14,
    /// One withdrawal of the outbox.
    Withdrawal = 15,
    /// What a batch issued and retired, per asset.
    Flows = 16,
    /// One flush of the transaction log.
    Flush = 17,
    /// The sequencer's signature over a flush.
    FlushSignature = 18,
    /// The key of an object.
    ObjectKey = 19,
    /// The value of an object.
    ObjectValue = 20,
    /// A leaf of the object tree.
    ObjectLeaf = 21,
    /// An inner node of the object tree.
    ObjectNode = 22,
    /// An inner node of a list tree (see [`crate::merkle`]).
    MerkleNode = 23,
    /// The root of a list tree: its count and top node.
    MerkleRoot = 24,
    /// The owner digest of a ledger slot.
    OwnerDigest = 25,
    /// One chunk of posted data.
    DataChunk = 26,
    /// The posted data of one batch.
    PostedBatch = 27,
    /// The state of the settlement.
    SettlementState = 28,
    /// The configuration of the settlement.
    SettlementConfig = 29,
    /// The id of a withdrawal.
    WithdrawalId = 30,
    /// An archive of past batches.
    Archive = 31,
    /// The tip of a payment stream's hash chain.
    StreamTip = 32,
    /// The seed of a proof's transcript.
    ProofTranscript = 33,
    /// A checkpoint of the state.
    Checkpoint = 34,
    /// A key file.
    KeyFile = 35,
    /// The coefficients of a batched signature check (see [`crate::ed25519`]). They never leave the check.
    SignatureBatch = 36,
    /// A message to the L1, signed by its sender.
    L1Message = 37,
    /// A challenge that shows a service who is there.
    SignIn = 38,
    /// The name of a text of rules.
    Covenant = 39,
    /// The claims of a credential.
    Claims = 45,
    /// Tests and examples; nothing on a chain carries it.
    Test = 65535,
}

impl Domain {
    /// The tag as it stands in the prefix.
    #[must_use]
    pub const fn tag(self) -> u16 {
        self as u16
    }
}

/// Returns the 16 bytes that start every byte string hashed or signed under `domain` on chain `chain_id`.
#[must_use]
pub const fn prefix(domain: Domain, chain_id: u64) -> [u8; PREFIX_LEN] {
    let [m0, m1, m2, m3] = MAGIC;
    let [t0, t1] = domain.tag().to_le_bytes();
    let [v0, v1] = FORMAT_VERSION.to_le_bytes();
    let [c0, c1, c2, c3, c4, c5, c6, c7] = chain_id.to_le_bytes();
    [m0, m1, m2, m3, t0, t1, v0, v1, c0, c1, c2, c3, c4, c5, c6, c7]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tags_and_names_are_unique_and_listed_by_rising_tag() {
        let tags: BTreeSet<u16> = Domain::ALL.iter().map(|domain| domain.tag()).collect();
        let names: BTreeSet<&str> = Domain::ALL.iter().map(|domain| domain.name()).collect();
        assert_eq!(tags.len(), Domain::ALL.len());
        assert_eq!(names.len(), Domain::ALL.len());
        assert!(Domain::ALL.is_sorted());
        assert!(!tags.contains(&0), "tag 0 stays free: zeroed memory is no domain");
    }

    #[test]
    fn frozen_tags_do_not_move() {
        assert_eq!(Domain::Address.tag(), 1);
        assert_eq!(Domain::MerkleNode.tag(), 23);
        assert_eq!(Domain::KeyFile.tag(), 35);
        assert_eq!(Domain::Test.tag(), u16::MAX);
        assert_eq!(Domain::Address.name(), "Address");
    }

    #[test]
    fn the_prefix_is_laid_out_as_documented() {
        assert_eq!(
            prefix(Domain::Test, 0x0807_0605_0403_0201),
            [b'G', b'H', b'P', b'L', 0xff, 0xff, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(prefix(Domain::LogRecord, 0)[4..8], [13, 0, 1, 0]);
    }
}

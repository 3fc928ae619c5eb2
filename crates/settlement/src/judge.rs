//! The judge: whoever can execute a batch again.

use ghostplane_ghostcipher::Digest;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader};
use ghostplane_types::{BatchHeader, Genesis, InboxEntry, PlaneState};

/// Executes one batch from its posted bytes and a witness and says whether its header is true.
///
/// A judge is a pure function: every host's judge must give the same verdict on the same case.
pub trait Judge {
    /// Judges one case.
    fn replay(&self, case: &Case<'_>) -> Verdict;
}

/// One batch as the settlement puts it before the judge.
///
/// The settlement vouches for all of it but `witness`: the posted bytes hash to what was committed, `claimed` is the header
/// committed for them, `prev` is the state of the header committed before it, and `inbox` is complete.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The plane's terms.
    pub genesis: &'a Genesis,
    /// Digest of those terms.
    pub plane_id: Digest,
    /// The generation of the commitment.
    pub generation: u32,
    /// The state before the batch.
    pub prev: &'a PlaneState,
    /// The inbox entries from `prev.inbox_upto` up to, not with, `claimed.inbox_upto`.
    pub inbox: &'a [InboxEntry],
    /// The batch in posted form.
    pub posted: &'a [u8],
    /// What the challenger says about the state before the batch. It may be anything.
    pub witness: &'a [u8],
    /// The header that the operator committed.
    pub claimed: &'a BatchHeader,
}

/// What a judge finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The batch gives the claimed header.
    Same,
    /// It does not, or it gives none: the operator lied.
    Differs {
        /// Why, by the judge's own numbers.
        reason: u16,
    },
    /// The witness does not prove, or does not contain, the state that the batch needs: the challenger's fault.
    Insufficient,
}

/// What a case is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To show that a batch is false. Holds up its finality, and the bond is lost if it is true.
    Challenge,
    /// To make a batch final before its window ends. Holds nothing up, and the bond returns if it is true.
    Replay,
}

impl Encode for Purpose {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Challenge => 1,
            Self::Replay => 2,
        });
    }
}

impl Decode for Purpose {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            1 => Ok(Self::Challenge),
            2 => Ok(Self::Replay),
            unknown => Err(reader.unknown("purpose", u64::from(unknown))),
        }
    }
}

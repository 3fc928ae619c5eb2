//! Committers: those who have executed a plane's batches themselves and vouch for its commitments.

use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_list};
use crate::commitment::Attestation;
use crate::limits::COMMITTERS_MAX;
use ghostplane_ghostcipher::VerificationKey;
use thiserror::Error;

/// Whose attestations a commitment needs besides the sequencer's. Nobody's, if there are none.
///
/// They are fixed by genesis: nothing on the plane or on the L1 changes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committers {
    /// Who, ascending by key.
    pub members: Vec<Committer>,
    /// How much weight together lets a commitment pass.
    pub quorum: u32,
}

/// One who may vouch for commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committer {
    /// What he signs with.
    pub key: VerificationKey,
    /// How much he counts, at least 1.
    pub weight: u16,
}

fields!(Committer { key: VerificationKey, weight: u16 });

/// Why these are no committers of a plane.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommittersError {
    /// More than a commitment has room for.
    #[error("{found} committers, at most {COMMITTERS_MAX}")]
    Count {
        /// How many.
        found: usize,
    },
    /// A key out of order or doubled, one that cannot be held to a signature, or one without weight.
    #[error("committer {0} is out of order, doubled, of no weight, or has a key of small order")]
    Member(VerificationKey),
    /// The sequencer attests anyway, so that a quorum which he counts in would say less than it seems to.
    #[error("the sequencer is no committer: what he attests does not count")]
    Sequencer,
    /// More than all of them together have, or nothing.
    #[error("a quorum of {quorum} out of {sum}: it is between 1 and that, or 0 where there are no committers")]
    Quorum {
        /// The weight asked for.
        quorum: u32,
        /// The weight that there is.
        sum: u32,
    },
}

impl Committers {
    /// Whether a commitment needs any of them.
    pub fn is_required(&self) -> bool {
        self.quorum > 0
    }

    /// What a key counts; nothing if it is nobody's.
    pub fn weight_of(&self, key: &VerificationKey) -> Option<u16> {
        let found = self.members.binary_search_by(|member| member.key.as_bytes().cmp(key.as_bytes()));
        found.ok().map(|at| self.members[at].weight)
    }

    /// What attestations count together. Their signatures are not looked at, and each has to be another's.
    pub fn weight(&self, attestations: &[Attestation]) -> u32 {
        attestations.iter().filter_map(|by| self.weight_of(&by.key)).map(u32::from).sum()
    }

    /// Whether commitments of a plane with this sequencer can pass.
    pub fn check(&self, sequencer: &VerificationKey) -> Result<(), CommittersError> {
        let found = self.members.len();
        if found > COMMITTERS_MAX {
            return Err(CommittersError::Count { found });
        }
        let mut before: Option<&Committer> = None;
        for member in &self.members {
            let ascends = before.is_none_or(|before| before.key.as_bytes() < member.key.as_bytes());
            if !ascends || member.weight == 0 || VerificationKey::parse(*member.key.as_bytes()).is_err() {
                return Err(CommittersError::Member(member.key));
            }
            if member.key == *sequencer {
                return Err(CommittersError::Sequencer);
            }
            before = Some(member);
        }
        let sum = self.members.iter().map(|member| u32::from(member.weight)).sum();
        let least = u32::from(!self.members.is_empty());
        let quorum = self.quorum;
        if (least..=sum).contains(&quorum) { Ok(()) } else { Err(CommittersError::Quorum { quorum, sum }) }
    }
}

impl Encode for Committers {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.members);
        self.quorum.encode(out);
    }
}

impl Decode for Committers {
    const BYTES_MIN: usize = 1 + 4;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { members: reader.list("committers", COMMITTERS_MAX)?, quorum: reader.read()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::{Signature, SigningKey};

    fn key(seed: u8) -> VerificationKey {
        SigningKey::from_seed([seed; 32]).verification_key()
    }

    fn committers(seeds: &[(u8, u16)], quorum: u32) -> Committers {
        let mut members: Vec<Committer> =
            seeds.iter().map(|&(seed, weight)| Committer { key: key(seed), weight }).collect();
        members.sort_unstable_by_key(|member| *member.key.as_bytes());
        Committers { members, quorum }
    }

    #[test]
    fn a_quorum_can_be_had_or_the_terms_are_refused() {
        let sequencer = key(1);
        assert_eq!(Committers::default().check(&sequencer), Ok(()));
        assert!(!Committers::default().is_required());
        for quorum in 1..=4 {
            assert_eq!(committers(&[(2, 1), (3, 2), (4, 1)], quorum).check(&sequencer), Ok(()));
        }
        let quorum = |quorum, sum| Err(CommittersError::Quorum { quorum, sum });
        assert_eq!(committers(&[(2, 1), (3, 2), (4, 1)], 5).check(&sequencer), quorum(5, 4));
        assert_eq!(committers(&[(2, 1), (3, 2), (4, 1)], 0).check(&sequencer), quorum(0, 4));
        assert_eq!(committers(&[], 1).check(&sequencer), quorum(1, 0));
        assert_eq!(committers(&[(2, 1), (1, 1)], 1).check(&sequencer), Err(CommittersError::Sequencer));
        let most: Vec<(u8, u16)> = (10..).take(COMMITTERS_MAX).map(|seed| (seed, u16::MAX)).collect();
        let all = u32::try_from(COMMITTERS_MAX).expect("few") * u32::from(u16::MAX);
        assert_eq!(committers(&most, all).check(&sequencer), Ok(()));
        let too_many: Vec<(u8, u16)> = (10..).take(COMMITTERS_MAX + 1).map(|seed| (seed, 1)).collect();
        let found = COMMITTERS_MAX + 1;
        assert_eq!(committers(&too_many, 1).check(&sequencer), Err(CommittersError::Count { found }));
    }

    #[test]
    fn each_member_stands_in_its_place_once_and_can_be_held_to_a_signature() {
        let sequencer = key(1);
        let sound = committers(&[(2, 1), (3, 1)], 2);
        let mut swapped = sound.clone();
        swapped.members.swap(0, 1);
        let mut doubled = sound.clone();
        doubled.members[1] = doubled.members[0];
        let mut weightless = sound.clone();
        weightless.members[1].weight = 0;
        // The identity has order 1: any signature would hold.
        let mut small = sound;
        let mut identity = [0; 32];
        identity[0] = 1;
        small.members[0].key = VerificationKey::from_bytes(identity);
        for (wrong, at) in [(swapped, 1), (doubled, 1), (weightless, 1), (small, 0)] {
            let named = wrong.members[at].key;
            assert_eq!(wrong.check(&sequencer), Err(CommittersError::Member(named)));
        }
    }

    #[test]
    fn strangers_weigh_nothing() {
        let of = |seed: u8| Attestation { key: key(seed), signature: Signature([0; 64]) };
        let members = committers(&[(2, 3), (3, 5)], 8);
        assert_eq!(members.weight(&[]), 0);
        assert_eq!(members.weight(&[of(1), of(2), of(9)]), 3);
        assert_eq!(members.weight(&[of(1), of(3), of(2)]), 8);
        assert_eq!((members.weight_of(&key(3)), members.weight_of(&key(9))), (Some(5), None));
    }

    #[test]
    fn what_is_written_reads_back_and_no_longer_list_does() {
        let some = committers(&[(2, 3), (3, 5)], 8);
        assert_eq!(Committers::from_bytes(&some.to_bytes()).as_ref(), Ok(&some));
        assert_eq!(Committers::default().to_bytes(), [0; 5]);
        let long: Vec<(u8, u16)> = (10..).take(COMMITTERS_MAX + 1).map(|seed| (seed, 1)).collect();
        assert!(Committers::from_bytes(&committers(&long, 1).to_bytes()).is_err());
    }
}

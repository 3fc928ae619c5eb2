//! Which withdrawals have been claimed: their indices as runs, so that what is claimed in full takes one entry.

use crate::limits::CLAIM_RUNS_MAX;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_varint};
use std::collections::BTreeMap;

/// Claimed indices: the start of each run and the index behind its end. Runs neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    runs: BTreeMap<u64, u64>,
}

/// A claim that [`Claims::check`] found to be new, for [`Claims::mark`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unclaimed {
    index: u64,
}

/// Why an index cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotClaimable {
    Twice,
    Full,
}

impl Claims {
    pub(crate) fn is_claimed(&self, index: u64) -> bool {
        self.run_before(index).is_some_and(|(_, end)| index < end)
    }

    /// Every index below this is claimed.
    pub(crate) fn all_below(&self) -> u64 {
        self.runs.get(&0).copied().unwrap_or(0)
    }

    /// The index behind the last claimed one.
    pub(crate) fn end(&self) -> u64 {
        self.runs.last_key_value().map_or(0, |(_, end)| *end)
    }

    pub(crate) fn check(&self, index: u64) -> Result<Unclaimed, NotClaimable> {
        if self.is_claimed(index) {
            return Err(NotClaimable::Twice);
        }
        let touches =
            self.run_before(index).is_some_and(|(_, end)| end == index) || self.runs.contains_key(&(index + 1));
        if self.runs.len() >= CLAIM_RUNS_MAX && !touches {
            return Err(NotClaimable::Full);
        }
        Ok(Unclaimed { index })
    }

    pub(crate) fn mark(&mut self, unclaimed: Unclaimed) {
        let Unclaimed { index } = unclaimed;
        let start = self.run_before(index).filter(|(_, end)| *end == index).map_or(index, |(start, _)| start);
        let end = self.runs.remove(&(index + 1)).unwrap_or(index + 1);
        self.runs.insert(start, end);
    }

    fn run_before(&self, index: u64) -> Option<(u64, u64)> {
        self.runs.range(..=index).next_back().map(|(start, end)| (*start, *end))
    }
}

impl Encode for Claims {
    /// The number of runs, then for each how far it starts behind the last and how long it is.
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.runs.len() as u64);
        let mut behind = 0;
        for (start, end) in &self.runs {
            put_varint(out, start - behind);
            put_varint(out, end - start);
            behind = *end;
        }
    }
}

impl Decode for Claims {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count("runs of claims", CLAIM_RUNS_MAX, 2)?;
        let mut runs = BTreeMap::new();
        let mut behind = 0u64;
        for run in 0..count {
            let (gap, len) = (reader.varint()?, reader.varint()?);
            let start = behind.checked_add(gap);
            let end = start.and_then(|start| start.checked_add(len));
            match (start, end) {
                (Some(start), Some(end)) if len > 0 && (gap > 0 || run == 0) => {
                    runs.insert(start, end);
                    behind = end;
                }
                _ => return Err(reader.non_canonical("runs of claims")),
            }
        }
        Ok(Self { runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn runs_agree_with_a_set_in_any_order() {
        for stride in [1u64, 3, 5, 7, 11, 13] {
            let (mut claims, mut model) = (Claims::default(), BTreeSet::new());
            for step in 0..64 {
                let index = step * stride % 64;
                claims.mark(claims.check(index).expect("new"));
                model.insert(index);
                assert_eq!(claims.check(index).err(), Some(NotClaimable::Twice));
                (0..66).for_each(|index| assert_eq!(claims.is_claimed(index), model.contains(&index)));
                assert_eq!(Claims::from_bytes(&claims.to_bytes()), Ok(claims.clone()));
                assert_eq!(Some(claims.end()), model.last().map(|last| last + 1));
            }
            assert_eq!((claims.runs.len(), claims.all_below()), (1, 64));
        }
    }

    #[test]
    fn a_full_note_still_takes_claims_that_close_gaps() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, CLAIM_RUNS_MAX as u64);
        // Every second index is claimed, from 1 on.
        bytes.resize(bytes.len() + 2 * CLAIM_RUNS_MAX, 1);
        let claims = Claims::from_bytes(&bytes).expect("as many runs as may be");
        let end = claims.end();
        assert_eq!(claims.check(end + 1).err(), Some(NotClaimable::Full));
        assert!(claims.check(end).is_ok() && claims.check(0).is_ok() && claims.check(2).is_ok());
    }

    #[test]
    fn runs_that_touch_or_are_empty_do_not_decode() {
        for bytes in [&[1, 0, 0][..], &[2, 0, 1, 0, 1], &[1, 5], &[1, 5, 1, 0]] {
            assert!(Claims::from_bytes(bytes).is_err(), "{bytes:?}");
        }
        assert!(Claims::from_bytes(&[2, 0, 1, 1, 1]).is_ok());
    }
}

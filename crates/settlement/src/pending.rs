//! Commitments that are not final as a whole.

use crate::codec::fields;
use ghostplane_ghostcipher::Digest;
use ghostplane_types::BatchHeader;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader};
use ghostplane_types::limits::COMMITMENT_BATCHES_MAX;

/// A commitment as the settlement keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its first batch.
    pub first_batch: u64,
    /// Its root over header digests.
    pub headers_root: Digest,
    /// Its root over posted batches.
    pub data_digest: Digest,
    /// The header of its last batch; of the last before the convicted one if a conviction cut it short.
    pub last_header: BatchHeader,
    /// The L1 block that accepted it.
    pub height: u64,
    /// What the window clock showed then, see [`crate::Settlement::window_clock`].
    pub(crate) clock: u64,
    pub(crate) replayed: Marks,
    pub(crate) proven: Marks,
}

fields!(Pending {
    first_batch: u64,
    headers_root: Digest,
    data_digest: Digest,
    last_header: BatchHeader,
    height: u64,
    clock: u64,
    replayed: Marks,
    proven: Marks,
});

impl Pending {
    /// Its last batch.
    pub fn last_batch(&self) -> u64 {
        self.last_header.number
    }

    /// How many batches it has.
    pub fn batches(&self) -> u64 {
        self.last_batch() - self.first_batch + 1
    }

    /// Whether the batch was replayed and is true.
    pub fn is_replayed(&self, batch: u64) -> bool {
        self.place(batch).is_some_and(|place| self.replayed.contains(place))
    }

    pub(crate) fn mark_replayed(&mut self, batch: u64) {
        if let Some(place) = self.place(batch) {
            self.replayed.insert(place);
        }
    }

    /// Whether a proof shows that the batch conserves value.
    pub fn is_proven(&self, batch: u64) -> bool {
        self.place(batch).is_some_and(|place| self.proven.contains(place))
    }

    /// Marks those of its batches that are among these.
    pub(crate) fn mark_proven(&mut self, first_batch: u64, last_batch: u64) {
        for batch in first_batch.max(self.first_batch)..=last_batch.min(self.last_batch()) {
            if let Some(place) = self.place(batch) {
                self.proven.insert(place);
            }
        }
    }

    /// Cuts the batches after `prev` off, which is one of this commitment's.
    pub(crate) fn cut_after(&mut self, prev: BatchHeader) {
        self.last_header = prev;
        let kept = usize::try_from(self.batches()).expect("at most the batches of a commitment");
        self.replayed.keep(kept);
        self.proven.keep(kept);
    }

    fn place(&self, batch: u64) -> Option<usize> {
        let inside = (self.first_batch..=self.last_batch()).contains(&batch);
        inside.then(|| usize::try_from(batch - self.first_batch).expect("at most the batches of a commitment"))
    }
}

/// A set of places within a commitment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks([u64; WORDS]);

const WORDS: usize = COMMITMENT_BATCHES_MAX / 64;
const _: () = assert!(COMMITMENT_BATCHES_MAX.is_multiple_of(64));

impl Marks {
    fn contains(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn insert(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    /// Drops the places from `count` on.
    fn keep(&mut self, count: usize) {
        for (at, word) in self.0.iter_mut().enumerate() {
            let kept = count.saturating_sub(at * 64).min(64);
            *word &= if kept == 64 { u64::MAX } else { (1 << kept) - 1 };
        }
    }

    /// Whether no place from `count` on is in the set.
    pub(crate) fn fits(&self, count: usize) -> bool {
        let mut kept = *self;
        kept.keep(count);
        kept == *self
    }
}

impl Encode for Marks {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|word| word.encode(out));
    }
}

impl Decode for Marks {
    const BYTES_MIN: usize = WORDS * 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut words = [0; WORDS];
        for word in &mut words {
            *word = reader.read()?;
        }
        Ok(Self(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_a_set_of_places() {
        let mut marks = Marks::default();
        for place in [0, 63, 64, 700, 1023] {
            assert!(!marks.contains(place));
            marks.insert(place);
            assert!(marks.contains(place));
        }
        assert!(marks.fits(1024) && !marks.fits(1023));
        marks.keep(700);
        assert!(marks.contains(64) && !marks.contains(700) && !marks.contains(1023));
        marks.keep(64);
        assert!(marks.contains(63) && !marks.contains(64));
        marks.keep(0);
        assert_eq!(marks, Marks::default());
    }
}

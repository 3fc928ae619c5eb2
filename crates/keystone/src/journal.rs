//! The digest of a batch's journal: what the conservation proof and the replay meet in.
//!
//! Entries are chained in segments of [`JOURNAL_SEGMENT`], and the ends of the segments are chained again:
//!
//! ```text
//! inner: s_0 = [0; 7] || Segment      s_{j+1} = compress(s_j, [from, to, a0, a1, a2, a3, 0, Entry])
//! outer: o_0 = [count, 0, .., Journal]  o_{k+1} = compress(o_k, end of segment k)
//! ```
//!
//! `a0..a3` are the 16-bit limbs of the amount, lowest first. One long chain would be bound by the latency of a single
//! permutation; segments are hashed side by side.

use crate::hash::{LedgerHash, TreeHash, ZERO, element, leaf_count, limbs};
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear, compress};
use ghostplane_ghostcipher::workers::{Serial, Workers, map_chunks};
use ghostplane_types::JournalEntry;

/// Entries of one segment; the last one of a journal may be shorter.
pub const JOURNAL_SEGMENT: usize = 64;

/// A journal has fewer entries than this: the clock of the conservation proof counts two touches of each below 2^23.
pub const JOURNAL_ENTRIES_LIMIT: usize = 1 << 22;

/// Segments that are hashed side by side.
const GROUP: usize = 64;

/// The journal digest of a batch.
///
/// # Panics
/// If there are [`JOURNAL_ENTRIES_LIMIT`] entries or more; the limits of a batch are far below.
pub fn digest(entries: &[JournalEntry]) -> FieldDigest {
    digest_with(entries, &Serial)
}

/// [`digest`], with the segments shared out among `workers`.
///
/// # Panics
/// As [`digest`].
pub fn digest_with(entries: &[JournalEntry], workers: &dyn Workers) -> FieldDigest {
    assert!(entries.len() < JOURNAL_ENTRIES_LIMIT, "{} journal entries", entries.len());
    let ends = map_chunks(workers, entries, GROUP * JOURNAL_SEGMENT, segment_ends);
    let start = start(leaf_count(entries.len()), FieldTag::Journal);
    ends.iter().flatten().fold(start, |outer, end| compress(&outer, end))
}

/// The start of a chain: `[number, 0, .., tag]`.
fn start(number: u32, tag: FieldTag) -> FieldDigest {
    let mut elements = [ZERO; 8];
    elements[0] = element(number);
    elements[7] = tag.element();
    FieldDigest(elements)
}

fn entry_elements(entry: &JournalEntry) -> FieldDigest {
    let [a0, a1, a2, a3] = limbs(entry.amount);
    let (from, to) = (element(entry.from.index()), element(entry.to.index()));
    FieldDigest([from, to, a0, a1, a2, a3, ZERO, FieldTag::Entry.element()])
}

/// The ends of at most [`GROUP`] segments, one step of all of them at a time.
fn segment_ends(entries: &[JournalEntry]) -> Vec<FieldDigest> {
    let segments: Vec<&[JournalEntry]> = entries.chunks(JOURNAL_SEGMENT).collect();
    let mut ends = vec![start(0, FieldTag::Segment); segments.len()];
    let mut inputs: Vec<[KoalaBear; 16]> = Vec::with_capacity(segments.len());
    for step in 0..JOURNAL_SEGMENT {
        inputs.clear();
        // Only the last segment can be short, so those that still have an entry are the first ones.
        let open = segments.iter().zip(&ends).map_while(|(segment, end)| Some((segment.get(step)?, end)));
        inputs.extend(open.map(|(entry, end)| LedgerHash::pair(end, &entry_elements(entry))));
        LedgerHash::hash_pairs(&inputs, &mut ends[..inputs.len()]);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::{Amount, SlotIndex};

    fn entry(number: u64) -> JournalEntry {
        let slot = |number: u64| SlotIndex::new(u32::try_from(number % (1 << 30)).expect("reduced")).expect("reduced");
        let amount = Amount::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1).expect("63 bits");
        JournalEntry { from: slot(number * 7919), to: slot(number * 104_729 + 1), amount }
    }

    /// The definition, one scalar permutation after the other.
    fn naive(entries: &[JournalEntry]) -> FieldDigest {
        let element = KoalaBear::new;
        let mut outer = FieldDigest::EMPTY;
        outer.0[0] = element(u32::try_from(entries.len()).expect("a few"));
        outer.0[7] = element(FieldTag::Journal as u32);
        for segment in entries.chunks(64) {
            let mut inner = FieldDigest::EMPTY;
            inner.0[7] = element(FieldTag::Segment as u32);
            for entry in segment {
                let limb =
                    |at: u32| element(u32::try_from(entry.amount.units() >> (16 * at) & 0xffff).expect("16 bits"));
                let elements = [
                    element(entry.from.index()),
                    element(entry.to.index()),
                    limb(0),
                    limb(1),
                    limb(2),
                    limb(3),
                    element(0),
                    element(FieldTag::Entry as u32),
                ];
                inner = compress(&inner, &FieldDigest(elements));
            }
            outer = compress(&outer, &inner);
        }
        outer
    }

    #[test]
    fn segments_side_by_side_equal_the_plain_chains() {
        let entries: Vec<_> = (0..8200).map(entry).collect();
        for count in [0, 1, 2, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 8200] {
            assert_eq!(digest(&entries[..count]), naive(&entries[..count]), "{count} entries");
        }
    }

    #[test]
    fn every_field_of_every_entry_and_their_order_count() {
        let entries: Vec<_> = (0..130).map(entry).collect();
        let honest = digest(&entries);
        for at in [0, 63, 64, 129] {
            let changed = |change: fn(&mut JournalEntry)| {
                let mut entries = entries.clone();
                change(&mut entries[at]);
                digest(&entries)
            };
            assert_ne!(changed(|entry| entry.from = SlotIndex::OUTSIDE.max(entry.to)), honest, "from of {at}");
            assert_ne!(changed(|entry| entry.to = SlotIndex::OUTSIDE), honest, "to of {at}");
            assert_ne!(
                changed(|entry| entry.amount = Amount::new(entry.amount.units() ^ 1 << 62).expect("63 bits")),
                honest
            );
        }
        let mut swapped = entries.clone();
        swapped.swap(3, 70);
        assert_ne!(digest(&swapped), honest);
        assert_ne!(digest(&entries[..129]), honest);
    }
}

//! The objects in key order.

use crate::hash::BLOCK;
use ghostplane_types::ObjectKey;
use std::ops::Range;

/// Most positions in one block of [`Order`].
const BLOCK_MAX: usize = 512;
/// Positions by which a block's memory grows.
const BLOCK_STEP: usize = 64;

/// Positions sorted by their keys, in blocks short enough to shift. The sentinel is the first, for ever.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    blocks: Vec<Vec<u32>>,
}

/// Where a key belongs: a block, and the place in it of the largest key below.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    block: usize,
    at: usize,
}

impl Order {
    /// From positions that are sorted already, the sentinel's first.
    pub(crate) fn from_sorted(sorted: &[u32]) -> Self {
        Self { blocks: sorted.chunks(BLOCK_MAX).map(<[u32]>::to_vec).collect() }
    }

    /// The position of the largest key below `key`, which is not the sentinel's.
    pub(crate) fn low<'k>(&self, key: &ObjectKey, key_of: impl Fn(u32) -> &'k ObjectKey) -> u32 {
        let mut lows = [0];
        self.low_many(&[key], &mut lows, key_of);
        lows[0]
    }

    /// The same for at most [`BLOCK`] keys.
    pub(crate) fn low_many<'k>(&self, keys: &[&ObjectKey], lows: &mut [u32], key_of: impl Fn(u32) -> &'k ObjectKey) {
        let mut places = [Place::default(); BLOCK];
        self.places(keys, &mut places[..keys.len()], &key_of);
        for (low, place) in lows.iter_mut().zip(&places[..keys.len()]) {
            *low = self.blocks[place.block][place.at];
        }
    }

    /// Adds the keys at these positions, which must be new and ascend.
    pub(crate) fn insert<'k>(&mut self, positions: Range<u32>, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let positions: Vec<u32> = positions.collect();
        let mut places = vec![Place::default(); positions.len()];
        for (positions, places) in positions.chunks(BLOCK).zip(places.chunks_mut(BLOCK)) {
            let keys: Vec<&ObjectKey> = positions.iter().map(|&position| key_of(position)).collect();
            self.places(&keys, places, &key_of);
        }
        // From the last block to the first, so that the places found in earlier ones stay right.
        let added: Vec<(Place, u32)> = places.into_iter().zip(positions).collect();
        for added in added.chunk_by(|a, b| a.0.block == b.0.block).rev() {
            self.insert_into_block(added[0].0.block, added);
        }
    }

    /// Adds positions to a block, each behind the place that was found for it; ascending.
    fn insert_into_block(&mut self, number: usize, added: &[(Place, u32)]) {
        let block = &mut self.blocks[number];
        let len = block.len() + added.len();
        if len > block.capacity() {
            block.reserve_exact(added.len().max(BLOCK_STEP));
        }
        for &(place, position) in added.iter().rev() {
            block.insert(place.at + 1, position);
        }
        if len > BLOCK_MAX {
            let pieces: Vec<Vec<u32>> =
                block.chunks(len.div_ceil(len.div_ceil(BLOCK_MAX))).map(<[u32]>::to_vec).collect();
            self.blocks.splice(number..=number, pieces);
        }
    }

    /// Takes out the key at `position`.
    pub(crate) fn remove<'k>(&mut self, position: u32, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let mut places = [Place::default()];
        self.places(&[key_of(position)], &mut places, &key_of);
        let Place { mut block, at } = places[0];
        let mut at = at + 1;
        if at == self.blocks[block].len() {
            (block, at) = (block + 1, 0);
        }
        let removed = self.blocks[block].remove(at);
        assert_eq!(removed, position, "the sorted positions hold every allocated object");
        if self.blocks[block].is_empty() {
            self.blocks.remove(block);
        }
    }

    /// Finds where keys above the sentinel's belong: binary searches side by side, one step of all of them at a time, so
    /// that the reads of a step wait for memory at once.
    fn places<'k>(&self, keys: &[&ObjectKey], places: &mut [Place], key_of: &impl Fn(u32) -> &'k ObjectKey) {
        places.fill(Place::default());
        // The sentinel is below every key, so the entry that a search stands on is always below its key.
        let mut size = self.blocks.len();
        while size > 1 {
            for (place, key) in places.iter_mut().zip(keys) {
                let middle = place.block + size / 2;
                if key_of(self.blocks[middle][0]) < key {
                    place.block = middle;
                }
            }
            size -= size / 2;
        }
        let mut sizes = [0; BLOCK];
        for (size, place) in sizes.iter_mut().zip(&*places) {
            *size = self.blocks[place.block].len();
        }
        while sizes.iter().any(|&size| size > 1) {
            for ((size, place), key) in sizes.iter_mut().zip(&mut *places).zip(keys) {
                let middle = place.at + *size / 2;
                if *size > 1 && key_of(self.blocks[place.block][middle]) < key {
                    place.at = middle;
                }
                *size -= *size / 2;
            }
        }
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let positions: usize = self.blocks.iter().map(Vec::capacity).sum();
        positions * size_of::<u32>() + self.blocks.capacity() * size_of::<Vec<u32>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(number: u32) -> ObjectKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        ObjectKey::from_bytes(bytes)
    }

    #[test]
    fn what_is_below_is_found_while_keys_come_and_go() {
        for batch in [1, 7, 200, 1700] {
            // Ascending within each batch, as the keys of a batch come.
            let mut keys: Vec<ObjectKey> = (0..5000).map(|position| key(position * 7919 % 100_003)).collect();
            keys[1..].chunks_mut(batch).for_each(<[ObjectKey]>::sort);
            let key_of = |position: u32| &keys[position as usize];
            let mut order = Order::from_sorted(&[0]);
            let mut sorted = BTreeMap::from([(keys[0], 0)]);
            let check = |order: &Order, sorted: &BTreeMap<ObjectKey, u32>| {
                assert!(order.blocks.iter().all(|block| (1..=BLOCK_MAX).contains(&block.len())));
                assert!(order.blocks.iter().flatten().eq(sorted.values()));
                for number in (1..100_003).step_by(97) {
                    let below = sorted.range(..key(number)).next_back().map(|(_, position)| *position);
                    assert_eq!(Some(order.low(&key(number), key_of)), below);
                }
            };
            for start in (1..5000).step_by(batch) {
                let end = 5000.min(start + u32::try_from(batch).expect("small"));
                order.insert(start..end, key_of);
                sorted.extend((start..end).map(|position| (*key_of(position), position)));
            }
            check(&order, &sorted);
            for position in (1..5000).filter(|position| position % 50 != 0) {
                order.remove(position, key_of);
                sorted.remove(key_of(position));
            }
            check(&order, &sorted);
        }
    }
}

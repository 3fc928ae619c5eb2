//! Finding objects: by key, and by place among the sorted keys.

use ghostplane_types::ObjectKey;
use hashbrown::HashTable;

/// Positions of keys by a keyed hash.
///
/// Owners choose raw keys, so they can search for digests that collide under a known hash; the driver picks the seed
/// and keeps it to itself. Nothing that leaves the crate depends on it.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    table: HashTable<u32>,
    seeds: [u64; 4],
}

impl Directory {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self { table: HashTable::new(), seeds: std::array::from_fn(|_| split_mix(&mut state)) }
    }

    /// Makes room for `count` keys in all.
    pub(crate) fn reserve<'k>(&mut self, count: usize, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let more = count.saturating_sub(self.table.len());
        let seeds = self.seeds;
        self.table.reserve(more, |&index| mix(&seeds, key_of(index)));
    }

    /// The position of `key`.
    #[inline]
    pub(crate) fn find<'k>(&self, key: &ObjectKey, key_of: impl Fn(u32) -> &'k ObjectKey) -> Option<u32> {
        self.table.find(mix(&self.seeds, key), |&index| key_of(index) == key).copied()
    }

    /// A position that `key` may have, found without reading any key.
    pub(crate) fn guess(&self, key: &ObjectKey) -> Option<u32> {
        self.table.find(mix(&self.seeds, key), |_| true).copied()
    }

    /// Adds the key at `index`, which must be new.
    pub(crate) fn insert<'k>(&mut self, index: u32, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let seeds = self.seeds;
        self.table.insert_unique(mix(&seeds, key_of(index)), index, |&index| mix(&seeds, key_of(index)));
    }

    /// Takes out the key at `index`.
    pub(crate) fn remove(&mut self, index: u32, key: &ObjectKey) {
        let found = self.table.find_entry(mix(&self.seeds, key), |&other| other == index);
        found.expect("only keys of allocated objects are taken out").remove();
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.allocation_size()
    }
}

/// Two folded multiplications, as in wyhash: each half of the key under a seed of its own.
#[inline]
fn mix(seeds: &[u64; 4], key: &ObjectKey) -> u64 {
    let (words, _) = key.as_bytes().as_chunks();
    let word = |at: usize| u64::from_le_bytes(words[at]) ^ seeds[at];
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are folded into one")]
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product ^ product >> 64) as u64
    };
    fold(fold(word(0), word(2)) ^ seeds[3], fold(word(1), word(3)) ^ seeds[0])
}

/// The splitmix64 generator (Steele, Lea, Flood 2014): one seed to several.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Most positions in one block of [`Order`].
const BLOCK_MAX: usize = 512;
/// Positions by which a block's memory grows.
const BLOCK_STEP: usize = 64;

/// Positions sorted by their keys, in blocks short enough to shift. The sentinel is the first, for ever.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    blocks: Vec<Vec<u32>>,
}

impl Order {
    /// From positions that are sorted already, the sentinel's first.
    pub(crate) fn from_sorted(sorted: &[u32]) -> Self {
        Self { blocks: sorted.chunks(BLOCK_MAX).map(<[u32]>::to_vec).collect() }
    }

    /// The position of the largest key below `key`, which is not the sentinel's.
    pub(crate) fn low<'k>(&self, key: &ObjectKey, key_of: impl Fn(u32) -> &'k ObjectKey) -> u32 {
        let (block, at) = self.place(key, &key_of);
        self.blocks[block][at - 1]
    }

    /// Adds the key at `index`, which must be new.
    pub(crate) fn insert<'k>(&mut self, index: u32, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let (place, mut at) = self.place(key_of(index), &key_of);
        let mut block = &mut self.blocks[place];
        if block.len() == BLOCK_MAX {
            let upper = block.split_off(BLOCK_MAX / 2);
            block.shrink_to(BLOCK_MAX / 2 + BLOCK_STEP);
            self.blocks.insert(place + 1, upper);
            let upper_half = at > BLOCK_MAX / 2;
            at -= if upper_half { BLOCK_MAX / 2 } else { 0 };
            block = &mut self.blocks[place + usize::from(upper_half)];
        }
        if block.len() == block.capacity() {
            block.reserve_exact(BLOCK_STEP);
        }
        block.insert(at, index);
    }

    /// Takes out the key at `index`.
    pub(crate) fn remove<'k>(&mut self, index: u32, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let (mut place, mut at) = self.place(key_of(index), &key_of);
        if at == self.blocks[place].len() {
            (place, at) = (place + 1, 0);
        }
        let removed = self.blocks[place].remove(at);
        assert_eq!(removed, index, "the sorted positions hold every allocated object");
        if self.blocks[place].is_empty() {
            self.blocks.remove(place);
        }
    }

    /// The block that holds the largest key below `key`, and the place behind it: at least 1, at most the block's length.
    fn place<'k>(&self, key: &ObjectKey, key_of: &impl Fn(u32) -> &'k ObjectKey) -> (usize, usize) {
        let below = |index: u32| key_of(index) < key;
        let block = self.blocks.partition_point(|block| below(block[0]));
        let block = block.checked_sub(1).expect("the sentinel is below every key that is looked for");
        (block, self.blocks[block].partition_point(|&index| below(index)))
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let positions: usize = self.blocks.iter().map(Vec::capacity).sum();
        positions * size_of::<u32>() + self.blocks.capacity() * size_of::<Vec<u32>>()
    }
}

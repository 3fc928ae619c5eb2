//! Finding objects by key.

use ghostplane_types::ObjectKey;

/// Positions of keys by a keyed hash: open addressing with linear probing, four bytes a place.
///
/// Owners choose raw keys, so they can search for digests that collide under a known hash; the driver picks the seed
/// and keeps it to itself. Nothing that leaves the crate depends on it. The sentinel is not listed.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    /// A power of two of them. Two bits of the hash above a position, or 0 for an empty place.
    places: Vec<u32>,
    len: usize,
    seeds: [u64; 4],
}

const TAG_SHIFT: u32 = 30;
const POSITION_MASK: u32 = (1 << TAG_SHIFT) - 1;
const PLACES_MIN: usize = 16;

/// Where a key is looked for first, and what is noted there besides its position.
#[derive(Clone, Copy)]
struct Home {
    place: usize,
    tag: u32,
}

impl Directory {
    /// A directory with room for `count` keys.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let mut state = seed;
        let places = (count * 4).div_ceil(3).next_power_of_two().max(PLACES_MIN);
        Self { places: vec![0; places], len: 0, seeds: std::array::from_fn(|_| split_mix(&mut state)) }
    }

    /// The position of `key`.
    #[inline]
    pub(crate) fn find<'k>(&self, key: &ObjectKey, key_of: impl Fn(u32) -> &'k ObjectKey) -> Option<u32> {
        let Home { mut place, tag } = self.home(key);
        loop {
            let entry = self.places[place];
            let position = entry & POSITION_MASK;
            if entry >> TAG_SHIFT == tag && position != 0 && key_of(position) == key {
                return Some(position);
            }
            if entry == 0 {
                return None;
            }
            place = self.after(place);
        }
    }

    /// A position that each of `keys` may have, found without reading any key; 0 if it has none.
    pub(crate) fn guess<'k>(&self, keys: impl Iterator<Item = &'k ObjectKey> + Clone, guesses: &mut [u32]) {
        // The first pass waits for all places at once.
        let touched = keys.clone().fold(0, |sum, key| sum ^ self.places[self.home(key).place]);
        std::hint::black_box(touched);
        for (guess, key) in guesses.iter_mut().zip(keys) {
            let Home { mut place, tag } = self.home(key);
            while self.places[place] != 0 && self.places[place] >> TAG_SHIFT != tag {
                place = self.after(place);
            }
            *guess = self.places[place] & POSITION_MASK;
        }
    }

    /// Adds the key at `position`, which must be new.
    pub(crate) fn insert<'k>(&mut self, position: u32, key_of: impl Fn(u32) -> &'k ObjectKey) {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.grow(&key_of);
        }
        self.place(position, key_of(position));
        self.len += 1;
    }

    /// Takes out the key at `position`.
    pub(crate) fn remove<'k>(&mut self, position: u32, key_of: impl Fn(u32) -> &'k ObjectKey) {
        let home = self.home(key_of(position));
        let found = self.candidates(home).find(|found| found.1 == position);
        let (mut empty, _) = found.expect("only listed keys are taken out");
        // Whoever stands behind the gap and is looked for at or before it moves up, so that no search ends too early.
        let mut place = empty;
        loop {
            place = self.after(place);
            let entry = self.places[place];
            if entry == 0 {
                break;
            }
            let home = self.home(key_of(entry & POSITION_MASK)).place;
            let distance = |to: usize| to.wrapping_sub(home) & (self.places.len() - 1);
            if distance(empty) <= distance(place) {
                self.places[empty] = entry;
                empty = place;
            }
        }
        self.places[empty] = 0;
        self.len -= 1;
    }

    /// Places and positions that have the tag of a key, from its home to the next empty place.
    #[inline]
    fn candidates(&self, home: Home) -> impl Iterator<Item = (usize, u32)> {
        let places = std::iter::successors(Some(home.place), |&place| Some(self.after(place)));
        let entries = places.map(|place| (place, self.places[place])).take_while(|&(_, entry)| entry != 0);
        let tagged = entries.filter(move |&(_, entry)| entry >> TAG_SHIFT == home.tag);
        tagged.map(|(place, entry)| (place, entry & POSITION_MASK))
    }

    #[inline]
    fn home(&self, key: &ObjectKey) -> Home {
        let [a, b, c, d, .., h] = mix(&self.seeds, key).to_le_bytes();
        let place = u32::from_le_bytes([a, b, c, d]) as usize;
        Home { place: place & (self.places.len() - 1), tag: u32::from(h >> 6) }
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn place(&mut self, position: u32, key: &ObjectKey) {
        let Home { mut place, tag } = self.home(key);
        while self.places[place] != 0 {
            place = self.after(place);
        }
        self.places[place] = tag << TAG_SHIFT | position;
    }

    fn grow<'k>(&mut self, key_of: &impl Fn(u32) -> &'k ObjectKey) {
        let more = vec![0; 2 * self.places.len()];
        for entry in std::mem::replace(&mut self.places, more).into_iter().filter(|&entry| entry != 0) {
            let position = entry & POSITION_MASK;
            self.place(position, key_of(position));
        }
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_they_are_taken_out() {
        let mut state = 7;
        let keys: Vec<ObjectKey> = (0..3000)
            .map(|_| {
                let mut bytes = [0; 32];
                bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes()));
                ObjectKey::from_bytes(bytes)
            })
            .collect();
        let key_of = |position: u32| &keys[position as usize];
        for seed in 0..4 {
            let mut directory = Directory::new(seed, 0);
            let mut listed = std::collections::BTreeSet::new();
            for round in 0..20_000 {
                let position = 1 + u32::try_from(split_mix(&mut state) % 2999).expect("small");
                // Mostly in at first, mostly out later, through several sizes.
                let take_out = listed.contains(&position);
                if take_out && (round > 10_000 || position % 3 == 0) {
                    directory.remove(position, key_of);
                    listed.remove(&position);
                } else if !take_out && round < 15_000 {
                    directory.insert(position, key_of);
                    listed.insert(position);
                }
                if round % 1000 == 0 {
                    for (position, key) in (0..).zip(&keys) {
                        assert_eq!(directory.find(key, key_of), listed.get(&position).copied());
                    }
                }
            }
            let mut guesses = [0; 100];
            directory.guess(keys[..100].iter(), &mut guesses);
            for (position, guess) in (0..).zip(guesses) {
                assert!(guess != 0 || !listed.contains(&position));
            }
        }
    }
}

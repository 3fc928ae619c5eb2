//! Which object leaves a list of changes touches, and how the leaves link up afterwards.

use crate::change::ObjectChange;
use crate::hash::{BLOCK, leaf_count};
use crate::view::Missing;
use ghostplane_types::ObjectKey;

/// Where keys are, as a whole tree or a witness knows it.
pub(crate) trait Locate {
    /// The position of `key`, or `None` if it surely has none.
    fn find(&self, key: &ObjectKey) -> Result<Option<u32>, Missing>;

    /// The position of the largest key below `key`, which has none itself.
    fn low(&self, key: &ObjectKey) -> Result<u32, Missing>;

    /// The same for at most [`BLOCK`] keys.
    fn low_many(&self, keys: &[&ObjectKey], lows: &mut [u32; BLOCK]) -> Result<(), Missing> {
        for (low, key) in lows.iter_mut().zip(keys) {
            *low = self.low(key)?;
        }
        Ok(())
    }

    /// The positions of the keys of at most [`BLOCK`] changes.
    fn find_many(&self, changes: &[ObjectChange], positions: &mut [Option<u32>; BLOCK]) -> Result<(), Missing> {
        for (position, change) in positions.iter_mut().zip(changes) {
            *position = self.find(&change.key)?;
        }
        Ok(())
    }
}

/// An allocated leaf that changes its value, its link, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Existing {
    pub(crate) index: u32,
    /// The change that sets or removes its value.
    pub(crate) change: Option<u32>,
    /// The appended leaf that it links to from now on.
    pub(crate) link: Option<u32>,
}

/// A leaf for a key that never had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The change that sets its value.
    pub(crate) change: u32,
    pub(crate) next: Next,
}

/// What an appended leaf links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next appended leaf: both fall into one gap.
    Appended,
    /// What the allocated leaf at this position linked to before: it ends the gap.
    After(u32),
}

/// The leaves that change: allocated ones ascending by index, then those to append, in key order.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectPlan {
    pub(crate) existing: Vec<Existing>,
    pub(crate) appended: Vec<Appended>,
    /// Positions above the numbers of the changes that set them, to be sorted as plain numbers.
    found: Vec<u64>,
}

impl ObjectPlan {
    /// Plans `changes`, ascending by key. Keeps its memory between batches.
    ///
    /// A key that never had a leaf gets one behind the used ones, in key order, and is linked in behind the largest
    /// key below it; several in one gap form a chain.
    pub(crate) fn fill(&mut self, state: &impl Locate, changes: &[ObjectChange]) -> Result<(), Missing> {
        self.existing.clear();
        self.appended.clear();
        self.found.clear();
        let mut positions = [None; BLOCK];
        let mut lows = [0; BLOCK];
        let mut absent = Vec::new();
        // The gap that the last appended key fell into: the leaf below it.
        let mut gap = None;
        for (block, first) in changes.chunks(BLOCK).zip((0_u32..).step_by(BLOCK)) {
            state.find_many(block, &mut positions)?;
            absent.clear();
            for ((change, at), position) in block.iter().zip(first..).zip(&positions) {
                match position {
                    Some(position) => self.found.push(u64::from(*position) << 32 | u64::from(at)),
                    None => absent.push((&change.key, at)),
                }
            }
            let keys: Vec<&ObjectKey> = absent.iter().map(|(key, _)| *key).collect();
            state.low_many(&keys, &mut lows)?;
            for (&(_, at), &low) in absent.iter().zip(&lows) {
                self.append(at, low, gap == Some(low));
                gap = Some(low);
            }
        }
        self.found.sort_unstable();
        let linked = self.existing.len();
        self.existing.extend(self.found.iter().map(|&found| {
            let [a, b, c, d, e, f, g, h] = found.to_le_bytes();
            let (index, change) = (u32::from_le_bytes([e, f, g, h]), u32::from_le_bytes([a, b, c, d]));
            Existing { index, change: Some(change), link: None }
        }));
        if linked > 0 {
            self.join_links();
        }
        Ok(())
    }

    /// Appends the leaf of a change whose key falls behind the leaf at `low`, or into the gap of the last one.
    fn append(&mut self, change: u32, low: u32, same_gap: bool) {
        match self.appended.last_mut().filter(|_| same_gap) {
            Some(previous) => previous.next = Next::Appended,
            None => {
                let ordinal = leaf_count(self.appended.len());
                self.existing.push(Existing { index: low, change: None, link: Some(ordinal) });
            }
        }
        self.appended.push(Appended { change, next: Next::After(low) });
    }

    /// Sorts leaves that link to appended ones among those that change their value.
    fn join_links(&mut self) {
        self.existing.sort_unstable_by_key(|leaf| leaf.index);
        // A leaf may both change its value and be linked anew; it is listed once for each until here.
        self.existing.dedup_by(|later, first| {
            let same = later.index == first.index;
            if same {
                first.change = first.change.or(later.change);
                first.link = first.link.or(later.link);
            }
            same
        });
    }
}

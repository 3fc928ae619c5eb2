//! Which object leaves a list of changes touches, and how the leaves link up afterwards.

use crate::change::ObjectChange;
use crate::hash::BLOCK;
use crate::view::Missing;
use ghostplane_types::ObjectKey;

/// Where keys are, as a whole tree or a witness knows it.
pub(crate) trait Locate {
    /// The position of `key`, or `None` if it surely has none.
    fn find(&self, key: &ObjectKey) -> Result<Option<u32>, Missing>;

    /// The position of the largest key below `key`, which has none itself.
    fn low(&self, key: &ObjectKey) -> Result<u32, Missing>;

    /// Says that the keys of these changes are looked for next.
    fn warm(&self, _changes: &[ObjectChange]) {}
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
}

impl ObjectPlan {
    /// Plans `changes`, ascending by key. Keeps its memory between batches.
    ///
    /// A key that never had a leaf gets one behind the used ones, in key order, and is linked in behind the largest
    /// key below it; several in one gap form a chain.
    pub(crate) fn fill(&mut self, state: &impl Locate, changes: &[ObjectChange]) -> Result<(), Missing> {
        self.existing.clear();
        self.appended.clear();
        // The gap that the last appended key fell into: the leaf below it.
        let mut gap = None;
        for (change, at) in changes.iter().zip(0..) {
            if at as usize % BLOCK == 0 {
                state.warm(&changes[at as usize..changes.len().min(at as usize + BLOCK)]);
            }
            if let Some(index) = state.find(&change.key)? {
                self.existing.push(Existing { index, change: Some(at), link: None });
                continue;
            }
            let low = state.low(&change.key)?;
            match self.appended.last_mut().filter(|_| gap == Some(low)) {
                Some(previous) => previous.next = Next::Appended,
                None => {
                    let ordinal = u32::try_from(self.appended.len()).expect("a changeset fits the memory of a batch");
                    self.existing.push(Existing { index: low, change: None, link: Some(ordinal) });
                }
            }
            gap = Some(low);
            self.appended.push(Appended { change: at, next: Next::After(low) });
        }
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
        Ok(())
    }
}

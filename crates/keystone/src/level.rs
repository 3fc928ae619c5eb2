//! One level of a tree in memory.

/// Two neighbours, which a climb reads together: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Couple<D>(pub(crate) [D; 2]);

/// Couples of a segment: 256 KiB.
pub(crate) const SEGMENT: usize = 1 << SEGMENT_BITS;
const SEGMENT_BITS: usize = 12;

/// The nodes of a level in order. Segments let it grow without being moved and without much room unused.
///
/// Only the last segment is not full. Where the last couple has one node only, its other half is the unallocated
/// subtree of that height, as every node is until it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Level<D> {
    segments: Vec<Vec<Couple<D>>>,
    unallocated: D,
    len: usize,
}

impl<D: Copy> Level<D> {
    /// A level of `len` nodes, not stored yet.
    pub(crate) fn new(len: usize, unallocated: D) -> Self {
        let mut level = Self { segments: vec![Vec::new()], unallocated, len: 0 };
        level.resize(len);
        level
    }

    /// The node at `index`; `None` behind the last couple.
    #[inline]
    pub(crate) fn node(&self, index: usize) -> Option<&D> {
        let couple = self.segments.get(index >> (SEGMENT_BITS + 1))?.get(index >> 1 & (SEGMENT - 1))?;
        Some(&couple.0[index & 1])
    }

    /// Stores a node. One behind the end is left alone.
    #[inline]
    pub(crate) fn store(&mut self, index: usize, node: D) {
        if index < self.len {
            *self.node_mut(index).expect("there are as many nodes as the length says") = node;
        }
    }

    #[inline]
    fn node_mut(&mut self, index: usize) -> Option<&mut D> {
        let couple = self.segments.get_mut(index >> (SEGMENT_BITS + 1))?.get_mut(index >> 1 & (SEGMENT - 1))?;
        Some(&mut couple.0[index & 1])
    }

    /// The couples of each segment in order.
    pub(crate) fn segments_mut(&mut self) -> impl Iterator<Item = &mut [Couple<D>]> {
        self.segments.iter_mut().map(Vec::as_mut_slice)
    }

    /// The couple at `index`, half the index of either of its nodes.
    pub(crate) fn couple(&self, index: usize) -> &Couple<D> {
        &self.segments[index >> SEGMENT_BITS][index & (SEGMENT - 1)]
    }

    /// Drops nodes from the end, or adds some that are not stored yet.
    pub(crate) fn resize(&mut self, len: usize) {
        let couples = len.div_ceil(2);
        let segments = couples.div_ceil(SEGMENT).max(1);
        self.segments.truncate(segments);
        while self.segments.len() < segments {
            self.fill_last(SEGMENT);
            self.segments.push(Vec::new());
        }
        self.fill_last(couples - (segments - 1) * SEGMENT);
        if len % 2 == 1 {
            let unallocated = self.unallocated;
            *self.node_mut(len).expect("the last couple has two halves") = unallocated;
        }
        self.len = len;
    }

    fn fill_last(&mut self, couples: usize) {
        let last = self.segments.last_mut().expect("a level has a first segment");
        if couples > last.capacity() {
            let step = last.capacity().min(SEGMENT / 8);
            last.reserve_exact(couples.max(last.capacity() + step).min(SEGMENT) - last.len());
        }
        last.resize(couples, Couple([self.unallocated; 2]));
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let couples: usize = self.segments.iter().map(Vec::capacity).sum();
        couples * size_of::<Couple<D>>() + self.segments.capacity() * size_of::<Vec<Couple<D>>>()
    }
}

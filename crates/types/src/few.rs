//! A short list that stays in place: nearly every account has one key, one lane and one slot.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// A list whose first `N` items take no memory of their own. Reads as a slice.
#[derive(Clone)]
pub struct Few<T, const N: usize>(Items<T, N>);

#[derive(Clone)]
enum Items<T, const N: usize> {
    /// The first so many of these, at least one; what is behind them has no meaning.
    Inline(usize, [T; N]),
    /// None, or what once were more than `N`.
    Heap(Vec<T>),
}

impl<T, const N: usize> Few<T, N> {
    /// No items.
    pub const fn new() -> Self {
        Self(Items::Heap(Vec::new()))
    }
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// Appends an item.
    #[inline]
    pub fn push(&mut self, item: T) {
        match &mut self.0 {
            Items::Inline(len, items) if *len < N => {
                items[*len] = item;
                *len += 1;
            }
            Items::Inline(_, items) => {
                let mut all = Vec::with_capacity(2 * N);
                all.extend_from_slice(items);
                all.push(item);
                self.0 = Items::Heap(all);
            }
            Items::Heap(items) if items.capacity() == 0 && N > 0 => self.0 = Items::Inline(1, [item; N]),
            Items::Heap(items) => items.push(item),
        }
    }

    /// Inserts an item at a position that is at most the length.
    pub fn insert(&mut self, at: usize, item: T) {
        self.push(item);
        self[at..].rotate_right(1);
    }

    /// Keeps the items that `keep` holds for.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        *self = self.iter().copied().filter(keep).collect();
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Items::Inline(len, items) => &items[..*len],
            Items::Heap(items) => items,
        }
    }
}

impl<T, const N: usize> DerefMut for Few<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Items::Inline(len, items) => &mut items[..*len],
            Items::Heap(items) => items,
        }
    }
}

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy, const N: usize> FromIterator<T> for Few<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::new();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Few<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Few<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for Few<T, N> {}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_what_a_vec_does() {
        let mut few: Few<u32, 2> = Few::new();
        let mut vec: Vec<u32> = Vec::new();
        for step in 0..200_u32 {
            let item = step.wrapping_mul(2_654_435_761) >> 7;
            let at = item as usize % (vec.len() + 1);
            match step % 5 {
                0 | 1 => (few.push(item), vec.push(item)),
                2 | 3 => (few.insert(at, item), vec.insert(at, item)),
                _ => {
                    let keep = |other: &u32| !(other ^ item).is_multiple_of(3);
                    (few.retain(keep), vec.retain(keep))
                }
            };
            assert_eq!(*few, *vec, "step {step}");
            assert_eq!(vec.iter().copied().collect::<Few<u32, 2>>(), few, "step {step}");
        }
    }
}

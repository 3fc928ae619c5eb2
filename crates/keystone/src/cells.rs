//! The leaves' contents in memory: slots in 44 bytes each, objects in 124.

use crate::hash::leaf_count;
use ghostplane_ghostcipher::FieldDigest;
use ghostplane_types::{Amount, AssetId, ObjectKey, Slot, SlotKind};

/// Makes room for `more` items in steps of 1/64, where doubling would leave half of a big list unused.
fn reserve_small<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() / 64 + 64));
    }
}

/// Slots by index; the outside has a cell that nobody reads.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    cells: Vec<SlotCell>,
}

#[derive(Clone, Copy, Debug, Default)]
struct SlotCell {
    owner: FieldDigest,
    /// Kind in the top two bits, asset below.
    kind_and_asset: u32,
    /// Base units, little-endian; bytes, because a `u64` would be padded to 48 bytes a cell.
    balance: [u8; 8],
}

const KIND_SHIFT: u32 = 30;

impl SlotCell {
    #[inline]
    fn pack(slot: &Slot) -> Self {
        Self {
            owner: slot.owner,
            kind_and_asset: (slot.kind as u32) << KIND_SHIFT | slot.asset.number(),
            balance: slot.balance.units().to_le_bytes(),
        }
    }

    #[inline]
    fn unpack(&self) -> Slot {
        let kind = if self.kind_and_asset >> KIND_SHIFT == 0 { SlotKind::Account } else { SlotKind::Stream };
        let units = u64::from_le_bytes(self.balance);
        Slot {
            kind,
            owner: self.owner,
            asset: AssetId::new(self.kind_and_asset & (AssetId::LIMIT - 1)).expect("masked to 30 bits"),
            balance: Amount::new(units).expect("cells are packed from slots"),
        }
    }
}

impl Slots {
    /// Only the outside.
    pub(crate) fn new() -> Self {
        Self { cells: vec![SlotCell::default()] }
    }

    /// Slots handed out, the outside included.
    pub(crate) fn used(&self) -> u32 {
        leaf_count(self.cells.len())
    }

    /// The slot at `index`, unless it is the outside or was never allocated.
    #[inline]
    pub(crate) fn read(&self, index: u32) -> Option<Slot> {
        if index == 0 { None } else { self.cells.get(index as usize).map(SlotCell::unpack) }
    }

    /// Reads a byte of each of these slots. The reads wait for memory all at once, not one after another.
    pub(crate) fn touch(&self, indices: impl Iterator<Item = u32>) {
        let cells = indices.filter_map(|index| self.cells.get(index as usize));
        let ends = cells.map(|cell| u8::from(cell.owner.0[0] == cell.owner.0[7]) ^ cell.balance[7]);
        std::hint::black_box(ends.fold(0, |sum, end| sum ^ end));
    }

    /// Overwrites an allocated slot, or appends the next one.
    pub(crate) fn write(&mut self, index: u32, slot: &Slot) {
        match self.cells.get_mut(index as usize) {
            Some(cell) => *cell = SlotCell::pack(slot),
            None => self.push(slot),
        }
    }

    pub(crate) fn push(&mut self, slot: &Slot) {
        reserve_small(&mut self.cells, 1);
        self.cells.push(SlotCell::pack(slot));
    }

    /// Makes room for exactly `more` slots.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.cells.reserve_exact(more);
    }

    pub(crate) fn truncate(&mut self, used: u32) {
        self.cells.truncate(used as usize);
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<SlotCell>()
    }
}

/// Objects by index, the sentinel first. Most values live inside their cell.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    cells: Vec<ObjectCell>,
    long: LongValues,
}

/// Values too long for their cell.
#[derive(Clone, Debug, Default)]
struct LongValues {
    values: Vec<Box<[u8]>>,
    /// Places that are free.
    free: Vec<u32>,
}

impl LongValues {
    fn insert(&mut self, value: &[u8]) -> u32 {
        if let Some(place) = self.free.pop() {
            self.values[place as usize] = value.into();
            return place;
        }
        self.values.push(value.into());
        leaf_count(self.values.len() - 1)
    }

    fn remove(&mut self, place: u32) {
        self.values[place as usize] = Box::default();
        self.free.push(place);
    }

    fn heap_bytes(&self) -> usize {
        let values: usize = self.values.iter().map(|value| value.len()).sum();
        self.values.capacity() * size_of::<Box<[u8]>>() + self.free.capacity() * size_of::<u32>() + values
    }
}

/// The longest value that stays inside its cell.
const INLINE_MAX: usize = 87;
/// In place of a length: the object was removed.
const REMOVED: u8 = 0xff;
/// In place of a length: the first four bytes say where in the list of long values it is.
const LONG: u8 = 0xfe;

#[derive(Clone, Debug)]
struct ObjectCell {
    key: ObjectKey,
    /// The position of the next larger key; 0 at the end.
    next: u32,
    len: u8,
    inline: [u8; INLINE_MAX],
}

const _: () = assert!(size_of::<SlotCell>() == 44 && size_of::<ObjectCell>() == 124);

impl ObjectCell {
    fn long_place(&self) -> Option<u32> {
        let [a, b, c, d, ..] = self.inline;
        (self.len == LONG).then(|| u32::from_le_bytes([a, b, c, d]))
    }

    fn put(&mut self, value: &[u8], long: &mut LongValues) {
        match self.inline.get_mut(..value.len()) {
            Some(inline) => {
                inline.copy_from_slice(value);
                self.len = u8::try_from(value.len()).expect("at most 87");
            }
            None => {
                self.inline[..4].copy_from_slice(&long.insert(value).to_le_bytes());
                self.len = LONG;
            }
        }
    }
}

impl Objects {
    /// Only the sentinel.
    pub(crate) fn new() -> Self {
        let mut objects = Self { cells: Vec::new(), long: LongValues::default() };
        objects.push(&ObjectKey::SENTINEL, None);
        objects
    }

    /// Objects handed out, the sentinel included.
    pub(crate) fn used(&self) -> u32 {
        leaf_count(self.cells.len())
    }

    #[inline]
    pub(crate) fn key(&self, index: u32) -> &ObjectKey {
        &self.cells[index as usize].key
    }

    #[inline]
    pub(crate) fn next(&self, index: u32) -> u32 {
        self.cells[index as usize].next
    }

    pub(crate) fn set_next(&mut self, index: u32, next: u32) {
        self.cells[index as usize].next = next;
    }

    /// Reads a byte of both ends of each of these cells, as [`Slots::touch`] does.
    pub(crate) fn touch(&self, indices: impl Iterator<Item = u32>) {
        let cells = indices.filter_map(|index| self.cells.get(index as usize));
        let ends = cells.map(|cell| cell.key.as_bytes()[0] ^ cell.len ^ cell.inline[INLINE_MAX - 1]);
        std::hint::black_box(ends.fold(0, |sum, end| sum ^ end));
    }

    /// Reads a byte of both ends of each of these keys, as [`Slots::touch`] does.
    pub(crate) fn touch_keys(&self, indices: impl Iterator<Item = u32>) {
        let keys = indices.filter_map(|index| Some(self.cells.get(index as usize)?.key.as_bytes()));
        let ends = keys.map(|key| key[0] ^ key[31]);
        std::hint::black_box(ends.fold(0, |sum, end| sum ^ end));
    }

    /// The value at an allocated index, unless it was removed.
    #[inline]
    pub(crate) fn value(&self, index: u32) -> Option<&[u8]> {
        let cell = &self.cells[index as usize];
        match cell.len {
            REMOVED => None,
            LONG => cell.long_place().map(|place| &*self.long.values[place as usize]),
            len => Some(&cell.inline[..usize::from(len)]),
        }
    }

    /// Sets or removes the value at an allocated index.
    pub(crate) fn set_value(&mut self, index: u32, value: Option<&[u8]>) {
        if let Some(place) = self.cells[index as usize].long_place() {
            self.long.remove(place);
        }
        let Self { cells, long } = self;
        match value {
            Some(value) => cells[index as usize].put(value, long),
            None => cells[index as usize].len = REMOVED,
        }
    }

    /// Appends an object that is last in the order until it is linked.
    pub(crate) fn push(&mut self, key: &ObjectKey, value: Option<&[u8]>) {
        reserve_small(&mut self.cells, 1);
        let mut cell = ObjectCell { key: *key, next: 0, len: REMOVED, inline: [0; INLINE_MAX] };
        if let Some(value) = value {
            cell.put(value, &mut self.long);
        }
        self.cells.push(cell);
    }

    /// Makes room for exactly `more` objects.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.cells.reserve_exact(more);
    }

    /// Forgets the objects from `used` on.
    pub(crate) fn truncate(&mut self, used: u32) {
        for index in used..self.used() {
            self.set_value(index, None);
        }
        self.cells.truncate(used as usize);
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<ObjectCell>() + self.long.heap_bytes()
    }
}

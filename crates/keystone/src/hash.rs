//! The two hashes of the two trees, and how slots and objects become leaves.

use ghostplane_ghostcipher::node::{TreeKey, hash_64, hash_128};
use ghostplane_ghostcipher::poseidon2::{FieldTag, KoalaBear, STATE_ELEMENTS, compress_many};
use ghostplane_ghostcipher::{Digest, Domain, FieldDigest};
use ghostplane_types::{Amount, ObjectKey, Slot, TREE_DEPTH};
use std::fmt::Debug;
use std::sync::LazyLock;

/// Nodes hashed per call: enough to fill the vector lanes, few enough to stay in the first-level cache.
pub(crate) const BLOCK: usize = 128;

/// The digests of wholly unallocated subtrees by height; the last is the root of the empty tree.
pub(crate) type Zeros<D> = [D; TREE_DEPTH + 1];

/// What tells the two trees apart.
pub(crate) trait TreeHash: Debug + 'static {
    /// A node; the default is the unallocated leaf.
    type Digest: Copy + Debug + Default + Eq + Send + Sync;
    /// Two neighbours as the hash takes them.
    type Pair: Copy + Debug + Send + Sync;
    /// A pair to be filled.
    const PAIR: Self::Pair;

    /// Puts a node into its half of a pair.
    fn put(pair: &mut Self::Pair, right: bool, node: &Self::Digest);

    /// Fills a pair.
    #[inline]
    fn set(pair: &mut Self::Pair, [left, right]: &[Self::Digest; 2]) {
        Self::put(pair, false, left);
        Self::put(pair, true, right);
    }

    /// Joins two neighbours.
    #[inline]
    fn pair(left: &Self::Digest, right: &Self::Digest) -> Self::Pair {
        let mut pair = Self::PAIR;
        Self::put(&mut pair, false, left);
        Self::put(&mut pair, true, right);
        pair
    }

    /// Hashes each pair to the output of the same index; both are equally long.
    fn hash_pairs(pairs: &[Self::Pair], out: &mut [Self::Digest]);

    /// The unallocated subtrees of every height.
    fn zeros() -> &'static Zeros<Self::Digest>;

    /// Hashes one pair.
    fn hash_pair(left: &Self::Digest, right: &Self::Digest) -> Self::Digest {
        let mut out = [Self::Digest::default()];
        Self::hash_pairs(&[Self::pair(left, right)], &mut out);
        out[0]
    }
}

fn derive_zeros<H: TreeHash>() -> Zeros<H::Digest> {
    let mut zeros = [H::Digest::default(); TREE_DEPTH + 1];
    for height in 0..TREE_DEPTH {
        zeros[height + 1] = H::hash_pair(&zeros[height], &zeros[height]);
    }
    zeros
}

/// The ledger tree: Poseidon2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerHash;

impl TreeHash for LedgerHash {
    type Digest = FieldDigest;
    type Pair = [KoalaBear; STATE_ELEMENTS];

    const PAIR: Self::Pair = [ZERO; STATE_ELEMENTS];

    #[inline]
    fn put(pair: &mut Self::Pair, right: bool, node: &FieldDigest) {
        let (halves, _) = pair.as_chunks_mut();
        halves[usize::from(right)] = node.0;
    }

    fn hash_pairs(pairs: &[Self::Pair], out: &mut [FieldDigest]) {
        compress_many(pairs, out);
    }

    fn zeros() -> &'static Zeros<FieldDigest> {
        static ZEROS: LazyLock<Zeros<FieldDigest>> = LazyLock::new(derive_zeros::<LedgerHash>);
        &ZEROS
    }
}

/// The object tree: BLAKE3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectHash;

static NODE_KEY: LazyLock<TreeKey> = LazyLock::new(|| TreeKey::new(Domain::ObjectNode));
static LEAF_KEY: LazyLock<TreeKey> = LazyLock::new(|| TreeKey::new(Domain::ObjectLeaf));
static VALUE_KEY: LazyLock<TreeKey> = LazyLock::new(|| TreeKey::new(Domain::ObjectValue));

impl TreeHash for ObjectHash {
    type Digest = Digest;
    type Pair = [u8; 64];

    const PAIR: Self::Pair = [0; 64];

    #[inline]
    fn put(pair: &mut Self::Pair, right: bool, node: &Digest) {
        let (halves, _) = pair.as_chunks_mut();
        halves[usize::from(right)] = node.0;
    }

    fn hash_pairs(pairs: &[Self::Pair], out: &mut [Digest]) {
        hash_64(&NODE_KEY, pairs, out);
    }

    fn zeros() -> &'static Zeros<Digest> {
        static ZEROS: LazyLock<Zeros<Digest>> = LazyLock::new(derive_zeros::<ObjectHash>);
        &ZEROS
    }
}

pub(crate) const ZERO: KoalaBear = KoalaBear::new(0);

/// A number below 2^31 - 2^24 + 1 as a field element.
pub(crate) fn element(number: u32) -> KoalaBear {
    KoalaBear::new(number)
}

/// An amount as four little-endian 16-bit limbs.
pub(crate) fn limbs(amount: Amount) -> [KoalaBear; 4] {
    let bytes = amount.units().to_le_bytes();
    std::array::from_fn(|limb| element(u32::from(u16::from_le_bytes([bytes[2 * limb], bytes[2 * limb + 1]]))))
}

/// What an occupied slot's leaf is the compression of: `owner || kind, asset, balance limbs, 0, tag`.
pub(crate) fn slot_preimage(slot: &Slot) -> [KoalaBear; STATE_ELEMENTS] {
    let mut preimage = [ZERO; STATE_ELEMENTS];
    preimage[..8].copy_from_slice(&slot.owner.0);
    preimage[8] = element(slot.kind as u32);
    preimage[9] = element(slot.asset.number());
    preimage[10..14].copy_from_slice(&limbs(slot.balance));
    preimage[15] = FieldTag::Slot.element();
    preimage
}

/// What an object leaf says about the value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LeafValue<'a> {
    /// The object was removed; its value digest is zero.
    Removed,
    /// The value itself.
    Bytes(&'a [u8]),
    /// Only the digest of the value.
    Digest(&'a Digest),
}

impl<'a> LeafValue<'a> {
    pub(crate) fn of(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Removed, Self::Bytes)
    }
}

/// Hashes object leaves [`BLOCK`] at a time: first the values, grouped by length, then the leaves.
#[derive(Clone, Debug)]
pub(crate) struct LeafHasher {
    /// `key || value_digest || next_key || 0`.
    leaves: Box<[[u8; 128]; BLOCK]>,
    len: usize,
    one_block: ValueGroup<64>,
    two_blocks: ValueGroup<128>,
    long: Vec<u8>,
}

/// Values whose padded form takes `N` bytes, and the leaves they belong to.
#[derive(Clone, Debug)]
struct ValueGroup<const N: usize> {
    inputs: Box<[[u8; N]; BLOCK]>,
    leaves: [usize; BLOCK],
    len: usize,
}

impl<const N: usize> ValueGroup<N> {
    fn new() -> Self {
        Self { inputs: Box::new([[0; N]; BLOCK]), leaves: [0; BLOCK], len: 0 }
    }

    fn push(&mut self, value: &[u8], leaf: usize) {
        let input = &mut self.inputs[self.len];
        let (length, rest) = input.split_at_mut(LENGTH_BYTES);
        let (content, padding) = rest.split_at_mut(value.len());
        length.copy_from_slice(&length_prefix(value));
        content.copy_from_slice(value);
        padding.fill(0);
        self.leaves[self.len] = leaf;
        self.len += 1;
    }

    fn hash_into(&mut self, leaves: &mut [[u8; 128]], hash: impl Fn(&TreeKey, &[[u8; N]], &mut [Digest])) {
        let mut digests = [Digest::ZERO; BLOCK];
        let digests = &mut digests[..self.len];
        hash(&VALUE_KEY, &self.inputs[..self.len], digests);
        for (&leaf, digest) in self.leaves.iter().zip(digests) {
            leaves[leaf][32..64].copy_from_slice(&digest.0);
        }
        self.len = 0;
    }
}

/// A value is hashed behind its length as `u32` little-endian, padded with zeros to whole 64-byte blocks.
const LENGTH_BYTES: usize = 4;

fn length_prefix(value: &[u8]) -> [u8; LENGTH_BYTES] {
    u32::try_from(value.len()).expect("values are bounded far below 4 GiB").to_le_bytes()
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self {
            leaves: Box::new([[0; 128]; BLOCK]),
            len: 0,
            one_block: ValueGroup::new(),
            two_blocks: ValueGroup::new(),
            long: Vec::new(),
        }
    }
}

impl LeafHasher {
    /// Adds one leaf, and hashes what has gathered into `out` when a block is full.
    pub(crate) fn push(&mut self, key: &ObjectKey, value: LeafValue<'_>, next: &ObjectKey, out: &mut Vec<Digest>) {
        let at = self.len;
        let [leaf_key, value_digest, leaf_next, _] = self.leaves[at].as_chunks_mut().0 else {
            unreachable!("128 bytes are four times 32")
        };
        *leaf_key = *key.as_bytes();
        *leaf_next = *next.as_bytes();
        match value {
            LeafValue::Removed => *value_digest = [0; 32],
            LeafValue::Digest(digest) => *value_digest = digest.0,
            LeafValue::Bytes(bytes) if bytes.len() + LENGTH_BYTES <= 64 => self.one_block.push(bytes, at),
            LeafValue::Bytes(bytes) if bytes.len() + LENGTH_BYTES <= 128 => self.two_blocks.push(bytes, at),
            LeafValue::Bytes(bytes) => *value_digest = hash_long(&mut self.long, bytes).0,
        }
        self.len += 1;
        if self.len == BLOCK {
            self.flush(out);
        }
    }

    /// Forgets what has gathered.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.one_block.len = 0;
        self.two_blocks.len = 0;
    }

    /// Hashes the leaves that have gathered, in the order they were pushed, to the end of `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<Digest>) {
        let leaves = &mut self.leaves[..self.len];
        self.one_block.hash_into(leaves, hash_64);
        self.two_blocks.hash_into(leaves, hash_128);
        let start = out.len();
        out.resize(start + leaves.len(), Digest::ZERO);
        hash_128(&LEAF_KEY, leaves, &mut out[start..]);
        self.len = 0;
    }
}

fn hash_long(buffer: &mut Vec<u8>, value: &[u8]) -> Digest {
    buffer.clear();
    buffer.extend_from_slice(&length_prefix(value));
    buffer.extend_from_slice(value);
    buffer.resize(buffer.len().next_multiple_of(64), 0);
    Digest(*blake3::keyed_hash(VALUE_KEY.as_bytes(), buffer).as_bytes())
}

/// The digest of one object leaf.
pub(crate) fn object_leaf(key: &ObjectKey, value: LeafValue<'_>, next: &ObjectKey) -> Digest {
    let mut out = Vec::with_capacity(1);
    let mut hasher = LeafHasher::default();
    hasher.push(key, value, next, &mut out);
    hasher.flush(&mut out);
    out[0]
}

/// The digest of a present object's value.
pub(crate) fn value_digest(value: &[u8]) -> Digest {
    hash_long(&mut Vec::new(), value)
}

/// The digest of one slot's leaf; an unallocated slot is the zero digest.
pub(crate) fn slot_leaf(slot: Option<&Slot>) -> FieldDigest {
    let mut out = [FieldDigest::EMPTY];
    if let Some(slot) = slot {
        compress_many(&[slot_preimage(slot)], &mut out);
    }
    out[0]
}

/// The root that one leaf and the allocated nodes beside its way lead to, lowest first.
///
/// Siblings of wholly unallocated subtrees are not listed but derived; `None` if there are too few or too many.
pub(crate) fn path_root<H: TreeHash>(
    leaf: H::Digest,
    index: u32,
    used: u32,
    siblings: &[H::Digest],
) -> Option<H::Digest> {
    let mut siblings = siblings.iter();
    let mut node = leaf;
    for height in 0..TREE_DEPTH {
        let beside = index >> height ^ 1;
        let sibling = if is_allocated(height, beside, used) { siblings.next()? } else { &H::zeros()[height] };
        node = if beside & 1 == 1 { H::hash_pair(&node, sibling) } else { H::hash_pair(sibling, &node) };
    }
    siblings.next().is_none().then_some(node)
}

/// A position in a tree, or a number of leaves.
pub(crate) fn leaf_count(count: usize) -> u32 {
    u32::try_from(count).expect("a tree has at most 2^30 leaves")
}

/// Whether the subtree at `index` of the level at `height` holds one of the first `used` leaves.
pub(crate) fn is_allocated(height: usize, index: u32, used: u32) -> bool {
    u64::from(index) << height < u64::from(used)
}

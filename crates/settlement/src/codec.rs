//! Canonical bytes of what this crate adds to the formats.

use ghostplane_ghostcipher::merkle::{COUNT_MAX, Path};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_list, put_varint};

/// Siblings of a list of the most leaves.
const PATH_SIBLINGS_MAX: usize = COUNT_MAX.trailing_zeros() as usize;

/// Implements the canonical form of a struct, field after field in the order named.
macro_rules! fields {
    ($type:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        impl ghostplane_types::Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                $(ghostplane_types::Encode::encode(&self.$field, out);)+
            }
        }
        impl ghostplane_types::Decode for $type {
            const BYTES_MIN: usize = 0 $(+ <$kind as ghostplane_types::Decode>::BYTES_MIN)+;
            fn decode(reader: &mut ghostplane_types::Reader<'_>) -> Result<Self, ghostplane_types::DecodeError> {
                Ok(Self { $($field: reader.read::<$kind>()?),+ })
            }
        }
    };
}
pub(crate) use fields;

/// A list path: index and count as varints, then its siblings.
pub(crate) fn put_path(out: &mut Vec<u8>, path: &Path) {
    put_varint(out, path.index);
    put_varint(out, path.count);
    put_list(out, &path.siblings);
}

pub(crate) fn read_path(reader: &mut Reader<'_>) -> Result<Path, DecodeError> {
    Ok(Path {
        index: reader.varint_at_most("path index", COUNT_MAX)?,
        count: reader.varint_at_most("path count", COUNT_MAX)?,
        siblings: reader.list("path siblings", PATH_SIBLINGS_MAX)?,
    })
}

/// A path that may be left out: a flag, then the path.
pub(crate) fn put_path_if_any(out: &mut Vec<u8>, path: Option<&Path>) {
    path.is_some().encode(out);
    if let Some(path) = path {
        put_path(out, path);
    }
}

pub(crate) fn read_path_if_any(reader: &mut Reader<'_>) -> Result<Option<Path>, DecodeError> {
    if reader.read::<bool>()? { read_path(reader).map(Some) } else { Ok(None) }
}

/// A list in another container than a slice: its length, then its items.
pub(crate) fn put_items<'a, T: Encode + 'a>(out: &mut Vec<u8>, items: impl ExactSizeIterator<Item = &'a T>) {
    put_varint(out, items.len() as u64);
    items.for_each(|item| item.encode(out));
}

/// A list of at most `limit` items in any container.
pub(crate) fn read_items<T: Decode, C: FromIterator<T>>(
    reader: &mut Reader<'_>,
    what: &'static str,
    limit: usize,
) -> Result<C, DecodeError> {
    let count = reader.count(what, limit, T::BYTES_MIN)?;
    (0..count).map(|_| reader.read()).collect()
}

//! Free stack for Cedar.

use super::limits::STACK_BYTES;

/// Runs `work` with at least [`STACK_BYTES`] of free stack: right here if there is as much, else on a new piece of it.
///
/// [`super::decide`] does this by itself, so that nobody can forget it. A caller who decides often spares the new piece,
/// some microseconds, by running on a thread whose stack is larger, or by standing inside one call of this.
pub fn with_stack<R>(work: impl FnOnce() -> R) -> R {
    with_bytes(STACK_BYTES, work)
}

/// The same with another amount.
pub(super) fn with_bytes<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(bytes, bytes + (1 << 20), work)
}

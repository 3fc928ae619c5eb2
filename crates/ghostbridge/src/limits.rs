//! What bounds the L1 of one node, with the relations between the limits checked when the crate is compiled.

use ghostplane_settlement::limits::{INBOX_BLOCK_BYTES_MAX, INBOX_BLOCK_ENTRIES_MAX};
use ghostplane_types::SignedL1Message;
use ghostplane_types::limits::BATCH_BYTES_MAX;

/// Messages in one block.
pub const BLOCK_MESSAGES_MAX: usize = 4096;
/// Bytes of the signed messages in one block.
pub const BLOCK_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Data of the plane that one block may have to take, see `data_per_block_max` of genesis.
pub const BLOCK_DATA_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Messages that wait for a block.
pub const QUEUE_MESSAGES_MAX: usize = 4 * BLOCK_MESSAGES_MAX;
/// Bytes of the messages that wait for a block.
pub const QUEUE_BYTES_MAX: usize = 2 * BLOCK_BYTES_MAX;
/// Bytes of a frame of the block log.
pub const FRAME_BYTES_MAX: usize = BLOCK_BYTES_MAX + 4 * BLOCK_MESSAGES_MAX + 1024 * 1024;
/// Bytes after which a file of the block log is followed by the next.
pub const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;
/// Blocks that a subscriber may lag behind before it is cut off.
pub const SUBSCRIBER_BLOCKS_MAX: usize = 1024;
/// Subscribers at a time.
pub const SUBSCRIBERS_MAX: usize = 1024;
/// Inbox entries that one read returns.
pub const INBOX_READ_MAX: usize = 4096;
/// Accounts that the genesis of the L1 gives money.
pub const GENESIS_BALANCES_MAX: usize = 65_536;
/// Blocks after a snapshot before the next is worth its writing.
pub const SNAPSHOT_BLOCKS: u64 = 64;

const _: () = {
    assert!(SignedL1Message::BYTES_MAX <= BLOCK_BYTES_MAX);
    assert!(BATCH_BYTES_MAX as u64 <= BLOCK_DATA_BYTES_MAX);
    // A block full of the plane's data has room for the commitment and the heads and signatures of its chunks.
    assert!(BLOCK_DATA_BYTES_MAX + (2 * SignedL1Message::BYTES_MAX + 2049 * 256) as u64 <= BLOCK_BYTES_MAX as u64);
    assert!(INBOX_BLOCK_BYTES_MAX + 16 * INBOX_BLOCK_ENTRIES_MAX as u64 <= 1024 * 1024);
    assert!(FRAME_BYTES_MAX < u32::MAX as usize && BLOCK_BYTES_MAX <= QUEUE_BYTES_MAX);
};

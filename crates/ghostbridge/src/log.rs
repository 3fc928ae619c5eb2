//! The block log and its snapshots: opening, recovery, appending.

use crate::files::{Files, Lock, segment_name};
use crate::judge::EngineJudge;
use crate::limits::SEGMENT_BYTES;
use crate::record::{Damage, Parsed, Record, parse};
use crate::state::State;
use ghostplane_settlement::SetupError;
use ghostplane_types::codec::{Decode, Encode, Reader};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use thiserror::Error;

const BLOCKS_MARK: [u8; 8] = *b"GHL1BLK1";
const SNAPSHOT_MARK: [u8; 8] = *b"GHL1SNP1";
const GENESIS: &str = "genesis";
const SNAPSHOT: &str = "snapshot";

/// Why an L1 cannot be opened. Nothing in its directory was changed but a tail that no finished write left.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk fails.
    #[error("{path}: {error}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has the directory.
    #[error("{path} is in use by another process: stop that one first")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is of an L1 that started from other terms.
    #[error("{path} is of another L1: its genesis is not the one given; use another directory")]
    OtherGenesis {
        /// The file with the genesis.
        path: PathBuf,
    },
    /// The terms found no settlement.
    #[error("the plane's genesis founds no settlement: {0}")]
    Setup(#[from] SetupError),
    /// The terms ask for what this L1 cannot do, or give what nobody can have.
    #[error("the genesis of the L1 cannot be: {0}")]
    Genesis(&'static str),
    /// A block file is damaged.
    #[error(
        "{path} at byte {offset}: {damage}; restore the file from a copy, or start again in another directory; what follows \
         this byte is not read"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first byte of the block that is damaged.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The snapshot is damaged.
    #[error("{path} at byte {offset}: {reason}; remove the file, and the state is made again from the blocks")]
    Snapshot {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

/// A log that is open for writing.
#[derive(Debug)]
pub(crate) struct Log {
    files: Files,
    segment_bytes: u64,
    segment: u64,
    file: File,
    len: u64,
    snapshot_blocks: u64,
    since: Since,
    failed: bool,
    _lock: Lock,
}

/// What came after the last snapshot.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    blocks: u64,
    bytes: u64,
    /// Bytes of the snapshot itself.
    snapshot: u64,
}

impl Log {
    /// Opens the directory and goes from its snapshot, or from `founded`, through all blocks.
    pub(crate) fn open(
        files: Files,
        genesis: &[u8],
        founded: State,
        judge: &EngineJudge,
        snapshot_blocks: u64,
        segment_bytes: Option<u64>,
    ) -> Result<(Self, State), OpenError> {
        let at = |name: &str| {
            let path = files.path(name);
            move |error| OpenError::Io { path, error }
        };
        files.create_dir().map_err(at(""))?;
        let Some(lock) = files.lock().map_err(at("lock"))? else {
            return Err(OpenError::InUse { path: files.path("") });
        };
        let mut segments = files.segments().map_err(at(""))?;
        match files.read_all(GENESIS).map_err(at(GENESIS))? {
            Some(found) if found == genesis => {}
            None if segments.is_empty() => files.replace(GENESIS, genesis).map_err(at(GENESIS))?,
            _ => return Err(OpenError::OtherGenesis { path: files.path(GENESIS) }),
        }
        let (mut state, start, snapshot) = match files.read_all(SNAPSHOT).map_err(at(SNAPSHOT))? {
            Some(bytes) => {
                let (state, segment, offset) = read_snapshot(&files, &bytes, &founded)?;
                (state, Some((segment, offset)), bytes.len() as u64)
            }
            None => (founded, None, 0),
        };
        if segments.is_empty() && start.is_none() {
            let first = state.block.height + 1;
            files.replace(&segment_name(first), &BLOCKS_MARK).map_err(at(&segment_name(first)))?;
            segments.push(first);
        }
        let (first, mut offset) = start.unwrap_or((state.block.height + 1, BLOCKS_MARK.len() as u64));
        segments.retain(|height| *height >= first);
        let mut since = Since { snapshot, ..Since::default() };
        let mut last = None;
        for (place, segment) in segments.iter().enumerate() {
            let expected = if place == 0 { first } else { state.block.height + 1 };
            if *segment != expected {
                break;
            }
            let is_last = place + 1 == segments.len();
            let (file, len) = replay_file(&files, &mut state, judge, *segment, offset, is_last, &mut since)?;
            last = Some((*segment, file, len, place));
            offset = BLOCKS_MARK.len() as u64;
        }
        let missing = if last.is_some() { state.block.height + 1 } else { first };
        let Some((segment, file, len, _)) = last.filter(|(.., place)| place + 1 == segments.len()) else {
            let damage = Damage::Gap { height: missing };
            return Err(OpenError::Damaged { path: files.path(&segment_name(missing)), offset: 0, damage });
        };
        let segment_bytes = segment_bytes.unwrap_or(SEGMENT_BYTES);
        let log = Self { files, segment_bytes, segment, file, len, snapshot_blocks, since, failed: false, _lock: lock };
        Ok((log, state))
    }

    /// Writes a block durably and says in which file and where it stands. After an error nothing more is written.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<(u64, u64)> {
        let written = self.try_append(record);
        self.failed |= written.is_err();
        written
    }

    fn try_append(&mut self, record: &Record) -> io::Result<(u64, u64)> {
        if self.len >= self.segment_bytes {
            let segment = record.block.height;
            self.files.replace(&segment_name(segment), &BLOCKS_MARK)?;
            self.file = self.files.open_segment(segment)?;
            (self.segment, self.len) = (segment, BLOCKS_MARK.len() as u64);
        }
        let frame = record.to_frame();
        self.files.write(&mut self.file, &frame)?;
        self.files.sync(&self.file)?;
        let offset = self.len;
        self.len += frame.len() as u64;
        self.since.blocks += 1;
        self.since.bytes += frame.len() as u64;
        Ok((self.segment, offset))
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Writes a snapshot if one is due: after enough blocks, and after as many bytes of blocks as the last snapshot had, so
    /// that snapshots never cost more than the blocks themselves.
    pub(crate) fn snapshot_if_due(&mut self, state: &State) -> io::Result<()> {
        let due = self.since.blocks >= self.snapshot_blocks && self.since.bytes >= self.since.snapshot;
        if due { self.snapshot(state) } else { Ok(()) }
    }

    /// Writes a snapshot unless the last one is of this block.
    pub(crate) fn snapshot(&mut self, state: &State) -> io::Result<()> {
        if self.since.blocks == 0 {
            return Ok(());
        }
        let mut bytes = SNAPSHOT_MARK.to_vec();
        self.segment.encode(&mut bytes);
        self.len.encode(&mut bytes);
        state.encode(&mut bytes);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        let written = self.files.replace(SNAPSHOT, &bytes);
        self.failed |= written.is_err();
        written?;
        self.since = Since { snapshot: bytes.len() as u64, ..Since::default() };
        Ok(())
    }
}

fn read_snapshot(files: &Files, bytes: &[u8], founded: &State) -> Result<(State, u64, u64), OpenError> {
    let wrong = |offset: usize, reason: String| OpenError::Snapshot {
        path: files.path(SNAPSHOT),
        offset: offset as u64,
        reason,
    };
    let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
        return Err(wrong(0, "it is cut short".to_owned()));
    };
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(body) {
        return Err(wrong(0, "it does not have its checksum".to_owned()));
    }
    let mut reader = Reader::new(body);
    let read = |reader: &mut Reader<'_>| {
        let mark: [u8; 8] = reader.array()?;
        if mark != SNAPSHOT_MARK {
            return Err(reader.non_canonical("the mark of a snapshot"));
        }
        let (segment, offset) = (reader.read()?, reader.read()?);
        let state = State::decode(reader)?;
        Ok((state, segment, offset))
    };
    let (state, segment, offset) = read(&mut reader).map_err(|error| wrong(reader.offset(), error.to_string()))?;
    if reader.remaining() > 0 {
        return Err(wrong(reader.offset(), "bytes follow its end".to_owned()));
    }
    if state.settlement.plane_id() != founded.settlement.plane_id() {
        return Err(wrong(0, "it is of another plane".to_owned()));
    }
    Ok((state, segment, offset))
}

/// Replays one file from `offset` on and cuts a torn tail off if it is the last. Returns it open for writing, and its length.
fn replay_file(
    files: &Files,
    state: &mut State,
    judge: &EngineJudge,
    segment: u64,
    offset: u64,
    is_last: bool,
    since: &mut Since,
) -> Result<(File, u64), OpenError> {
    let path = files.path(&segment_name(segment));
    let io_error = |error| OpenError::Io { path: path.clone(), error };
    let damaged = |offset, damage| OpenError::Damaged { path: path.clone(), offset, damage };
    let mut file = files.open_segment(segment).map_err(io_error)?;
    let mut mark = [0; BLOCKS_MARK.len()];
    let has_mark = file.read_exact(&mut mark).is_ok() && mark == BLOCKS_MARK;
    if !has_mark {
        return Err(damaged(0, Damage::Mark));
    }
    let file_len = file.metadata().map_err(io_error)?.len();
    if file_len < offset {
        return Err(damaged(file_len, Damage::Short));
    }
    file.seek(SeekFrom::Start(offset)).map_err(io_error)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error)?;
    let mut read = 0;
    loop {
        let here = offset + read as u64;
        match parse(&bytes[read..]) {
            Parsed::Block(record, len) => {
                let height = record.block.height;
                let replayed = state.replay(&record, judge);
                let done = replayed.map_err(|reason| damaged(here, Damage::Replay { height, reason }))?;
                state.take_in(done, segment, here);
                read += len;
                since.blocks += 1;
                since.bytes += len as u64;
            }
            Parsed::End => return Ok((file, here)),
            Parsed::Torn if is_last => {
                files.cut(&file, here).map_err(io_error)?;
                return Ok((file, here));
            }
            Parsed::Torn => return Err(damaged(here, Damage::Checksum)),
            Parsed::Bad(damage) => return Err(damaged(here, damage)),
        }
    }
}

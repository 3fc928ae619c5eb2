//! The directory of the L1: block files that grow at their end, one snapshot, the genesis, the lock.

use crate::record::Place;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why something that the L1 has cannot be read back.
#[derive(Debug, Error)]
#[error("{path} at byte {offset}: {reason}; restore the file from a copy")]
pub struct ReadError {
    /// Which file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub reason: ReadReason,
}

/// What is wrong with bytes that are read back.
#[derive(Debug, Error)]
pub enum ReadReason {
    /// The disk does not give them.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They are not those that were written.
    #[error("the bytes are not those that were written")]
    Checksum,
}

#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    #[cfg(test)]
    faults: std::sync::Arc<faults::Faults>,
}

/// Holds the directory until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Files {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            #[cfg(test)]
            faults: std::sync::Arc::default(),
        }
    }

    pub(crate) fn create_dir(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)
    }

    /// `None` if another process, or another handle of this one, has it.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.path("lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The whole content of a file; nothing if there is none.
    pub(crate) fn read_all(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// First heights of all block files, rising.
    pub(crate) fn segments(&self) -> io::Result<Vec<u64>> {
        let mut heights = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let height = name.to_str().and_then(|name| name.strip_prefix("blocks-")?.parse().ok());
            heights.extend(height.filter(|height| segment_name(*height).as_str() == name));
        }
        heights.sort_unstable();
        Ok(heights)
    }

    pub(crate) fn open_segment(&self, height: u64) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).open(self.path(&segment_name(height)))
    }

    /// Replaces a file by another content, whole or not at all, and makes it durable.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path(&format!("{name}.new"));
        let mut file = File::create(&new)?;
        self.write(&mut file, bytes)?;
        self.sync(&file)?;
        self.step()?;
        std::fs::rename(&new, self.path(name))?;
        self.step()?;
        sync_directory(&self.dir)
    }

    /// Writes at the end of an open file. On an error any part of `bytes` may have been written.
    pub(crate) fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.step() {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        file.write_all(bytes)
    }

    /// Makes what was written to a file durable.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.step()?;
        file.sync_data()
    }

    /// Cuts a file to its first `len` bytes, durably.
    pub(crate) fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        self.step()?;
        file.set_len(len)?;
        file.sync_data()
    }

    /// The bytes at a place.
    pub(crate) fn read(&self, place: &Place) -> Result<Vec<u8>, ReadError> {
        let path = self.path(&segment_name(place.segment));
        read_at(&path, place).map_err(|reason| ReadError { path, offset: place.offset, reason })
    }

    /// What a place's bytes not being a value means.
    pub(crate) fn wrong(&self, place: &Place) -> ReadError {
        let path = self.path(&segment_name(place.segment));
        ReadError { path, offset: place.offset, reason: ReadReason::Checksum }
    }

    /// Fails when a test lets the disk die here.
    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        self.faults.step()
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests let it fail")]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn faults(&self) -> &faults::Faults {
        &self.faults
    }
}

/// The name of the file that starts with the block at `height`; names sort as heights do.
pub(crate) fn segment_name(height: u64) -> String {
    format!("blocks-{height:020}")
}

fn read_at(path: &Path, place: &Place) -> Result<Vec<u8>, ReadReason> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(place.offset))?;
    let len = usize::try_from(place.len).unwrap_or(usize::MAX);
    if file.metadata()?.len() < place.offset.saturating_add(u64::from(place.len)) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    if crc32c::crc32c(&bytes) == place.checksum { Ok(bytes) } else { Err(ReadReason::Checksum) }
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    // Only Unix lets a directory be opened and synced; elsewhere the file system does it with the file.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod faults {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A disk that dies at some call and stays dead.
    #[derive(Debug)]
    pub(crate) struct Faults {
        calls: AtomicUsize,
        dies_at: AtomicUsize,
    }

    impl Default for Faults {
        fn default() -> Self {
            Self { calls: AtomicUsize::new(0), dies_at: AtomicUsize::new(usize::MAX) }
        }
    }

    impl Faults {
        /// Calls so far that change something.
        pub(crate) fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }

        pub(crate) fn die_at(&self, call: usize) {
            self.dies_at.store(call, Ordering::SeqCst);
        }

        pub(crate) fn step(&self) -> io::Result<()> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if call < self.dies_at.load(Ordering::SeqCst) {
                Ok(())
            } else {
                Err(io::Error::other("the disk is broken"))
            }
        }
    }
}

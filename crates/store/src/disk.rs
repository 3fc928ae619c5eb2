//! The few things the log asks of a disk, so that a test can stand in for one that dies at any call.

#[cfg(test)]
pub(crate) mod faulty;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One directory of files that grow at their end.
///
/// Nothing is promised to survive a power cut before [`Self::sync`] of the file and, for a name, [`Self::sync_names`].
pub(crate) trait Disk: Send + Sync {
    /// The names of all files, in any order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Makes an empty file; an error if the name is taken.
    fn create(&self, name: &str) -> io::Result<()>;

    /// Writes at the end of a file. On an error any part of `bytes` may have been written.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to its first `len` bytes.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Gives a file another name; an error if that is taken.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes a file's content durable.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Makes the names of all files durable.
    fn sync_names(&self) -> io::Result<()>;

    /// Where a file is, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// A directory of the file system. Keeps the file open that was written last.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    open: Mutex<Option<(String, File)>>,
}

impl Directory {
    /// The directory at `path`, which exists.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), open: Mutex::new(None) }
    }

    fn with_file<T>(&self, name: &str, use_file: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        // A panic while the lock is held leaves at worst no file open, so the lock is good after it.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match open.take() {
            Some((held, file)) if held == name => file,
            _ => OpenOptions::new().read(true).append(true).open(self.path.join(name))?,
        };
        let result = use_file(&mut file);
        *open = Some((name.to_owned(), file));
        result
    }

    fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Disk for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<()> {
        OpenOptions::new().append(true).create_new(true).open(self.path.join(name)).map(drop)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.with_file(name, |file| file.write_all(bytes))
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        self.with_file(name, |file| file.set_len(len))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.close();
        if self.path.join(to).try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.close();
        std::fs::remove_file(self.path.join(name))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.with_file(name, |file| file.sync_data())
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // Only Unix lets a directory be opened and synced; elsewhere the file system does it with the file.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Whether the disk has no room left, for this user or at all.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

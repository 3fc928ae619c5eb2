//! What a committer has signed last, on disk: all that keeps him from signing two histories after a start.

use ghostplane_ghostcipher::Digest;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The last batch of the highest commitment that was signed. It stands for the state that it and all before it lead to; it does
/// not tell two orders of the same transactions apart that lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its generation.
    pub generation: u32,
    /// Its number.
    pub number: u64,
    /// Digest of its header.
    pub header: Digest,
}

impl Signed {
    /// What counts as higher: a later generation has gone back to go on.
    #[must_use]
    pub const fn place(&self) -> (u32, u64) {
        (self.generation, self.number)
    }
}

/// As it stands in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Text {
    generation: u32,
    number: u64,
    header: String,
}

/// Why the file cannot be used. Without it nothing is signed.
#[derive(Debug, Error)]
pub enum SignedError {
    /// Another process signs by it.
    #[error("another committer runs on {}: two at once could sign two histories", .0.display())]
    Taken(PathBuf),
    /// The disk.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// It is not what was written.
    #[error("{} does not say what was signed last: {why}. Restore it, or take another key", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The file, held by this process alone.
#[derive(Debug)]
pub struct SignedFile {
    dir: PathBuf,
    path: PathBuf,
    _lock: File,
}

impl SignedFile {
    /// Opens what was signed for a plane; the directory is made if it is not there.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn open(dir: &Path, plane_id: &Digest) -> Result<(Self, Option<Signed>), SignedError> {
        let disk = |path: &Path, error| SignedError::Disk { path: path.to_path_buf(), error };
        make_dir(dir).map_err(|error| disk(dir, error))?;
        let lock_path = dir.join(format!("lock-{plane_id}"));
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(|error| disk(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(SignedError::Taken(dir.to_path_buf())),
            Err(fs::TryLockError::Error(error)) => return Err(disk(&lock_path, error)),
        }
        let path = dir.join(format!("signed-{plane_id}"));
        let signed = match fs::read(&path) {
            Ok(bytes) => Some(read(&bytes).map_err(|why| SignedError::Damaged { path: path.clone(), why })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(disk(&path, error)),
        };
        Ok((Self { dir: dir.to_path_buf(), path, _lock: lock }, signed))
    }

    /// Keeps what is about to be signed, so that a power cut does not lose it.
    ///
    /// # Errors
    /// [`SignedError::Disk`]; then it must not be signed.
    pub fn keep(&self, signed: &Signed) -> Result<(), SignedError> {
        self.write(signed).map_err(|error| SignedError::Disk { path: self.path.clone(), error })
    }

    fn write(&self, signed: &Signed) -> io::Result<()> {
        let Signed { generation, number, header } = *signed;
        let text = Text { generation, number, header: header.to_string() };
        let unfinished = self.path.with_extension("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(&text)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        File::open(&self.dir)?.sync_all()
    }
}

/// Makes a directory and those above it, so that a power cut does not lose them.
fn make_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    for made in missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn read(bytes: &[u8]) -> Result<Signed, String> {
    let text: Text = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let header = text.header.parse().map_err(|_| format!("'{}' is no digest", text.header))?;
    Ok(Signed { generation: text.generation, number: text.number, header })
}

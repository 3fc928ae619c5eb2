//! A disk in memory that dies, tears and fills up on demand.

use super::Disk;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// What of the writes that were never synced is there after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survives {
    /// Nothing: files and names as they were last synced.
    Synced,
    /// Everything that was written, as after a killed process.
    Written,
    /// This many bytes of each unsynced tail.
    Torn(usize),
    /// This many bytes of each unsynced tail, and zeros in place of the rest.
    Zeroed(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    written: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    calls: usize,
    dies_at: Option<usize>,
    fails: Range<usize>,
    /// Bytes that still fit.
    room: Option<usize>,
}

/// A disk that counts the calls which change something, and dies at one of them.
#[derive(Debug, Default)]
pub(crate) struct Faulty(Mutex<State>);

impl Faulty {
    /// An empty disk that works.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A disk with these files.
    pub(crate) fn with_files(files: &BTreeMap<String, Vec<u8>>) -> Arc<Self> {
        let disk = Self::new();
        for (name, bytes) in files {
            disk.set(name, bytes.clone());
        }
        disk
    }

    /// From call `call` on, counted from 0 and from the start, every call fails; that one does half its work.
    pub(crate) fn die_at(&self, call: usize) {
        self.state().dies_at = Some(call);
    }

    /// Call `call` alone fails, having done half its work.
    pub(crate) fn fail_at(&self, call: usize) {
        self.fail_during(call..call + 1);
    }

    /// These calls fail, each having done half its work.
    pub(crate) fn fail_during(&self, calls: Range<usize>) {
        self.state().fails = calls;
    }

    /// Only this many more bytes fit; `None` for any number.
    pub(crate) fn set_room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    /// How many calls have changed something.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Bytes of the longest tail that was written and never synced.
    pub(crate) fn unsynced(&self) -> usize {
        let state = self.state();
        state.files.iter().map(|file| file.written.len().saturating_sub(file.synced.len())).max().unwrap_or(0)
    }

    /// The disk as it is found after the machine is started again.
    pub(crate) fn after_crash(&self, survives: Survives) -> Arc<Self> {
        let state = self.state();
        let names = if survives == Survives::Synced { &state.synced_names } else { &state.names };
        let files = names.iter().map(|(name, &at)| (name.clone(), surviving(&state.files[at], survives)));
        Self::with_files(&files.collect())
    }

    /// All files.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(name, &at)| (name.clone(), state.files[at].written.clone())).collect()
    }

    /// Puts a durable file there.
    pub(crate) fn set(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let at = state.files.len();
        state.files.push(File { written: bytes.clone(), synced: bytes });
        state.names.insert(name.to_owned(), at);
        state.synced_names.insert(name.to_owned(), at);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn surviving(file: &File, survives: Survives) -> Vec<u8> {
    let File { written, synced } = file;
    let tail = written.strip_prefix(synced.as_slice());
    match (survives, tail) {
        (Survives::Synced, _) => synced.clone(),
        (Survives::Torn(kept), Some(tail)) => [synced, &tail[..kept.min(tail.len())]].concat(),
        (Survives::Zeroed(kept), Some(tail)) => {
            let kept = kept.min(tail.len());
            [synced, &tail[..kept], &vec![0; tail.len() - kept]].concat()
        }
        _ => written.clone(),
    }
}

impl State {
    /// Counts a call. `Err` if it fails; the caller may do half its work then unless the disk was dead before.
    fn call(&mut self) -> Result<(), (bool, io::Error)> {
        let call = self.calls;
        self.calls += 1;
        let broken = || io::Error::other("the disk is broken");
        match self.dies_at {
            Some(dies_at) if call >= dies_at => Err((call == dies_at, broken())),
            _ if self.fails.contains(&call) => Err((true, broken())),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let at = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.files[at])
    }
}

impl Disk for Faulty {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.state().file(name)?.written.clone())
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(|(_, error)| error)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let at = state.files.len();
        state.files.push(File::default());
        state.names.insert(name.to_owned(), at);
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        match state.call() {
            Err((half, error)) => {
                // All of it may be on its way: what survives a crash decides how much arrives.
                if half {
                    state.file(name)?.written.extend_from_slice(bytes);
                }
                Err(error)
            }
            Ok(()) => {
                let fits = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
                if let Some(room) = &mut state.room {
                    *room -= fits;
                }
                state.file(name)?.written.extend_from_slice(&bytes[..fits]);
                if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            }
        }
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(|(_, error)| error)?;
        let file = state.file(name)?;
        file.written.truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(|(_, error)| error)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let at = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), at);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(|(_, error)| error)?;
        state.names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(|(_, error)| error)?;
        let file = state.file(name)?;
        file.synced = file.written.clone();
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(|(_, error)| error)?;
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("disk").join(name)
    }
}

//! Witnesses and proofs on disk, a file each.
//!
//! A file is written under another name and then renamed. A witness is synced only when a checkpoint of its batch is about to be
//! written: before that, a start makes it again from the log, whatever a power cut has left of it, which its checksum shows.
//! A proof is not synced: the L1 has it.

use super::Kept;
use ghostplane_proof::BATCH_WITNESS_BYTES_MAX;
use ghostplane_settlement::limits::PROOF_BUNDLE_BYTES_MAX;
use ghostplane_types::codec::{put_byte_string, put_list};
use ghostplane_types::limits::BATCH_FLOWS_MAX;
use ghostplane_types::{BatchHeader, Decode, DecodeError, Encode, Reader};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"GHPWIT01";
/// Magic, then the checksum of everything behind it.
const HEAD_BYTES: usize = 8 + 32;
const WITNESS_FILE_BYTES_MAX: u64 = (BATCH_WITNESS_BYTES_MAX + 64 * 1024) as u64;

/// The directory `proofs` of a node.
#[derive(Clone, Debug)]
pub(in crate::node) struct Files {
    dir: PathBuf,
}

impl Files {
    /// The directory; made if it is not there.
    pub(in crate::node) fn open(dir: &Path) -> io::Result<Self> {
        let dir = dir.join("proofs");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    fn witness_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("witness-{number:020}"))
    }

    fn proof_path(&self, first: u64, last: u64) -> PathBuf {
        self.dir.join(format!("proof-{first:020}-{last:020}"))
    }

    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, parts.concat())?;
        fs::rename(&unfinished, path)
    }

    /// Writes a witness; returns the bytes of its file.
    pub(in crate::node) fn write_witness(&self, kept: &Kept) -> io::Result<u64> {
        let mut content = Vec::with_capacity(kept.witness.len() + 2048);
        kept.previous.encode(&mut content);
        kept.header.encode(&mut content);
        put_list(&mut content, &kept.flows);
        put_byte_string(&mut content, &kept.witness);
        let checksum = blake3::hash(&content);
        self.write(&self.witness_path(kept.header.number), &[&MAGIC, checksum.as_bytes(), &content])?;
        Ok((HEAD_BYTES + content.len()) as u64)
    }

    /// Sees to it that these witnesses outlast a power cut. One that is gone by now is not needed any more.
    pub(super) fn sync_witnesses(&self, numbers: &[u64]) -> io::Result<()> {
        for number in numbers {
            match File::open(self.witness_path(*number)) {
                Ok(file) => file.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if numbers.is_empty() { Ok(()) } else { File::open(&self.dir)?.sync_all() }
    }

    /// Reads a witness back. Bytes that are not what was written are an error.
    pub(super) fn read_witness(&self, number: u64) -> io::Result<Kept> {
        let bytes = read_bounded(&self.witness_path(number), WITNESS_FILE_BYTES_MAX)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is not what was written");
        let (head, content) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(damaged)?;
        if head[..8] != MAGIC || head[8..] != *blake3::hash(content).as_bytes() {
            return Err(damaged());
        }
        let kept = decode(content).map_err(|_| damaged())?;
        if kept.header.number == number { Ok(kept) } else { Err(damaged()) }
    }

    /// The header that a witness is of, without looking at the rest.
    pub(super) fn header(&self, number: u64) -> io::Result<Option<BatchHeader>> {
        let mut head = vec![0; HEAD_BYTES + 2 * BatchHeader::BYTES_MIN];
        File::open(self.witness_path(number))?.read_exact(&mut head)?;
        Ok(BatchHeader::from_bytes(&head[HEAD_BYTES + BatchHeader::BYTES_MIN..]).ok())
    }

    pub(super) fn witness_bytes(&self, number: u64) -> io::Result<u64> {
        Ok(fs::metadata(self.witness_path(number))?.len())
    }

    /// Removes a witness. One that cannot be removed is found by the next start.
    pub(super) fn remove_witness(&self, number: u64) {
        let _ = fs::remove_file(self.witness_path(number));
    }

    /// The batches with a witness, ascending. Removes what a write left unfinished.
    pub(super) fn witnesses(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for name in self.names()? {
            if name.ends_with(".unfinished") {
                fs::remove_file(self.dir.join(name))?;
            } else if let Some(number) = name.strip_prefix("witness-").and_then(|number| number.parse().ok()) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn write_proof(&self, first: u64, last: u64, bundle: &[u8]) -> io::Result<()> {
        self.write(&self.proof_path(first, last), &[bundle])
    }

    pub(super) fn read_proof(&self, first: u64, last: u64) -> io::Result<Vec<u8>> {
        read_bounded(&self.proof_path(first, last), PROOF_BUNDLE_BYTES_MAX as u64)
    }

    pub(super) fn remove_proof(&self, first: u64, last: u64) {
        let _ = fs::remove_file(self.proof_path(first, last));
    }

    /// The kept proofs: last batch by first batch.
    pub(super) fn proofs(&self) -> io::Result<BTreeMap<u64, u64>> {
        let range = |name: &str| -> Option<(u64, u64)> {
            let (first, last) = name.strip_prefix("proof-")?.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Ok(self.names()?.iter().filter_map(|name| range(name)).collect())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.dir)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

fn decode(content: &[u8]) -> Result<Kept, DecodeError> {
    let mut reader = Reader::new(content);
    let kept = Kept {
        previous: reader.read()?,
        header: reader.read()?,
        flows: reader.list("flows", BATCH_FLOWS_MAX)?,
        witness: reader.byte_string("witness", BATCH_WITNESS_BYTES_MAX)?.to_vec(),
    };
    reader.finish()?;
    Ok(kept)
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is longer than any of its kind"));
    }
    Ok(bytes)
}

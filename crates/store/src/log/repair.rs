//! The way out of a damaged log, for a person to choose: give up what is behind the damage, and keep a copy.

use super::order::Plane;
use super::recover::{Corrupt, Corruption, Scan, scan, scan_into, segment_numbers};
use super::segment::{self, HEADER_BYTES};
use super::{LogEnd, OpenError, enter};
use crate::disk::{Directory, Disk};
use ghostplane_ghostcipher::Digest;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What is damaged, and what [`repair`] would give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The first damage.
    pub damage: Corrupt,
    /// Where the log would end.
    pub keeps: LogEnd,
    /// How many bytes would be in the log no more.
    pub bytes: u64,
    /// How many segments they are in.
    pub segments: usize,
}

/// Looks for damage and changes nothing; `None` if there is none that a start does not mend by itself.
pub fn examine(dir: &Path, plane_id: Digest, chain_id: u64) -> Result<Option<Examined>, OpenError> {
    let (path, _lock) = enter(dir)?;
    let disk = Directory::new(&path);
    let mut good = Scan::new();
    let damage = match scan_into(&mut good, &disk, &Plane { plane_id, chain_id }) {
        Ok(()) => return Ok(None),
        Err(OpenError::Corrupt(damage)) => damage,
        Err(other) => return Err(other),
    };
    let numbers = segment_numbers(&disk)?;
    let at = position_of(&disk, &numbers, &damage.path);
    let mut bytes = 0;
    for &number in &numbers[at..] {
        let name = segment::name(number);
        let read = disk.read(&name).map_err(|source| OpenError::Disk { path: disk.path(&name), source })?;
        bytes += read.len() as u64;
    }
    if !is_whole(&damage) {
        bytes -= damage.offset;
    }
    Ok(Some(Examined { damage, keeps: good.end, bytes, segments: numbers.len() - at }))
}

/// What [`repair`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The damage that is gone.
    pub damage: Corrupt,
    /// The damaged segment and those behind it, under the names they have now.
    pub kept: Vec<PathBuf>,
    /// How many bytes are in the log no more.
    pub bytes: u64,
}

/// Why nothing was repaired.
#[derive(Debug, Error)]
pub enum RepairError {
    /// The log cannot even be looked at, or belongs to another plane or release.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing is damaged.
    #[error("the log is not damaged")]
    Sound,
    /// The first damage is elsewhere.
    #[error("the first damage is at byte {} of {}: {}", .0.offset, .0.path.display(), .0.what)]
    Elsewhere(Corrupt),
}

/// Gives up everything in the log from byte `offset` of `segment` on: where [`OpenError::Corrupt`] says the damage is.
///
/// The damaged segment is copied, and those behind it renamed, before anything is cut. **Acknowledged transactions are lost**
/// if there were any behind the damage. Refuses any place but the first damage, so that no sound frame is given up by mistake.
///
/// History and checkpoint go as well: they may tell of what the log no longer has, and a start makes them again from it.
pub fn repair(
    dir: &Path,
    plane_id: Digest,
    chain_id: u64,
    segment: &Path,
    offset: u64,
) -> Result<Repaired, RepairError> {
    let (path, _lock) = enter(dir)?;
    let disk = Directory::new(&path);
    let damage = find(&disk, &Plane { plane_id, chain_id }, segment, offset)?;
    // Before the log, so that nothing tells of more than it whenever this is interrupted.
    for name in ["history", "checkpoint"] {
        let path = dir.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Disk { path, source }.into());
            }
            _ => {}
        }
    }
    give_up_from(&disk, damage)
}

#[cfg(test)]
pub(super) fn repair_on(disk: &dyn Disk, plane: Plane, segment: &Path, offset: u64) -> Result<Repaired, RepairError> {
    give_up_from(disk, find(disk, &plane, segment, offset)?)
}

/// The first damage, if it is where it is said to be.
fn find(disk: &dyn Disk, plane: &Plane, segment: &Path, offset: u64) -> Result<Corrupt, RepairError> {
    let damage = match scan(disk, plane) {
        Ok(_) => return Err(RepairError::Sound),
        Err(OpenError::Corrupt(damage)) => damage,
        Err(other) => return Err(other.into()),
    };
    if damage.path != segment || damage.offset != offset {
        return Err(RepairError::Elsewhere(damage));
    }
    Ok(damage)
}

fn give_up_from(disk: &dyn Disk, damage: Corrupt) -> Result<Repaired, RepairError> {
    let numbers = segment_numbers(disk)?;
    let at = position_of(disk, &numbers, &damage.path);
    let path = damage.path.clone();
    give_up(disk, &numbers[at..], damage).map_err(|source| RepairError::Open(OpenError::Disk { path, source }))
}

fn position_of(disk: &dyn Disk, numbers: &[u64], segment: &Path) -> usize {
    let at = numbers.iter().position(|&number| disk.path(&segment::name(number)) == segment);
    at.expect("the scan names one of the segments")
}

/// A missing or foreign segment starts at its header: there is nothing before the damage to keep in the log.
fn is_whole(damage: &Corrupt) -> bool {
    damage.offset < HEADER_BYTES as u64 || matches!(damage.what, Corruption::Header(_))
}

/// Until the last step the log stays damaged at the same place, so that a repair that is interrupted can be made again.
fn give_up(disk: &dyn Disk, numbers: &[u64], damage: Corrupt) -> io::Result<Repaired> {
    let (&damaged, behind) = numbers.split_first().expect("there is a damaged segment");
    let mut kept = Vec::new();
    let mut lost = 0;
    for &number in behind.iter().rev() {
        let name = segment::name(number);
        lost += disk.read(&name)?.len() as u64;
        let aside = free_name(disk, &name)?;
        disk.rename(&name, &aside)?;
        kept.push(disk.path(&aside));
    }
    let name = segment::name(damaged);
    let bytes = disk.read(&name)?;
    let aside = free_name(disk, &name)?;
    if is_whole(&damage) {
        disk.rename(&name, &aside)?;
        lost += bytes.len() as u64;
    } else {
        disk.create(&aside)?;
        disk.append(&aside, &bytes)?;
        disk.sync(&aside)?;
        disk.sync_names()?;
        disk.truncate(&name, damage.offset)?;
        disk.sync(&name)?;
        lost += bytes.len() as u64 - damage.offset;
    }
    disk.sync_names()?;
    kept.push(disk.path(&aside));
    kept.reverse();
    Ok(Repaired { damage, kept, bytes: lost })
}

/// A name that no file has and that is no segment's.
fn free_name(disk: &dyn Disk, name: &str) -> io::Result<String> {
    let names = disk.names()?;
    let free = (1u32..).map(|n| format!("{name}.damaged-{n}")).find(|candidate| !names.contains(candidate));
    free.ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

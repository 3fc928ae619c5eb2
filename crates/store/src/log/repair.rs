//! The way out of a damaged log, for a person to choose: give up what is behind the damage, and keep a copy.

use super::order::Plane;
use super::recover::{Corrupt, Corruption, scan, segment_numbers};
use super::segment::{self, HEADER_BYTES};
use super::{OpenError, enter};
use crate::disk::{Directory, Disk};
use ghostplane_ghostcipher::Digest;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

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
pub fn repair(
    dir: &Path,
    plane_id: Digest,
    chain_id: u64,
    segment: &Path,
    offset: u64,
) -> Result<Repaired, RepairError> {
    let (path, _lock) = enter(dir)?;
    repair_on(&Directory::new(&path), Plane { plane_id, chain_id }, segment, offset)
}

pub(super) fn repair_on(disk: &dyn Disk, plane: Plane, segment: &Path, offset: u64) -> Result<Repaired, RepairError> {
    let damage = match scan(disk, &plane) {
        Ok(_) => return Err(RepairError::Sound),
        Err(OpenError::Corrupt(damage)) => damage,
        Err(other) => return Err(other.into()),
    };
    if damage.path != segment || damage.offset != offset {
        return Err(RepairError::Elsewhere(damage));
    }
    let numbers = segment_numbers(disk)?;
    let at = numbers.iter().position(|&number| disk.path(&segment::name(number)) == segment);
    let at = at.expect("the scan names one of the segments");
    let failed = |source| RepairError::Open(OpenError::Disk { path: segment.to_path_buf(), source });
    give_up(disk, &numbers[at..], damage).map_err(failed)
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
    // A missing or foreign segment starts at its header: there is nothing before the damage to keep in the log.
    let whole = damage.offset < HEADER_BYTES as u64 || matches!(damage.what, Corruption::Header(_));
    if whole {
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

//! The disk alone: what a receipt waits for at least.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a group of the log at half of what a node takes, about.
const GROUP_BYTES: usize = 32 * 1024;
/// How far groups are apart.
const EVERY: Duration = Duration::from_millis(3);

/// Milliseconds that each of some groups takes to be written and synced in a directory, at the pace of a node at half load,
/// sorted.
///
/// # Errors
/// If the disk cannot be written.
pub(super) fn syncs(dir: &Path, seconds: u64) -> io::Result<Vec<f64>> {
    let path = dir.join("syncs");
    let mut file = File::create(&path)?;
    let group = vec![0x5a; GROUP_BYTES];
    let started = Instant::now();
    let mut taken = Vec::new();
    let mut due = started;
    while started.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        file.write_all(&group)?;
        file.sync_data()?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        due = begun + EVERY;
    }
    std::fs::remove_file(&path)?;
    taken.sort_unstable_by(f64::total_cmp);
    Ok(taken)
}

//! How many connections the system has handles for.

/// Handles that are no connections': the log, the history, the checkpoint, the L1, and what they open for a moment.
const OTHERS_MAX: usize = 400;
/// What a system allows that does not say.
const USUAL: usize = 1_024;
/// Whatever the system allows, so many.
const CONNECTIONS_MIN: usize = 16;

/// How many connections one of the two interfaces may hold at a time: `most`, or less where the process may not have as many open
/// files. A flood of connections must not keep the log from being written.
pub(super) fn connections(most: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    share(open_files(&limits).unwrap_or(USUAL), most)
}

fn share(open_files: usize, most: usize) -> usize {
    (open_files.saturating_sub(OTHERS_MAX) / 2).clamp(CONNECTIONS_MIN, most)
}

/// The limit that holds, out of the table of limits that Linux shows.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let found = line.split_whitespace().next()?;
    if found == "unlimited" { Some(usize::MAX) } else { found.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_handles_for_the_disk() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \n\
                     Max processes             95919                95919                processes \n\
                     Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(table), Some(1_024));
        assert_eq!(open_files(&table.replace("1024  ", "unlimited")), Some(usize::MAX));
        assert_eq!(open_files(""), None);
        assert_eq!(share(1_024, 1_024), 312);
        assert_eq!(share(524_288, 1_024), 1_024);
        assert_eq!(share(100, 1_024), CONNECTIONS_MIN);
        assert!(2 * share(1_024, 1_024) + OTHERS_MAX <= 1_024);
    }
}

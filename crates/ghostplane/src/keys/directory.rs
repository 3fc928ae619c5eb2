//! The directory of keys: where it is, and how a file in it is read and written.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KEY_FILE_BYTES_MAX, KeyFileError, check_name};

/// Names the directory, where no option does.
pub(super) const VARIABLE: &str = "GHOSTPLANE_KEYS";
const EXTENSION: &str = "json";

/// Where keys are unless an option says otherwise: `$GHOSTPLANE_KEYS`, else `ghostplane/keys` in `$XDG_CONFIG_HOME` or
/// `$HOME/.config`.
///
/// # Errors
/// [`KeyFileError::NoDirectory`] if none of the three is set.
pub fn default_dir() -> Result<PathBuf, KeyFileError> {
    choose_dir(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn choose_dir(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, KeyFileError> {
    if let Some(dir) = variable(VARIABLE) {
        return Ok(dir.into());
    }
    // The XDG base directory specification has relative paths ignored.
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = config.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")));
    Ok(config.ok_or(KeyFileError::NoDirectory)?.join("ghostplane").join("keys"))
}

pub(super) fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(name).with_extension(EXTENSION)
}

/// The names of the key files in `dir`, rising. Files of other names, such as unfinished ones, are left out.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, KeyFileError> {
    let io = |source| KeyFileError::Io { action: "list", path: dir.to_path_buf(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = PathBuf::from(entry.map_err(io)?.file_name());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| check_name(stem).is_ok());
        if let (Some(stem), true) = (stem, path.extension().is_some_and(|found| found == EXTENSION)) {
            names.push(stem.to_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The bytes of a key's file.
pub(super) fn read(dir: &Path, name: &str) -> Result<(PathBuf, Zeroizing<Vec<u8>>), KeyFileError> {
    let path = path_of(dir, name);
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => {
            let known = names(dir).unwrap_or_default();
            KeyFileError::NotFound { name: name.to_string(), dir: dir.to_path_buf(), known }
        }
        _ => KeyFileError::Io { action: "read", path: path.clone(), source },
    };
    // Asked before it is opened: opening a pipe would wait for somebody to write.
    if !fs::metadata(&path).map_err(io)?.is_file() {
        return Err(KeyFileError::NotAFile { path });
    }
    // Room for everything that is read, so that no copy of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 64));
    let file = File::open(&path).map_err(io)?;
    file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyFileError::TooLarge { path });
    }
    Ok((path, bytes))
}

/// Writes a new key file so that it appears whole or not at all, and never in place of another.
pub(super) fn write_new(dir: &Path, name: &str, content: &[u8]) -> Result<PathBuf, KeyFileError> {
    let failed = |action, path: &Path, source| KeyFileError::Io { action, path: path.to_path_buf(), source };
    create_dir(dir).map_err(|source| failed("create directory", dir, source))?;
    let path = path_of(dir, name);
    let unfinished = dir.join(format!(".{name}.{:016x}.tmp", getrandom::u64()?));
    let written = write_file(&unfinished, content).map_err(|source| failed("write", &unfinished, source));
    let linked = written.and_then(|()| link_new(&unfinished, &path, content, name));
    // Whatever came of it, the unfinished name goes; if that fails, it stays behind as a file only its owner can read.
    let removed = fs::remove_file(&unfinished);
    linked?;
    removed.map_err(|source| failed("remove", &unfinished, source))?;
    sync_dir(dir).map_err(|source| failed("sync", dir, source))?;
    Ok(path)
}

/// Gives `unfinished` its final name; a hard link fails where a rename would replace.
fn link_new(unfinished: &Path, path: &Path, content: &[u8], name: &str) -> Result<(), KeyFileError> {
    let result = match fs::hard_link(unfinished, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // No hard links here, such as on FAT. Still nothing is overwritten, but a crash now leaves half a file.
            write_file(path, content)
        }
        result => result,
    };
    result.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { name: name.to_string(), path: path.to_path_buf() },
        _ => KeyFileError::Io { action: "write", path: path.to_path_buf(), source },
    })
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Makes the new name durable; only Unix can, and needs to, sync a directory.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Whether others than the owner may read the file. Unknown counts as no.
pub(super) fn is_exposed(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_first_that_is_named() {
        let choose = |set: &[(&str, &str)]| {
            let value =
                |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
            choose_dir(value).ok()
        };
        let home = ("HOME", "/home/alice");
        let xdg = ("XDG_CONFIG_HOME", "/config");
        assert_eq!(choose(&[home]), Some("/home/alice/.config/ghostplane/keys".into()));
        assert_eq!(choose(&[home, xdg]), Some("/config/ghostplane/keys".into()));
        assert_eq!(
            choose(&[home, ("XDG_CONFIG_HOME", "relative")]),
            Some("/home/alice/.config/ghostplane/keys".into())
        );
        assert_eq!(choose(&[home, xdg, (VARIABLE, "keys")]), Some("keys".into()));
        assert_eq!(choose(&[]), None);
    }
}

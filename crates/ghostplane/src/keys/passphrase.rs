//! Passphrases: asked for on a terminal without echo, or the first line of a file. Never an argument, never the value of
//! an environment variable: both can be seen by other programs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyFileError;

/// Characters that the passphrase of a new key has at least.
pub const PASSPHRASE_CHARS_MIN: usize = 8;
/// Names the file whose first line is the passphrase, where no option does.
pub(super) const FILE_VARIABLE: &str = "GHOSTPLANE_PASSPHRASE_FILE";
const LINE_BYTES_MAX: usize = 4096;

/// What an encrypted key opens with. The bytes count as they were entered: no normalisation. Wiped when dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes what somebody entered.
    ///
    /// # Errors
    /// [`KeyFileError::PassphraseEmpty`] if that is nothing.
    pub fn new(text: String) -> Result<Self, KeyFileError> {
        let text = Zeroizing::new(text);
        if text.is_empty() { Err(KeyFileError::PassphraseEmpty) } else { Ok(Self(text)) }
    }

    /// Whether a new key may be put under it.
    pub(super) fn check_for_new_key(&self) -> Result<(), KeyFileError> {
        match self.0.chars().count() {
            chars if chars < PASSPHRASE_CHARS_MIN => Err(KeyFileError::PassphraseTooShort { chars }),
            _ => Ok(()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Where a passphrase comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The first line of this file.
    File(PathBuf),
    /// Whoever sits at the terminal.
    Terminal,
}

impl PassphraseSource {
    /// The file named by an option, else the one named by `GHOSTPLANE_PASSPHRASE_FILE`, else the terminal.
    #[must_use]
    pub fn new(option: Option<PathBuf>) -> Self {
        let variable = || std::env::var_os(FILE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        option.or_else(variable).map_or(Self::Terminal, Self::File)
    }

    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// [`KeyFileError`] if there is nobody to ask, the file has none, or it is empty.
    pub fn ask(&self, name: &str) -> Result<Passphrase, KeyFileError> {
        match self {
            Self::File(path) => first_line(path),
            Self::Terminal => prompt(&format!("Passphrase of {name}: ")),
        }
    }

    /// The passphrase of a new key, asked for twice on a terminal.
    ///
    /// # Errors
    /// As [`PassphraseSource::ask`], and if it is too short or the two answers differ.
    pub fn ask_new(&self, name: &str) -> Result<Passphrase, KeyFileError> {
        let passphrase = match self {
            Self::File(path) => first_line(path)?,
            Self::Terminal => {
                prompt(&format!("New passphrase of {name}, {PASSPHRASE_CHARS_MIN} characters or more: "))?
            }
        };
        passphrase.check_for_new_key()?;
        if *self == Self::Terminal && *prompt("The same once more: ")?.0 != *passphrase.0 {
            return Err(KeyFileError::PassphrasesDiffer);
        }
        Ok(passphrase)
    }
}

fn prompt(text: &str) -> Result<Passphrase, KeyFileError> {
    let answer = rpassword::prompt_password(text).map_err(|source| match source.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => KeyFileError::PassphraseEmpty,
        // Without a terminal the device is missing or cannot be opened.
        _ => KeyFileError::NoTerminal,
    })?;
    Passphrase::new(answer)
}

fn first_line(path: &Path) -> Result<Passphrase, KeyFileError> {
    let io = |source| KeyFileError::Io { action: "read", path: path.to_path_buf(), source };
    let bad = |problem| KeyFileError::PassphraseFile { path: path.to_path_buf(), problem };
    // Room for everything that is read, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX + 64));
    File::open(path).map_err(io)?.take(LINE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() > LINE_BYTES_MAX {
        return Err(bad("its first line is longer than 4,096 bytes"));
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| bad("its first line is not UTF-8 text"))?;
    Passphrase::new(line.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_file_is_the_passphrase() {
        let dir = crate::keys::tests::Scratch::new("passphrase");
        let path = dir.path().join("file");
        let table: &[(&[u8], &str)] = &[
            (b"correct horse\nbattery", "correct horse"),
            (b"correct horse\r\n", "correct horse"),
            (b" spaces count ", " spaces count "),
            ("grün und größer".as_bytes(), "grün und größer"),
        ];
        for (content, expected) in table {
            std::fs::write(&path, content).expect("a scratch file");
            let found = PassphraseSource::File(path.clone()).ask_new("alice").expect("a passphrase");
            assert_eq!(*found.0, **expected);
        }
    }

    #[test]
    fn what_is_no_passphrase_is_refused() {
        let dir = crate::keys::tests::Scratch::new("no-passphrase");
        let path = dir.path().join("file");
        let source = PassphraseSource::File(path.clone());
        let ask = |content: &[u8]| {
            std::fs::write(&path, content).expect("a scratch file");
            source.ask_new("alice").map(|_| ()).expect_err("refused")
        };
        assert!(matches!(ask(b""), KeyFileError::PassphraseEmpty));
        assert!(matches!(ask(b"\nsecond line"), KeyFileError::PassphraseEmpty));
        assert!(matches!(ask("größe12".as_bytes()), KeyFileError::PassphraseTooShort { chars: 7 }));
        assert!(matches!(ask(&[0xff; 12]), KeyFileError::PassphraseFile { .. }));
        assert!(matches!(ask(&[b'x'; 5000]), KeyFileError::PassphraseFile { .. }));
        std::fs::remove_file(&path).expect("it was written above");
        assert!(matches!(source.ask("alice"), Err(KeyFileError::Io { .. })));
    }

    #[test]
    fn a_passphrase_is_never_shown() {
        let passphrase = Passphrase::new("correct horse".to_string()).expect("not empty");
        assert_eq!(format!("{passphrase:?}"), "Passphrase(…)");
    }
}

//! Key files: one signing key each, in a directory that only its owner can read.
//!
//! A key is either **encrypted** under a passphrase (Argon2id, then XChaCha20-Poly1305 with everything else in the file
//! as associated data, so that nothing in it can be swapped) or a **dev** key: in plain text, marked as worthless.
//! Nothing here prints, and no secret outlives the value it is in: buffers are wiped when dropped.

mod directory;
mod file;
mod passphrase;
mod secret;

use std::path::{Path, PathBuf};

use ghostplane_ghostcipher::SigningKey;
use ghostplane_types::{Address, EntityType, Gid, Scheme, Signer as _};
use thiserror::Error;
use zeroize::Zeroizing;

pub use directory::default_dir;
pub use passphrase::{PASSPHRASE_CHARS_MIN, Passphrase, PassphraseSource};
pub use secret::{SCHEMES, SecretKey};

pub(crate) use file::{KeyFile, Kind};

/// Bytes of one key file.
pub const KEY_FILE_BYTES_MAX: usize = 64 * 1024;
/// Characters of a key's name.
pub const NAME_CHARS_MAX: usize = 32;

/// What everybody may know about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// What it is called on this machine.
    pub name: String,
    /// The identity it is the first key of.
    pub gid: Gid,
    /// The address of that identity.
    pub address: Address,
    /// How the secret is kept.
    pub kept: Kept,
    /// Where.
    pub path: PathBuf,
    /// Whether others than the owner may read the file.
    pub exposed: bool,
}

impl KeyInfo {
    /// The text form of the address.
    #[must_use]
    pub fn address_text(&self) -> String {
        self.address.to_text(self.gid.entity_type)
    }

    /// The decentralised identifier.
    #[must_use]
    pub fn did(&self) -> String {
        self.address.to_did(self.gid.entity_type)
    }
}

/// How a secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In plain text: for keys that guard nothing.
    Dev,
    /// Under a passphrase.
    Encrypted,
}

impl Kept {
    /// The word for it, as the file has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Encrypted => "encrypted",
        }
    }
}

/// What a key is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// What it is called on this machine.
    pub name: &'a str,
    /// How it signs.
    pub scheme: Scheme,
    /// What the identity claims to be.
    pub entity_type: EntityType,
    /// The plane's chain, part of the address.
    pub chain_id: u64,
}

impl<'a> NewKey<'a> {
    /// One of Ed25519, which the L1 knows as well.
    #[must_use]
    pub const fn ed25519(name: &'a str, entity_type: EntityType, chain_id: u64) -> Self {
        Self { name, scheme: Scheme::Ed25519, entity_type, chain_id }
    }
}

/// Makes a key from the system's random source and writes its file; under `passphrase`, or as a dev key without one.
/// An existing file is never overwritten.
///
/// # Errors
/// [`KeyFileError`] if the name or passphrase is not fit, the name is taken, or the file cannot be written.
pub fn create(dir: &Path, new: &NewKey<'_>, passphrase: Option<&Passphrase>) -> Result<KeyInfo, KeyFileError> {
    create_with(dir, new, passphrase, file::KdfParameters::RECOMMENDED)
}

fn create_with(
    dir: &Path,
    new: &NewKey<'_>,
    passphrase: Option<&Passphrase>,
    kdf: file::KdfParameters,
) -> Result<KeyInfo, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    // Of random bytes nearly all are a secret of any scheme.
    for _ in 0..8 {
        getrandom::fill(&mut *seed)?;
        if SecretKey::from_seed(new.scheme, &seed).is_some() {
            break;
        }
    }
    keep(dir, new, &seed, passphrase, kdf)
}

/// Writes the file of a key whose seed somebody has already, as [`create`] does for a new one.
///
/// # Errors
/// As [`create`], and [`KeyFileError::NoSecret`] if the seed is none of the scheme.
pub fn import(
    dir: &Path,
    new: &NewKey<'_>,
    seed: &Zeroizing<[u8; 32]>,
    passphrase: Option<&Passphrase>,
) -> Result<KeyInfo, KeyFileError> {
    keep(dir, new, seed, passphrase, file::KdfParameters::RECOMMENDED)
}

fn keep(
    dir: &Path,
    new: &NewKey<'_>,
    seed: &Zeroizing<[u8; 32]>,
    passphrase: Option<&Passphrase>,
    kdf: file::KdfParameters,
) -> Result<KeyInfo, KeyFileError> {
    let NewKey { name, scheme, entity_type, chain_id } = *new;
    check_free(dir, name)?;
    if let Some(passphrase) = passphrase {
        passphrase.check_for_new_key()?;
    }
    let path = directory::path_of(dir, name);
    let public_key = SecretKey::from_seed(scheme, seed).ok_or(KeyFileError::NoSecret { scheme })?.public_key();
    let gid = Gid { public_key, chain_id, entity_type, version: 0 };
    let made = match passphrase {
        Some(passphrase) => KeyFile::encrypted(name, gid, seed, passphrase, kdf)?,
        None => KeyFile::dev(name, gid, seed),
    };
    // A file that would not open again must not be the only copy of a key.
    let opened = made.open(&path, passphrase)?;
    assert_eq!(opened.public_key(), public_key, "a key file opens to the key it was made of");
    directory::write_new(dir, name, &made.to_json())?;
    describe(dir, name)
}

/// Whether a new key could have this name.
///
/// # Errors
/// [`KeyFileError::BadName`] or [`KeyFileError::Exists`].
pub fn check_free(dir: &Path, name: &str) -> Result<(), KeyFileError> {
    check_name(name)?;
    let path = directory::path_of(dir, name);
    // A dangling link takes the name as well.
    if path.symlink_metadata().is_ok() { Err(KeyFileError::Exists { name: name.to_string(), path }) } else { Ok(()) }
}

/// Opens a key: with `passphrase` if it is encrypted; a dev key needs none.
///
/// # Errors
/// [`KeyFileError`] if there is no such key, the file is not what it should be, or the passphrase is missing or wrong.
pub fn load(dir: &Path, name: &str, passphrase: Option<&Passphrase>) -> Result<SecretKey, KeyFileError> {
    let (path, file) = read(dir, name)?;
    file.open(&path, passphrase)
}

/// [`load`] of a key that has to be of Ed25519: a sequencer's, or one that signs for the L1.
///
/// # Errors
/// As [`load`], and [`KeyFileError::NotEd25519`].
pub fn load_ed25519(dir: &Path, name: &str, passphrase: Option<&Passphrase>) -> Result<SigningKey, KeyFileError> {
    load(dir, name, passphrase)?.into_ed25519(name)
}

/// What everybody may know about a key, without opening it.
///
/// # Errors
/// [`KeyFileError`] if there is no such key or the file is not what it should be.
pub fn describe(dir: &Path, name: &str) -> Result<KeyInfo, KeyFileError> {
    let (path, file) = read(dir, name)?;
    Ok(KeyInfo {
        name: name.to_string(),
        gid: *file.gid(),
        address: file.gid().address(),
        kept: file.kept(),
        exposed: directory::is_exposed(&path),
        path,
    })
}

/// A name in a directory of keys, and what its file says or why it says nothing.
pub type Listed = (String, Result<KeyInfo, KeyFileError>);

/// Every key of a directory by rising name; a file that cannot be read stands with its error. Empty if there is no such
/// directory.
///
/// # Errors
/// [`KeyFileError::Io`] if the directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Listed>, KeyFileError> {
    let names = directory::names(dir)?;
    Ok(names.into_iter().map(|name| (name.clone(), describe(dir, &name))).collect())
}

fn read(dir: &Path, name: &str) -> Result<(PathBuf, KeyFile), KeyFileError> {
    check_name(name)?;
    let (path, bytes) = directory::read(dir, name)?;
    let file = KeyFile::parse(&bytes, &path)?;
    if file.name() != name {
        let what = format!("it is the file of '{}'", file.name());
        return Err(KeyFileError::Inconsistent { path, what });
    }
    Ok((path, file))
}

/// Names are short, the same on every file system, and need no quotes in a shell.
fn check_name(name: &str) -> Result<(), KeyFileError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    let starts = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if starts && name.len() <= NAME_CHARS_MAX && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(KeyFileError::BadName { name: name.to_string() })
    }
}

/// The word for an entity type, as key files and the command line have it.
#[must_use]
pub const fn entity_word(entity_type: EntityType) -> &'static str {
    entity_type.name()
}

/// The entity type of that word.
#[must_use]
pub fn entity_of(word: &str) -> Option<EntityType> {
    EntityType::ALL.into_iter().find(|entity_type| entity_word(*entity_type) == word)
}

/// Why a key cannot be made, found or opened.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// Not a name a key can have.
    #[error("'{name}' is no name for a key: take 1 to {NAME_CHARS_MAX} of a-z, 0-9, _ and -, a letter first")]
    BadName {
        /// What was given.
        name: String,
    },
    /// No key of that name.
    #[error("no key '{name}' in {}; {}", .dir.display(), known_names(.known, .name))]
    NotFound {
        /// What was asked for.
        name: String,
        /// Where.
        dir: PathBuf,
        /// What there is instead.
        known: Vec<String>,
    },
    /// The name is taken.
    #[error("key '{name}' exists already and is not overwritten: take another name, or move {} away first", .path.display())]
    Exists {
        /// The name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// Not a file, such as a directory or a pipe.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// What it is instead of a key file.
        path: PathBuf,
    },
    /// Larger than any key file.
    #[error("{} is larger than {KEY_FILE_BYTES_MAX} bytes: that is no key file", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON, or not the JSON of a key file.
    #[error("{} is not a key file: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Made by a release that knows more.
    #[error("{} is of key file version {found}, this release reads version {}: use a newer release", .path.display(), file::VERSION)]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The bytes are no secret of the scheme.
    #[error("that is no secret key of {}: it is zero, or not below the order of the group", .scheme.name())]
    NoSecret {
        /// Which scheme.
        scheme: Scheme,
    },
    /// A key of another scheme where only Ed25519 does.
    #[error("key '{name}' is of {}; the L1 and a plane's sequencer take ed25519 keys only", .found.name())]
    NotEd25519 {
        /// The key.
        name: String,
        /// Its scheme.
        found: Scheme,
    },
    /// A key derivation or cipher that this release does not have.
    #[error("{} uses {what} '{found}', this release knows '{known}' only", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What it could say.
        known: &'static str,
    },
    /// Costs that would exhaust the machine, or that Argon2 does not allow.
    #[error("{} asks for {what} of {value}, only {min} to {max} are accepted: the file is damaged or hostile", .path.display())]
    Parameter {
        /// The file.
        path: PathBuf,
        /// Which cost.
        what: &'static str,
        /// What the file says.
        value: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Its own fields contradict each other.
    #[error("{} contradicts itself: {what}. Restore it from a copy", .path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// How.
        what: String,
    },
    /// The secret does not open.
    #[error("the passphrase of '{name}' is wrong, or {} was altered", .path.display())]
    WrongPassphraseOrAltered {
        /// The key.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// An encrypted key and no passphrase.
    #[error("key '{name}' is encrypted: give its passphrase at the prompt or with --passphrase-file FILE")]
    PassphraseRequired {
        /// The key.
        name: String,
    },
    /// Nothing, or nothing before the line's end.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// Too little for a new key.
    #[error("the passphrase has {chars} characters, a new key needs at least {PASSPHRASE_CHARS_MIN}")]
    PassphraseTooShort {
        /// How many it has.
        chars: usize,
    },
    /// Not a line of text that could be a passphrase.
    #[error("{} does not start with a passphrase: {problem}", .path.display())]
    PassphraseFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// The two prompts got different answers.
    #[error("the two passphrases differ; nothing was written")]
    PassphrasesDiffer,
    /// Nobody to ask.
    #[error(
        "no terminal to ask for the passphrase on: put it in the first line of a file and give --passphrase-file FILE, or name the file in {}",
        passphrase::FILE_VARIABLE
    )]
    NoTerminal,
    /// No place for keys.
    #[error("no directory for keys: set HOME or {}, or give --dir DIR", directory::VARIABLE)]
    NoDirectory,
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The machine is short of memory for this file's key derivation.
    #[error("not enough memory to derive the key of {}: it takes {mebibytes} MiB", .path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// What it takes.
        mebibytes: u32,
    },
    /// No random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

fn known_names(known: &[String], wanted: &str) -> String {
    match known {
        [] => format!("there is none yet: make one with  ghostplane key new {wanted}"),
        known if known.len() <= 12 => format!("there are: {}", known.join(", ")),
        known => format!("there are {}, see  ghostplane key list", known.len()),
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! `ghostplane key`: make, list and show.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use ghostplane_ghostcipher::hex;
use ghostplane_types::genesis::{CHAIN_DEV, CHAIN_PLANE};
use ghostplane_types::{EntityType, Scheme};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::connect::Target;
use crate::keys::{self, Kept, KeyInfo, Listed, NewKey, PassphraseSource};
use crate::screen::{Align, Screen, Table};

/// `key` and what follows it.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Directory of key files, as --keys
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and keep it in a file, encrypted under a passphrase
    New(NewArgs),
    /// Keep a key that exists already: its seed comes from a file or standard input, never as an argument
    Import(ImportArgs),
    /// List all keys
    List,
    /// Show what everybody may know about a key; never the secret
    Show {
        /// The key
        name: String,
    },
}

#[derive(Debug, Args)]
struct NewArgs {
    /// Its name: 1 to 32 of a-z, 0-9, _ and -, a letter first
    name: String,
    /// Keep it in plain text, for development only
    #[arg(long)]
    dev: bool,
    /// What the identity claims to be
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "wallet",
        value_parser = PossibleValuesParser::new(EntityType::ALL.map(keys::entity_word))
            .map(|word| keys::entity_of(&word).expect("a possible value is an entity type")),
    )]
    entity_type: EntityType,
    /// How it signs; the L1 and sequencers take ed25519 only
    #[arg(
        long,
        value_name = "SCHEME",
        default_value = "ed25519",
        value_parser = PossibleValuesParser::new(keys::SCHEMES.map(Scheme::name))
            .map(|name| keys::SCHEMES.into_iter().find(|scheme| scheme.name() == name).expect("a possible value")),
    )]
    scheme: Scheme,
    /// The plane's chain, part of the address [default: 10000, with --dev 1337]
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// File whose first line is the passphrase [default: the file named by $GHOSTPLANE_PASSPHRASE_FILE, else ask]
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ImportArgs {
    #[command(flatten)]
    new: NewArgs,
    /// File of the seed, of an ECDSA key its secret number: 64 hexadecimal digits [default: standard input]
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
}

/// Bytes of a seed's text: its digits, and room for blanks and a line's end.
const SEED_TEXT_BYTES_MAX: usize = 256;

/// Reads a seed. Every buffer is wiped, and has room for everything so that it leaves no copy behind by growing.
fn read_seed(file: Option<&Path>) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut text = Zeroizing::new(Vec::with_capacity(SEED_TEXT_BYTES_MAX + 64));
    let limit = SEED_TEXT_BYTES_MAX as u64 + 1;
    match file {
        Some(path) => File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut text))
            .with_context(|| format!("cannot read {}", path.display()))?,
        None => io::stdin().lock().take(limit).read_to_end(&mut text).context("cannot read standard input")?,
    };
    // What was read is not shown: it may be a secret.
    let digits = std::str::from_utf8(&text).ok().filter(|text| text.len() <= SEED_TEXT_BYTES_MAX).map(str::trim);
    let seed = digits.and_then(|digits| hex::decode::<32>(digits).ok());
    Ok(Zeroizing::new(seed.context("that is no seed: give 64 hexadecimal digits and nothing else")?))
}

/// Does what was asked about keys.
///
/// # Errors
/// [`keys::KeyFileError`] as it says.
pub fn run(args: KeyArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = args.dir.map_or_else(|| target.keys_dir(), Ok)?;
    match args.command {
        KeyCommand::New(new) => make(&dir, new, None, screen)?,
        KeyCommand::Import(ImportArgs { new, seed_file }) => {
            let seed = read_seed(seed_file.as_deref())?;
            make(&dir, new, Some(&seed), screen)?;
        }
        KeyCommand::List => list(&keys::list(&dir)?, &dir, screen),
        KeyCommand::Show { name } => show(&keys::describe(&dir, &name)?, screen),
    }
    Ok(())
}

/// Keeps a key: with `seed` that one, without a new one.
fn make(dir: &Path, new: NewArgs, seed: Option<&Zeroizing<[u8; 32]>>, screen: &Screen) -> anyhow::Result<()> {
    let chain_id = new.chain_id.unwrap_or(if new.dev { CHAIN_DEV } else { CHAIN_PLANE });
    // Before the passphrase is asked for, so that nobody types one for nothing.
    keys::check_free(dir, &new.name)?;
    let passphrase = match new.dev {
        true => None,
        false => Some(PassphraseSource::new(new.passphrase_file).ask_new(&new.name)?),
    };
    let key = NewKey { name: &new.name, scheme: new.scheme, entity_type: new.entity_type, chain_id };
    let made = match seed {
        Some(seed) => keys::import(dir, &key, seed, passphrase.as_ref())?,
        None => keys::create(dir, &key, passphrase.as_ref())?,
    };
    screen.good(&format!("{} key '{}'", if seed.is_some() { "imported" } else { "made" }, made.name));
    show(&made, screen);
    match made.kept {
        Kept::Dev => screen.note("A dev key is in plain text: never hold value with it."),
        Kept::Encrypted => screen.note("Keep a copy of this file and its passphrase: nobody can restore either."),
    }
    Ok(())
}

fn show(key: &KeyInfo, screen: &Screen) {
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    table
        .row(["name", key.name.as_str()])
        .row(["type", keys::entity_word(key.gid.entity_type)])
        .row(["address", &key.address_text()])
        .row(["DID", &key.did()])
        .row(["public key", &public_key(key)])
        .row(["chain", &key.gid.chain_id.to_string()])
        .row(["kept", kept(key)])
        .row(["file", &key.path.display().to_string()]);
    screen.table(&table);
    if key.exposed {
        screen.bad(&format!("others can read this file; to change that:  chmod 600 {}", key.path.display()));
    }
    screen.emit(&json_of(key));
}

fn list(found: &[Listed], dir: &Path, screen: &Screen) {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("type", Align::Left),
        ("scheme", Align::Left),
        ("chain", Align::Right),
        ("kept", Align::Left),
        ("address", Align::Left),
    ]);
    for (_, key) in found {
        if let Ok(key) = key {
            let chain = key.gid.chain_id.to_string();
            table.row([
                &*key.name,
                keys::entity_word(key.gid.entity_type),
                key.gid.public_key.scheme().name(),
                &chain,
                key.kept.word(),
                &key.address_text(),
            ]);
        }
    }
    if !table.is_empty() {
        screen.table(&table);
    }
    for (name, key) in found {
        match key {
            Ok(key) if key.exposed => {
                screen.bad(&format!("{name}: others can read it; to change that:  chmod 600 {}", key.path.display()));
            }
            Ok(_) => {}
            Err(error) => screen.bad(&format!("{name}: {error}")),
        }
    }
    if found.is_empty() {
        screen.line(&format!("No keys in {} yet.", dir.display()));
        screen.note("To make one:  ghostplane key new alice");
    }
    let json = |(name, key): &Listed| match key {
        Ok(key) => json_of(key),
        Err(error) => json!({ "name": name, "error": error.to_string() }),
    };
    screen.emit(&json!({ "dir": dir, "keys": found.iter().map(json).collect::<Vec<_>>() }));
}

fn public_key(key: &KeyInfo) -> String {
    let public_key = key.gid.public_key;
    format!("{}:{public_key}", public_key.scheme().name())
}

fn kept(key: &KeyInfo) -> &'static str {
    match key.kept {
        Kept::Dev => "dev: in plain text, worthless",
        Kept::Encrypted => "encrypted under a passphrase",
    }
}

fn json_of(key: &KeyInfo) -> Value {
    json!({
        "name": key.name,
        "type": keys::entity_word(key.gid.entity_type),
        "address": key.address_text(),
        "did": key.did(),
        "scheme": key.gid.public_key.scheme().name(),
        "public_key": public_key(key),
        "chain_id": key.gid.chain_id,
        "gid_version": key.gid.version,
        "kept": key.kept.word(),
        "path": key.path,
        "exposed": key.exposed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::Scratch;
    use ghostplane_types::Signer as _;

    #[test]
    fn an_imported_key_is_the_one_of_its_seed() {
        let dir = Scratch::new("import");
        let path = dir.path().join("seed");
        std::fs::write(&path, format!("{}\n", "07".repeat(32))).expect("a scratch file");
        let seed = read_seed(Some(&path)).expect("a seed");
        for scheme in keys::SCHEMES {
            let new = NewKey { name: scheme.name(), scheme, entity_type: EntityType::Wallet, chain_id: CHAIN_DEV };
            let made = keys::import(dir.path(), &new, &seed, None).expect("kept");
            let expected = keys::SecretKey::from_seed(scheme, &[7; 32]).expect("a secret of any scheme").public_key();
            assert_eq!(made.gid.public_key, expected);
            assert!(public_key(&made).starts_with(&format!("{}:", scheme.name())));
            let opened = keys::load(dir.path(), scheme.name(), None).expect("a dev key opens");
            assert_eq!(opened.public_key(), expected);
        }
    }

    #[test]
    fn what_is_no_seed_is_refused_and_not_repeated() {
        let dir = Scratch::new("no-seed");
        let path = dir.path().join("seed");
        for text in [String::new(), "07".repeat(31), "07".repeat(33), "xy".repeat(32), " ".repeat(300)] {
            std::fs::write(&path, &text).expect("a scratch file");
            let error = format!("{:#}", read_seed(Some(&path)).expect_err("no seed"));
            assert!(error.contains("64 hexadecimal") && (text.trim().is_empty() || !error.contains(&text)), "{error}");
        }
    }
}

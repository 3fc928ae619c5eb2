//! `ghostplane key`: make, list and show.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use ghostplane_types::genesis::{CHAIN_DEV, CHAIN_PLANE};
use ghostplane_types::{EntityType, PublicKey};
use serde_json::{Value, json};

use super::connect::Target;
use crate::keys::{self, Kept, KeyInfo, Listed, PassphraseSource};
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
    /// The plane's chain, part of the address [default: 10000, with --dev 1337]
    #[arg(long, value_name = "ID")]
    chain_id: Option<u64>,
    /// File whose first line is the passphrase [default: the file named by $GHOSTPLANE_PASSPHRASE_FILE, else ask]
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    passphrase_file: Option<PathBuf>,
}

/// Does what was asked about keys.
///
/// # Errors
/// [`keys::KeyFileError`] as it says.
pub fn run(args: KeyArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = args.dir.map_or_else(|| target.keys_dir(), Ok)?;
    match args.command {
        KeyCommand::New(new) => {
            let chain_id = new.chain_id.unwrap_or(if new.dev { CHAIN_DEV } else { CHAIN_PLANE });
            // Before the passphrase is asked for, so that nobody types one for nothing.
            keys::check_free(&dir, &new.name)?;
            let passphrase = match new.dev {
                true => None,
                false => Some(PassphraseSource::new(new.passphrase_file).ask_new(&new.name)?),
            };
            let made = keys::create(&dir, &new.name, new.entity_type, chain_id, passphrase.as_ref())?;
            screen.good(&format!("made key '{}'", made.name));
            show(&made, screen);
            match made.kept {
                Kept::Dev => screen.note("A dev key is in plain text: never hold value with it."),
                Kept::Encrypted => {
                    screen.note("Keep a copy of this file and its passphrase: nobody can restore either.")
                }
            }
        }
        KeyCommand::List => list(&keys::list(&dir)?, &dir, screen),
        KeyCommand::Show { name } => show(&keys::describe(&dir, &name)?, screen),
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
    let PublicKey::Ed25519(public) = key.gid.public_key;
    format!("ed25519:{public}")
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
        "public_key": public_key(key),
        "chain_id": key.gid.chain_id,
        "gid_version": key.gid.version,
        "kept": key.kept.word(),
        "path": key.path,
        "exposed": key.exposed,
    })
}

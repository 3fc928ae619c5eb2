//! Where the node is and where the keys are, for every command that talks to a node.

use crate::keys::{self, Passphrase, PassphraseSource};
use anyhow::Context as _;
use clap::Args;
use ghostplane_client::{Client, Options};
use std::path::PathBuf;

/// Where a node listens when nobody says otherwise.
const URL: &str = "http://127.0.0.1:9090";
/// Names the node where `--url` does not.
const VARIABLE: &str = "GHOSTPLANE_URL";

/// What every command that talks to a node can be told.
#[derive(Clone, Debug, Default, Args)]
pub struct Target {
    /// The node to talk to [default: $GHOSTPLANE_URL, else http://127.0.0.1:9090]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Directory of key files [default: $GHOSTPLANE_KEYS, else ~/.config/ghostplane/keys]
    #[arg(long = "keys", global = true, value_name = "DIR")]
    pub keys: Option<PathBuf>,
}

impl Target {
    /// The directory of keys.
    pub(super) fn keys_dir(&self) -> anyhow::Result<PathBuf> {
        Ok(self.keys.clone().map_or_else(keys::default_dir, Ok)?)
    }

    /// The node's address.
    pub(super) fn url(&self) -> String {
        let named = || std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        self.url.clone().or_else(named).unwrap_or_else(|| URL.to_owned())
    }

    /// Connects, and learns which plane is there.
    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        let client = Client::connect(&self.url(), Options::default()).await;
        client.context("no node to ask; start one, or name one with --url URL or $GHOSTPLANE_URL")
    }
}

/// What opens an encrypted key.
#[derive(Clone, Debug, Default, Args)]
pub struct Opening {
    /// File whose first line is the passphrase [default: the file named by $GHOSTPLANE_PASSPHRASE_FILE, else ask]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Opening {
    /// Opens a key. Only for an encrypted one is a passphrase asked for.
    pub(super) fn open(&self, target: &Target, name: &str) -> anyhow::Result<(keys::KeyInfo, keys::SecretKey)> {
        let dir = target.keys_dir()?;
        let info = keys::describe(&dir, name)?;
        let passphrase: Option<Passphrase> = match info.kept {
            keys::Kept::Dev => None,
            keys::Kept::Encrypted => Some(PassphraseSource::new(self.passphrase_file.clone()).ask(name)?),
        };
        let key = keys::load(&dir, name, passphrase.as_ref())?;
        Ok((info, key))
    }
}

/// Runs a command's conversation with the node on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the system gives no event loop")?.block_on(work)
}

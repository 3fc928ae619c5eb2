//! Who is meant: the name of a key, an address, a DID or 64 hexadecimal digits; and how much of what.

use crate::keys::{self, KeyFileError};
use anyhow::{Context as _, anyhow, bail};
use ghostplane_client::Plane;
use ghostplane_ghostcipher::hex;
use ghostplane_types::asset::AssetName;
use ghostplane_types::{Address, Amount, AssetId, EntityType, Gid, L1Address, Money, PublicKey};
use std::path::Path;

/// Somebody on the plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Where money for them goes.
    pub address: Address,
    /// What their address claims to be.
    pub entity_type: EntityType,
    /// The key, if they were named by one.
    pub key: Option<(String, Gid)>,
}

impl Who {
    /// Their address for people.
    #[must_use]
    pub fn text(&self) -> String {
        self.address.to_text(self.entity_type)
    }

    /// As they were named, or by address.
    #[must_use]
    pub fn shown(&self) -> String {
        self.key.as_ref().map_or_else(|| self.text(), |(name, _)| name.clone())
    }

    /// That they can use what they are sent on this plane. A key of another chain has another address here, so that money
    /// sent to this one would be lost.
    pub fn check_chain(&self, chain_id: u64) -> anyhow::Result<()> {
        match &self.key {
            Some((name, gid)) if gid.chain_id != chain_id => bail!(
                "key '{name}' is for chain {}, this plane is chain {chain_id}: make one for it with  ghostplane key new --chain-id {chain_id} NAME",
                gid.chain_id
            ),
            _ => Ok(()),
        }
    }
}

/// Finds out who is meant. `dir` holds the keys.
pub fn resolve(text: &str, dir: &Path) -> anyhow::Result<Who> {
    if let Some(bytes) = hex_32(text) {
        return Ok(Who { address: Address::from_bytes(bytes), entity_type: EntityType::Wallet, key: None });
    }
    if text.len() > keys::NAME_CHARS_MAX || text.starts_with("did:") {
        let (address, entity_type) = Address::parse(text).with_context(|| format!("who is '{text}'?"))?;
        return Ok(Who { address, entity_type, key: None });
    }
    let info = keys::describe(dir, text).map_err(|error| unknown(text, error))?;
    Ok(Who { address: info.address, entity_type: info.gid.entity_type, key: Some((info.name, info.gid)) })
}

/// The L1 account of somebody: a key's own, or 64 hexadecimal digits, with or without `l1:` before them.
pub fn resolve_l1(text: &str, dir: &Path) -> anyhow::Result<L1Address> {
    if let Some(bytes) = hex_32(text.strip_prefix("l1:").unwrap_or(text)) {
        return Ok(L1Address(bytes));
    }
    if text.len() > keys::NAME_CHARS_MAX {
        bail!("'{text}' is no L1 account: those are 64 hexadecimal digits, or the name of a key");
    }
    let info = keys::describe(dir, text).map_err(|error| unknown(text, error))?;
    l1_of(&info.gid)
}

/// The L1 account that an identity's first key signs for, if the L1 knows such keys.
pub fn l1_of(gid: &Gid) -> anyhow::Result<L1Address> {
    match gid.public_key {
        PublicKey::Ed25519(key) => Ok(L1Address(*key.as_bytes())),
        other => bail!(
            "a key of {} has no account on the L1, which takes ed25519 only: name an L1 account, 64 hexadecimal digits",
            other.scheme().name()
        ),
    }
}

fn hex_32(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()
}

fn unknown(text: &str, error: KeyFileError) -> anyhow::Error {
    match error {
        KeyFileError::BadName { .. } => anyhow!(
            "who is '{text}'? Give the name of a key, an address (ghost1…), a DID (did:ghost:…) or 64 hexadecimal digits"
        ),
        error => error.into(),
    }
}

/// Reads `1.5gcc` or `10 zman`.
pub fn money(text: &str) -> Result<Money, String> {
    let text = text.trim();
    let joined = match text.split_once(' ') {
        // '1 2gcc' is a mistake, never twelve.
        Some((number, symbol)) if symbol.trim_start().starts_with(|c: char| c.is_ascii_alphabetic()) => {
            format!("{number}{}", symbol.trim_start())
        }
        _ => text.to_owned(),
    };
    let money: Money = joined.parse().map_err(|error: ghostplane_types::AmountError| error.to_string())?;
    if money.amount.is_zero() { Err("the amount is zero".to_owned()) } else { Ok(money) }
}

/// Reads `gcc`, `zman` or `#7`.
pub fn asset(text: &str) -> Result<AssetId, String> {
    let number = |text: &str| text.parse().ok().and_then(AssetId::new);
    let named = AssetName::parse(text).map(AssetName::asset);
    named
        .or_else(|| text.strip_prefix('#').and_then(number))
        .ok_or_else(|| format!("'{text}' names no asset; write gcc, zman or the number of another, like #65536"))
}

/// An amount as people write it; an asset of this plane's genesis by its own symbol and decimals.
#[must_use]
pub fn show(plane: &Plane, asset: AssetId, amount: Amount) -> String {
    match plane.genesis().asset(asset) {
        Some(known) if AssetName::of(asset).is_none() => {
            format!("{}{}", amount.to_decimal(known.decimals), String::from_utf8_lossy(&known.symbol))
        }
        _ => Money { amount, asset }.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::Scratch;
    use ghostplane_ghostcipher::Digest;

    #[test]
    fn everybody_is_found_by_name_address_did_and_digits() {
        let dir = Scratch::new("who");
        let made = keys::create(dir.path(), &keys::NewKey::ed25519("alice", EntityType::Service, 1337), None)
            .expect("a dev key");
        let found = resolve("alice", dir.path()).expect("by name");
        assert_eq!(found.address, made.address);
        assert_eq!(found.text(), made.address_text());
        for text in [made.address_text(), made.did(), Digest(*made.address.as_bytes()).to_string()] {
            let other = resolve(&text, dir.path()).expect("by text");
            assert_eq!((other.address, other.key), (made.address, None), "{text}");
        }
        assert!(found.check_chain(1337).is_ok());
        assert!(found.check_chain(10_000).expect_err("another chain").to_string().contains("--chain-id 10000"));
        let l1 = resolve_l1("alice", dir.path()).expect("by name");
        assert_eq!(resolve_l1(&l1.to_string(), dir.path()).expect("by its text"), l1);
    }

    #[test]
    fn who_is_nobody_is_told_what_to_give() {
        let dir = Scratch::new("nobody");
        for text in ["", "Alice", "alice", "ghost1qqqq", "did:ghost:x", "0x00", &"f".repeat(63), &"f".repeat(65)] {
            assert!(resolve(text, dir.path()).is_err(), "{text}");
            assert!(resolve_l1(text, dir.path()).is_err(), "{text}");
        }
        let typo = Address::from_bytes([1; 32]).to_string().replacen('1', "1q", 1);
        assert!(format!("{:#}", resolve(&typo, dir.path()).expect_err("a typo")).contains("checksum"));
    }

    #[test]
    fn amounts_are_read_with_and_without_a_blank() {
        assert_eq!(money("10 zman"), money("10zman"));
        assert_eq!(money(" 1.5gcc ").map(|money| money.amount.units()), Ok(1_500_000_000));
        for text in ["", "0gcc", "1", "gcc", "1. gcc", "1 2gcc", "-1gcc", "1 btc"] {
            assert!(money(text).is_err(), "{text}");
        }
        assert_eq!(asset("GCC"), Ok(AssetId::GCC));
        assert_eq!(asset("#7"), Ok(AssetId::new(7).expect("small")));
        assert!(asset("btc").is_err() && asset("7").is_err());
    }
}

//! Actions: what a transaction does.

use crate::address::{Address, Gid, L1Address, PublicKey};
use crate::amount::Amount;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::session::Session;

/// One thing a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Moves an amount to another account, which is made if it does not exist.
    Transfer {
        /// Who receives.
        to: Address,
        /// What moves.
        asset: AssetId,
        /// How much, not zero.
        amount: Amount,
    },
    /// Sends an amount of a bridged asset back to the L1.
    Withdraw {
        /// Who may claim it there.
        to: L1Address,
        /// What leaves.
        asset: AssetId,
        /// How much, not zero.
        amount: Amount,
    },
    /// Registers an identity at its own address, whoever sends it, and makes the account if it does not exist.
    RegisterIdentity {
        /// Whose.
        gid: Gid,
    },
    /// Changes the account's keys.
    RotateKey(KeyChange),
    /// Lets a key act within a scope, on a lane of its own.
    AddSession(Box<Session>),
    /// Ends a session at once.
    RevokeSession {
        /// Its lane.
        lane: u8,
    },
}

/// A change of the keys of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyChange {
    /// Adds a key behind the others.
    Add(PublicKey),
    /// Puts a key in the place of another.
    Replace {
        /// The place.
        position: u8,
        /// The new key.
        key: PublicKey,
    },
    /// Removes a key; those behind it move up.
    Remove {
        /// The place.
        position: u8,
    },
}

/// Every action kind with its number. Those that do not run yet keep their number.
pub const ACTION_KINDS: &[(u8, &str)] = &[
    (1, "transfer"),
    (2, "withdraw"),
    (3, "deploy"),
    (4, "call"),
    (5, "register_identity"),
    (6, "rotate_key"),
    (7, "add_session"),
    (8, "revoke_session"),
    (9, "set_covenant"),
    (10, "set_guardians"),
    (11, "propose"),
    (12, "approve"),
    (13, "reject"),
    (14, "execute"),
    (15, "open_stream"),
    (16, "top_up"),
    (17, "close_stream"),
    (18, "register_asset"),
    (19, "mint"),
    (20, "burn"),
    (21, "register_name"),
    (22, "update_name"),
    (23, "transfer_name"),
    (24, "renew_name"),
];

impl Action {
    /// The number of [`Action::Transfer`] in the format.
    pub const KIND_TRANSFER: u8 = 1;
    /// The number of [`Action::Withdraw`] in the format.
    pub const KIND_WITHDRAW: u8 = 2;
    /// The number of [`Action::RegisterIdentity`] in the format.
    pub const KIND_REGISTER_IDENTITY: u8 = 5;
    /// The number of [`Action::RotateKey`] in the format.
    pub const KIND_ROTATE_KEY: u8 = 6;
    /// The number of [`Action::AddSession`] in the format.
    pub const KIND_ADD_SESSION: u8 = 7;
    /// The number of [`Action::RevokeSession`] in the format.
    pub const KIND_REVOKE_SESSION: u8 = 8;

    /// The kind's number.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Transfer { .. } => Self::KIND_TRANSFER,
            Self::Withdraw { .. } => Self::KIND_WITHDRAW,
            Self::RegisterIdentity { .. } => Self::KIND_REGISTER_IDENTITY,
            Self::RotateKey(_) => Self::KIND_ROTATE_KEY,
            Self::AddSession(_) => Self::KIND_ADD_SESSION,
            Self::RevokeSession { .. } => Self::KIND_REVOKE_SESSION,
        }
    }

    /// The kind's name.
    pub fn kind_name(&self) -> &'static str {
        kind_name(self.kind()).expect("every action has a listed kind")
    }

    /// What it takes out of the sender's account by itself; storage prices come on top.
    pub const fn moves(&self) -> Option<(AssetId, Amount)> {
        match self {
            Self::Transfer { asset, amount, .. } | Self::Withdraw { asset, amount, .. } => Some((*asset, *amount)),
            Self::RegisterIdentity { .. } | Self::RotateKey(_) | Self::AddSession(_) | Self::RevokeSession { .. } => {
                None
            }
        }
    }

    /// Says what is wrong with an unknown or reserved kind.
    pub fn refuse_kind(kind: u8, reader: &Reader<'_>) -> DecodeError {
        if kind_name(kind).is_some() {
            reader.unimplemented("action kind", u64::from(kind))
        } else {
            reader.unknown("action kind", u64::from(kind))
        }
    }

    /// Writes what follows the kind.
    pub fn encode_content(&self, out: &mut Vec<u8>) {
        match self {
            Self::Transfer { to, asset, amount } => {
                to.encode(out);
                asset.encode(out);
                amount.encode(out);
            }
            Self::Withdraw { to, asset, amount } => {
                to.encode(out);
                asset.encode(out);
                amount.encode(out);
            }
            Self::RegisterIdentity { gid } => gid.encode(out),
            Self::RotateKey(change) => change.encode(out),
            Self::AddSession(session) => session.encode(out),
            Self::RevokeSession { lane } => lane.encode(out),
        }
    }

    /// Reads what follows the kind.
    pub fn decode_content(kind: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match kind {
            Self::KIND_TRANSFER => {
                Ok(Self::Transfer { to: reader.read()?, asset: reader.read()?, amount: reader.read()? })
            }
            Self::KIND_WITHDRAW => {
                Ok(Self::Withdraw { to: reader.read()?, asset: reader.read()?, amount: reader.read()? })
            }
            Self::KIND_REGISTER_IDENTITY => Ok(Self::RegisterIdentity { gid: reader.read()? }),
            Self::KIND_ROTATE_KEY => Ok(Self::RotateKey(reader.read()?)),
            Self::KIND_ADD_SESSION => Ok(Self::AddSession(Box::new(reader.read()?))),
            Self::KIND_REVOKE_SESSION => Ok(Self::RevokeSession { lane: reader.read()? }),
            kind => Err(Self::refuse_kind(kind, reader)),
        }
    }
}

/// The name of an action kind, if there is such a kind.
pub fn kind_name(kind: u8) -> Option<&'static str> {
    ACTION_KINDS.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

impl Encode for Action {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        self.encode_content(out);
    }
}

impl Decode for Action {
    const BYTES_MIN: usize = 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.read()?;
        Self::decode_content(kind, reader)
    }
}

impl KeyChange {
    const ADD: u8 = 1;
    const REPLACE: u8 = 2;
    const REMOVE: u8 = 3;

    /// The key that it sets, if any.
    pub const fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Add(key) | Self::Replace { key, .. } => Some(key),
            Self::Remove { .. } => None,
        }
    }
}

impl Encode for KeyChange {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Add(key) => {
                out.push(Self::ADD);
                key.encode(out);
            }
            Self::Replace { position, key } => {
                out.extend_from_slice(&[Self::REPLACE, *position]);
                key.encode(out);
            }
            Self::Remove { position } => out.extend_from_slice(&[Self::REMOVE, *position]),
        }
    }
}

impl Decode for KeyChange {
    const BYTES_MIN: usize = 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            Self::ADD => Ok(Self::Add(reader.read()?)),
            Self::REPLACE => Ok(Self::Replace { position: reader.read()?, key: reader.read()? }),
            Self::REMOVE => Ok(Self::Remove { position: reader.read()? }),
            unknown => Err(reader.unknown("change of keys", u64::from(unknown))),
        }
    }
}

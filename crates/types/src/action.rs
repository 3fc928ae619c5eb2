//! Actions: what a transaction does.

use crate::address::{Address, Gid, L1Address, PublicKey};
use crate::amount::Amount;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, put_byte_string};
use crate::covenant::{CovenantAt, read_text};
use crate::credential::CredentialTerms;
use crate::guardian::{GuardianSet, put_proposed, read_proposed};
use crate::limits::SYMBOL_BYTES_MAX;
use crate::session::{KindSet, Session};
use ghostplane_ghostcipher::Digest;

/// One thing a transaction does. What rare ones carry is boxed: a batch has thousands of payments, which are to lie close together.
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
        gid: Box<Gid>,
    },
    /// Changes the account's keys.
    RotateKey(KeyChange),
    /// Lets a key or another account act within a scope, on a lane of its own.
    AddSession(Box<Session>),
    /// Ends a session at once.
    RevokeSession {
        /// Its lane.
        lane: u8,
    },
    /// Gives the account guardians, others, or none.
    SetGuardians(Option<Box<GuardianSet>>),
    /// Attaches published rules, or none, in the place of those that are there.
    SetCovenant {
        /// Where.
        at: CovenantAt,
        /// The name of the rules.
        digest: Option<Digest>,
    },
    /// Publishes rules, for whoever attaches them. What is published already costs no storage.
    PublishCovenant {
        /// The version of the schema that they are checked against.
        schema_version: u16,
        /// The rules, in Cedar.
        text: String,
    },
    /// Holds actions of the account until its guardians agree, or until their time has come.
    Propose {
        /// What is to be done, 1 to 16 actions; all of it or nothing.
        actions: Vec<Action>,
    },
    /// Agrees to a proposal, as a guardian.
    Approve {
        /// Whose proposal.
        account: Address,
        /// The id of the transaction that proposed.
        proposal: Digest,
    },
    /// Declines a proposal, as a guardian; or takes back one's own.
    Reject {
        /// Whose proposal.
        account: Address,
        /// The id of the transaction that proposed.
        proposal: Digest,
    },
    /// Does what was proposed and agreed to. Whoever sends it pays the gas.
    Execute {
        /// Whose proposal.
        account: Address,
        /// The id of the transaction that proposed.
        proposal: Digest,
    },
    /// Stops whatever leaves an account, as its guardians.
    Freeze {
        /// Which account.
        account: Address,
    },
    /// Lets a freeze end, as guardians.
    Unfreeze {
        /// Which account.
        account: Address,
    },
    /// Begins to give an account another key, as its guardians.
    Recover {
        /// Which account.
        account: Address,
        /// The key.
        key: Box<PublicKey>,
    },
    /// Ends a recovery, as the account's owner or its guardians.
    CancelRecovery {
        /// Which account.
        account: Address,
    },
    /// Completes a recovery whose time has come.
    FinishRecovery {
        /// Which account.
        account: Address,
    },
    /// Registers an asset of the plane's own, whose issuer is the account.
    RegisterAsset {
        /// Its number, which nobody has taken: 2^16 or more.
        asset: AssetId,
        /// Its symbol, 1 to 12 lower-case ASCII letters and digits.
        symbol: Vec<u8>,
        /// Its decimals.
        decimals: u8,
        /// The most there may be.
        cap: Amount,
    },
    /// Makes more of an asset, as its issuer.
    Mint {
        /// Of which.
        asset: AssetId,
        /// Who gets it; an account is made if it does not exist.
        to: Address,
        /// How much, not zero.
        amount: Amount,
    },
    /// Ends some of what the account holds of an asset of the plane's own.
    Burn {
        /// Of which.
        asset: AssetId,
        /// How much, not zero.
        amount: Amount,
    },
    /// Stops whatever moves of an asset, or lets it move again, as its issuer.
    FreezeAsset {
        /// Which.
        asset: AssetId,
        /// Whether it stops.
        is_frozen: bool,
    },
    /// Says something of an account, as the issuer.
    IssueCredential(Box<CredentialTerms>),
    /// Takes back what the account said of another.
    RevokeCredential {
        /// Of whom.
        subject: Address,
        /// The digest of the claims.
        claims: Digest,
    },
    /// Ends what another said of the account.
    DropCredential {
        /// Who said it.
        issuer: Address,
        /// The digest of the claims.
        claims: Digest,
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
    (25, "freeze"),
    (26, "unfreeze"),
    (27, "recover"),
    (28, "cancel_recovery"),
    (29, "finish_recovery"),
    (30, "freeze_asset"),
    (31, "issue_credential"),
    (32, "revoke_credential"),
    (33, "drop_credential"),
    (35, "publish_covenant"),
    (36, "deposit"),
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
    /// The number of [`Action::SetCovenant`] in the format.
    pub const KIND_SET_COVENANT: u8 = 9;
    /// The number of [`Action::SetGuardians`] in the format.
    pub const KIND_SET_GUARDIANS: u8 = 10;
    /// The number of [`Action::Propose`] in the format.
    pub const KIND_PROPOSE: u8 = 11;
    /// The number of [`Action::Approve`] in the format.
    pub const KIND_APPROVE: u8 = 12;
    /// The number of [`Action::Reject`] in the format.
    pub const KIND_REJECT: u8 = 13;
    /// The number of [`Action::Execute`] in the format.
    pub const KIND_EXECUTE: u8 = 14;
    /// The number of [`Action::Freeze`] in the format.
    pub const KIND_FREEZE: u8 = 25;
    /// The number of [`Action::Unfreeze`] in the format.
    pub const KIND_UNFREEZE: u8 = 26;
    /// The number of [`Action::Recover`] in the format.
    pub const KIND_RECOVER: u8 = 27;
    /// The number of [`Action::CancelRecovery`] in the format.
    pub const KIND_CANCEL_RECOVERY: u8 = 28;
    /// The number of [`Action::FinishRecovery`] in the format.
    pub const KIND_FINISH_RECOVERY: u8 = 29;
    /// The number of [`Action::RegisterAsset`] in the format.
    pub const KIND_REGISTER_ASSET: u8 = 18;
    /// The number of [`Action::Mint`] in the format.
    pub const KIND_MINT: u8 = 19;
    /// The number of [`Action::Burn`] in the format.
    pub const KIND_BURN: u8 = 20;
    /// The number of [`Action::FreezeAsset`] in the format.
    pub const KIND_FREEZE_ASSET: u8 = 30;
    /// The number of [`Action::PublishCovenant`] in the format.
    pub const KIND_PUBLISH_COVENANT: u8 = 35;
    /// What rules call a deposit of the L1's. No transaction has such an action.
    pub const KIND_DEPOSIT: u8 = 36;
    /// The number of [`Action::IssueCredential`] in the format.
    pub const KIND_ISSUE_CREDENTIAL: u8 = 31;
    /// The number of [`Action::RevokeCredential`] in the format.
    pub const KIND_REVOKE_CREDENTIAL: u8 = 32;
    /// The number of [`Action::DropCredential`] in the format.
    pub const KIND_DROP_CREDENTIAL: u8 = 33;

    /// What can be proposed.
    pub const PROPOSABLE: KindSet = KindSet::of(&[
        Self::KIND_TRANSFER,
        Self::KIND_WITHDRAW,
        Self::KIND_REGISTER_IDENTITY,
        Self::KIND_ROTATE_KEY,
        Self::KIND_ADD_SESSION,
        Self::KIND_REVOKE_SESSION,
        Self::KIND_SET_COVENANT,
        Self::KIND_SET_GUARDIANS,
        Self::KIND_REGISTER_ASSET,
        Self::KIND_MINT,
        Self::KIND_BURN,
        Self::KIND_FREEZE_ASSET,
        Self::KIND_ISSUE_CREDENTIAL,
        Self::KIND_REVOKE_CREDENTIAL,
        Self::KIND_DROP_CREDENTIAL,
    ]);

    /// The kind's number.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Transfer { .. } => Self::KIND_TRANSFER,
            Self::Withdraw { .. } => Self::KIND_WITHDRAW,
            Self::RegisterIdentity { .. } => Self::KIND_REGISTER_IDENTITY,
            Self::RotateKey(_) => Self::KIND_ROTATE_KEY,
            Self::AddSession(_) => Self::KIND_ADD_SESSION,
            Self::RevokeSession { .. } => Self::KIND_REVOKE_SESSION,
            Self::SetCovenant { .. } => Self::KIND_SET_COVENANT,
            Self::PublishCovenant { .. } => Self::KIND_PUBLISH_COVENANT,
            Self::SetGuardians(_) => Self::KIND_SET_GUARDIANS,
            Self::Propose { .. } => Self::KIND_PROPOSE,
            Self::Approve { .. } => Self::KIND_APPROVE,
            Self::Reject { .. } => Self::KIND_REJECT,
            Self::Execute { .. } => Self::KIND_EXECUTE,
            Self::Freeze { .. } => Self::KIND_FREEZE,
            Self::Unfreeze { .. } => Self::KIND_UNFREEZE,
            Self::Recover { .. } => Self::KIND_RECOVER,
            Self::CancelRecovery { .. } => Self::KIND_CANCEL_RECOVERY,
            Self::FinishRecovery { .. } => Self::KIND_FINISH_RECOVERY,
            Self::RegisterAsset { .. } => Self::KIND_REGISTER_ASSET,
            Self::Mint { .. } => Self::KIND_MINT,
            Self::Burn { .. } => Self::KIND_BURN,
            Self::FreezeAsset { .. } => Self::KIND_FREEZE_ASSET,
            Self::IssueCredential(_) => Self::KIND_ISSUE_CREDENTIAL,
            Self::RevokeCredential { .. } => Self::KIND_REVOKE_CREDENTIAL,
            Self::DropCredential { .. } => Self::KIND_DROP_CREDENTIAL,
        }
    }

    /// The kind's name.
    pub fn kind_name(&self) -> &'static str {
        kind_name(self.kind()).expect("every action has a listed kind")
    }

    /// What it takes out of the account, or makes in the account's name; storage prices come on top.
    pub const fn moves(&self) -> Option<(AssetId, Amount)> {
        match self {
            Self::Transfer { asset, amount, .. }
            | Self::Withdraw { asset, amount, .. }
            | Self::Mint { asset, amount, .. }
            | Self::Burn { asset, amount } => Some((*asset, *amount)),
            _ => None,
        }
    }

    /// The account whose guardians it is about, if it names one.
    pub const fn subject(&self) -> Option<&Address> {
        match self {
            Self::Approve { account, .. }
            | Self::Reject { account, .. }
            | Self::Execute { account, .. }
            | Self::Freeze { account }
            | Self::Unfreeze { account }
            | Self::Recover { account, .. }
            | Self::CancelRecovery { account }
            | Self::FinishRecovery { account } => Some(account),
            _ => None,
        }
    }

    /// The other account of a credential: its subject, or its issuer for who drops it.
    pub const fn credential_party(&self) -> Option<&Address> {
        match self {
            Self::IssueCredential(terms) => Some(&terms.subject),
            Self::RevokeCredential { subject: party, .. } | Self::DropCredential { issuer: party, .. } => Some(party),
            _ => None,
        }
    }

    /// Says what is wrong with an unknown or reserved kind.
    pub fn refuse_kind(kind: u8, reader: &Reader<'_>) -> DecodeError {
        if kind != Self::KIND_DEPOSIT && kind_name(kind).is_some() {
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
            Self::SetCovenant { at, digest } => {
                at.encode(out);
                digest.encode(out);
            }
            Self::PublishCovenant { schema_version, text } => {
                schema_version.encode(out);
                put_byte_string(out, text.as_bytes());
            }
            Self::SetGuardians(set) => {
                set.is_some().encode(out);
                if let Some(set) = set {
                    set.encode(out);
                }
            }
            Self::Propose { actions } => put_proposed(out, actions),
            Self::Approve { account, proposal }
            | Self::Reject { account, proposal }
            | Self::Execute { account, proposal } => {
                account.encode(out);
                proposal.encode(out);
            }
            Self::Recover { account, key } => {
                account.encode(out);
                key.encode(out);
            }
            Self::RegisterAsset { asset, symbol, decimals, cap } => {
                asset.encode(out);
                put_byte_string(out, symbol);
                decimals.encode(out);
                cap.encode(out);
            }
            Self::Mint { asset, to, amount } => {
                asset.encode(out);
                to.encode(out);
                amount.encode(out);
            }
            Self::Burn { asset, amount } => {
                asset.encode(out);
                amount.encode(out);
            }
            Self::FreezeAsset { asset, is_frozen } => {
                asset.encode(out);
                is_frozen.encode(out);
            }
            Self::IssueCredential(terms) => terms.encode(out),
            Self::RevokeCredential { subject: party, claims } | Self::DropCredential { issuer: party, claims } => {
                party.encode(out);
                claims.encode(out);
            }
            Self::Freeze { account }
            | Self::Unfreeze { account }
            | Self::CancelRecovery { account }
            | Self::FinishRecovery { account } => account.encode(out),
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
            Self::KIND_REGISTER_IDENTITY => Ok(Self::RegisterIdentity { gid: Box::new(reader.read()?) }),
            Self::KIND_ROTATE_KEY => Ok(Self::RotateKey(reader.read()?)),
            Self::KIND_ADD_SESSION => Ok(Self::AddSession(Box::new(reader.read()?))),
            Self::KIND_REVOKE_SESSION => Ok(Self::RevokeSession { lane: reader.read()? }),
            Self::KIND_SET_COVENANT => Ok(Self::SetCovenant { at: reader.read()?, digest: reader.read()? }),
            Self::KIND_PUBLISH_COVENANT => {
                Ok(Self::PublishCovenant { schema_version: reader.read()?, text: read_text(reader)? })
            }
            Self::KIND_SET_GUARDIANS if reader.read()? => Ok(Self::SetGuardians(Some(Box::new(reader.read()?)))),
            Self::KIND_SET_GUARDIANS => Ok(Self::SetGuardians(None)),
            Self::KIND_PROPOSE => Ok(Self::Propose { actions: read_proposed(reader)? }),
            Self::KIND_APPROVE => Ok(Self::Approve { account: reader.read()?, proposal: reader.read()? }),
            Self::KIND_REJECT => Ok(Self::Reject { account: reader.read()?, proposal: reader.read()? }),
            Self::KIND_EXECUTE => Ok(Self::Execute { account: reader.read()?, proposal: reader.read()? }),
            Self::KIND_FREEZE => Ok(Self::Freeze { account: reader.read()? }),
            Self::KIND_UNFREEZE => Ok(Self::Unfreeze { account: reader.read()? }),
            Self::KIND_RECOVER => Ok(Self::Recover { account: reader.read()?, key: Box::new(reader.read()?) }),
            Self::KIND_CANCEL_RECOVERY => Ok(Self::CancelRecovery { account: reader.read()? }),
            Self::KIND_FINISH_RECOVERY => Ok(Self::FinishRecovery { account: reader.read()? }),
            Self::KIND_REGISTER_ASSET => Ok(Self::RegisterAsset {
                asset: reader.read()?,
                symbol: reader.byte_string("bytes of a symbol", SYMBOL_BYTES_MAX)?.to_vec(),
                decimals: reader.read()?,
                cap: reader.read()?,
            }),
            Self::KIND_MINT => Ok(Self::Mint { asset: reader.read()?, to: reader.read()?, amount: reader.read()? }),
            Self::KIND_BURN => Ok(Self::Burn { asset: reader.read()?, amount: reader.read()? }),
            Self::KIND_FREEZE_ASSET => Ok(Self::FreezeAsset { asset: reader.read()?, is_frozen: reader.read()? }),
            Self::KIND_ISSUE_CREDENTIAL => Ok(Self::IssueCredential(Box::new(reader.read()?))),
            Self::KIND_REVOKE_CREDENTIAL => {
                Ok(Self::RevokeCredential { subject: reader.read()?, claims: reader.read()? })
            }
            Self::KIND_DROP_CREDENTIAL => Ok(Self::DropCredential { issuer: reader.read()?, claims: reader.read()? }),
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

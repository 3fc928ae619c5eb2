//! Transactions: what a sender signs.

use crate::address::{Address, Gid};
use crate::amount::Amount;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_byte_string, put_list, varint_len};
use crate::consent::{Auth, ConsentForm};
use crate::guardian::Approval;
use crate::limits::{ACTIONS_MAX, APPROVALS_MAX, MEMO_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::reject::Reject;
use ghostplane_ghostcipher::{Digest, Domain, digest};

pub use crate::action::{ACTION_KINDS, Action, KeyChange};

/// Everything of a transaction that its id covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionBody {
    /// The plane's chain.
    pub chain_id: u64,
    /// The plane, by the digest of its genesis.
    pub plane_id: Digest,
    /// Who acts and, unless it says otherwise, pays.
    pub sender: Address,
    /// Lane and sequence number; strictly sequential within a lane.
    pub nonce: Nonce,
    /// The earliest batch time, in milliseconds; 0 for any.
    pub valid_after: u64,
    /// The latest batch time, in milliseconds.
    pub valid_until: u64,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// The most it pays for a unit of gas, in base units.
    pub gas_price_max: u64,
    /// What the fee is paid with.
    pub pay: Pay,
    /// Which key signs.
    pub key_ref: KeyRef,
    /// What it does, 1 to 256; all of it or nothing.
    pub actions: Vec<Action>,
    /// Up to 64 bytes for the reader's own use.
    pub memo: Vec<u8>,
}

impl TransactionBody {
    /// The account whose keys sign: the sender, or who acts for it.
    pub const fn signs(&self) -> &Address {
        match self.key_ref.delegate() {
            Some(account) => account,
            None => &self.sender,
        }
    }

    /// The transaction's id: the digest of the body's canonical bytes.
    pub fn id(&self) -> Digest {
        Self::id_of_bytes(self.chain_id, &self.to_bytes())
    }

    /// The id of the body that has these canonical bytes.
    pub fn id_of_bytes(chain_id: u64, bytes: &[u8]) -> Digest {
        digest::hash(Domain::TransactionId, chain_id, &[bytes])
    }
}

/// A transaction as it travels: the body and the consent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What is consented to.
    pub body: TransactionBody,
    /// What the key that `key_ref` names made of the id under [`Domain::TransactionAuth`].
    pub auth: Auth,
    /// Consent of others, in any order; each key once.
    pub approvals: Vec<Approval>,
    /// What a key of the sponsor made of the id under [`Domain::Sponsor`]; there is one exactly if a sponsor pays.
    pub sponsorship: Option<Box<Approval>>,
}

impl Transaction {
    /// Bytes that consent adds to the body at least: one signature and an empty list of approvals. An assertion is longer:
    /// [`Transaction::consent_bytes`].
    pub const CONSENT_BYTES: usize = 65;

    /// Bytes that consent adds to the body.
    pub fn consent_bytes(&self) -> usize {
        let approvals = self.approvals.iter().map(Approval::encoded_len).sum::<usize>();
        let sponsorship = self.sponsorship.as_ref().map_or(0, |sponsorship| sponsorship.encoded_len());
        self.auth.encoded_len() + varint_len(self.approvals.len() as u64) + approvals + sponsorship
    }

    /// Everybody's consent but the sender's.
    pub fn consents_of_others(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.iter().chain(self.sponsorship.as_deref())
    }

    /// Of the canonical bytes of a transaction those of its body, which its id is the digest of. Bytes of another kind have
    /// some body as well: this does not check them.
    pub fn body_of(bytes: &[u8]) -> &[u8] {
        let mut reader = Reader::new(bytes);
        let end = match reader.read::<TransactionBody>() {
            Ok(_) => reader.offset(),
            Err(_) => bytes.len().saturating_sub(Self::CONSENT_BYTES),
        };
        &bytes[..end]
    }

    /// Decodes a transaction from bytes of any origin.
    pub fn decode_bounded(bytes: &[u8]) -> Result<Self, Reject> {
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(Reject::Oversized { bytes: bytes.len(), limit: TRANSACTION_BYTES_MAX });
        }
        Self::from_bytes(bytes).map_err(|error| match error {
            DecodeError::Unimplemented { what, .. } => Reject::Unimplemented { what },
            error => Reject::Malformed { error },
        })
    }
}

/// Where a transaction stands in its sender's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce {
    /// [`Nonce::LANE_ROOT`], a session's lane, or [`Nonce::LANE_FORCED`].
    pub lane: u8,
    /// Counts from 0 without gaps.
    pub seq: u64,
}

impl Nonce {
    /// The lane of the account's own keys.
    pub const LANE_ROOT: u8 = 0;
    /// The lane of transactions forced through the L1 inbox.
    pub const LANE_FORCED: u8 = 255;

    /// Whether sessions sign on such a lane.
    pub const fn is_session_lane(lane: u8) -> bool {
        lane != Self::LANE_ROOT && lane != Self::LANE_FORCED
    }
}

fields!(Nonce { lane: u8, seq: u64 });

/// What gas is paid with. Storage always costs credits of who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pay {
    /// The sender's credits.
    #[default]
    Gcc,
    /// The sender's mana.
    Mana,
    /// Credits of somebody else, who consents to this very transaction.
    Sponsor(Box<SponsorTerms>),
}

/// What a sponsor consents to besides the transaction itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SponsorTerms {
    /// Who pays.
    pub sponsor: Address,
    /// The most that it pays.
    pub fee_max: Amount,
    /// The latest batch time at which it pays, in milliseconds.
    pub valid_until: u64,
}

fields!(SponsorTerms { sponsor: Address, fee_max: Amount, valid_until: u64 });

impl Pay {
    /// The terms of the sponsor who pays, if one does.
    pub fn sponsor(&self) -> Option<&SponsorTerms> {
        match self {
            Self::Sponsor(terms) => Some(terms),
            Self::Gcc | Self::Mana => None,
        }
    }
}

/// Which key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRef {
    /// A key of the account record, by its position.
    Registered(u8),
    /// The first transaction of an address carries the identity that the address is the digest of.
    Carried(Gid),
    /// A passkey of the account record, by its position.
    RegisteredPasskey(u8),
    /// The key of the session that the transaction's lane belongs to. It signs by a signature of 64 bytes.
    Session,
    /// A key of the account that holds the session that the transaction's lane belongs to, by its position there.
    Delegate {
        /// The account.
        account: Address,
        /// The position.
        position: u8,
    },
    /// A passkey of that account, likewise.
    DelegatePasskey {
        /// The account.
        account: Address,
        /// The position.
        position: u8,
    },
}

impl KeyRef {
    /// Whether a session acts, be it a key or an account that holds it.
    pub const fn is_session(&self) -> bool {
        matches!(self, Self::Session | Self::Delegate { .. } | Self::DelegatePasskey { .. })
    }

    /// The account that acts for the sender, if one does: its keys sign.
    pub const fn delegate(&self) -> Option<&Address> {
        match self {
            Self::Delegate { account, .. } | Self::DelegatePasskey { account, .. } => Some(account),
            Self::Registered(_) | Self::Carried(_) | Self::RegisteredPasskey(_) | Self::Session => None,
        }
    }

    /// The position in the record of the account whose keys sign, unless the key is carried or a session's.
    pub const fn position(&self) -> Option<u8> {
        match self {
            Self::Registered(position)
            | Self::RegisteredPasskey(position)
            | Self::Delegate { position, .. }
            | Self::DelegatePasskey { position, .. } => Some(*position),
            Self::Carried(_) | Self::Session => None,
        }
    }

    /// What form consent has under this key.
    pub const fn consent_form(&self) -> ConsentForm {
        match self {
            Self::Registered(_) | Self::Session | Self::Delegate { .. } => ConsentForm::Signature,
            Self::RegisteredPasskey(_) | Self::DelegatePasskey { .. } => ConsentForm::Assertion,
            Self::Carried(gid) => ConsentForm::of(gid.public_key.scheme()),
        }
    }
}

impl Encode for Pay {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Gcc => out.push(0),
            Self::Mana => out.push(1),
            Self::Sponsor(terms) => {
                out.push(2);
                terms.encode(out);
            }
        }
    }
}

impl Decode for Pay {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            0 => Ok(Self::Gcc),
            1 => Ok(Self::Mana),
            2 => Ok(Self::Sponsor(Box::new(reader.read()?))),
            unknown => Err(reader.unknown("way to pay", u64::from(unknown))),
        }
    }
}

impl Encode for KeyRef {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Registered(position) => out.extend_from_slice(&[0, *position]),
            Self::Carried(gid) => {
                out.push(1);
                gid.encode(out);
            }
            Self::RegisteredPasskey(position) => out.extend_from_slice(&[2, *position]),
            Self::Session => out.push(3),
            Self::Delegate { account, position } | Self::DelegatePasskey { account, position } => {
                out.push(if matches!(self, Self::Delegate { .. }) { 4 } else { 5 });
                account.encode(out);
                out.push(*position);
            }
        }
    }
}

impl Decode for KeyRef {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            0 => Ok(Self::Registered(reader.read()?)),
            1 => Ok(Self::Carried(reader.read()?)),
            2 => Ok(Self::RegisteredPasskey(reader.read()?)),
            3 => Ok(Self::Session),
            4 => Ok(Self::Delegate { account: reader.read()?, position: reader.read()? }),
            5 => Ok(Self::DelegatePasskey { account: reader.read()?, position: reader.read()? }),
            unknown => Err(reader.unknown("key reference", u64::from(unknown))),
        }
    }
}

/// Where the key reference is in a body at least: behind version, chain, plane, sender, nonce, four numbers and the way to pay.
const KEY_REF_AT: usize = 1 + 8 + 32 + 32 + 9 + 8 * 4 + 1;

/// The version of the transaction format.
pub const TRANSACTION_VERSION: u8 = 1;

impl Encode for TransactionBody {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(TRANSACTION_VERSION);
        self.chain_id.encode(out);
        self.plane_id.encode(out);
        self.sender.encode(out);
        self.nonce.encode(out);
        self.valid_after.encode(out);
        self.valid_until.encode(out);
        self.gas_limit.encode(out);
        self.gas_price_max.encode(out);
        self.pay.encode(out);
        self.key_ref.encode(out);
        put_list(out, &self.actions);
        put_byte_string(out, &self.memo);
    }
}

impl Decode for TransactionBody {
    const BYTES_MIN: usize = KEY_REF_AT + 1 + 1 + 2 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != TRANSACTION_VERSION {
            return Err(reader.unknown("transaction version", u64::from(version)));
        }
        Ok(Self {
            chain_id: reader.read()?,
            plane_id: reader.read()?,
            sender: reader.read()?,
            nonce: reader.read()?,
            valid_after: reader.read()?,
            valid_until: reader.read()?,
            gas_limit: reader.read()?,
            gas_price_max: reader.read()?,
            pay: reader.read()?,
            key_ref: reader.read()?,
            actions: decode_actions(reader)?,
            memo: reader.byte_string("memo bytes", MEMO_BYTES_MAX)?.to_vec(),
        })
    }
}

fn decode_actions(reader: &mut Reader<'_>) -> Result<Vec<Action>, DecodeError> {
    let actions: Vec<Action> = reader.list("actions", ACTIONS_MAX)?;
    if actions.is_empty() { Err(reader.non_canonical("transaction without actions")) } else { Ok(actions) }
}

impl Encode for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        self.body.encode(out);
        self.auth.encode(out);
        put_list(out, &self.approvals);
        if let Some(sponsorship) = &self.sponsorship {
            sponsorship.encode(out);
        }
    }
}

impl Decode for Transaction {
    const BYTES_MIN: usize = TransactionBody::BYTES_MIN + 64 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let body: TransactionBody = reader.read()?;
        let auth = Auth::decode(body.key_ref.consent_form(), reader)?;
        let approvals = reader.list("approvals", APPROVALS_MAX)?;
        let sponsorship = body.pay.sponsor().map(|_| reader.read().map(Box::new)).transpose()?;
        Ok(Self { body, auth, approvals, sponsorship })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::address::{EntityType, L1Address, PublicKey};
    use crate::amount::Amount;
    use crate::asset::AssetId;
    use crate::codec::tests::assert_one_form;
    use ghostplane_ghostcipher::{Assertion, Passkey, Signature, VerificationKey, p256};

    pub(crate) fn transaction() -> Transaction {
        let gid = Gid {
            public_key: PublicKey::Ed25519(VerificationKey::from_bytes([9; 32])),
            chain_id: 1337,
            entity_type: EntityType::Wallet,
            version: 0,
        };
        let amount = Amount::new(1_500_000_000).expect("small");
        let body = TransactionBody {
            chain_id: 1337,
            plane_id: Digest([5; 32]),
            sender: gid.address(),
            nonce: Nonce { lane: 0, seq: 3 },
            valid_after: 0,
            valid_until: 60_000,
            gas_limit: 10_000,
            gas_price_max: 2,
            pay: Pay::Gcc,
            key_ref: KeyRef::Carried(gid),
            actions: vec![
                Action::Transfer { to: Address::from_bytes([2; 32]), asset: AssetId::GCC, amount },
                Action::Withdraw { to: L1Address([4; 32]), asset: AssetId::ZMAN, amount },
            ],
            memo: b"for the tea".to_vec(),
        };
        let approvals = vec![Approval { key: gid.public_key, auth: Signature([7; 64]).into() }];
        Transaction { body, auth: Signature([8; 64]).into(), approvals, sponsorship: None }
    }

    #[test]
    fn every_bit_of_the_body_changes_the_id() {
        let transaction = transaction();
        let bytes = transaction.to_bytes();
        assert_eq!(Transaction::decode_bounded(&bytes).as_ref(), Ok(&transaction));
        assert_eq!(Transaction::body_of(&bytes), transaction.body.to_bytes());
        let body_len = transaction.body.to_bytes().len();
        for (byte, other) in assert_one_form(&transaction) {
            assert_eq!(other.body.id() == transaction.body.id(), byte >= body_len, "byte {byte}");
        }
    }

    #[test]
    fn a_passkey_consents_by_an_assertion_whether_it_is_carried_or_registered() {
        let passkey =
            Passkey { key: p256::VerificationKey::from_bytes([2; 33]), rp_id_hash: [6; 32], verifies_user: true };
        let mut transaction = transaction();
        let carried = Gid {
            public_key: PublicKey::Passkey(passkey),
            chain_id: 1337,
            entity_type: EntityType::Wallet,
            version: 0,
        };
        transaction.auth = Auth::from(Assertion {
            authenticator_data: vec![1; 37],
            client_data: vec![2; 150],
            signature: Signature([8; 64]),
        });
        let delegate = KeyRef::DelegatePasskey { account: carried.address(), position: 3 };
        for key_ref in
            [KeyRef::Carried(carried), KeyRef::RegisteredPasskey(0), KeyRef::RegisteredPasskey(255), delegate]
        {
            transaction.body.key_ref = key_ref;
            let bytes = transaction.to_bytes();
            assert_eq!(bytes.len(), transaction.body.to_bytes().len() + transaction.consent_bytes());
            assert_eq!(Transaction::decode_bounded(&bytes).as_ref(), Ok(&transaction));
            assert_eq!(Transaction::body_of(&bytes), transaction.body.to_bytes());
            for len in 0..bytes.len() {
                assert!(Transaction::decode_bounded(&bytes[..len]).is_err(), "{key_ref:?}, {len}");
            }
            assert_one_form(&transaction);
        }
        // Consent of the other form does not go with the key.
        transaction.body.key_ref = KeyRef::Registered(0);
        assert!(Transaction::decode_bounded(&transaction.to_bytes()).is_err());
        transaction.body.key_ref = KeyRef::RegisteredPasskey(0);
        transaction.auth = Signature([8; 64]).into();
        assert!(Transaction::decode_bounded(&transaction.to_bytes()).is_err());
    }

    #[test]
    fn a_sponsor_consents_behind_everybody_else_and_only_where_one_pays() {
        let mut transaction = transaction();
        let terms = SponsorTerms {
            sponsor: Address::from_bytes([6; 32]),
            fee_max: Amount::new(20_000).expect("small"),
            valid_until: 50_000,
        };
        let by = transaction.approvals[0].clone();
        transaction.body.pay = Pay::Sponsor(Box::new(terms));
        transaction.sponsorship = Some(Box::new(by));
        let bytes = transaction.to_bytes();
        assert_eq!(bytes.len(), transaction.body.to_bytes().len() + transaction.consent_bytes());
        assert_eq!(transaction.consents_of_others().count(), 2);
        let body_len = transaction.body.to_bytes().len();
        for (byte, other) in assert_one_form(&transaction) {
            assert_eq!(other.body.id() == transaction.body.id(), byte >= body_len, "byte {byte}");
        }
        for len in 0..bytes.len() {
            assert!(Transaction::decode_bounded(&bytes[..len]).is_err(), "{len}");
        }
        // Without one who pays there is no room for his consent, and with one it is not left out.
        let unasked =
            Transaction { body: TransactionBody { pay: Pay::Mana, ..transaction.body.clone() }, ..transaction };
        assert!(Transaction::from_bytes(&unasked.to_bytes()).is_err());
        let alone = Transaction { sponsorship: None, ..unasked.clone() };
        assert_eq!(Transaction::from_bytes(&alone.to_bytes()), Ok(alone));
    }

    #[test]
    fn no_cut_and_no_tail_decodes() {
        let bytes = transaction().to_bytes();
        for len in 0..bytes.len() {
            assert!(Transaction::body_of(&bytes[..len]).len() <= len);
            assert!(matches!(Transaction::decode_bounded(&bytes[..len]), Err(Reject::Malformed { .. })), "{len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(
            Transaction::decode_bounded(&longer),
            Err(Reject::Malformed { error: DecodeError::Trailing { extra: 1, .. } })
        ));
        let huge = vec![0; TRANSACTION_BYTES_MAX + 1];
        assert!(matches!(Transaction::decode_bounded(&huge), Err(Reject::Oversized { .. })));
    }

    #[test]
    fn reserved_parts_say_unimplemented() {
        let mut body = transaction().body;
        body.key_ref = KeyRef::Registered(0);
        body.actions.truncate(1);
        let transaction =
            Transaction { body, auth: Signature([0; 64]).into(), approvals: Vec::new(), sponsorship: None };
        let bytes = transaction.to_bytes();
        let pay_at = 1 + 8 + 32 + 32 + 9 + 32;
        let action_at = pay_at + 1 + 2 + 1;
        for (at, value) in [(action_at, 4), (action_at, 24)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let refused = Transaction::from_bytes(&changed);
            assert!(matches!(refused, Err(DecodeError::Unimplemented { .. })), "{at}: {refused:?}");
        }
        let mut unknown = bytes.clone();
        unknown[pay_at] = 3;
        assert!(matches!(Transaction::from_bytes(&unknown), Err(DecodeError::Unknown { .. })));
        let mut unknown = bytes.clone();
        unknown[action_at] = 200;
        assert!(matches!(Transaction::from_bytes(&unknown), Err(DecodeError::Unknown { .. })));
        let mut none = bytes;
        none[action_at - 1] = 0;
        assert!(Transaction::from_bytes(&none).is_err());
    }
}

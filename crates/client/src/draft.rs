//! Making and signing transactions.

use crate::approve;
use crate::check::Plane;
use ghostplane_ghostcipher::{Digest, Domain};
use ghostplane_types::limits::{ACTIONS_MAX, MEMO_BYTES_MAX, PROPOSAL_ACTIONS_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, Approval, AssetId, ConsentForm, Encode, Gid, Holder, KeyRef, L1Address,
    Nonce, Pay, PublicKey, Scheme, Signer, SponsorTerms, Transaction, TransactionBody, gas,
};
use std::sync::Arc;
use thiserror::Error;

/// Why a draft is no transaction. The caller is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DraftError {
    /// It does nothing, or too much.
    #[error("{found} actions, a transaction has 1 to {ACTIONS_MAX}")]
    Actions {
        /// How many.
        found: usize,
    },
    /// The memo is too long.
    #[error("a memo of {found} bytes, at most {MEMO_BYTES_MAX} fit")]
    Memo {
        /// Its length.
        found: usize,
    },
    /// It has no end of validity.
    #[error("a transaction must say until when it is valid")]
    Validity,
    /// Too many bytes.
    #[error("{found} bytes, a transaction has at most {TRANSACTION_BYTES_MAX}")]
    Bytes {
        /// How many.
        found: usize,
    },
    /// A key that may not act for the account.
    #[error(
        "the key may not act for the account: it is none of its keys, of its sessions, of accounts that act for it, or, before it is registered, that of its address"
    )]
    Key,
    /// The account would sponsor itself.
    #[error("an account does not sponsor its own transaction: it just pays")]
    SponsorSelf,
    /// The sponsor is elsewhere and has not consented.
    #[error("the sponsor has not consented: without that the transaction is not complete")]
    Unsponsored,
    /// An approval cannot be added.
    #[error("an approval cannot be added: {0}")]
    Approval(#[from] approve::ApproveError),
}

/// With what gas is paid.
#[derive(Clone, Debug, Default)]
pub enum Payment {
    /// The sender's credits.
    #[default]
    Gcc,
    /// The sender's mana.
    Mana,
    /// Credits of somebody else.
    Sponsor(Sponsor),
}

/// Somebody who pays the gas of another's transaction. Storage costs the sender all the same.
#[derive(Clone, Debug)]
pub struct Sponsor {
    /// Whose account pays.
    pub account: Address,
    /// One of that account's own keys.
    pub key: PublicKey,
    /// What signs with it; `None` if the sponsor is elsewhere and consents to the signed transaction later, by
    /// [`consent_to_sponsor`].
    pub signer: Option<Arc<dyn Signer + Send + Sync>>,
    /// The most that it pays; `None` for whatever the transaction may cost.
    pub fee_max: Option<Amount>,
}

/// Consents to pay for a transaction whose body names the key's account as its sponsor. Nothing of the body can be changed
/// afterwards. It goes into [`Transaction::sponsorship`].
#[must_use]
pub fn consent_to_sponsor(body: &TransactionBody, key: &(impl Signer + ?Sized)) -> Approval {
    let auth = key.consent(Domain::Sponsor, body.chain_id, &body.id());
    Approval { key: key.public_key(), auth }
}

/// What a draft is going to be like once it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Canonical bytes, at most.
    pub bytes: usize,
    /// Gas that it uses whatever comes of it.
    pub gas_intrinsic: u64,
    /// The limit of gas that it is signed with.
    pub gas_limit: u64,
    /// What a unit of gas costs.
    pub gas_price: u64,
}

/// Gas beyond what a simulation used, for what changes until the transaction is executed.
const GAS_TO_SPARE: u64 = 10_000;

/// As what a key acts for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// As the one that the address is made of, until the account is registered.
    First,
    /// As a key of the account, by its position.
    Key(u8),
    /// Within a session, on its lane.
    Session {
        /// Which.
        lane: u8,
    },
    /// As a key of an account that holds a session.
    Delegate {
        /// Which account.
        account: Address,
        /// The session's lane.
        lane: u8,
        /// The key's position in the record of that account.
        position: u8,
    },
}

impl Role {
    /// What a key is to an account; nothing, most often.
    #[must_use]
    pub fn of(record: Option<&AccountRecord>, key: &PublicKey) -> Option<Self> {
        let Some((record, identity)) = record.and_then(|record| Some((record, record.identity.as_ref()?))) else {
            return Some(Self::First);
        };
        if let Some(position) = identity.keys.iter().position(|known| known == key) {
            return u8::try_from(position).ok().map(Self::Key);
        }
        let sessions = record.gates.as_ref().map_or(&[][..], |gates| &gates.sessions);
        let live = sessions.iter().find(|live| live.session.holder == Holder::Key(*key));
        live.map(|live| Self::Session { lane: live.session.lane })
    }

    /// What a key is to an account as one of another account's, whose record is `delegate`, at a time in milliseconds.
    #[must_use]
    pub fn of_delegate(
        record: Option<&AccountRecord>,
        delegate: &AccountRecord,
        key: &PublicKey,
        time: u64,
    ) -> Option<Self> {
        let identity = delegate.identity.as_ref()?;
        let position = identity.keys.iter().position(|known| known == key)?;
        let sessions = record.and_then(|record| record.gates.as_ref()).map_or(&[][..], |gates| &gates.sessions);
        let mut held = sessions.iter().filter(|live| live.session.holder == Holder::Account(delegate.address));
        // What is over is of use only to be told that it is.
        let live = held.clone().find(|live| live.session.expires >= time).or_else(|| held.next())?;
        let position = u8::try_from(position).ok()?;
        Some(Self::Delegate { account: delegate.address, lane: live.session.lane, position })
    }

    /// The lane that it signs on.
    #[must_use]
    pub const fn lane(self) -> u8 {
        match self {
            Self::First | Self::Key(_) => Nonce::LANE_ROOT,
            Self::Session { lane } | Self::Delegate { lane, .. } => lane,
        }
    }
}

/// A transaction before it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    chain_id: u64,
    plane_id: Digest,
    gas_price_max: u64,
    gas_limit: Option<u64>,
    gas_seen: u64,
    valid_after: u64,
    valid_until: u64,
    role: Role,
    payment: Payment,
    actions: Vec<Action>,
    memo: Vec<u8>,
    /// Gas for approvals that are to come.
    room: u64,
}

impl Draft {
    /// An empty draft for a plane, paying at most `gas_price_max` base units of GCC for a unit of gas.
    #[must_use]
    pub fn new(plane: &Plane, gas_price_max: u64) -> Self {
        Self {
            chain_id: plane.chain_id(),
            plane_id: plane.id(),
            gas_price_max,
            gas_limit: None,
            gas_seen: 0,
            valid_after: 0,
            valid_until: 0,
            role: Role::First,
            payment: Payment::Gcc,
            actions: Vec::new(),
            memo: Vec::new(),
            room: 0,
        }
    }

    /// Adds a transfer.
    #[must_use]
    pub fn transfer(self, to: Address, asset: AssetId, amount: Amount) -> Self {
        self.action(Action::Transfer { to, asset, amount })
    }

    /// Adds a withdrawal to the L1.
    #[must_use]
    pub fn withdraw(self, to: L1Address, asset: AssetId, amount: Amount) -> Self {
        self.action(Action::Withdraw { to, asset, amount })
    }

    /// Adds an action.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Holds the actions so far instead of doing them: they wait for the account's guardians, and for their time. A covenant's text
    /// that is published on the way binds nobody and cannot be held: that is done at once, before.
    #[must_use]
    pub fn propose(mut self) -> Self {
        let publishes = |action: &Action| matches!(action, Action::PublishCovenant { .. });
        let (at_once, actions) = std::mem::take(&mut self.actions).into_iter().partition(publishes);
        self.actions = at_once;
        self.action(Action::Propose { actions })
    }

    /// What it does so far.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// Leaves gas for approvals by keys of these schemes, which are added once it is signed.
    #[must_use]
    pub fn room_for(mut self, schemes: impl IntoIterator<Item = Scheme>) -> Self {
        self.room = schemes.into_iter().map(approve::gas_at_most).fold(self.room, u64::saturating_add);
        self
    }

    /// Leaves gas for so many approvals by whichever keys.
    #[must_use]
    pub fn room_for_any(mut self, count: usize) -> Self {
        self.room = self.room.saturating_add(approve::gas_of_any(count));
        self
    }

    /// Bytes for the reader's own use, at most 64.
    #[must_use]
    pub fn memo(mut self, memo: impl Into<Vec<u8>>) -> Self {
        self.memo = memo.into();
        self
    }

    /// The batch times between which it is valid, in milliseconds. `until` must be given: a client has no clock of the
    /// plane's, but the newest batch's time is in the node's status.
    #[must_use]
    pub const fn valid(mut self, after: u64, until: u64) -> Self {
        self.valid_after = after;
        self.valid_until = until;
        self
    }

    /// Another limit of gas than the most that the actions can need.
    #[must_use]
    pub const fn gas_limit(mut self, limit: u64) -> Self {
        self.gas_limit = Some(limit);
        self
    }

    /// The gas that a simulation used. Where that is over the usual limit, as covenants can have it, the limit has room for it
    /// and some more.
    #[must_use]
    pub const fn gas_seen(mut self, gas: u64) -> Self {
        self.gas_seen = gas;
        self
    }

    /// With what its gas is paid.
    #[must_use]
    pub fn pay(mut self, payment: Payment) -> Self {
        self.payment = payment;
        self
    }

    /// The key of the sponsor who pays, if one does.
    pub(crate) const fn sponsor_key(&self) -> Option<PublicKey> {
        match &self.payment {
            Payment::Sponsor(sponsor) => Some(sponsor.key),
            Payment::Gcc | Payment::Mana => None,
        }
    }

    /// The same, with another signer for the sponsor.
    pub(crate) fn signed_by_sponsor(mut self, signer: Arc<dyn Signer + Send + Sync>) -> Self {
        if let Payment::Sponsor(sponsor) = &mut self.payment {
            sponsor.signer = Some(signer);
        }
        self
    }

    /// Whether a sponsor elsewhere has to consent once it is signed.
    #[must_use]
    pub const fn waits_for_sponsor(&self) -> bool {
        matches!(self.payment, Payment::Sponsor(Sponsor { signer: None, .. }))
    }

    /// Takes from the sender's record whether its keys are registered; until they are, a transaction carries the identity.
    #[must_use]
    pub fn sender(mut self, record: Option<&AccountRecord>) -> Self {
        let is_registered = record.is_some_and(|record| record.identity.is_some());
        self.role = if is_registered { Role::Key(0) } else { Role::First };
        self
    }

    /// As what the key signs that will sign it.
    #[must_use]
    pub const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Signs it for the account of `identity`, as the sequence number `sequence` of the role's lane.
    ///
    /// # Errors
    /// [`DraftError`], if it can be no transaction.
    pub fn sign(&self, key: &(impl Signer + ?Sized), identity: Gid, sequence: u64) -> Result<Transaction, DraftError> {
        self.sign_for(identity.address(), key, identity, sequence)
    }

    /// Signs it for `account`, whose key this is in the role that was said; `identity` is the key's own.
    ///
    /// # Errors
    /// [`DraftError`], if it can be no transaction.
    pub fn sign_for(
        &self,
        account: Address,
        key: &(impl Signer + ?Sized),
        identity: Gid,
        sequence: u64,
    ) -> Result<Transaction, DraftError> {
        let (body, _) = self.body(account, key.public_key(), identity, sequence)?;
        let auth = key.consent(Domain::TransactionAuth, body.chain_id, &body.id());
        let sponsorship = match &self.payment {
            Payment::Sponsor(Sponsor { signer: Some(signer), .. }) => {
                Some(Box::new(consent_to_sponsor(&body, signer.as_ref())))
            }
            Payment::Sponsor(_) | Payment::Gcc | Payment::Mana => None,
        };
        Ok(Transaction { body, auth, approvals: Vec::new(), sponsorship })
    }

    /// How large it is going to be and what gas it may use, signed by this key.
    ///
    /// # Errors
    /// [`DraftError`], if it can be no transaction.
    pub fn measure(&self, account: Address, public_key: PublicKey, identity: Gid) -> Result<Measured, DraftError> {
        Ok(self.body(account, public_key, identity, 0)?.1)
    }

    /// What [`Draft::sign_for`] signs, for a key that is elsewhere.
    ///
    /// # Errors
    /// [`DraftError`], if it can be no transaction.
    pub fn body_for(
        &self,
        account: Address,
        public_key: &PublicKey,
        identity: Gid,
        sequence: u64,
    ) -> Result<TransactionBody, DraftError> {
        Ok(self.body(account, *public_key, identity, sequence)?.0)
    }

    fn body(
        &self,
        account: Address,
        public_key: PublicKey,
        identity: Gid,
        sequence: u64,
    ) -> Result<(TransactionBody, Measured), DraftError> {
        if self.actions.is_empty() || self.actions.len() > ACTIONS_MAX {
            return Err(DraftError::Actions { found: self.actions.len() });
        }
        if self.memo.len() > MEMO_BYTES_MAX {
            return Err(DraftError::Memo { found: self.memo.len() });
        }
        if self.valid_until == 0 {
            return Err(DraftError::Validity);
        }
        if self.role == Role::First && (identity.public_key != public_key || identity.address() != account) {
            return Err(DraftError::Key);
        }
        let form = ConsentForm::of(public_key.scheme());
        let sponsor = match &self.payment {
            Payment::Sponsor(sponsor) if sponsor.account == account => return Err(DraftError::SponsorSelf),
            Payment::Sponsor(sponsor) => Some(sponsor),
            Payment::Gcc | Payment::Mana => None,
        };
        // What the sponsor pays at most stands in until it is known; no amount takes more bytes.
        let terms = |fee_max| {
            let terms = |sponsor: &Sponsor| SponsorTerms {
                sponsor: sponsor.account,
                fee_max: sponsor.fee_max.unwrap_or(fee_max),
                valid_until: self.valid_until,
            };
            sponsor.map(|sponsor| Pay::Sponsor(Box::new(terms(sponsor))))
        };
        let own = || if matches!(self.payment, Payment::Mana) { Pay::Mana } else { Pay::Gcc };
        let mut body = TransactionBody {
            chain_id: self.chain_id,
            plane_id: self.plane_id,
            sender: account,
            nonce: Nonce { lane: self.role.lane(), seq: sequence },
            valid_after: self.valid_after,
            valid_until: self.valid_until,
            // Stands in until the length is known; no limit takes more bytes.
            gas_limit: u64::MAX,
            gas_price_max: self.gas_price_max,
            pay: terms(Amount::MAX).unwrap_or_else(own),
            key_ref: match (self.role, form) {
                (Role::First, _) => KeyRef::Carried(identity),
                (Role::Key(position), ConsentForm::Signature) => KeyRef::Registered(position),
                (Role::Key(position), ConsentForm::Assertion) => KeyRef::RegisteredPasskey(position),
                (Role::Session { .. }, _) => KeyRef::Session,
                (Role::Delegate { account, position, .. }, ConsentForm::Signature) => {
                    KeyRef::Delegate { account, position }
                }
                (Role::Delegate { account, position, .. }, ConsentForm::Assertion) => {
                    KeyRef::DelegatePasskey { account, position }
                }
            },
            actions: self.actions.clone(),
            memo: self.memo.clone(),
        };
        // How long an assertion is going to be, only the browser knows.
        let of_sponsor = sponsor.map(|sponsor| (sponsor.key.scheme(), sponsor.key.to_bytes().len()));
        let consent = |scheme| ConsentForm::of(scheme).bytes_max();
        let sponsored = of_sponsor.map_or(0, |(scheme, key)| key + consent(scheme));
        let bytes = body.to_bytes().len() + form.bytes_max() + 1 + sponsored;
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(DraftError::Bytes { found: bytes });
        }
        let of_others = gas::approvals(of_sponsor.map(|(scheme, _)| scheme).into_iter());
        let (scheme, actions) = (public_key.scheme(), &body.actions);
        let gas_intrinsic = gas::intrinsic(scheme, bytes, actions.len()) + of_others;
        let usual = (gas_at_most(scheme, bytes, actions) + of_others).saturating_add(self.room);
        let with_room = if self.gas_seen > usual { self.gas_seen.saturating_add(GAS_TO_SPARE) } else { usual };
        body.gas_limit = self.gas_limit.unwrap_or(with_room);
        let (gas_limit, gas_price) = (body.gas_limit, self.gas_price_max);
        let fee_max = gas_limit.checked_mul(gas_price).and_then(Amount::new).unwrap_or(Amount::MAX);
        if let Some(pay) = terms(fee_max) {
            body.pay = pay;
        }
        Ok((body, Measured { bytes, gas_intrinsic, gas_limit, gas_price }))
    }
}

/// The most gas that a transaction of `bytes` canonical bytes with these actions can use, signed by a key of this scheme:
/// every recipient new.
#[must_use]
pub fn gas_at_most(scheme: Scheme, bytes: usize, actions: &[Action]) -> u64 {
    let made = |action: &Action| match action {
        Action::Transfer { .. } | Action::Mint { .. } => gas::GAS_NEW_SLOT + gas::GAS_NEW_OBJECT,
        Action::Withdraw { .. } | Action::Burn { .. } => 0,
        Action::RegisterAsset { .. } => gas::GAS_NEW_OBJECT,
        Action::PublishCovenant { text, .. } => gas::covenant_text(text.len()) + gas::GAS_NEW_OBJECT,
        Action::RegisterIdentity { .. } => gas::GAS_GATE + gas::GAS_NEW_OBJECT,
        Action::IssueCredential(_) => gas::GAS_CREDENTIAL + gas::GAS_NEW_OBJECT,
        Action::RevokeCredential { .. } | Action::DropCredential { .. } => gas::GAS_CREDENTIAL,
        Action::Propose { .. } => 2 * gas::GAS_GATE,
        // What is executed is not in the action: room for a proposal of the longest list.
        Action::Execute { .. } => {
            let each = gas::GAS_ACTION + gas::GAS_GATE + gas::GAS_NEW_SLOT + gas::GAS_NEW_OBJECT;
            gas::GAS_GATE + PROPOSAL_ACTIONS_MAX as u64 * each
        }
        _ => gas::GAS_GATE,
    };
    gas::intrinsic(scheme, bytes, actions.len()) + actions.iter().map(made).sum::<u64>()
}

//! Whether a transaction may be in a batch at all. Nothing changes until it is admitted, and refusing it costs nobody anything.
//!
//! The steps follow each other by their types, whose fields nobody else can fill in:
//! `Verified`, [`Authenticated`], [`Authorized`], [`Payable`], [`Admitted`].

use super::Run;
use super::fees::{self, Payer};
use crate::verify::Verified;
use crate::working::AccountId;
use ghostplane_shroud::guardian;
use ghostplane_shroud::sigil::{self, Outflow};
use ghostplane_types::guardian::Role;
use ghostplane_types::limits::VALIDITY_MS_MAX;
use ghostplane_types::{Action, AssetId, Holder, Identity, KeyRef, Nonce, Reject, TransactionBody};

/// When, from where and at which price a transaction is judged.
pub(crate) struct Terms {
    pub(super) time: u64,
    /// Whether it comes from the inbox.
    pub(super) is_forced: bool,
    pub(crate) gas_price: u64,
}

/// A transaction whose key and place in its lane agree with the sender's record.
pub(crate) struct Authenticated<'t> {
    verified: &'t Verified,
    sender: AccountId,
    /// Whether it is the account's first, which registers the identity that it carries.
    registers: bool,
}

/// A transaction that passes the gates of its sender.
pub(crate) struct Authorized<'t> {
    authenticated: Authenticated<'t>,
    storage_max: Option<u64>,
    uses_allowance: bool,
}

/// A transaction that may be in a batch: whoever pays for it can. Nothing has changed yet.
pub(crate) struct Payable<'t> {
    authorized: Authorized<'t>,
    gas_price: u64,
    time: u64,
    is_forced: bool,
    payer: Payer,
}

/// A transaction that has used its nonce and reserved its fee: the only kind that is applied.
pub(super) struct Admitted<'t> {
    verified: &'t Verified,
    sender: AccountId,
    gas_price: u64,
    time: u64,
    is_forced: bool,
    payer: Payer,
    storage_max: Option<u64>,
    uses_allowance: bool,
}

impl Payable<'_> {
    pub(super) fn verified(&self) -> &Verified {
        self.authorized.authenticated.verified
    }
}

impl<'t> Admitted<'t> {
    pub(super) fn verified(&self) -> &'t Verified {
        self.verified
    }

    pub(super) fn body(&self) -> &'t TransactionBody {
        self.verified.body()
    }

    pub(super) fn sender(&self) -> AccountId {
        self.sender
    }

    /// The price of a unit of gas.
    pub(super) fn gas_price(&self) -> u64 {
        self.gas_price
    }

    /// When it is judged.
    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// Whether it comes from the inbox.
    pub(super) fn is_forced(&self) -> bool {
        self.is_forced
    }

    /// What pays, and how much of it was reserved.
    pub(super) fn payer(&self) -> &Payer {
        &self.payer
    }

    /// What storage may cost at most, should the key that signed not be free to pay whatever the account holds.
    pub(super) fn storage_max(&self) -> Option<u64> {
        self.storage_max
    }

    /// Whether what leaves counts towards what may leave without the sender's guardians.
    pub(super) fn uses_allowance(&self) -> bool {
        self.uses_allowance
    }
}

impl Run<'_> {
    /// Whether a transaction may be in the batch. `Err` means that it may not be in its log at all. Changes nothing.
    pub(crate) fn judge<'t>(
        &self,
        verified: &'t Verified,
        sender: AccountId,
        terms: &Terms,
    ) -> Result<Payable<'t>, Reject> {
        let authenticated = self.authenticate(verified, sender, terms)?;
        let authorized = self.authorize(authenticated, terms)?;
        self.afford(authorized, terms)
    }

    fn authenticate<'t>(
        &self,
        verified: &'t Verified,
        sender: AccountId,
        terms: &Terms,
    ) -> Result<Authenticated<'t>, Reject> {
        let body = verified.body();
        let record = self.working.record(sender);
        let registers = match (&record.identity, &body.key_ref) {
            // That the address is this identity's was checked when the transaction was verified.
            (None, KeyRef::Carried(_)) => true,
            (None, _) => return Err(Reject::KeyRequired),
            (Some(identity), key_ref) => {
                match key_ref.delegate() {
                    Some(delegate) => self.check_delegate(verified, sender, delegate, terms.time)?,
                    None => self.check_key(identity, verified, sender, key_ref)?,
                }
                false
            }
        };
        let Nonce { lane, seq } = body.nonce;
        let is_open = match body.key_ref {
            key_ref if key_ref.is_session() => !terms.is_forced && Nonce::is_session_lane(lane),
            _ => lane == if terms.is_forced { Nonce::LANE_FORCED } else { Nonce::LANE_ROOT },
        };
        if !is_open {
            return Err(Reject::LaneClosed { lane });
        }
        let next = record.next_in_lane(lane);
        // The last number is never used: it would leave the lane without a next one.
        if next == u64::MAX {
            return Err(Reject::LaneClosed { lane });
        }
        if seq < next {
            return Err(Reject::NonceUsed { found: seq, next });
        }
        if seq > next {
            return Err(Reject::NonceGap { found: seq, next });
        }
        if terms.time < body.valid_after {
            return Err(Reject::NotYetValid { valid_after: body.valid_after, time: terms.time });
        }
        if terms.time > body.valid_until {
            return Err(Reject::Expired { valid_until: body.valid_until, time: terms.time });
        }
        let limit = terms.time.saturating_add(VALIDITY_MS_MAX);
        if body.valid_until > limit {
            return Err(Reject::ValidTooLong { valid_until: body.valid_until, limit });
        }
        Ok(Authenticated { verified, sender, registers })
    }

    /// Whether the key that signed is the one that the account has there.
    fn check_key(
        &self,
        identity: &Identity,
        verified: &Verified,
        sender: AccountId,
        key_ref: &KeyRef,
    ) -> Result<(), Reject> {
        let lane = verified.body().nonce.lane;
        let signed = Some(verified.key());
        let (known, refusal) = match key_ref {
            KeyRef::Registered(position) | KeyRef::RegisteredPasskey(position) => {
                (identity.keys.get(usize::from(*position)), Reject::UnknownKey { key_ref: *position })
            }
            KeyRef::Carried(gid) => {
                (identity.keys.iter().find(|key| **key == gid.public_key), Reject::UnknownKey { key_ref: 0 })
            }
            KeyRef::Session => {
                let live = self.working.record(sender).gates.as_ref().and_then(|gates| gates.session(lane));
                (live.and_then(|live| live.session.holder.key()), Reject::SessionUnknown { lane })
            }
            KeyRef::Delegate { .. } | KeyRef::DelegatePasskey { .. } => {
                unreachable!("a delegate's key is in its own record")
            }
        };
        if known != signed {
            return Err(refusal);
        }
        // Who executes the batch again checks signatures before anything in it: by the keys that there were before it. So
        // a key that an action of the batch has set signs from the next one on, even if somebody remembers it from earlier.
        let Some(before) = self.working.before_change(sender) else { return Ok(()) };
        let before = &before.keys;
        let before = match key_ref {
            KeyRef::Registered(position) | KeyRef::RegisteredPasskey(position) => {
                before.keys.get(usize::from(*position))
            }
            KeyRef::Session => before.session(lane).and_then(Holder::key),
            _ => signed,
        };
        if before == signed { Ok(()) } else { Err(Reject::KeyTooNew) }
    }

    /// Whether the transaction passes the gates of its sender as they stand.
    fn authorize<'t>(&self, authenticated: Authenticated<'t>, terms: &Terms) -> Result<Authorized<'t>, Reject> {
        let Authenticated { verified, sender, .. } = authenticated;
        let gates = self.working.record(sender).gates.as_deref();
        if gates.is_none() && verified.transaction().approvals.is_empty() {
            return Ok(Authorized { authenticated, storage_max: None, uses_allowance: false });
        }
        self.check_approvals(verified, sender)?;
        let body = verified.body();
        let time = terms.time;
        let Some(gates) = gates else {
            return Ok(Authorized { authenticated, storage_max: None, uses_allowance: false });
        };
        // While nothing leaves, the owner can still say that it is not for somebody else to have the account.
        let is_last_word =
            |action: &Action| matches!(action, Action::CancelRecovery { account } if *account == body.sender);
        if gates.safety.is_frozen(time) && !body.actions.iter().all(is_last_word) {
            return Err(Reject::Frozen);
        }
        let outflow = Outflow::new(&body.actions, fees::counted_at_most(body, terms));
        let mut storage_max: Option<u64> = None;
        let mut at_most = |left: u64| storage_max = Some(storage_max.map_or(left, |most| most.min(left)));
        if body.key_ref.is_session() {
            let lane = body.nonce.lane;
            let live = gates.session(lane).ok_or(Reject::SessionUnknown { lane })?;
            sigil::check_session(live, &body.actions, &outflow, time)?;
            at_most(sigil::headroom(&live.session.scope.limits, &live.spent, AssetId::GCC, &outflow, time));
        }
        let Some(guarded) = &gates.guarded else {
            return Ok(Authorized { authenticated, storage_max, uses_allowance: false });
        };
        let set = &guarded.set;
        let members = self.members_behind(verified, sender, sender, time);
        let quorum = |role: Role| {
            let quorum = guardian::check_quorum(set, role, members);
            quorum.map_err(|(found, needed)| Reject::QuorumMissing { role: role.name(), found, needed })
        };
        if body.actions.iter().any(|action| guardian::LOOSENING.contains(action.kind())) {
            quorum(Role::Gates)?;
            if set.gate_delay_ms > 0 {
                return Err(Reject::NeedsProposal { delay_ms: set.gate_delay_ms });
            }
        }
        let uses_allowance = match quorum(Role::Spend) {
            Ok(()) => false,
            Err(missing) => {
                let within = sigil::check_limits(&set.allowances, &guarded.spent, &outflow, time);
                within.map_err(|_| missing)?;
                at_most(sigil::headroom(&set.allowances, &guarded.spent, AssetId::GCC, &outflow, time));
                true
            }
        };
        Ok(Authorized { authenticated, storage_max, uses_allowance })
    }

    fn afford<'t>(&self, authorized: Authorized<'t>, terms: &Terms) -> Result<Payable<'t>, Reject> {
        let Authenticated { verified, sender, .. } = authorized.authenticated;
        let payer = self.payer(verified, sender, terms)?;
        let Terms { time, is_forced, gas_price } = *terms;
        Ok(Payable { authorized, gas_price, time, is_forced, payer })
    }

    /// Uses the nonce and reserves the fee.
    pub(super) fn admit<'t>(&mut self, payable: Payable<'t>) -> Admitted<'t> {
        let Payable { authorized, gas_price, time, is_forced, payer } = payable;
        let Authorized { authenticated, storage_max, uses_allowance } = authorized;
        let Authenticated { verified, sender, registers } = authenticated;
        self.reserve_fee(&payer, sender);
        let record = self.working.record_mut(sender);
        record.advance_lane(verified.body().nonce.lane);
        if let (true, KeyRef::Carried(gid)) = (registers, &verified.body().key_ref) {
            record.identity = Some(Identity::of(gid));
        }
        Admitted { verified, sender, gas_price, time, is_forced, payer, storage_max, uses_allowance }
    }
}

//! Who pays for gas: the sender with credits or mana, or a sponsor. Storage always costs credits of who acts.

use super::Run;
use super::actions::Applied;
use super::admission::{Admitted, Terms};
use crate::verify::Verified;
use crate::working::AccountId;
use ghostplane_shroud::guardian;
use ghostplane_shroud::sigil::{self, Outflow};
use ghostplane_types::guardian::Role;
use ghostplane_types::{Amount, AssetId, ManaReserve, Pay, Reject, SponsorTerms, TransactionBody};

/// What pays for a transaction, and how much of it is out of reach until it is known what the transaction uses.
#[derive(Clone, Copy)]
pub(super) enum Payer {
    /// The sender's credits.
    Credits(Amount),
    /// The sender's mana.
    Mana(ManaReserve),
    /// Credits of a sponsor.
    Sponsor {
        id: AccountId,
        reserved: Amount,
        /// Whether they count towards what may leave the sponsor without its guardians.
        uses_allowance: bool,
    },
}

/// What a transaction's gas has cost whom.
pub(super) struct GasPaid {
    /// Credits that the sender owes for it.
    pub(super) own: Amount,
    /// Credits that it cost, whoever owes them.
    pub(super) fee: Amount,
    /// What of it counts towards the limits of the sender's keys and guardians.
    pub(super) counted: u128,
}

/// The most that gas counts towards the limits of the sender's keys and guardians. Mana counts at the price that it spares:
/// it is not for a key to use up that may not pay as much. What a sponsor pays does not leave the sender.
pub(super) fn counted_at_most(body: &TransactionBody, terms: &Terms) -> u128 {
    match body.pay {
        Pay::Gcc | Pay::Mana => u128::from(body.gas_limit) * u128::from(terms.gas_price),
        Pay::Sponsor(_) => 0,
    }
}

impl Run<'_> {
    /// What pays for a transaction, if it suffices for all that the transaction may use. Changes nothing.
    pub(super) fn payer(&self, verified: &Verified, sender: AccountId, terms: &Terms) -> Result<Payer, Reject> {
        let body = verified.body();
        if body.gas_price_max < terms.gas_price {
            return Err(Reject::GasPriceTooLow { found: body.gas_price_max, needed: terms.gas_price });
        }
        let needed = u128::from(body.gas_limit) * u128::from(terms.gas_price);
        // An address that nobody ever paid has no record: nothing would hold its nonce.
        let exists = self.working.exists(sender);
        match &body.pay {
            // Where gas costs nothing, nothing is taken: the L1 has been paid for what comes from there, and nobody pays for advice.
            Pay::Mana | Pay::Sponsor(_) if terms.gas_price == 0 && exists => Ok(Payer::Credits(Amount::ZERO)),
            Pay::Mana | Pay::Sponsor(_) if !exists => Err(Reject::NoAccount),
            Pay::Gcc => {
                let balance = self.working.balance(sender, AssetId::GCC);
                let reserved = within(needed, balance).filter(|_| exists);
                let refusal = Reject::FeeUnpayable { balance: balance.units(), needed: saturated(needed) };
                reserved.map(Payer::Credits).ok_or(refusal)
            }
            Pay::Mana => {
                let reserve = self.working.mana_for(sender, body.gas_limit);
                let needed = body.gas_limit;
                reserve.map(Payer::Mana).map_err(|now| Reject::ManaShort { found: now.gas(), needed })
            }
            Pay::Sponsor(of) => self.sponsor(verified, sender, of, needed, terms.time),
        }
    }

    fn sponsor(
        &self,
        verified: &Verified,
        sender: AccountId,
        of: &SponsorTerms,
        needed: u128,
        time: u64,
    ) -> Result<Payer, Reject> {
        let unknown = || Reject::SponsorUnknown { sponsor: of.sponsor };
        let id = self.reach.find(&of.sponsor).filter(|id| self.working.exists(*id)).ok_or_else(unknown)?;
        let identity = self.working.record(id).identity.as_ref().ok_or_else(unknown)?;
        // Sessions have no say: what they may spend is for actions of their own account.
        let key = verified.transaction().sponsorship.as_ref().map(|consent| consent.key);
        let key = key.ok_or(Reject::BadSponsorship)?;
        if !identity.keys.contains(&key) {
            return Err(Reject::SponsorKey { key });
        }
        if time > of.valid_until {
            return Err(Reject::SponsorshipOver { valid_until: of.valid_until, time });
        }
        if needed > u128::from(of.fee_max.units()) {
            return Err(Reject::SponsorBound { needed: saturated(needed), limit: of.fee_max.units() });
        }
        let uses_allowance = self.authorize_sponsor(verified, sender, id, needed, time)?;
        let balance = self.working.balance(id, AssetId::GCC);
        let refusal = Reject::SponsorUnpayable { balance: balance.units(), needed: saturated(needed) };
        let reserved = within(needed, balance).ok_or(refusal)?;
        Ok(Payer::Sponsor { id, reserved, uses_allowance })
    }

    /// Whether a fee passes the gates of the sponsor as they stand, and if so, whether as what leaves it without its guardians.
    ///
    /// Whatever else guards what leaves an account is to be asked here as well.
    fn authorize_sponsor(
        &self,
        verified: &Verified,
        sender: AccountId,
        sponsor: AccountId,
        fee: u128,
        time: u64,
    ) -> Result<bool, Reject> {
        let Some(gates) = self.working.record(sponsor).gates.as_deref() else { return Ok(false) };
        if gates.safety.is_frozen(time) {
            return Err(Reject::SponsorFrozen);
        }
        let Some(guarded) = &gates.guarded else { return Ok(false) };
        let members = self.members_behind(verified, sender, sponsor, time);
        let Err((found, needed)) = guardian::check_quorum(&guarded.set, Role::Spend, members) else { return Ok(false) };
        let within = sigil::check_limits(&guarded.set.allowances, &guarded.spent, &Outflow::new(&[], fee), time);
        within.map(|()| true).map_err(|_| Reject::SponsorQuorum { found, needed })
    }

    /// Takes out of reach what pays.
    pub(super) fn reserve_fee(&mut self, payer: &Payer, sender: AccountId) {
        match *payer {
            Payer::Credits(reserved) => self.working.reserve(sender, reserved),
            Payer::Mana(reserve) => self.working.reserve_mana(sender, reserve),
            // Owed from the start: what the transaction's actions do to the sponsor's balance must leave room for it.
            Payer::Sponsor { id, reserved, .. } => {
                self.working.reserve(id, reserved);
                self.working.owe(id, reserved, Amount::ZERO, Amount::ZERO);
            }
        }
    }

    /// Keeps the fee of what was reserved and gives back the rest.
    pub(super) fn settle_fee(&mut self, admitted: &Admitted<'_>, applied: &Applied) -> GasPaid {
        let gas = applied.gas();
        let price = u128::from(gas) * u128::from(admitted.gas_price());
        let kept_of = |reserved: Amount| {
            let fee = within(price, reserved).expect("gas is at most the limit, whose price was reserved");
            (fee, reserved.checked_sub(fee).expect("within it"))
        };
        match *admitted.payer() {
            Payer::Credits(reserved) => {
                let (fee, rest) = kept_of(reserved);
                self.working.release(admitted.sender(), rest);
                GasPaid { own: fee, fee, counted: price }
            }
            Payer::Mana(reserve) => {
                self.working.release_mana(admitted.sender(), reserve, gas);
                GasPaid { own: Amount::ZERO, fee: Amount::ZERO, counted: price }
            }
            Payer::Sponsor { id, reserved, uses_allowance } => {
                let (fee, rest) = kept_of(reserved);
                self.working.forgive(id, rest);
                if uses_allowance {
                    self.count_allowance(id, &Outflow::new(&[], price), admitted.time());
                }
                GasPaid { own: Amount::ZERO, fee, counted: 0 }
            }
        }
    }

    fn count_allowance(&mut self, id: AccountId, outflow: &Outflow, time: u64) {
        let gates = self.working.record_mut(id).gates.as_mut();
        if let Some(guarded) = gates.and_then(|gates| gates.guarded.as_mut()) {
            sigil::count(&guarded.set.allowances, &mut guarded.spent, outflow, time);
        }
    }
}

/// So many base units, if they are at most `limit`.
fn within(units: u128, limit: Amount) -> Option<Amount> {
    u64::try_from(units).ok().and_then(Amount::new).filter(|amount| *amount <= limit)
}

fn saturated(units: u128) -> u64 {
    u64::try_from(units).unwrap_or(u64::MAX)
}

//! Who may act for an account: its keys, and sessions within their scopes, held by keys or by other accounts.

use ghostplane_types::guardian::Guardian;
use ghostplane_types::limits::{ACCOUNT_GATES_BYTES_MAX, ACCOUNT_KEYS_MAX, SESSION_MS_MAX, SESSIONS_MAX};
use ghostplane_types::{
    AccountRecord, Action, Address, AssetId, Few, Gates, Holder, Identity, KeyChange, KindSet, Limit, LiveSession,
    Nonce, PreparedKey, PublicKey, Reject, Scheme, Session, Spent,
};

/// What a session may ever do: what changes a gate or speaks for the account elsewhere is not among it.
pub const SESSION_KINDS: KindSet =
    KindSet::of(&[Action::KIND_TRANSFER, Action::KIND_WITHDRAW, Action::KIND_MINT, Action::KIND_BURN]);

/// Whether a key can be set: it decodes to a point of its curve, not of small order.
pub fn is_usable(key: &PublicKey) -> bool {
    PreparedKey::parse(key).is_ok()
}

// Keys.

/// The keys after a change.
pub fn change_keys(
    identity: &Identity,
    gates: Option<&Gates>,
    change: &KeyChange,
) -> Result<Few<PublicKey, 1>, Reject> {
    if let Some(key) = change.key() {
        check_new_key(identity, gates, key)?;
    }
    let at = |position: u8| {
        let known = usize::from(position) < identity.keys.len();
        if known { Ok(usize::from(position)) } else { Err(Reject::NoSuchKey { position }) }
    };
    let mut keys: Vec<PublicKey> = identity.keys.to_vec();
    match change {
        KeyChange::Add(_) if keys.len() >= ACCOUNT_KEYS_MAX => {
            return Err(Reject::KeysFull { limit: ACCOUNT_KEYS_MAX });
        }
        KeyChange::Add(key) => keys.push(*key),
        KeyChange::Replace { position, key } => keys[at(*position)?] = *key,
        KeyChange::Remove { position } => {
            let at = at(*position)?;
            if keys.len() == 1 {
                return Err(Reject::LastKey);
            }
            keys.remove(at);
        }
    }
    Ok(keys.into_iter().collect())
}

/// A key that the account does not have in any role yet, and that can verify.
fn check_new_key(identity: &Identity, gates: Option<&Gates>, key: &PublicKey) -> Result<(), Reject> {
    let is_session = gates.is_some_and(|gates| holds_session(gates, &Holder::Key(*key)));
    let is_guardian = gates
        .and_then(|gates| gates.guarded.as_ref())
        .is_some_and(|guarded| guarded.set.members.iter().any(|member| member.who == Guardian::Key(*key)));
    if is_session || is_guardian || identity.keys.contains(key) {
        return Err(Reject::KeyTwice);
    }
    if is_usable(key) { Ok(()) } else { Err(Reject::UnusableKey) }
}

// Sessions.

/// Whether a key or an account holds one of the sessions, over or not.
pub fn holds_session(gates: &Gates, holder: &Holder) -> bool {
    gates.sessions.iter().any(|live| live.session.holder == *holder)
}

/// Whether an account can act for that of `record`: it has keys, and the other does not act for it. `delegate` is its
/// record, if it exists.
///
/// Who acts for another acts by its own keys alone, so nobody acts for anybody through a third: there is no longer way round.
pub fn check_delegate(
    record: &AccountRecord,
    address: &Address,
    delegate: Option<&AccountRecord>,
    time: u64,
) -> Result<(), Reject> {
    if *address == record.address {
        return Err(Reject::DelegationCycle { delegate: *address });
    }
    let known = delegate.filter(|known| known.identity.is_some());
    let known = known.ok_or(Reject::DelegateUnknown { delegate: *address })?;
    let sessions = known.gates.as_ref().map_or(&[][..], |gates| &gates.sessions);
    let acts_back =
        |live: &LiveSession| live.session.holder == Holder::Account(record.address) && live.session.expires >= time;
    if sessions.iter().any(acts_back) { Err(Reject::DelegationCycle { delegate: *address }) } else { Ok(()) }
}

/// Puts a session in its place among the gates. Says whether it takes the place of one that is over. Of an account that
/// holds it, [`check_delegate`] says whether it can.
pub fn add_session(record: &mut AccountRecord, session: &Session, time: u64) -> Result<bool, Reject> {
    check_terms(session, time)?;
    let Some(identity) = &record.identity else { return Err(Reject::KeyRequired) };
    let lane = session.lane;
    let old = record.gates.as_ref().and_then(|gates| gates.session(lane));
    if old.is_some_and(|old| old.session.expires >= time) {
        return Err(Reject::SessionExists { lane });
    }
    let replaces = old.is_some();
    if let Holder::Key(key) = &session.holder
        && old.is_none_or(|old| old.session.holder != session.holder)
    {
        check_new_key(identity, record.gates.as_deref(), key)?;
    }
    let spent = vec![Spent::default(); session.scope.limits.len()];
    let live = LiveSession { session: session.clone(), spent };
    let bytes = record.change_gates(|gates| {
        gates.sessions.retain(|live| live.session.lane != lane);
        let at = gates.sessions.partition_point(|live| live.session.lane < lane);
        gates.sessions.insert(at, live);
        if gates.sessions.len() > SESSIONS_MAX { Err(Reject::SessionsFull { limit: SESSIONS_MAX }) } else { Ok(()) }
    });
    bytes?;
    check_room(record)?;
    Ok(replaces)
}

/// Ends the session of a lane.
pub fn revoke_session(record: &mut AccountRecord, lane: u8) -> Result<(), Reject> {
    if record.gates.as_ref().and_then(|gates| gates.session(lane)).is_none() {
        return Err(Reject::NoSuchSession { lane });
    }
    record.change_gates(|gates| gates.sessions.retain(|live| live.session.lane != lane));
    Ok(())
}

/// Whether the gates fit the record.
pub fn check_room(record: &AccountRecord) -> Result<(), Reject> {
    let bytes = record.gates.as_ref().map_or(0, |gates| gates.bytes_max());
    let limit = ACCOUNT_GATES_BYTES_MAX;
    if bytes > limit { Err(Reject::GatesFull { bytes, limit }) } else { Ok(()) }
}

fn check_terms(session: &Session, time: u64) -> Result<(), Reject> {
    let scope = &session.scope;
    let rules = [
        (Nonce::is_session_lane(session.lane), "a session's lane is 1 to 254"),
        (session.expires >= time, "it is over already"),
        (session.expires <= time.saturating_add(SESSION_MS_MAX), "it lasts longer than 366 days"),
        (!scope.kinds.is_empty(), "it may do nothing"),
        (scope.kinds.is_within(SESSION_KINDS), "an action kind that no session may do"),
        (scope.contracts.is_empty(), "contracts do not run yet"),
        (
            session.holder.key().is_none_or(|key| key.scheme() != Scheme::Passkey),
            "a session signs by a signature, not a passkey's assertion",
        ),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Reject::SessionTerms { what }),
        None => Ok(()),
    }
}

/// What a transaction takes out of an account at most, by asset.
#[derive(Clone, Debug, Default)]
pub struct Outflow(Vec<(AssetId, u128)>);

impl Outflow {
    /// What the actions move, and so much of GCC for fees.
    pub fn new(actions: &[Action], fees: u128) -> Self {
        let mut outflow = Self::default();
        outflow.add(AssetId::GCC, fees);
        actions.iter().filter_map(Action::moves).for_each(|(asset, amount)| {
            outflow.add(asset, u128::from(amount.units()));
        });
        outflow
    }

    /// Adds so much of an asset.
    pub fn add(&mut self, asset: AssetId, units: u128) {
        match self.0.iter_mut().find(|(known, _)| *known == asset) {
            Some((_, sum)) => *sum += units,
            None if units > 0 => self.0.push((asset, units)),
            None => {}
        }
    }

    /// How much of an asset.
    pub fn of(&self, asset: AssetId) -> u128 {
        self.0.iter().find(|(known, _)| *known == asset).map_or(0, |(_, sum)| *sum)
    }

    /// What leaves, each asset once.
    pub fn iter(&self) -> impl Iterator<Item = (AssetId, u128)> {
        self.0.iter().copied().filter(|(_, units)| *units > 0)
    }
}

/// How an outflow is over limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The asset is not listed.
    Unlisted(AssetId),
    /// More than one transaction may take.
    Transaction {
        /// Of what.
        asset: AssetId,
        /// How much is taken.
        needed: u64,
        /// How much may be.
        limit: u64,
    },
    /// More than is left in the window.
    Window {
        /// Of what.
        asset: AssetId,
        /// How much is taken.
        needed: u64,
        /// What is left.
        left: u64,
    },
}

/// The window that something at `time` counts in, and what was spent in it before.
///
/// What is forced through the inbox is judged at the time of its L1 block, which may lie behind what was counted last. It
/// counts in that later window: a window that has begun never begins again.
fn in_window(limit: &Limit, spent: &Spent, time: u64) -> Spent {
    let window = limit.window.at(time).max(spent.window);
    Spent { window, units: if spent.window == window { spent.units } else { 0 } }
}

/// What is left in the window that something at `time` counts in.
fn left(limit: &Limit, spent: &Spent, time: u64) -> u64 {
    limit.per_window.units().saturating_sub(in_window(limit, spent, time).units)
}

/// Whether so much may leave within limits, of which so much is spent.
pub fn check_limits(limits: &[Limit], spent: &[Spent], outflow: &Outflow, time: u64) -> Result<(), Over> {
    for (asset, units) in outflow.iter() {
        let (limit, spent) =
            limits.iter().zip(spent).find(|(limit, _)| limit.asset == asset).ok_or(Over::Unlisted(asset))?;
        let needed = u64::try_from(units).unwrap_or(u64::MAX);
        let most = limit.per_transaction.units();
        if needed > most {
            return Err(Over::Transaction { asset, needed, limit: most });
        }
        let left = left(limit, spent, time);
        if needed > left {
            return Err(Over::Window { asset, needed, left });
        }
    }
    Ok(())
}

/// How much more of an asset may leave in a transaction that already takes `outflow`.
pub fn headroom(limits: &[Limit], spent: &[Spent], asset: AssetId, outflow: &Outflow, time: u64) -> u64 {
    let known = limits.iter().zip(spent).find(|(limit, _)| limit.asset == asset);
    let most = known.map_or(0, |(limit, spent)| limit.per_transaction.units().min(left(limit, spent, time)));
    u64::try_from(u128::from(most).saturating_sub(outflow.of(asset))).expect("at most what it was")
}

/// Counts what left.
pub fn count(limits: &[Limit], spent: &mut [Spent], outflow: &Outflow, time: u64) {
    for (limit, spent) in limits.iter().zip(spent) {
        let units = outflow.of(limit.asset);
        if units > 0 {
            let before = in_window(limit, spent, time);
            let sum = u128::from(before.units).saturating_add(units);
            *spent = Spent { units: u64::try_from(sum).unwrap_or(u64::MAX), ..before };
        }
    }
}

/// Whether a session may do these actions, and let so much leave.
pub fn check_session(live: &LiveSession, actions: &[Action], outflow: &Outflow, time: u64) -> Result<(), Reject> {
    let LiveSession { session, spent } = live;
    let (scope, expires) = (&session.scope, session.expires);
    if time > expires {
        return Err(Reject::SessionExpired { expires, time });
    }
    for action in actions {
        if !scope.kinds.contains(action.kind()) {
            return Err(Reject::SessionScope { what: "an action kind" });
        }
        let named = match action {
            Action::Transfer { to, .. } | Action::Mint { to, .. } => {
                scope.recipients.as_ref().is_none_or(|known| known.contains(to))
            }
            Action::Withdraw { to, .. } => scope.l1_recipients.as_ref().is_none_or(|known| known.contains(to)),
            Action::Burn { .. } => true,
            // No session may ever do the others; what is set says so, and this says it again.
            _ => false,
        };
        if !named {
            return Err(Reject::SessionScope { what: "a recipient" });
        }
    }
    check_limits(&scope.limits, spent, outflow, time).map_err(|over| match over {
        Over::Unlisted(_) => Reject::SessionScope { what: "an asset" },
        Over::Transaction { asset, needed, limit } => Reject::SessionLimit { asset, needed, limit },
        Over::Window { asset, needed, left } => Reject::SessionWindow { asset, needed, left },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_types::{Amount, Window};

    fn limit(per_transaction: u64, per_window: u64) -> Limit {
        let amount = |units| Amount::new(units).expect("small");
        let (per_transaction, per_window) = (amount(per_transaction), amount(per_window));
        Limit { asset: AssetId::GCC, per_transaction, window: Window::Hour, per_window }
    }

    fn gcc(units: u128) -> Outflow {
        Outflow::new(&[], units)
    }

    #[test]
    fn a_window_counts_until_it_ends() {
        let limits = [limit(10, 15)];
        let mut spent = [Spent::default()];
        let hour = Window::Hour.length_ms();
        let now = 7 * hour;
        assert_eq!(check_limits(&limits, &spent, &gcc(10), now), Ok(()));
        count(&limits, &mut spent, &gcc(10), now);
        let over = Over::Window { asset: AssetId::GCC, needed: 6, left: 5 };
        assert_eq!(check_limits(&limits, &spent, &gcc(6), now + hour - 1), Err(over));
        assert_eq!(check_limits(&limits, &spent, &gcc(5), now + hour - 1), Ok(()));
        assert_eq!(check_limits(&limits, &spent, &gcc(10), now + hour), Ok(()));
        assert_eq!(headroom(&limits, &spent, AssetId::GCC, &gcc(2), now), 3);
        assert_eq!(headroom(&limits, &spent, AssetId::ZMAN, &gcc(2), now), 0);
    }

    #[test]
    fn what_comes_late_counts_in_the_window_that_has_begun() {
        let limits = [limit(10, 15)];
        let mut spent = [Spent::default()];
        let hour = Window::Hour.length_ms();
        count(&limits, &mut spent, &gcc(10), 7 * hour);
        let over = Over::Window { asset: AssetId::GCC, needed: 6, left: 5 };
        assert_eq!(check_limits(&limits, &spent, &gcc(6), 7 * hour - 1), Err(over));
        count(&limits, &mut spent, &gcc(5), 7 * hour - 1);
        assert_eq!(spent, [Spent { window: 7, units: 15 }]);
    }

    #[test]
    fn what_is_not_listed_stays() {
        let limits = [limit(10, 15)];
        let mut outflow = gcc(1);
        outflow.add(AssetId::ZMAN, 1);
        assert_eq!(check_limits(&limits, &[Spent::default()], &outflow, 0), Err(Over::Unlisted(AssetId::ZMAN)));
        assert_eq!(check_limits(&[], &[], &gcc(0), 0), Ok(()));
        let most = Over::Transaction { asset: AssetId::GCC, needed: u64::MAX, limit: 10 };
        assert_eq!(check_limits(&limits, &[Spent::default()], &gcc(u128::MAX), 0), Err(most));
    }
}

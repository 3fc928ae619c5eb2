//! Who may act for an account, as JSON and in words: the same over HTTP and on the command line.

use crate::did;
use crate::inspect;
use ghostplane_client::gates::{self, Standing};
use ghostplane_types::action::kind_name;
use ghostplane_types::guardian::{Guarded, Guardian, MemberMask, Proposal, Role};
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, CovenantAt, Covenants, Encode as _, GuardianSet, KeyChange,
    KindSet, Limit, LiveSession, PublicKey, Spent,
};
use serde_json::{Value, json};

/// How amounts are written: over HTTP with their text, on the command line as base units.
pub type Money<'a> = &'a dyn Fn(AssetId, Amount) -> Value;

/// An amount of base units that came of counting.
fn counted(units: u64) -> Amount {
    Amount::new(units).unwrap_or(Amount::MAX)
}

/// A key, for programs.
#[must_use]
pub fn key(key: &PublicKey) -> Value {
    json!({
        "scheme": key.scheme().name(),
        "public_key": key.to_string(),
        "multikey": did::multikey(key),
        "key": ghostplane_ghostcipher::hex::encode(&key.to_bytes()),
    })
}

/// The identity of a record at a time; null before it is registered.
#[must_use]
pub fn identity(record: Option<&AccountRecord>, time: u64) -> Value {
    let known = record.and_then(|record| Some((record.identity.as_ref()?, record.standing(time))));
    let Some((identity, standing)) = known else { return Value::Null };
    json!({
        "type": gates::entity_word(identity.entity_type),
        "version": identity.version,
        "level": standing.level,
        "certified": standing.certified.map(gates::entity_word),
        "keys": identity.keys.iter().map(key).collect::<Vec<_>>(),
    })
}

/// Sessions, guardians, proposals and safety of a record at a time.
#[must_use]
pub fn all(record: Option<&AccountRecord>, time: u64, money: Money<'_>) -> Value {
    let of = record.and_then(|record| record.gates.as_deref());
    let sessions = of.map_or(&[][..], |of| &of.sessions).iter().map(|live| session(live, time, money));
    let guarded = of.and_then(|of| of.guarded.as_ref());
    json!({
        "sessions": sessions.collect::<Vec<_>>(),
        "guardians": guarded.map(|guarded| guardians(guarded, time, money)),
        "proposals": guarded.map_or_else(Vec::new, |guarded| {
            guarded.proposals.iter().map(|held| proposal(guarded, held, time)).collect()
        }),
        "safety": safety(record, time),
        "covenants": of.filter(|of| !of.covenants.is_empty()).map(|of| covenants(&of.covenants, time, money)),
    })
}

fn covenants(of: &Covenants, time: u64, money: Money<'_>) -> Value {
    let spending = of.spending.iter().map(|known| {
        let [hour, day, month] = known.at(time).units.map(|units| money(known.asset, counted(units)));
        json!({ "asset": known.asset.number(), "hour": hour, "day": day, "month": month })
    });
    json!({
        "outgoing": of.outgoing.map(|digest| digest.to_string()),
        "incoming": of.incoming.map(|digest| digest.to_string()),
        "spending": spending.collect::<Vec<_>>(),
    })
}

/// Freeze and recovery of a record at a time.
#[must_use]
pub fn safety(record: Option<&AccountRecord>, time: u64) -> Value {
    let safety = record.and_then(|record| record.gates.as_ref()).map(|of| of.safety).unwrap_or_default();
    json!({
        "frozen": safety.is_frozen(time),
        "freeze_ends_at": safety.freeze.and_then(|freeze| freeze.ends_at),
        "recovery": safety.recovery.map(|recovery| json!({ "key": key(&recovery.key), "ready_at": recovery.ready_at })),
        "owner_has_cancelled": safety.has_cancelled,
    })
}

/// A session: its scope, and what is left of its limits.
#[must_use]
pub fn session(live: &LiveSession, time: u64, money: Money<'_>) -> Value {
    let (session, scope) = (&live.session, &live.session.scope);
    let texts = |of: &[Address]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    let to_l1 = scope.l1_recipients.as_ref().map(|of| of.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({
        "lane": session.lane,
        "key": session.holder.key().map(key),
        "account": session.holder.account().map(ToString::to_string),
        "expires": session.expires,
        "over": time > session.expires,
        "kinds": kinds(scope.kinds),
        "recipients": scope.recipients.as_deref().map(texts),
        "l1_recipients": to_l1,
        "limits": limits(&scope.limits, &live.spent, time, money),
    })
}

/// The names of kinds.
#[must_use]
pub fn kinds(kinds: KindSet) -> Vec<&'static str> {
    kinds.iter().filter_map(kind_name).collect()
}

fn limits(limits: &[Limit], spent: &[Spent], time: u64, money: Money<'_>) -> Vec<Value> {
    let of = |(limit, counter): (&Limit, &Spent)| {
        json!({
            "asset": limit.asset.number(),
            "per_transaction": money(limit.asset, limit.per_transaction),
            "window": gates::window_word(limit.window),
            "per_window": money(limit.asset, limit.per_window),
            "spent": money(limit.asset, counted(gates::spent(limit, counter, time))),
            "left": money(limit.asset, counted(gates::left(limit, counter, time))),
        })
    };
    limits.iter().zip(spent).map(of).collect()
}

/// A member of a set, as text.
#[must_use]
pub fn member_text(who: &Guardian) -> String {
    match who {
        Guardian::Key(key) => format!("{}:{key}", key.scheme().name()),
        Guardian::Account(address) => address.to_string(),
    }
}

fn guardians(guarded: &Guarded, time: u64, money: Money<'_>) -> Value {
    let set = &guarded.set;
    let members = set.members.iter().map(|member| {
        let (known, account) = match &member.who {
            Guardian::Key(known) => (Some(key(known)), None),
            Guardian::Account(address) => (None, Some(address.to_string())),
        };
        let roles: Vec<&str> = gates::roles(member.roles).map(Role::name).collect();
        json!({ "key": known, "account": account, "weight": member.weight, "roles": roles })
    });
    let quorums = Role::ALL.into_iter().map(|role| (role.name().to_owned(), json!(set.thresholds.of(role))));
    json!({
        "members": members.collect::<Vec<_>>(),
        "quorums": quorums.collect::<serde_json::Map<_, _>>(),
        "allowances": limits(&set.allowances, &guarded.spent, time, money),
        "gate_delay_ms": set.gate_delay_ms,
        "recovery_delay_ms": set.recovery_delay_ms,
    })
}

/// A proposal that is held.
#[must_use]
pub fn proposal(guarded: &Guarded, held: &Proposal, time: u64) -> Value {
    let voters = |mask: MemberMask| {
        let members = gates::places(mask).filter_map(|at| guarded.set.members.get(at));
        members.map(|member| member_text(&member.who)).collect::<Vec<_>>()
    };
    let quorums = gates::quorums(guarded, held).into_iter();
    let quorums = quorums.map(|(role, found, needed)| json!({ "role": role.name(), "found": found, "needed": needed }));
    json!({
        "id": held.id.to_string(),
        "state": Standing::of(held, time).word(),
        "actions": held.actions.iter().map(inspect::action_json).collect::<Vec<_>>(),
        "quorums": quorums.collect::<Vec<_>>(),
        "approved_by": voters(held.approvals),
        "rejected_by": voters(held.rejections),
        "ready_at": held.ready_at,
        "expires": held.expires,
    })
}

/// What an action does, in a line for people.
#[must_use]
pub fn words(action: &Action, money: &dyn Fn(AssetId, Amount) -> String) -> String {
    match action {
        Action::Transfer { to, asset, amount } => format!("transfer {} to {to}", money(*asset, *amount)),
        Action::Withdraw { to, asset, amount } => format!("withdraw {} to {to}", money(*asset, *amount)),
        Action::RegisterIdentity { gid } => format!("register the identity of {}", gid.address()),
        Action::RotateKey(KeyChange::Add(key)) => format!("add the key {}", member_text(&Guardian::Key(*key))),
        Action::RotateKey(KeyChange::Replace { position, key }) => {
            format!("put the key {} in the place of key {position}", member_text(&Guardian::Key(*key)))
        }
        Action::RotateKey(KeyChange::Remove { position }) => format!("remove key {position}"),
        Action::AddSession(session) => {
            let limits = session.scope.limits.iter().map(|limit| limit_words(limit, money)).collect::<Vec<_>>();
            let kinds = kinds(session.scope.kinds).join(", ");
            let holder = session.holder.account().map_or_else(|| "a key".to_owned(), ToString::to_string);
            format!("let {holder} do {kinds} on lane {}, at most {}", session.lane, limits.join("; "))
        }
        Action::RevokeSession { lane } => format!("end the session of lane {lane}"),
        Action::SetCovenant { at, digest } => {
            let place = match at {
                CovenantAt::Outgoing => "what the account does".to_owned(),
                CovenantAt::Incoming => "what the account is paid".to_owned(),
                CovenantAt::Asset(asset) => format!("the asset {asset}"),
                CovenantAt::Plane => "the plane".to_owned(),
            };
            match digest {
                Some(digest) => format!("attach the covenant {digest} to {place}"),
                None => format!("take the covenant off {place}"),
            }
        }
        Action::PublishCovenant { text, .. } => format!("publish a covenant of {} bytes", text.len()),
        Action::SetGuardians(None) => "remove the guardians".to_owned(),
        Action::SetGuardians(Some(set)) => format!("set guardians: {}", set_words(set, money)),
        Action::Propose { actions } => {
            let held: Vec<String> = actions.iter().map(|action| words(action, money)).collect();
            format!("propose to {}", held.join("; "))
        }
        Action::Approve { account, proposal } => format!("approve proposal {proposal} of {account}"),
        Action::Reject { account, proposal } => format!("decline proposal {proposal} of {account}"),
        Action::Execute { account, proposal } => format!("execute proposal {proposal} of {account}"),
        Action::Freeze { account } => format!("freeze {account}"),
        Action::Unfreeze { account } => format!("end the freeze of {account}"),
        Action::Recover { account, key } => {
            format!("give {account} the key {}", member_text(&Guardian::Key(**key)))
        }
        Action::CancelRecovery { account } => format!("cancel the recovery of {account}"),
        Action::FinishRecovery { account } => format!("finish the recovery of {account}"),
        Action::RegisterAsset { asset, symbol, decimals, cap } => format!(
            "register the asset {asset}, {} with {decimals} decimals, of which there may be {}",
            String::from_utf8_lossy(symbol),
            cap.to_decimal(*decimals)
        ),
        Action::Mint { asset, to, amount } => format!("make {} for {to}", money(*asset, *amount)),
        Action::Burn { asset, amount } => format!("end {}", money(*asset, *amount)),
        Action::FreezeAsset { asset, is_frozen: true } => format!("stop whatever moves of {asset}"),
        Action::FreezeAsset { asset, is_frozen: false } => format!("let {asset} move again"),
        Action::IssueCredential(terms) => {
            let certified = terms.certified.map_or_else(String::new, |of| format!(", as {}", gates::entity_word(of)));
            format!("issue {} the credential {}, of level {}{certified}", terms.subject, terms.claims, terms.level)
        }
        Action::RevokeCredential { subject, claims } => format!("revoke the credential {claims} of {subject}"),
        Action::DropCredential { issuer, claims } => format!("drop the credential {claims} of {issuer}"),
    }
}

/// A limit in words.
#[must_use]
pub fn limit_words(limit: &Limit, money: &dyn Fn(AssetId, Amount) -> String) -> String {
    let whole = money(limit.asset, limit.per_window);
    let most = if limit.per_transaction < limit.per_window {
        format!(", {} at once", money(limit.asset, limit.per_transaction))
    } else {
        String::new()
    };
    format!("{whole} a {}{most}", gates::window_word(limit.window))
}

/// A set in words.
fn set_words(set: &GuardianSet, money: &dyn Fn(AssetId, Amount) -> String) -> String {
    let members: Vec<String> =
        set.members.iter().map(|member| format!("{} of weight {}", member_text(&member.who), member.weight)).collect();
    let quorums: Vec<String> =
        Role::ALL.into_iter().map(|role| format!("{} {}", role.name(), set.thresholds.of(role))).collect();
    let alone: Vec<String> = set.allowances.iter().map(|limit| limit_words(limit, money)).collect();
    let alone = if alone.is_empty() { "nothing".to_owned() } else { alone.join("; ") };
    format!(
        "{}; quorums {}; alone {alone}; gates wait {}, recoveries {}",
        members.join(", "),
        quorums.join(", "),
        delay(set.gate_delay_ms),
        delay(set.recovery_delay_ms)
    )
}

/// A span as people write it: `90s`, `2h`, `3d`.
#[must_use]
pub fn delay(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = UNITS.iter().find(|(length, _)| ms >= *length && ms.is_multiple_of(*length));
    match unit {
        Some((length, name)) => format!("{}{name}", ms / length),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

/// Reads what [`delay`] writes.
///
/// # Errors
/// What to write instead.
pub fn parse_delay(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let length = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == "0" => 0,
        _ => return Err(format!("'{text}' is no span of time: write it like 90s, 10m, 2h or 3d")),
    };
    let number: u64 = number.parse().map_err(|_| format!("'{text}' begins with no number: write it like 90s or 2h"))?;
    number.checked_mul(length).ok_or_else(|| format!("'{text}' is longer than anything lasts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_the_role_gates_is_the_same_for_clients_and_the_engine() {
        assert_eq!(gates::LOOSENING, ghostplane_shroud::guardian::LOOSENING);
        let of = |actions: &[Action]| ghostplane_shroud::guardian::roles_of(actions).collect::<Vec<_>>();
        let lists = [
            vec![Action::RevokeSession { lane: 1 }],
            vec![Action::SetGuardians(None)],
            vec![Action::SetGuardians(None), Action::RevokeSession { lane: 1 }],
        ];
        for actions in lists {
            assert_eq!(gates::roles_of(&actions), of(&actions), "{actions:?}");
        }
    }

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (text, ms) in [("0s", 0), ("1500ms", 1_500), ("90s", 90_000), ("2h", 7_200_000), ("3d", 259_200_000)] {
            assert_eq!((parse_delay(text), delay(ms)), (Ok(ms), text.to_owned()));
        }
        assert_eq!((parse_delay("0"), parse_delay("120m"), delay(7_200_000)), (Ok(0), Ok(7_200_000), "2h".to_owned()));
        for bad in ["", "5", "h", "-1h", "1.5h", "1 week", "99999999999999999999d", "999999999999999999d"] {
            assert!(parse_delay(bad).is_err(), "{bad}");
        }
    }
}

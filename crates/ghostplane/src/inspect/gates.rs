//! The fields of actions, and of what an account's actions have to pass.

use ghostplane_types::action::kind_name;
use ghostplane_types::guardian::{Freeze, Guardian, Member, MemberMask, Proposal, Role};
use ghostplane_types::{
    Action, Certification, CovenantAt, Credential, CredentialTerms, Gates, GuardianSet, Holder, KeyChange, KindSet,
    Limit, LiveSession, Session, Spending, Spent, Window,
};

use super::fields::{gid_fields, key as named};
use super::sheet::Sheet;
use crate::keys;

pub(super) fn action(action: &Action) -> Sheet {
    let sheet = Sheet::new().text("kind", action.kind_name());
    match action {
        Action::Transfer { to, asset, amount } => sheet.text("to", to).money("amount", *amount, *asset),
        Action::Withdraw { to, asset, amount } => sheet.text("to", to).money("amount", *amount, *asset),
        Action::RegisterIdentity { gid } => sheet.text("address", gid.address()).group("identity", gid_fields(gid)),
        Action::RotateKey(change) => match change {
            KeyChange::Add(new) => sheet.text("change", "add").text("key", named(new)),
            KeyChange::Replace { position, key: new } => {
                sheet.text("change", "replace").id("position", *position).text("key", named(new))
            }
            KeyChange::Remove { position } => sheet.text("change", "remove").id("position", *position),
        },
        Action::AddSession(session) => sheet.group("session", session_fields(session)),
        Action::RevokeSession { lane } => sheet.id("lane", *lane),
        Action::SetCovenant { at, digest } => {
            let sheet = sheet.text("attached to", place(*at));
            sheet.text("covenant", digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string()))
        }
        Action::PublishCovenant { schema_version, text } => {
            sheet.id("schema version", *schema_version).text("text", text.escape_debug())
        }
        Action::SetGuardians(None) => sheet.text("guardians", "none"),
        Action::SetGuardians(Some(set)) => sheet.group("guardians", set_fields(set)),
        Action::Propose { actions } => sheet.list("actions", actions.iter().map(self::action)),
        Action::Approve { account, proposal }
        | Action::Reject { account, proposal }
        | Action::Execute { account, proposal } => sheet.text("account", account).text("proposal", proposal),
        Action::Freeze { account }
        | Action::Unfreeze { account }
        | Action::CancelRecovery { account }
        | Action::FinishRecovery { account } => sheet.text("account", account),
        Action::RegisterAsset { asset, symbol, decimals, cap } => sheet
            .id("asset", asset.number())
            .text("symbol", String::from_utf8_lossy(symbol))
            .number("decimals", *decimals)
            .money("cap", *cap, *asset),
        Action::Mint { asset, to, amount } => sheet.text("to", to).money("amount", *amount, *asset),
        Action::Burn { asset, amount } => sheet.money("amount", *amount, *asset),
        Action::FreezeAsset { asset, is_frozen } => sheet.id("asset", asset.number()).flag("frozen", *is_frozen),
        Action::IssueCredential(terms) => terms_fields(sheet, terms),
        Action::RevokeCredential { subject, claims } => sheet.text("subject", subject).text("claims", claims),
        Action::DropCredential { issuer, claims } => sheet.text("issuer", issuer).text("claims", claims),
        Action::Recover { account, key } => sheet.text("account", account).text("key", named(key)),
    }
}

/// Adds the gates of an account to its fields.
pub(super) fn fields(sheet: Sheet, gates: &Gates) -> Sheet {
    let sheet = sheet.list("sessions", gates.sessions.iter().map(live));
    let sheet = match &gates.guarded {
        None => sheet,
        Some(guarded) => {
            let counters = counters(&guarded.set.allowances, &guarded.spent);
            let held = guarded.proposals.iter().map(|held| proposal(&guarded.set, held));
            sheet.group("guardians", set_fields(&guarded.set).list("spent", counters).list("proposals", held))
        }
    };
    let covenants = &gates.covenants;
    let rules = [("covenant outgoing", covenants.outgoing), ("covenant incoming", covenants.incoming)];
    let rules = rules.into_iter().filter_map(|(name, digest)| Some((name, digest?)));
    let sheet = rules.fold(sheet, |sheet, (name, digest)| sheet.text(name, digest));
    let sheet = match covenants.spending.is_empty() {
        true => sheet,
        false => sheet.list("spending", covenants.spending.iter().map(spending)),
    };
    let sheet = match &gates.certifications[..] {
        [] => sheet,
        known => sheet.list("certified", known.iter().map(certification)),
    };
    let safety = &gates.safety;
    let sheet = match safety.freeze {
        None => sheet,
        Some(Freeze { ends_at: None }) => sheet.text("frozen", "until its guardians say otherwise"),
        Some(Freeze { ends_at: Some(ends_at) }) => sheet.time("frozen until", ends_at),
    };
    let sheet = match &safety.recovery {
        None => sheet,
        Some(recovery) => {
            let fields = Sheet::new().text("key", named(&recovery.key)).time("ready at", recovery.ready_at);
            sheet.group("recovery", fields)
        }
    };
    if safety.has_cancelled { sheet.flag("owner has cancelled a recovery", true) } else { sheet }
}

fn place(at: CovenantAt) -> String {
    match at {
        CovenantAt::Outgoing => "what the account does".to_owned(),
        CovenantAt::Incoming => "what the account is paid".to_owned(),
        CovenantAt::Asset(asset) => format!("asset {asset}"),
        CovenantAt::Plane => "the plane".to_owned(),
    }
}

fn spending(spent: &Spending) -> Sheet {
    let [hour, day, month] = spent.units;
    let sheet = Sheet::new().text("asset", spent.asset).time("counted at", spent.time);
    sheet.number("hour", hour).number("day", day).number("30 days", month)
}

fn certification(known: &Certification) -> Sheet {
    let sheet = Sheet::new().text("issuer", known.issuer).text("claims", known.claims).number("level", known.level);
    let certified = known.certified.map_or("nothing", keys::entity_word);
    sheet.text("type", certified).time("until", known.until)
}

fn terms_fields(sheet: Sheet, terms: &CredentialTerms) -> Sheet {
    let sheet = sheet.text("subject", terms.subject).text("claims", terms.claims).number("level", terms.level);
    sheet.text("type", terms.certified.map_or("nothing", keys::entity_word)).time("expires", terms.expires)
}

/// The fields of a credential.
pub(super) fn credential(credential: &Credential) -> Sheet {
    let sheet = terms_fields(Sheet::new().text("issuer", credential.issuer), &credential.terms);
    sheet.time("issued", credential.issued)
}

fn set_fields(set: &GuardianSet) -> Sheet {
    let member = |member: &Member| {
        let sheet = match &member.who {
            Guardian::Key(key) => Sheet::new().text("key", named(key)),
            Guardian::Account(address) => Sheet::new().text("account", address),
        };
        let roles = Role::ALL.into_iter().filter(|role| member.roles.contains(*role)).map(Role::name);
        sheet.number("weight", member.weight).items("roles", roles)
    };
    let thresholds =
        Role::ALL.into_iter().fold(Sheet::new(), |sheet, role| sheet.number(role.name(), set.thresholds.of(role)));
    Sheet::new()
        .list("members", set.members.iter().map(member))
        .group("thresholds", thresholds)
        .list("allowances", set.allowances.iter().map(limit))
        .number("gate delay ms", set.gate_delay_ms)
        .number("recovery delay ms", set.recovery_delay_ms)
}

fn proposal(set: &GuardianSet, held: &Proposal) -> Sheet {
    let voters = |mask: MemberMask| {
        let voters = set.members.iter().enumerate().filter(move |(at, _)| mask & 1 << at != 0);
        voters.map(|(_, member)| match &member.who {
            Guardian::Key(key) => named(key),
            Guardian::Account(address) => address.to_string(),
        })
    };
    let sheet = Sheet::new()
        .text("id", held.id)
        .list("actions", held.actions.iter().map(action))
        .time("expires", held.expires)
        .items("approved by", voters(held.approvals))
        .items("rejected by", voters(held.rejections));
    match held.ready_at {
        None => sheet.text("state", "pending"),
        Some(ready_at) => sheet.text("state", "approved").time("ready at", ready_at),
    }
}

fn counters<'a>(limits: &'a [Limit], spent: &'a [Spent]) -> impl Iterator<Item = Sheet> + 'a {
    let counter = |(limit, spent): (&Limit, &Spent)| {
        Sheet::new().text("asset", limit.asset).number("window", spent.window).number("base units", spent.units)
    };
    limits.iter().zip(spent).map(counter)
}

fn live(live: &LiveSession) -> Sheet {
    session_fields(&live.session).list("spent", counters(&live.session.scope.limits, &live.spent))
}

fn session_fields(session: &Session) -> Sheet {
    let scope = &session.scope;
    let (who, holder) = match &session.holder {
        Holder::Key(key) => ("key", named(key)),
        Holder::Account(address) => ("account", address.to_string()),
    };
    let sheet = Sheet::new()
        .id("lane", session.lane)
        .text(who, holder)
        .time("expires", session.expires)
        .items("kinds", kinds(scope.kinds));
    let sheet = match &scope.recipients {
        None => sheet.text("recipients", "anybody"),
        Some(known) => sheet.items("recipients", known.iter().map(ToString::to_string)),
    };
    let sheet = match &scope.l1_recipients {
        None => sheet.text("recipients on the L1", "anybody"),
        Some(known) => sheet.items("recipients on the L1", known.iter().map(ToString::to_string)),
    };
    sheet
        .items("contracts", scope.contracts.iter().map(ToString::to_string))
        .list("limits", scope.limits.iter().map(limit))
}

fn limit(limit: &Limit) -> Sheet {
    Sheet::new()
        .money("per transaction", limit.per_transaction, limit.asset)
        .text("window", window(limit.window))
        .money("per window", limit.per_window, limit.asset)
}

fn window(window: Window) -> &'static str {
    match window {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Month => "30 days",
    }
}

fn kinds(kinds: KindSet) -> impl Iterator<Item = String> {
    kinds.iter().map(|kind| kind_name(kind).map_or_else(|| kind.to_string(), str::to_string))
}

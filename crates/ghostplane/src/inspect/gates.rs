//! The fields of actions, and of what an account's actions have to pass.

use ghostplane_types::action::kind_name;
use ghostplane_types::{Action, Gates, KeyChange, KindSet, Limit, LiveSession, Session, Spent, Window};

use super::fields::{gid_fields, key};
use super::sheet::Sheet;

pub(super) fn action(action: &Action) -> Sheet {
    let sheet = Sheet::new().text("kind", action.kind_name());
    match action {
        Action::Transfer { to, asset, amount } => sheet.text("to", to).money("amount", *amount, *asset),
        Action::Withdraw { to, asset, amount } => sheet.text("to", to).money("amount", *amount, *asset),
        Action::RegisterIdentity { gid } => sheet.text("address", gid.address()).group("identity", gid_fields(gid)),
        Action::RotateKey(change) => match change {
            KeyChange::Add(new) => sheet.text("change", "add").text("key", key(new)),
            KeyChange::Replace { position, key: new } => {
                sheet.text("change", "replace").id("position", *position).text("key", key(new))
            }
            KeyChange::Remove { position } => sheet.text("change", "remove").id("position", *position),
        },
        Action::AddSession(session) => sheet.group("session", session_fields(session)),
        Action::RevokeSession { lane } => sheet.id("lane", *lane),
    }
}

/// Adds the gates of an account to its fields.
pub(super) fn fields(sheet: Sheet, gates: &Gates) -> Sheet {
    sheet.list("sessions", gates.sessions.iter().map(live))
}

fn live(live: &LiveSession) -> Sheet {
    let session = &live.session;
    let spent = |(limit, spent): (&Limit, &Spent)| {
        Sheet::new().text("asset", limit.asset).number("window", spent.window).number("base units", spent.units)
    };
    let spent_of = session.scope.limits.iter().zip(&live.spent).map(spent);
    session_fields(session).list("spent", spent_of)
}

fn session_fields(session: &Session) -> Sheet {
    let scope = &session.scope;
    let sheet = Sheet::new()
        .id("lane", session.lane)
        .text("key", key(&session.key))
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

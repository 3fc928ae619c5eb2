//! Every action that runs, against every gate of its sender.

use crate::guardians::{
    HOUR_MS, act, act_by_rules, approve, approved_with, by_account, by_key, refuse, set, take, two_of_three,
};
use crate::sigil::{limit, public};
use crate::story::{Story, address, amount, gcc, gid, leave, pay, sign, units};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::guardian::Thresholds;
use ghostplane_types::transaction::ACTION_KINDS;
use ghostplane_types::{
    Action, AssetId, CovenantAt, CovenantText, CredentialTerms, Encode, GuardianSet, Holder, KeyChange, KindSet, Nonce,
    Scheme, Scope, Session, TransactionBody, Window, gas,
};
use std::collections::BTreeSet;

const LANE: u8 = 9;

fn asset(number: u32) -> AssetId {
    AssetId::new(number).expect("below 2^30")
}
/// Kinds of protocol 1 that do not run yet.
const LATER: [u8; 9] = [3, 4, 15, 16, 17, 21, 22, 23, 24];

/// What stands between Alice and what she does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Nothing,
    /// She signs by a session that may do all that a session may.
    Session,
    /// A session that is over.
    OldSession,
    /// Two of three, of whom one agrees.
    BelowQuorum,
    /// Of whom two agree.
    Quorum,
    /// Likewise, and changes of gates wait.
    QuorumAndDelay,
    /// Nobody agrees, and she may spend a little alone.
    Allowance,
    /// All agree, and she is frozen.
    Frozen,
    /// Past the operator, where nobody pays a fee; one agrees.
    ForcedBelowQuorum,
    /// Likewise, and two agree.
    ForcedQuorum,
    /// Rules of hers that permit everything.
    Covenant,
    /// That forbid everything.
    Forbidden,
    /// That permit nothing.
    NotPermitted,
    /// That cannot be evaluated.
    Failing,
    /// Rules for all, that permit nothing.
    PlaneForbids,
    /// She may spend a little alone, and her rules have her ask her guardians in any case.
    Obliged,
}

const GATES: [Gate; 16] = [
    Gate::Nothing,
    Gate::Session,
    Gate::OldSession,
    Gate::BelowQuorum,
    Gate::Quorum,
    Gate::QuorumAndDelay,
    Gate::Allowance,
    Gate::Frozen,
    Gate::ForcedBelowQuorum,
    Gate::ForcedQuorum,
    Gate::Covenant,
    Gate::Forbidden,
    Gate::NotPermitted,
    Gate::Failing,
    Gate::PlaneForbids,
    Gate::Obliged,
];

impl Gate {
    /// The rules that are in the way, if there are any, where they are, and who puts them there.
    fn rules(self) -> Option<(&'static str, CovenantAt, &'static str)> {
        let own = |text| Some((text, CovenantAt::Outgoing, "alice"));
        match self {
            Self::Covenant => own("permit (principal, action, resource);"),
            Self::Forbidden => own("permit (principal, action, resource); forbid (principal, action, resource);"),
            Self::NotPermitted => own("permit (principal, action, resource) when { context.time == 1 };"),
            Self::Failing => {
                own("permit (principal, action, resource) when { context.time + 9223372036854775807 > 0 };")
            }
            Self::Obliged => own("@requires(\"guardian\") permit (principal, action, resource);"),
            Self::PlaneForbids => {
                Some(("forbid (principal, action, resource) when { context.time > 1 };", CovenantAt::Plane, "operator"))
            }
            _ => None,
        }
    }
}

fn session(expires: u64) -> Session {
    Session {
        lane: LANE,
        holder: Holder::Key(public("phone")),
        expires,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER, Action::KIND_WITHDRAW]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![limit(AssetId::GCC, 1_000_000, Window::Day, 1_000_000)],
        },
    }
}

fn says(of: &str, claims: u8, expires: u64) -> Action {
    let claims = Digest([claims; 32]);
    Action::IssueCredential(Box::new(CredentialTerms {
        subject: address(of),
        claims,
        level: 0,
        certified: None,
        expires,
    }))
}

/// Alice and a session of hers, and three accounts whose guardian she is: Dana with two proposals, Eve frozen, Fay in recovery.
fn base() -> (Story, Digest, Digest) {
    let mut story = Story::new();
    for name in ["alice", "bob", "carol", "gina", "gus", "dana", "eve", "fay", "operator"] {
        story.deposit(name, gcc(10));
    }
    story.seal();
    for name in ["alice", "bob", "gina", "gus"] {
        story.transfer(name, "carol", units(1));
    }
    story.seal();
    let alices = || GuardianSet {
        members: vec![by_account("alice", 1)],
        thresholds: Thresholds { spend: 1, gates: 1, freeze: 1, recover: 1 },
        allowances: vec![limit(AssetId::GCC, 1_000_000, Window::Day, 1_000_000)],
        gate_delay_ms: 0,
        recovery_delay_ms: 0,
    };
    let tea = asset(70_000);
    let register = Action::RegisterAsset { asset: tea, symbol: b"tea".to_vec(), decimals: 0, cap: amount(10) };
    story.act("alice", &[register, Action::Mint { asset: tea, to: address("alice"), amount: amount(5) }]);
    story.act("alice", &[Action::AddSession(Box::new(session(story.time + 2 * HOUR_MS)))]);
    for name in ["dana", "eve", "fay"] {
        story.act(name, &[set(alices())]);
    }
    let propose = || [Action::Propose { actions: vec![pay("carol", units(1))] }];
    let over = story.time + 9 * HOUR_MS;
    story.act("alice", &[says("bob", 1, over)]).act("gus", &[says("alice", 1, over)]);
    let pending = act(&mut story, "dana", &propose(), &[]);
    let ready = act(&mut story, "dana", &propose(), &["alice"]);
    let fay = address("fay");
    act(&mut story, "alice", &[Action::Freeze { account: address("eve") }], &[]);
    act(&mut story, "alice", &[Action::Recover { account: fay, key: Box::new(public("new")) }], &[]);
    story.seal();
    assert_eq!(story.codes(), [0; 11]);
    (story, pending, ready)
}

/// One of each kind, as Alice would send it.
fn all_actions(story: &Story, pending: Digest, ready: Digest) -> Vec<Action> {
    let [dana, eve, fay] = ["dana", "eve", "fay"].map(address);
    vec![
        pay("carol", units(5)),
        leave("alice", units(5)),
        Action::RegisterIdentity { gid: Box::new(gid("zoe")) },
        Action::RotateKey(KeyChange::Add(public("second"))),
        Action::AddSession(Box::new(Session {
            lane: 11,
            holder: Holder::Key(public("watch")),
            ..session(story.time + 2 * HOUR_MS)
        })),
        Action::RevokeSession { lane: LANE },
        set(GuardianSet { members: vec![by_key("gina", 2)], ..two_of_three() }),
        Action::Propose { actions: vec![pay("carol", units(1))] },
        Action::Approve { account: dana, proposal: pending },
        Action::Reject { account: dana, proposal: pending },
        Action::Execute { account: dana, proposal: ready },
        Action::Freeze { account: dana },
        Action::Unfreeze { account: eve },
        Action::Recover { account: dana, key: Box::new(public("new")) },
        Action::CancelRecovery { account: fay },
        Action::FinishRecovery { account: fay },
        Action::RegisterAsset { asset: asset(70_001), symbol: b"cup".to_vec(), decimals: 0, cap: amount(10) },
        Action::Mint { asset: asset(70_000), to: address("carol"), amount: amount(1) },
        Action::Burn { asset: asset(70_000), amount: amount(1) },
        Action::FreezeAsset { asset: asset(70_000), is_frozen: true },
        Action::SetCovenant { at: CovenantAt::Incoming, digest: None },
        Action::PublishCovenant { schema_version: 1, text: "permit (principal, action, resource);".into() },
        says("bob", 2, story.time + 9 * HOUR_MS),
        Action::RevokeCredential { subject: address("bob"), claims: Digest([1; 32]) },
        Action::DropCredential { issuer: address("gus"), claims: Digest([1; 32]) },
    ]
}

/// What the rules say.
fn expected(gate: Gate, action: &Action) -> u16 {
    let kind = action.kind();
    let pays = kind == Action::KIND_TRANSFER || kind == Action::KIND_WITHDRAW;
    let makes = kind == Action::KIND_MINT || kind == Action::KIND_BURN;
    let loosens = [
        Action::KIND_ROTATE_KEY,
        Action::KIND_ADD_SESSION,
        Action::KIND_SET_COVENANT,
        Action::KIND_SET_GUARDIANS,
        Action::KIND_FREEZE_ASSET,
        Action::KIND_ISSUE_CREDENTIAL,
    ]
    .contains(&kind);
    // It costs the price of an object.
    let costs = [
        Action::KIND_REGISTER_IDENTITY,
        Action::KIND_PROPOSE,
        Action::KIND_REGISTER_ASSET,
        Action::KIND_PUBLISH_COVENANT,
    ]
    .contains(&kind);
    match gate {
        Gate::Nothing | Gate::Covenant if kind == Action::KIND_PROPOSE => 240,
        Gate::Forbidden | Gate::PlaneForbids => 280,
        Gate::NotPermitted => 281,
        Gate::Failing => 282,
        Gate::Obliged if loosens || makes => 127,
        Gate::Obliged => 284,
        Gate::Nothing | Gate::Covenant | Gate::Quorum | Gate::ForcedQuorum => 0,
        Gate::Session if pays => 0,
        Gate::Session => 122,
        Gate::OldSession => 121,
        Gate::BelowQuorum => 127,
        Gate::QuorumAndDelay if loosens => 128,
        Gate::QuorumAndDelay => 0,
        // She may spend credits, and none of what she issues.
        Gate::Allowance if loosens || makes => 127,
        Gate::Allowance => 0,
        Gate::Frozen => 126,
        Gate::ForcedBelowQuorum if pays || makes || loosens => 127,
        Gate::ForcedBelowQuorum if costs => 232,
        Gate::ForcedBelowQuorum => 0,
    }
}

/// Puts the gate in Alice's way.
fn with_gate(story: &Story, gate: Gate) -> Story {
    let mut story = story.clone();
    let delay = if gate == Gate::QuorumAndDelay { HOUR_MS } else { 0 };
    let allowance = limit(AssetId::GCC, 1_000_000, Window::Day, 10_000_000);
    let allowances = if matches!(gate, Gate::Allowance | Gate::Obliged) { vec![allowance] } else { Vec::new() };
    let guardians = GuardianSet { gate_delay_ms: delay, allowances, ..two_of_three() };
    match gate {
        Gate::Nothing
        | Gate::Session
        | Gate::Covenant
        | Gate::Forbidden
        | Gate::NotPermitted
        | Gate::Failing
        | Gate::PlaneForbids => {}
        Gate::OldSession => {
            story.wait(3 * HOUR_MS);
        }
        _ => {
            story.act("alice", &[set(guardians)]);
            if gate == Gate::Frozen {
                act(&mut story, "gina", &[Action::Freeze { account: address("alice") }], &["gus"]);
            }
            story.seal();
        }
    }
    if let Some((text, at, who)) = gate.rules() {
        let digest = Some(CovenantText::digest_of(1, text));
        let publish = Action::PublishCovenant { schema_version: 1, text: text.into() };
        let by: &[&str] = if gate == Gate::Obliged { &["gina", "bob"] } else { &[] };
        act_by_rules(&mut story, who, &[publish, Action::SetCovenant { at, digest }], by);
        story.seal();
        assert_eq!(story.codes(), [0], "{gate:?}");
        if at.waits() {
            story.wait(story.plane.genesis().governance.notice_ms).deposit("zed", units(1)).seal();
        }
    }
    story
}

#[test]
fn every_action_meets_every_gate() {
    let (story, pending, ready) = base();
    let actions = all_actions(&story, pending, ready);
    let run: BTreeSet<u8> = actions.iter().map(Action::kind).collect();
    // What the L1 sends is no action of anybody's.
    let later: BTreeSet<u8> = LATER.into_iter().chain([Action::KIND_DEPOSIT]).collect();
    let all: BTreeSet<u8> = ACTION_KINDS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(run.union(&later).copied().collect::<BTreeSet<u8>>(), all, "each kind is here, or does not run yet");
    assert!(run.is_disjoint(&later));

    for gate in GATES {
        let gated = with_gate(&story, gate);
        for action in &actions {
            let mut story = gated.clone();
            let by: &[&str] = match gate {
                Gate::BelowQuorum | Gate::ForcedBelowQuorum => &["gina"],
                Gate::Quorum | Gate::QuorumAndDelay | Gate::Frozen | Gate::ForcedQuorum => &["gina", "bob"],
                _ => &[],
            };
            let actions = std::slice::from_ref(action);
            let code = expected(gate, action);
            let balance = story.balance("alice");
            match gate {
                Gate::ForcedBelowQuorum | Gate::ForcedQuorum => {
                    let body = story.body("alice", Nonce::LANE_FORCED, actions);
                    story.force_bytes(&approve(sign("alice", body), by).to_bytes()).seal();
                    assert_eq!(story.codes(), [code], "{gate:?}, {}", action.kind_name());
                    continue;
                }
                Gate::Session | Gate::OldSession => {
                    let body = story.body("alice", LANE, actions);
                    let gas_limit = gas::intrinsic(Scheme::Ed25519, body.to_bytes().len() + 65, 1) + 12_000;
                    let transaction = sign("phone", TransactionBody { gas_limit, ..body });
                    if code == 0 {
                        take(&mut story, "alice", transaction)
                    } else {
                        refuse(&mut story, transaction, code)
                    };
                }
                _ => {
                    // What is asked, and what it takes to read it.
                    let more = if gate.rules().is_some() { 100_000 } else { 0 };
                    let transaction = approved_with(&story, "alice", actions, by, more);
                    if (100..200).contains(&code) {
                        refuse(&mut story, transaction, code);
                    } else {
                        take(&mut story, "alice", transaction);
                    }
                }
            }
            if story.pool.is_empty() {
                // Refused for nothing: it is not in the next batch, and nothing of hers has changed.
                story.transfer("gus", "carol", units(1)).seal();
                assert_eq!(
                    (story.codes(), story.balance("alice")),
                    (vec![0], balance),
                    "{gate:?}, {}",
                    action.kind_name()
                );
            } else {
                story.seal();
                assert_eq!(story.codes(), [code], "{gate:?}, {}", action.kind_name());
            }
        }
    }
}

//! Guardians: quorums, allowances, proposals, freezes and recoveries.

use crate::random::Random;
use crate::sigil::{limit, public};
use crate::story::{OBJECT_PRICE, Story, address, gcc, gid, key, leave, mana, pay, sign, units};
use ghostplane_ghostcipher::{Digest, Domain, Signature, VerificationKey};
use ghostplane_types::guardian::{Guardian, Member, MemberMask, Role, Roles, Thresholds};
use ghostplane_types::limits::{GUARDIAN_DELAY_MS_MAX, PROPOSAL_MS_MAX, PROPOSALS_MAX};
use ghostplane_types::{
    Action, Approval, AssetId, Encode, GuardianSet, Holder, KeyChange, KeyRef, KindSet, Nonce, PublicKey, Reject,
    Scheme, Scope, Session, Transaction, TransactionBody, Window,
};
use std::collections::{BTreeMap, BTreeSet};

pub const HOUR_MS: u64 = 3_600_000;

pub fn by_key(name: &str, weight: u16) -> Member {
    Member { who: Guardian::Key(public(name)), weight, roles: Roles::ALL }
}

pub fn by_account(name: &str, weight: u16) -> Member {
    Member { who: Guardian::Account(address(name)), weight, roles: Roles::ALL }
}

/// Two of three, for everything: Gina and Gus by their keys, Bob by his account. No delay, no allowance.
pub fn two_of_three() -> GuardianSet {
    GuardianSet {
        members: vec![by_key("gina", 1), by_key("gus", 1), by_account("bob", 1)],
        thresholds: Thresholds { spend: 2, gates: 2, freeze: 2, recover: 2 },
        allowances: Vec::new(),
        gate_delay_ms: 0,
        recovery_delay_ms: HOUR_MS,
    }
}

/// The same, but Alice may spend a little alone, and changes of gates wait an hour.
fn with_allowance() -> GuardianSet {
    GuardianSet {
        allowances: vec![limit(AssetId::GCC, 50_000, Window::Day, 150_000)],
        gate_delay_ms: HOUR_MS,
        ..two_of_three()
    }
}

pub fn set(set: GuardianSet) -> Action {
    Action::SetGuardians(Some(Box::new(set)))
}

/// Alice with money and these guardians, and people around her who have acted before.
pub fn guarded_by(guardians: GuardianSet) -> Story {
    let mut story = Story::new();
    for name in ["alice", "bob", "carol", "gina", "gus"] {
        story.deposit(name, gcc(10));
    }
    story.deposit("alice", mana(1_000_000)).seal();
    for name in ["bob", "carol", "gina", "gus"] {
        story.transfer(name, "alice", units(1));
    }
    story.act("alice", &[set(guardians)]).seal();
    assert_eq!(story.codes(), [0; 5]);
    story
}

/// What `sender` signs next with these approvals, and just enough gas.
pub fn approved(story: &Story, sender: &str, actions: &[Action], by: &[&str]) -> Transaction {
    approved_with(story, sender, actions, by, 0)
}

/// The same with more gas, for what rules cost.
pub fn approved_with(story: &Story, sender: &str, actions: &[Action], by: &[&str], more_gas: u64) -> Transaction {
    let body = story.body(sender, Nonce::LANE_ROOT, actions);
    let more: u64 = actions.iter().map(|action| if action.moves().is_some() { 1_500 } else { 12_000 }).sum();
    let approvals = by.len() as u64 * (2_000 + 2 * 97);
    let bytes = body.to_bytes().len() + 65;
    let gas_limit =
        ghostplane_types::gas::intrinsic(Scheme::Ed25519, bytes, actions.len()) + more + approvals + more_gas;
    approve(sign(sender, TransactionBody { gas_limit, ..body }), by)
}

pub fn approve(mut transaction: Transaction, by: &[&str]) -> Transaction {
    let id = transaction.body.id();
    let approval = |name: &&str| {
        let signature = key(name).sign(Domain::Approval, transaction.body.chain_id, &id);
        Approval { key: public(name), auth: signature.into() }
    };
    transaction.approvals = by.iter().map(approval).collect();
    transaction
}

pub fn take(story: &mut Story, sender: &str, transaction: Transaction) -> Digest {
    story.count(sender, &transaction.body);
    let id = transaction.body.id();
    story.pool.push(transaction);
    id
}

/// Sends with these approvals.
pub fn act(story: &mut Story, sender: &str, actions: &[Action], by: &[&str]) -> Digest {
    let transaction = approved(story, sender, actions, by);
    take(story, sender, transaction)
}

/// The same where rules are in the way.
pub fn act_by_rules(story: &mut Story, sender: &str, actions: &[Action], by: &[&str]) -> Digest {
    let transaction = approved_with(story, sender, actions, by, 500_000);
    take(story, sender, transaction)
}

/// Sees a transaction refused before it costs anything.
pub fn refuse(story: &mut Story, transaction: Transaction, code: u16) -> Digest {
    let id = transaction.body.id();
    let reject = story.refusal(&transaction).expect("it is refused");
    assert_eq!(reject.code(), code, "{reject}");
    let at = story.pool.len();
    story.refused.push((at, transaction, reject));
    id
}

fn on(what: fn(ghostplane_types::Address, Digest) -> Action, name: &str, proposal: Digest) -> Action {
    what(address(name), proposal)
}

fn agree(account: ghostplane_types::Address, proposal: Digest) -> Action {
    Action::Approve { account, proposal }
}

fn decline(account: ghostplane_types::Address, proposal: Digest) -> Action {
    Action::Reject { account, proposal }
}

fn execute(account: ghostplane_types::Address, proposal: Digest) -> Action {
    Action::Execute { account, proposal }
}

fn proposals(story: &Story) -> usize {
    let gates = story.record("alice").expect("registered").gates.unwrap_or_default();
    gates.guarded.map_or(0, |guarded| guarded.proposals.len())
}

#[test]
fn nothing_leaves_below_the_quorum_and_not_even_a_fee() {
    let mut story = guarded_by(two_of_three());
    let before = (story.state, story.balance("alice"));
    let session = Session {
        lane: 5,
        holder: Holder::Key(public("phone")),
        expires: story.time + HOUR_MS,
        scope: Scope {
            kinds: KindSet::of(&[1]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: Vec::new(),
        },
    };
    let attempts: Vec<(Vec<Action>, Vec<&str>)> = vec![
        (vec![pay("carol", units(1))], vec![]),
        (vec![pay("carol", units(1))], vec!["gina"]),
        (vec![leave("alice", units(1))], vec!["gus"]),
        (vec![pay("carol", mana(1))], vec![]),
        (vec![Action::RotateKey(KeyChange::Add(public("thief")))], vec!["gina"]),
        (vec![Action::AddSession(Box::new(session))], vec!["bob"]),
        (vec![Action::SetGuardians(None)], vec!["gina"]),
        (vec![set(GuardianSet { members: vec![by_key("thief", 9)], ..two_of_three() })], vec![]),
        (vec![Action::RevokeSession { lane: 5 }], vec![]),
        (vec![Action::RegisterIdentity { gid: Box::new(gid("dave")) }], vec!["gus"]),
        (vec![Action::Propose { actions: vec![pay("carol", gcc(1))] }], vec![]),
    ];
    for (actions, by) in &attempts {
        let transaction = approved(&story, "alice", actions, by);
        refuse(&mut story, transaction, 127);
    }
    // Approvals count once, for one transaction, on one plane, by somebody who has a say.
    let payment = [pay("carol", units(1))];
    let good = approved(&story, "alice", &payment, &["gina", "gus"]);
    let mut twice = good.clone();
    twice.approvals[1] = twice.approvals[0].clone();
    refuse(&mut story, twice, 130);
    let other = approved(&story, "alice", &[pay("carol", units(2))], &["gina", "gus"]);
    let replayed = Transaction { approvals: good.approvals.clone(), ..other };
    refuse(&mut story, replayed, 131);
    let elsewhere = TransactionBody { plane_id: Digest([9; 32]), ..good.body.clone() };
    let elsewhere = approve(sign("alice", elsewhere), &["gina", "gus"]).approvals;
    refuse(&mut story, Transaction { approvals: elsewhere, ..good.clone() }, 131);
    let mut by_auth = good.clone();
    by_auth.approvals[0].auth = key("gina").sign(Domain::TransactionAuth, good.body.chain_id, &good.body.id()).into();
    refuse(&mut story, by_auth, 131);
    let mut nothing = good.clone();
    nothing.approvals[0] = Approval { key: nothing.approvals[0].key, auth: Signature([0; 64]).into() };
    refuse(&mut story, nothing, 131);
    let mut small = good.clone();
    let mut identity = [0; 32];
    identity[0] = 1;
    small.approvals[0].key = PublicKey::Ed25519(VerificationKey::from_bytes(identity));
    refuse(&mut story, small, 131);
    let stranger = approved(&story, "alice", &payment, &["gina", "gus", "carol"]);
    refuse(&mut story, stranger, 129);
    let own = approved(&story, "alice", &payment, &["gina", "alice"]);
    refuse(&mut story, own, 129);
    let unguarded = approved(&story, "carol", &payment, &["gina"]);
    refuse(&mut story, unguarded, 129);
    assert_eq!((story.state, story.balance("alice")), before);

    // Two of them, keys and account alike, are enough.
    for by in [["gina", "gus"], ["bob", "gina"], ["gus", "bob"]] {
        act(&mut story, "alice", &[pay("carol", units(5))], &by);
    }
    story.seal();
    assert_eq!(story.codes(), [0; 3]);
    // Through the inbox it is the same, though nobody pays a fee there.
    let body = story.body("alice", Nonce::LANE_FORCED, &[leave("alice", units(7))]);
    let below = approve(sign("alice", body.clone()), &["gina"]);
    story.force_bytes(&below.to_bytes()).seal();
    assert_eq!(story.codes(), [127]);
    story.count("alice", &body);
    story.force_bytes(&approve(sign("alice", body), &["gina", "gus"]).to_bytes()).seal();
    assert_eq!((story.codes(), story.withdrawals().len()), (vec![0], 1));
}

#[test]
fn a_little_leaves_without_them_and_is_counted() {
    let mut story = guarded_by(with_allowance());
    let fee = |story: &Story| story.receipt(0).fee;
    act(&mut story, "alice", &[pay("carol", units(30_000))], &[]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    let mut spent = 30_000 + fee(&story);
    let counted = |story: &Story| {
        story.record("alice").expect("there").gates.expect("gates").guarded.expect("set").spent[0].units
    };
    assert_eq!(counted(&story), spent);
    // Too much at once, and what is listed nowhere.
    let much = approved(&story, "alice", &[pay("carol", units(50_001))], &[]);
    refuse(&mut story, much, 127);
    let of_zman = approved(&story, "alice", &[pay("carol", mana(1))], &[]);
    refuse(&mut story, of_zman, 127);
    // What is approved does not count; a refused transaction's fee does.
    act(&mut story, "alice", &[pay("carol", units(500_000))], &["gina", "bob"]);
    act(&mut story, "alice", &[pay("alice", units(1))], &[]);
    story.seal();
    assert_eq!(story.codes(), [0, 202]);
    spent += story.receipt(1).fee;
    assert_eq!(counted(&story), spent);
    while spent + 40_000 + 10_000 < 150_000 {
        act(&mut story, "alice", &[pay("carol", units(40_000))], &[]);
        story.seal();
        spent += 40_000 + fee(&story);
    }
    let over = approved(&story, "alice", &[pay("carol", units(45_000))], &[]);
    refuse(&mut story, over.clone(), 127);
    story.refused.clear();
    story.wait(24 * HOUR_MS);
    let body = TransactionBody { valid_until: story.time + 1, ..over.body };
    take(&mut story, "alice", sign("alice", body));
    story.seal();
    assert_eq!((story.codes(), counted(&story)), (vec![0], 45_000 + fee(&story)));
}

#[test]
fn sets_that_cannot_be_are_refused_when_they_are_set() {
    let mut story = guarded_by(two_of_three());
    story.act("bob", &[set(GuardianSet { members: vec![by_account("alice", 2)], ..two_of_three() })]);
    story.act("gina", &[set(GuardianSet { members: vec![by_account("carol", 2)], ..two_of_three() })]).seal();
    // Alice's set names Bob: with Alice in Bob's, each would wait for the other.
    assert_eq!(story.codes(), [244, 0]);
    let base = || GuardianSet { members: vec![by_key("one", 1), by_key("two", 1)], ..two_of_three() };
    let with = |change: &dyn Fn(&mut GuardianSet)| {
        let mut changed = base();
        change(&mut changed);
        set(changed)
    };
    let small = {
        let mut identity = [0; 32];
        identity[0] = 1;
        PublicKey::Ed25519(VerificationKey::from_bytes(identity))
    };
    let cases: Vec<(u16, Action)> = vec![
        (240, Action::SetGuardians(None)),
        (246, with(&|set| set.members.clear())),
        (241, with(&|set| set.members.push(by_key("two", 5)))),
        (242, with(&|set| set.members.push(by_key("carol", 1)))),
        (242, with(&|set| set.members.push(by_account("carol", 1)))),
        // An account and its key are one voice.
        (241, with(&|set| set.members.extend([by_key("bob", 1), by_account("bob", 1)]))),
        (241, with(&|set| set.members.extend([by_account("bob", 1), by_key("bob", 1)]))),
        (220, with(&|set| set.members[0].who = Guardian::Key(small))),
        (243, with(&|set| set.members.push(by_account("nobody", 1)))),
        (246, with(&|set| set.members[0].weight = 0)),
        (246, with(&|set| set.members[0].roles = Roles::of(&[]))),
        (246, with(&|set| set.thresholds.spend = 0)),
        (246, with(&|set| set.thresholds.gates = 0)),
        (246, with(&|set| set.gate_delay_ms = GUARDIAN_DELAY_MS_MAX + 1)),
        (246, with(&|set| set.recovery_delay_ms = u64::MAX)),
        (247, with(&|set| set.thresholds.spend = 3)),
        (247, with(&|set| set.thresholds.recover = u32::MAX)),
        (247, with(&|set| set.members[1].roles = Roles::of(&[Role::Spend]))),
        // Alice's guardians are accounts in part, and so are Gina's.
        (245, with(&|set| set.members.push(by_account("alice", 1)))),
        (244, with(&|set| set.members.push(by_account("gina", 1)))),
        (0, with(&|set| set.thresholds.freeze = 0)),
    ];
    for (_, action) in &cases {
        story.act("carol", std::slice::from_ref(action));
    }
    story.seal();
    assert_eq!(story.codes(), cases.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    let held = story.receipt(cases.len() - 1);
    assert_eq!(held.fee, held.gas + OBJECT_PRICE);
    // A key of a guardian's is none of the account's.
    let rotate = Action::RotateKey(KeyChange::Add(public("gus")));
    act(&mut story, "alice", &[rotate], &["gina", "gus"]);
    story.seal();
    assert_eq!(story.codes(), [222]);
    // Without guardians again, what was held comes back.
    let before = story.balance("alice");
    act(&mut story, "alice", &[Action::SetGuardians(None)], &["gina", "gus"]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    assert_eq!(story.balance("alice"), before - story.receipt(0).fee + OBJECT_PRICE);
    assert!(story.record("alice").expect("there").gates.is_none());
}

#[test]
fn a_proposal_waits_for_guardians_and_moves_nothing_until_it_is_done() {
    let mut story = guarded_by(with_allowance());
    let actions = vec![pay("dave", gcc(2)), leave("alice", gcc(1))];
    let before = story.balance("alice");
    let id = act(&mut story, "alice", &[Action::Propose { actions: actions.clone() }], &["gina"]);
    story.seal();
    assert_eq!((story.codes(), proposals(&story)), (vec![0], 1));
    // Its price is held, its amount is not.
    assert_eq!(story.balance("alice"), before - story.receipt(0).fee);
    assert_eq!(story.receipt(0).fee, story.receipt(0).gas + OBJECT_PRICE);

    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    act(&mut story, "carol", &[on(agree, "alice", id)], &[]);
    act(&mut story, "carol", &[on(decline, "alice", id)], &[]);
    act(&mut story, "gina", &[on(agree, "alice", id)], &[]);
    act(&mut story, "bob", &[on(agree, "alice", Digest([7; 32]))], &[]);
    act(&mut story, "bob", &[on(agree, "gus", id)], &[]);
    act(&mut story, "bob", &[on(agree, "alice", id)], &[]);
    story.seal();
    assert_eq!(story.codes(), [256, 254, 254, 255, 252, 240, 0]);
    // Anybody can have it done, and pays the gas; Alice pays for Dave's account.
    let (before, carols) = (story.balance("alice"), story.balance("carol"));
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!(story.codes(), [0, 252]);
    assert_eq!(story.balance("dave"), 2_000_000_000);
    assert_eq!(story.withdrawals().len(), 1);
    assert_eq!(story.withdrawals()[0].owner, address("alice"));
    let gas = story.receipt(0).gas + story.receipt(1).gas;
    assert_eq!(story.balance("carol"), carols - gas);
    // What was held for the proposal pays for Dave's.
    assert_eq!(story.balance("alice"), before - 3_000_000_000 - crate::story::SLOT_PRICE);
    assert_eq!(proposals(&story), 0);
}

#[test]
fn proposing_agreeing_and_doing_it_fit_one_batch() {
    let mut story = guarded_by(with_allowance());
    let id = act(&mut story, "alice", &[Action::Propose { actions: vec![pay("erin", gcc(1))] }], &[]);
    act(&mut story, "bob", &[on(agree, "alice", id)], &[]);
    act(&mut story, "gus", &[on(agree, "alice", id)], &[]);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!((story.codes(), story.balance("erin")), (vec![0; 4], 1_000_000_000));
}

#[test]
fn what_fails_when_it_is_done_stays_held() {
    let mut story = guarded_by(with_allowance());
    let actions = vec![pay("carol", gcc(1)), pay("carol", gcc(100))];
    let id = act(&mut story, "alice", &[Action::Propose { actions }], &["gina", "gus"]);
    story.seal();
    let before = story.balance("alice");
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!((story.codes(), story.balance("alice"), proposals(&story)), (vec![200], before, 1));
    story.deposit("alice", gcc(200)).seal();
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!((story.codes(), proposals(&story)), (vec![0], 0));
}

#[test]
fn gates_are_changed_after_the_delay_and_nothing_agreed_to_outlives_a_set() {
    let mut story = guarded_by(with_allowance());
    let rotate = Action::RotateKey(KeyChange::Add(public("second")));
    // At once it cannot be, whoever agrees.
    let at_once = approved(&story, "alice", std::slice::from_ref(&rotate), &["gina", "gus", "bob"]);
    refuse(&mut story, at_once, 128);
    let id = act(&mut story, "alice", &[Action::Propose { actions: vec![rotate] }], &["gina", "gus"]);
    let spend = act(&mut story, "alice", &[Action::Propose { actions: vec![pay("carol", gcc(1))] }], &["gina", "gus"]);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!(story.codes(), [0, 0, 257]);
    // The wait begins again if somebody who agreed does not any more.
    story.wait(HOUR_MS / 2);
    act(&mut story, "gus", &[on(decline, "alice", id)], &[]);
    act(&mut story, "bob", &[on(agree, "alice", id)], &[]);
    story.seal();
    story.wait(HOUR_MS / 2 + 100);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!(story.codes(), [257]);
    story.wait(HOUR_MS / 2);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    assert_eq!(story.record("alice").expect("there").identity.expect("keys").keys.len(), 2);

    let weaker = GuardianSet { members: vec![by_key("gina", 2)], ..with_allowance() };
    let change = act(&mut story, "alice", &[Action::Propose { actions: vec![set(weaker)] }], &["gus", "bob"]);
    story.seal().wait(HOUR_MS);
    let before = story.balance("alice");
    act(&mut story, "carol", &[on(execute, "alice", change)], &[]);
    act(&mut story, "carol", &[on(execute, "alice", spend)], &[]);
    story.seal();
    // The payment that the old set agreed to is gone with it, and what was held for both is back.
    assert_eq!((story.codes(), story.balance("alice")), (vec![0, 252], before + 2 * OBJECT_PRICE));
}

#[test]
fn proposals_are_declined_taken_back_and_run_out() {
    let mut story = guarded_by(with_allowance());
    let propose = || Action::Propose { actions: vec![pay("carol", gcc(1))] };
    let declined = act(&mut story, "alice", &[propose()], &[]);
    act(&mut story, "gus", &[on(decline, "alice", declined)], &[]);
    act(&mut story, "gus", &[on(decline, "alice", declined)], &[]);
    act(&mut story, "bob", &[on(decline, "alice", declined)], &[]);
    act(&mut story, "bob", &[on(decline, "alice", declined)], &[]);
    let taken_back = act(&mut story, "alice", &[propose()], &["gina", "gus"]);
    act(&mut story, "alice", &[on(decline, "alice", taken_back)], &[]);
    act(&mut story, "carol", &[on(execute, "alice", taken_back)], &[]);
    act(&mut story, "alice", &[propose(), propose()], &[]);
    story.seal();
    // Two of three decline: the third cannot make it two.
    assert_eq!(story.codes(), [0, 0, 255, 0, 252, 0, 0, 252, 251]);
    assert_eq!(proposals(&story), 0);
    act(&mut story, "carol", &[propose()], &[]);
    story.seal().wait(24 * HOUR_MS);
    assert_eq!(story.codes(), [240]);

    let late = act(&mut story, "alice", &[propose()], &["gina", "gus"]);
    for _ in 1..PROPOSALS_MAX {
        act(&mut story, "alice", &[propose()], &[]);
    }
    act(&mut story, "alice", &[propose()], &["gina", "gus"]);
    story.seal();
    let full: Vec<u16> = [vec![0; PROPOSALS_MAX], vec![250]].concat();
    assert_eq!(story.codes(), full);
    story.wait(PROPOSAL_MS_MAX);
    act(&mut story, "carol", &[on(execute, "alice", late)], &[]);
    act(&mut story, "bob", &[on(agree, "alice", late)], &[]);
    // One that is over makes room for another, and so do its like.
    act(&mut story, "alice", &[propose()], &[]);
    story.seal();
    assert_eq!((story.codes(), proposals(&story)), (vec![253, 253, 0], 1));
}

#[test]
fn a_freeze_stops_what_leaves_at_once() {
    let mut story = guarded_by(with_allowance());
    let alice = address("alice");
    let id = act(&mut story, "alice", &[Action::Propose { actions: vec![pay("carol", gcc(1))] }], &["gina", "gus"]);
    act(&mut story, "gina", &[Action::Freeze { account: alice }], &[]);
    act(&mut story, "carol", &[Action::Freeze { account: alice }], &["gus", "gina"]);
    act(&mut story, "gina", &[Action::Freeze { account: alice }], &["gus"]);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    // Also what comes later in the same batch.
    let late = approved(&story, "alice", &[pay("carol", units(1))], &["gina", "gus"]);
    refuse(&mut story, late, 126);
    story.seal();
    assert_eq!(story.codes(), [0, 259, 0, 260, 258]);
    story.transfer("carol", "alice", units(3));
    let revoke = approved(&story, "alice", &[Action::RevokeSession { lane: 1 }], &[]);
    refuse(&mut story, revoke, 126);
    // It ends after the delay, by those who change gates.
    act(&mut story, "gina", &[Action::Unfreeze { account: alice }], &[]);
    act(&mut story, "gina", &[Action::Unfreeze { account: alice }], &["bob"]);
    act(&mut story, "gina", &[Action::Unfreeze { account: alice }], &["bob"]);
    act(&mut story, "gina", &[Action::Unfreeze { account: address("carol") }], &[]);
    story.seal();
    assert_eq!(story.codes(), [0, 259, 0, 257, 240]);
    let early = approved(&story, "alice", &[pay("carol", units(1))], &["gina", "gus"]);
    refuse(&mut story, early, 126);
    story.refused.clear();
    story.wait(HOUR_MS);
    act(&mut story, "alice", &[pay("carol", units(1))], &["gina", "gus"]);
    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
    act(&mut story, "bob", &[Action::Unfreeze { account: alice }], &["gina"]);
    story.seal();
    assert_eq!(story.codes(), [0, 0, 261]);
    // A frozen guardian has no say.
    let bobs = GuardianSet {
        members: vec![by_key("gina", 1)],
        thresholds: Thresholds { spend: 1, gates: 1, freeze: 1, recover: 1 },
        ..two_of_three()
    };
    act(&mut story, "bob", &[set(bobs)], &[]);
    act(&mut story, "gina", &[Action::Freeze { account: address("bob") }], &[]);
    story.seal();
    assert_eq!(story.codes(), [0, 0]);
    let without = approved(&story, "alice", &[pay("carol", mana(1))], &["gina", "bob"]);
    refuse(&mut story, without, 127);
    let silent = approved(&story, "bob", &[on(agree, "alice", id)], &["gina"]);
    refuse(&mut story, silent, 126);
}

#[test]
fn a_lost_key_is_recovered_and_the_owner_has_the_first_word_against_it() {
    let mut story = guarded_by(with_allowance());
    let alice = address("alice");
    let recover = |name: &str| Action::Recover { account: alice, key: Box::new(public(name)) };
    let cancel = || Action::CancelRecovery { account: alice };
    let finish = || Action::FinishRecovery { account: alice };
    act(&mut story, "gina", &[finish()], &[]);
    act(&mut story, "gina", &[cancel()], &["gus"]);
    act(&mut story, "gina", &[recover("new")], &[]);
    act(&mut story, "carol", &[recover("new")], &["gina"]);
    act(&mut story, "gina", &[recover("alice")], &["gus"]);
    act(&mut story, "gina", &[recover("gus")], &["gus"]);
    act(&mut story, "gina", &[Action::Freeze { account: alice }, recover("thief")], &["gus"]);
    act(&mut story, "gina", &[recover("other")], &["gus"]);
    act(&mut story, "gina", &[finish()], &[]);
    story.seal();
    assert_eq!(story.codes(), [263, 263, 259, 259, 222, 222, 0, 262, 257]);

    // Alice says no, though she is frozen: once alone, paying from what she may spend alone.
    act(&mut story, "alice", &[cancel()], &[]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    act(&mut story, "gina", &[recover("thief")], &["gus"]);
    act(&mut story, "alice", &[cancel()], &[]);
    // The second time it takes a guardian, and somebody else can pay for it.
    act(&mut story, "carol", &[cancel()], &["alice"]);
    act(&mut story, "carol", &[cancel()], &["bob"]);
    act(&mut story, "carol", &[cancel()], &["alice", "bob"]);
    act(&mut story, "gina", &[recover("new")], &["gus"]);
    act(&mut story, "bob", &[cancel()], &["gina"]);
    act(&mut story, "gina", &[recover("new")], &["gus"]);
    story.seal();
    assert_eq!(story.codes(), [0, 264, 264, 259, 0, 0, 0, 0]);

    story.wait(HOUR_MS);
    act(&mut story, "carol", &[finish()], &[]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    let record = story.record("alice").expect("there");
    assert_eq!(&*record.identity.expect("keys").keys, [public("new")]);
    assert!(!record.gates.expect("guardians").safety.is_frozen(story.time));
    // The old key is out, the new one is in.
    let old = approved(&story, "alice", &[pay("carol", units(1))], &[]);
    refuse(&mut story, old.clone(), 104);
    take(&mut story, "alice", sign("new", old.body));
    story.seal();
    assert_eq!(story.codes(), [0]);
}

// A model of quorums and proposals.

/// What the model keeps of the account: who agreed to what, and what it may still do.
#[derive(Default)]
struct Model {
    weights: BTreeMap<&'static str, u32>,
    threshold: u32,
    delay: u64,
    open: BTreeMap<Digest, Open>,
    is_frozen: bool,
}

struct Open {
    gates: bool,
    agreed: BTreeSet<&'static str>,
    declined: BTreeSet<&'static str>,
    ready: Option<u64>,
    expires: u64,
}

impl Model {
    fn weight(&self, who: &BTreeSet<&'static str>) -> u32 {
        who.iter().map(|name| self.weights.get(name).copied().unwrap_or(0)).sum()
    }

    fn weigh(&mut self, id: Digest, time: u64) {
        let (threshold, delay) = (self.threshold, self.delay);
        let weight = self.weight(&self.open[&id].agreed.clone());
        let open = self.open.get_mut(&id).expect("open");
        let ready = open.ready.unwrap_or(time + if open.gates { delay } else { 0 });
        open.ready = (weight >= threshold).then_some(ready);
    }
}

#[test]
fn quorums_and_proposals_do_what_a_model_says() {
    const GUARDIANS: [&str; 3] = ["gina", "gus", "bob"];
    let mut seen: BTreeMap<u16, u32> = BTreeMap::new();
    for seed in 0..4 {
        let mut random = Random(1_000 + seed);
        let weights = [1 + random.below(3), 1 + random.below(3), 1 + random.below(3)];
        let total: usize = weights.iter().sum();
        let threshold = u32::try_from(1 + random.below(total)).expect("small");
        let delay = [0, HOUR_MS][random.below(2)];
        let weight = |at: usize| u16::try_from(weights[at]).expect("small");
        let set_of = GuardianSet {
            members: vec![by_key("gina", weight(0)), by_key("gus", weight(1)), by_account("bob", weight(2))],
            thresholds: Thresholds { spend: threshold, gates: threshold, freeze: threshold, recover: threshold },
            allowances: Vec::new(),
            gate_delay_ms: delay,
            recovery_delay_ms: HOUR_MS,
        };
        let mut story = guarded_by(set_of);
        let mut model = Model {
            weights: GUARDIANS
                .iter()
                .zip(weights)
                .map(|(name, weight)| (*name, u32::try_from(weight).expect("small")))
                .collect(),
            threshold,
            delay,
            ..Model::default()
        };
        let mut ids: Vec<Digest> = Vec::new();
        let mut keys = 0_usize;
        for _ in 0..120 {
            let time = story.time;
            let some: BTreeSet<&'static str> = GUARDIANS.into_iter().filter(|_| random.one_in(2)).collect();
            let by: Vec<&str> = some.iter().copied().collect();
            let enough = model.weight(&some) >= threshold;
            let (balance, gates) = (story.balance("alice"), story.record("alice").expect("there"));
            match random.below(6) {
                0 => {
                    // A payment of Alice's, with some approvals.
                    let transaction = approved(&story, "alice", &[pay("carol", units(1))], &by);
                    let code = if model.is_frozen {
                        126
                    } else if enough {
                        0
                    } else {
                        127
                    };
                    *seen.entry(code).or_default() += 1;
                    if code != 0 {
                        refuse(&mut story, transaction, code);
                        continue;
                    }
                    take(&mut story, "alice", transaction);
                    story.seal();
                    assert_eq!(story.codes(), [0]);
                    assert!(story.balance("alice") < balance);
                }
                1 => {
                    // A proposal: money, or a key.
                    let gates = random.one_in(2);
                    let action = if gates {
                        keys += 1;
                        Action::RotateKey(KeyChange::Replace { position: 0, key: public("alice") })
                    } else {
                        pay("carol", units(2))
                    };
                    let transaction = approved(&story, "alice", &[Action::Propose { actions: vec![action] }], &by);
                    let code = if model.is_frozen {
                        126
                    } else if enough {
                        0
                    } else {
                        127
                    };
                    *seen.entry(code).or_default() += 1;
                    if code != 0 {
                        refuse(&mut story, transaction, code);
                        continue;
                    }
                    let id = take(&mut story, "alice", transaction);
                    story.seal();
                    model.open.retain(|_, open| open.expires >= time);
                    let full = model.open.len() >= PROPOSALS_MAX;
                    assert_eq!(story.codes(), [if full { 250 } else { 0 }]);
                    if !full {
                        let open = Open {
                            gates,
                            agreed: some,
                            declined: BTreeSet::new(),
                            ready: None,
                            expires: time + PROPOSAL_MS_MAX,
                        };
                        model.open.insert(id, open);
                        model.weigh(id, time);
                        ids.push(id);
                    }
                }
                2 | 3 if !ids.is_empty() => {
                    // A vote.
                    let id = random.pick(&ids);
                    let voter = random.pick(&["gina", "gus", "bob", "carol"]);
                    let yes = random.one_in(2);
                    act(&mut story, voter, &[on(if yes { agree } else { decline }, "alice", id)], &[]);
                    story.seal();
                    let is_guardian = voter != "carol";
                    let code = match model.open.get(&id) {
                        _ if !is_guardian => 254,
                        None => 252,
                        Some(open) if yes && open.expires < time => 253,
                        Some(open) if yes && open.agreed.contains(voter) => 255,
                        Some(open) if !yes && open.declined.contains(voter) => 255,
                        Some(_) => 0,
                    };
                    *seen.entry(code).or_default() += 1;
                    assert_eq!(story.codes(), [code]);
                    if code == 0 {
                        let voter = GUARDIANS.into_iter().find(|name| *name == voter).expect("a guardian");
                        let open = model.open.get_mut(&id).expect("open");
                        let (to, from) = if yes {
                            (&mut open.agreed, &mut open.declined)
                        } else {
                            (&mut open.declined, &mut open.agreed)
                        };
                        to.insert(voter);
                        from.remove(voter);
                        model.weigh(id, time);
                        let left: BTreeSet<&'static str> =
                            GUARDIANS.into_iter().filter(|name| !model.open[&id].declined.contains(name)).collect();
                        if !yes && (model.weight(&left) < threshold || model.open[&id].expires < time) {
                            model.open.remove(&id);
                        }
                    }
                }
                4 if !ids.is_empty() => {
                    // Somebody has it done.
                    let id = random.pick(&ids);
                    act(&mut story, "carol", &[on(execute, "alice", id)], &[]);
                    story.seal();
                    let code = match model.open.get(&id) {
                        _ if model.is_frozen => 258,
                        None => 252,
                        Some(open) if open.expires < time => 253,
                        Some(open) => match open.ready {
                            None => 256,
                            Some(ready) if ready > time => 257,
                            // Alice's key in the place of itself is no change.
                            Some(_) if open.gates => 222,
                            Some(_) => 0,
                        },
                    };
                    *seen.entry(code).or_default() += 1;
                    assert_eq!(story.codes(), [code]);
                    if code == 0 {
                        model.open.remove(&id);
                    }
                }
                5 if random.one_in(4) => {
                    // A freeze or its end, with the sender's own word.
                    let sender = random.pick(&GUARDIANS);
                    let mut behind = some.clone();
                    behind.insert(sender);
                    let freeze = !model.is_frozen;
                    let account = address("alice");
                    let action = if freeze { Action::Freeze { account } } else { Action::Unfreeze { account } };
                    act(&mut story, sender, &[action], &by);
                    story.seal();
                    let enough = model.weight(&behind) >= threshold;
                    assert_eq!(story.codes(), [if enough { 0 } else { 259 }]);
                    if enough {
                        if !freeze && delay > 0 {
                            story.refused.clear();
                            story.wait(delay);
                        }
                        model.is_frozen = freeze;
                    }
                }
                _ => {
                    story.refused.clear();
                    story.wait(random.next() % (3 * 24 * HOUR_MS));
                }
            }
            // Below the quorum nothing of Alice's has changed: no balance, no key, no fee.
            if !enough && !story.codes().is_empty() && story.balance("alice") < balance {
                assert!(model.open.len() < ids.len(), "something of hers left that nobody agreed to");
            }
            let now = story.record("alice").expect("there");
            assert_eq!(now.identity, gates.identity);
            let guarded = now.gates.expect("guardians").guarded.expect("guardians");
            assert_eq!(guarded.proposals.len(), model.open.len());
            for held in &guarded.proposals {
                let open = &model.open[&held.id];
                let mask = |names: &BTreeSet<&str>| {
                    GUARDIANS
                        .iter()
                        .enumerate()
                        .filter(|(_, name)| names.contains(**name))
                        .fold(0, |mask: MemberMask, (at, _)| mask | 1 << at)
                };
                assert_eq!(
                    (held.approvals, held.rejections, held.ready_at),
                    (mask(&open.agreed), mask(&open.declined), open.ready)
                );
            }
        }
        assert!(keys < 120);
    }
    assert!([0, 126, 127, 252, 254, 255, 256].iter().all(|code| seen.contains_key(code)), "{seen:?}");
}

#[test]
fn no_sequence_below_the_quorum_changes_what_is_guarded() {
    // Whoever has Alice's key and one guardian's tries everything, again and again.
    let mut attempts = 0;
    for seed in 0..6 {
        let mut random = Random(77 + seed);
        let mut story = guarded_by(if seed % 2 == 0 {
            two_of_three()
        } else {
            GuardianSet { allowances: Vec::new(), ..with_allowance() }
        });
        let alice = address("alice");
        let before = story.record("alice").expect("there");
        let held = [story.balance("alice"), story.balance_of(alice, AssetId::ZMAN)];
        let thief = public("thief");
        for _ in 0..60 {
            let id = Digest([random.next().to_le_bytes()[0]; 32]);
            let action = match random.below(14) {
                0 => pay("gina", units(1 + random.next() % 1_000)),
                1 => leave("gina", units(1)),
                2 => pay("gina", mana(1)),
                3 => Action::RotateKey(KeyChange::Add(thief)),
                4 => Action::RotateKey(KeyChange::Replace { position: 0, key: thief }),
                5 => Action::SetGuardians(None),
                6 => set(GuardianSet { members: vec![by_key("thief", 5)], ..two_of_three() }),
                7 => Action::Propose { actions: vec![pay("gina", gcc(1))] },
                8 => Action::Execute { account: alice, proposal: id },
                9 => Action::Freeze { account: alice },
                10 => Action::Recover { account: alice, key: Box::new(thief) },
                11 => Action::FinishRecovery { account: alice },
                12 => Action::Unfreeze { account: alice },
                _ => Action::Approve { account: alice, proposal: id },
            };
            let by: &[&str] = if random.one_in(2) { &["gina"] } else { &[] };
            let actions = vec![action; 1 + random.below(2)];
            // As Alice, as the guardian, past the operator, or as anybody.
            match random.below(4) {
                0 => {
                    let transaction = approved(&story, "alice", &actions, by);
                    assert!(story.refusal(&transaction).is_some(), "{actions:?}");
                }
                1 => {
                    let body = story.body("alice", Nonce::LANE_FORCED, &actions);
                    let transaction = approve(sign("alice", body.clone()), by);
                    story.force_bytes(&transaction.to_bytes()).seal();
                    assert_ne!(story.codes(), [0], "{actions:?}");
                    // What costs nothing may be tried: it is refused as it is done, and uses a number.
                    if story.receipt(0).code >= 200 {
                        story.count("alice", &body);
                    }
                }
                2 => {
                    let body = TransactionBody {
                        key_ref: KeyRef::Registered(0),
                        ..approved(&story, "gina", &actions, &[]).body
                    };
                    if actions.iter().all(|action| action.subject().is_some()) {
                        take(&mut story, "gina", sign("gina", body));
                        story.seal();
                        assert_ne!(story.codes(), [0], "{actions:?}");
                    }
                }
                _ => {
                    let actions: Vec<Action> =
                        actions.into_iter().filter(|action| action.subject().is_some()).collect();
                    if !actions.is_empty() {
                        act(&mut story, "carol", &actions, by);
                        story.seal();
                        assert_ne!(story.codes(), [0], "{actions:?}");
                    }
                }
            }
            attempts += 1;
            if random.one_in(6) {
                story.wait(HOUR_MS);
            }
            let now = story.record("alice").expect("there");
            assert_eq!((&now.identity, &now.gates), (&before.identity, &before.gates));
            assert_eq!([story.balance("alice"), story.balance_of(alice, AssetId::ZMAN)], held);
        }
    }
    assert_eq!(attempts, 360);
}

#[test]
fn refusals_name_the_role_and_the_weights() {
    let mut story = guarded_by(two_of_three());
    let below = approved(&story, "alice", &[pay("carol", units(1))], &["gina"]);
    let missing = Reject::QuorumMissing { role: "spend", found: 1, needed: 2 };
    assert_eq!(story.refusal(&below), Some(missing));
    story.wait(1);
}

//! Somebody else who pays the gas: what he consents to, what stops him, and what it costs whom.

use crate::guardians::{HOUR_MS, approve, by_account, refuse, set, take, two_of_three};
use crate::mana::{paid, plane, sponsored, terms_of};
use crate::random::Random;
use crate::sigil::{limit, public};
use crate::story::{Story, address, amount, gcc, key, leave, mana, pay, sign, units};
use ghostplane_engine::{PostedError, Verdict};
use ghostplane_ghostcipher::{Domain, Signature};
use ghostplane_types::guardian::Thresholds;
use ghostplane_types::{
    Action, Amount, AssetId, GuardianSet, Holder, KeyChange, KindSet, Nonce, Pay, Reject, Scope, Session, SponsorTerms,
    Transaction, TransactionBody, Window,
};
use std::collections::BTreeSet;

const LIMIT: u64 = 10_000;

/// Alice pays Bob, and Carol the gas, up to `LIMIT`.
fn by_carol(story: &Story) -> Transaction {
    sponsored(unsigned(story, |_| {}), "carol")
}

/// The same without Carol's consent, with her terms changed.
fn unsigned(story: &Story, change: impl FnOnce(&mut SponsorTerms)) -> Transaction {
    let mut terms = terms_of(story, "carol", LIMIT);
    change(&mut terms);
    paid(story, "alice", &[pay("bob", units(5))], Pay::Sponsor(Box::new(terms)), LIMIT)
}

#[test]
fn the_sponsor_pays_gas_and_the_sender_storage() {
    let mut story = plane();
    let (alice, carol) = (story.balance("alice"), story.balance("carol"));
    let transaction = by_carol(&story);
    take(&mut story, "alice", transaction);
    let terms = terms_of(&story, "carol", LIMIT);
    let to_zoe = paid(&story, "alice", &[pay("zoe", units(7))], Pay::Sponsor(Box::new(terms)), LIMIT);
    take(&mut story, "alice", sponsored(to_zoe, "carol"));
    story.seal();
    assert_eq!(story.codes(), [0, 0]);
    let (first, second) = (story.receipt(0), story.receipt(1));
    // Two signatures, and the bytes of the second.
    assert!(first.gas > 4_000 + 300 + 500, "{first:?}");
    assert_eq!((first.fee, second.fee), (first.gas, second.gas + 500));
    assert_eq!(story.balance("carol"), carol - first.gas - second.gas);
    assert_eq!(story.balance("alice"), alice - 5 - 7 - 500);
    // What has no effect costs the sponsor all the same.
    let terms = terms_of(&story, "carol", LIMIT);
    let broke = paid(&story, "alice", &[pay("bob", gcc(1_000))], Pay::Sponsor(Box::new(terms)), LIMIT);
    take(&mut story, "alice", sponsored(broke, "carol"));
    let carol = story.balance("carol");
    story.seal();
    assert_eq!((story.codes(), story.balance("carol")), (vec![200], carol - story.receipt(0).gas));
}

#[test]
fn who_has_no_credits_at_all_acts_by_a_sponsor() {
    let mut story = plane();
    // She was only ever given ZMAN, and has never acted.
    story.transfer("bob", "nina", mana(3_000)).seal();
    assert_eq!(story.balance("nina"), 0);
    let terms = terms_of(&story, "carol", LIMIT);
    let first = paid(&story, "nina", &[pay("bob", mana(1_000))], Pay::Sponsor(Box::new(terms)), LIMIT);
    take(&mut story, "nina", sponsored(first, "carol"));
    story.seal();
    assert_eq!(story.codes(), [0]);
    assert_eq!(story.balance_of(address("nina"), AssetId::ZMAN), 2_000);
    assert!(story.record("nina").expect("registered").identity.is_some());
}

type Case = (u16, fn(&Story) -> Transaction);

/// Carol's wallet, when she has a session and money.
const TABLE: &[Case] = &[
    // Nobody sponsors without an account of the sender.
    (141, |story| {
        let terms = terms_of(story, "carol", LIMIT);
        sponsored(paid(story, "nobody", &[pay("bob", units(5))], Pay::Sponsor(Box::new(terms)), LIMIT), "carol")
    }),
    (141, |story| paid(story, "nobody", &[pay("bob", units(5))], Pay::Mana, LIMIT)),
    // None, or one without need, or one of a transaction, a purpose, a plane that is not this.
    (142, |story| unsigned(story, |_| {})),
    (142, |story| {
        let sponsorship = by_carol(story).sponsorship;
        Transaction { sponsorship, ..paid(story, "alice", &[pay("bob", units(5))], Pay::Gcc, LIMIT) }
    }),
    (142, |story| {
        let sponsorship = by_carol(story).sponsorship;
        let other = unsigned(story, |terms| terms.fee_max = amount(LIMIT + 1));
        Transaction { sponsorship, ..other }
    }),
    (142, |story| {
        let mut transaction = by_carol(story);
        let auth = key("carol").sign(Domain::Approval, transaction.body.chain_id, &transaction.body.id());
        transaction.sponsorship.as_mut().expect("one").auth = auth.into();
        transaction
    }),
    (142, |story| {
        let mut transaction = by_carol(story);
        let auth = key("carol").sign(Domain::Sponsor, transaction.body.chain_id + 1, &transaction.body.id());
        transaction.sponsorship.as_mut().expect("one").auth = auth.into();
        transaction
    }),
    (142, |story| {
        let mut transaction = by_carol(story);
        transaction.sponsorship.as_mut().expect("one").auth = Signature([0; 64]).into();
        transaction
    }),
    // Oneself.
    (142, |story| sponsored(unsigned(story, |terms| terms.sponsor = address("alice")), "alice")),
    // An address that nobody paid, one that never acted, one of nobody's.
    (143, |story| sponsored(unsigned(story, |terms| terms.sponsor = address("nobody")), "nobody")),
    (143, |story| sponsored(unsigned(story, |terms| terms.sponsor = address("quiet")), "quiet")),
    (143, |story| {
        let storage = story.plane.storage();
        sponsored(unsigned(story, |terms| terms.sponsor = storage), "carol")
    }),
    // Somebody else's key, and that of a session.
    (144, |story| sponsored(unsigned(story, |_| {}), "bob")),
    (144, |story| sponsored(unsigned(story, |_| {}), "phone")),
    (145, |story| {
        let before = story.time - 1;
        sponsored(unsigned(story, |terms| terms.valid_until = before), "carol")
    }),
    (146, |story| sponsored(unsigned(story, |terms| terms.fee_max = amount(LIMIT - 1)), "carol")),
    (146, |story| sponsored(unsigned(story, |terms| terms.fee_max = Amount::ZERO), "carol")),
    (149, |story| {
        let terms = terms_of(story, "judy", 90_000_000);
        let pay_bob = [pay("bob", units(5))];
        sponsored(paid(story, "alice", &pay_bob, Pay::Sponsor(Box::new(terms)), 90_000_000), "judy")
    }),
    // The sender's own mistakes come first.
    (104, |story| Transaction { auth: Signature([0; 64]).into(), ..by_carol(story) }),
    (115, |story| {
        let body = TransactionBody { gas_price_max: 0, ..unsigned(story, |_| {}).body };
        sponsored(sign("alice", body), "carol")
    }),
    (113, |story| {
        let mut body = unsigned(story, |_| {}).body;
        body.nonce.seq += 1;
        sponsored(sign("alice", body), "carol")
    }),
];

/// Carol with a session, somebody who was paid and never acted, and Judy with hardly anything.
fn ready() -> Story {
    let mut story = plane();
    let session = Session {
        lane: 9,
        holder: Holder::Key(public("phone")),
        expires: story.time + HOUR_MS,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![limit(AssetId::GCC, 1_000_000, Window::Day, 1_000_000)],
        },
    };
    story.act("carol", &[Action::AddSession(Box::new(session))]).transfer("bob", "quiet", gcc(1));
    story.act("judy", &[leave("exit", gcc(9))]).act("judy", &[leave("exit", units(950_000_000))]).seal();
    assert_eq!(story.codes(), [0; 4]);
    story
}

#[test]
fn every_way_not_to_be_sponsored_has_its_code_and_costs_nobody() {
    let story = ready();
    let balances = |story: &Story| ["alice", "carol", "judy"].map(|name| story.balance(name));
    let before = balances(&story);
    let mut met = BTreeSet::new();
    for (at, (code, case)) in TABLE.iter().enumerate() {
        let mut story = story.clone();
        let transaction = case(&story);
        let reject = story.refusal(&transaction).unwrap_or_else(|| panic!("case {at} is refused with {code}"));
        assert_eq!(reject.code(), *code, "case {at}: {reject}");
        // In front of a good one, in an open batch, it leaves no trace; and a batch that contains it is false.
        story.refused.push((0, transaction, reject));
        story.transfer("bob", "dave", units(1)).seal();
        assert_eq!((story.codes(), balances(&story)), (vec![0], before), "case {at}");
        met.insert(*code);
    }
    assert!((141..=146).chain([149]).all(|code| met.contains(&code)), "{met:?}");
}

#[test]
fn a_batch_with_a_sponsor_who_does_not_pay_convicts_its_operator() {
    let story = ready();
    let watcher = story.watcher();
    for (code, case) in TABLE {
        let transaction = case(&story);
        let posted = match watcher.encode(story.time, 0, &[transaction]) {
            Ok(posted) => posted,
            // No bytes say this.
            Err(PostedError::NotPostable { .. }) => continue,
            Err(error) => panic!("{code}: {error}"),
        };
        let verdict = watcher.judge(&posted, &watcher.plausible_header(&posted));
        assert!(matches!(verdict, Verdict::Differs(_)), "{code}: {verdict:?}");
        let said = format!("{verdict:?}");
        assert!(!said.contains("Field"), "{code}: {said}");
    }
}

#[test]
fn any_own_key_of_the_sponsor_consents_and_a_new_one_at_once() {
    let mut story = plane();
    story.act("carol", &[Action::RotateKey(KeyChange::Add(public("second")))]);
    // The consent carries its key, so that it is checked without the state.
    let transaction = sponsored(unsigned(&story, |_| {}), "second");
    take(&mut story, "alice", transaction);
    story.seal();
    assert_eq!(story.codes(), [0, 0]);
    story.act("carol", &[Action::RotateKey(KeyChange::Remove { position: 1 })]);
    let transaction = sponsored(unsigned(&story, |_| {}), "second");
    refuse(&mut story, transaction, 144);
    story.seal();
}

/// Carol under two of three, with or without an allowance for fees.
fn guarded(allowance: Option<(u64, u64)>) -> Story {
    let mut story = plane();
    for name in ["gina", "gus"] {
        story.deposit(name, gcc(1));
    }
    let allowances = allowance.map(|(once, daily)| limit(AssetId::GCC, once, Window::Day, daily));
    let guardians = GuardianSet { allowances: allowances.into_iter().collect(), ..two_of_three() };
    story.act("carol", &[set(guardians)]).seal();
    assert_eq!(story.codes(), [0; 3]);
    story
}

/// Alice pays Bob, Carol the gas, and these people approve.
fn approved_by(story: &Story, by: &[&str]) -> Transaction {
    let limit = LIMIT + by.len() as u64 * 2_300;
    let terms = terms_of(story, "carol", limit);
    let transaction = paid(story, "alice", &[pay("bob", units(5))], Pay::Sponsor(Box::new(terms)), limit);
    sponsored(approve(transaction, by), "carol")
}

#[test]
fn a_guarded_sponsor_pays_nothing_below_its_quorum() {
    let mut story = guarded(None);
    let carol = story.balance("carol");
    for by in [&[][..], &["gina"], &["gus"]] {
        let transaction = approved_by(&story, by);
        let expected = Reject::SponsorQuorum { found: u32::try_from(by.len()).expect("few"), needed: 2 };
        assert_eq!(story.refusal(&transaction), Some(expected));
        refuse(&mut story, transaction, 148);
    }
    // Approvals of those who have no say with the sponsor or the sender do not help, and are refused.
    let transaction = approved_by(&story, &["gina", "dave"]);
    refuse(&mut story, transaction, 129);
    story.transfer("erin", "dave", units(1)).seal();
    assert_eq!(story.balance("carol"), carol);
    // Two of three agree, one of them by an account.
    for by in [&["gina", "gus"][..], &["gina", "bob"]] {
        let transaction = approved_by(&story, by);
        take(&mut story, "alice", transaction);
        story.seal();
        assert_eq!(story.codes(), [0]);
    }
    assert!(story.balance("carol") < carol);
}

#[test]
fn a_guardian_who_sends_stands_behind_what_his_ward_pays_for() {
    let mut story = guarded(None);
    // Bob is one of Carol's guardians; Gina agrees.
    let limit = LIMIT + 2_300;
    let terms = terms_of(&story, "carol", limit);
    let transaction = paid(&story, "bob", &[pay("dave", units(5))], Pay::Sponsor(Box::new(terms)), limit);
    let alone = sponsored(transaction.clone(), "carol");
    refuse(&mut story, alone, 148);
    take(&mut story, "bob", sponsored(approve(transaction, &["gina"]), "carol"));
    story.seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn fees_of_others_count_towards_what_leaves_without_guardians() {
    let mut story = guarded(Some((LIMIT, 16_000)));
    let transaction = approved_by(&story, &[]);
    take(&mut story, "alice", transaction);
    story.seal();
    assert_eq!(story.codes(), [0]);
    let gas = story.receipt(0).gas;
    let spent = |story: &Story| {
        let gates = story.record("carol").and_then(|record| record.gates).expect("guarded");
        gates.guarded.expect("guarded").spent[0].units
    };
    assert_eq!(spent(&story), gas);
    // The limit itself counts before, what was used afterwards: there is room for this once more and not twice.
    let transaction = approved_by(&story, &[]);
    take(&mut story, "alice", transaction);
    let transaction = approved_by(&story, &[]);
    refuse(&mut story, transaction, 148);
    story.seal();
    assert_eq!((story.codes(), spent(&story)), (vec![0], 2 * gas));
    // And what she spends herself comes out of the same.
    let mut body = story.body("carol", Nonce::LANE_ROOT, &[pay("bob", units(1))]);
    body.gas_limit = 8_000;
    refuse(&mut story, sign("carol", body), 127);
    story.wait(24 * HOUR_MS);
    story.refused.clear();
    let transaction = approved_by(&story, &[]);
    take(&mut story, "alice", transaction);
    story.seal();
    assert_eq!((story.codes(), spent(&story)), (vec![0], gas));
}

#[test]
fn a_frozen_sponsor_does_not_pay_whoever_agrees() {
    let mut story = guarded(Some((LIMIT * 10, LIMIT * 10)));
    let freeze = Action::Freeze { account: address("carol") };
    let transaction = approve(sign("gina", story.body("gina", Nonce::LANE_ROOT, &[freeze])), &["gus"]);
    take(&mut story, "gina", transaction);
    story.seal();
    assert_eq!(story.codes(), [0]);
    for by in [&[][..], &["gina", "gus"]] {
        let transaction = approved_by(&story, by);
        refuse(&mut story, transaction, 147);
    }
    story.transfer("erin", "dave", units(1)).seal();
}

#[test]
fn a_guarded_sender_spends_nothing_of_its_own_and_needs_nobody_for_that() {
    let mut story = plane();
    for name in ["gina", "gus"] {
        story.deposit(name, gcc(1));
    }
    story.act(
        "alice",
        &[set(GuardianSet {
            members: vec![by_account("bob", 1)],
            thresholds: Thresholds { spend: 1, gates: 1, freeze: 1, recover: 1 },
            ..two_of_three()
        })],
    );
    story.seal();
    let alice = story.balance("alice");
    let act = |story: &Story, actions: &[Action]| {
        let terms = terms_of(story, "carol", 30_000);
        sponsored(paid(story, "alice", actions, Pay::Sponsor(Box::new(terms)), 30_000), "carol")
    };
    // What moves money waits for the quorum, and so does what costs storage.
    let transaction = act(&story, &[pay("bob", units(1))]);
    refuse(&mut story, transaction, 127);
    let transaction = act(&story, &[Action::Propose { actions: vec![pay("bob", units(1))] }]);
    take(&mut story, "alice", transaction);
    // What costs nothing does not.
    let transaction = act(&story, &[Action::RevokeSession { lane: 3 }]);
    take(&mut story, "alice", transaction);
    story.seal();
    assert_eq!((story.codes(), story.balance("alice")), (vec![232, 230], alice));
}

#[test]
fn random_sponsors_in_one_batch_pay_each_for_his_own() {
    const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "judy"];
    let mut random = Random(77);
    for _ in 0..6 {
        let mut story = plane();
        let before = PEOPLE.map(|name| i128::from(story.balance(name)));
        let mut owes = [0_i128; 6];
        let mut who_paid = Vec::new();
        for _ in 0..40 {
            let (from, by, to) = (random.below(6), random.below(6), random.below(6));
            if from == by || from == to {
                continue;
            }
            let terms = terms_of(&story, PEOPLE[by], LIMIT);
            let how = Pay::Sponsor(Box::new(terms));
            let transaction = paid(&story, PEOPLE[from], &[pay(PEOPLE[to], units(1_000))], how, LIMIT);
            take(&mut story, PEOPLE[from], sponsored(transaction, PEOPLE[by]));
            who_paid.push((from, by, to));
        }
        story.seal();
        for (at, (from, by, to)) in who_paid.iter().enumerate() {
            assert_eq!(story.receipt(at).code, 0);
            owes[*by] += i128::from(story.receipt(at).fee);
            owes[*from] += 1_000;
            owes[*to] -= 1_000;
        }
        for (at, name) in PEOPLE.iter().enumerate() {
            assert_eq!(i128::from(story.balance(name)), before[at] - owes[at], "{name}");
        }
    }
}

//! Rules in Cedar, attached to accounts, assets and the plane.

use crate::guardians::{act, act_by_rules, approved_with, set, take, two_of_three};
use crate::random::Random;
use crate::sigil::limit;
use crate::story::{Batch, OBJECT_PRICE, Story, address, amount, gcc, genesis, leave, mana, pay, pay_to, sign, units};
use ghostplane_engine::replay::explain_posted;
use ghostplane_engine::{Explained, Plane};
use ghostplane_ghostcipher::Digest;
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::{StateView, Witness};
use ghostplane_shroud::covenant::{SCHEMA_VERSION, SET_ERROR_CODES};
use ghostplane_types::covenant::Change;
use ghostplane_types::limits::{ACTIONS_MAX, SPENDING_MAX};
use ghostplane_types::{
    Action, Address, AssetId, CovenantAt, CovenantText, Decode, Encode, GuardianSet, Money, Nonce, ObjectKey,
    PlaneRules, Scheduled, Spending, TransactionBody, Window, gas,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const PERMIT: &str = "permit (principal, action, resource);";

fn publish(text: &str) -> Action {
    Action::PublishCovenant { schema_version: SCHEMA_VERSION, text: text.into() }
}

fn attach(at: CovenantAt, text: &str) -> Action {
    Action::SetCovenant { at, digest: Some(name_of(text)) }
}

fn detach(at: CovenantAt) -> Action {
    Action::SetCovenant { at, digest: None }
}

fn name_of(text: &str) -> Digest {
    CovenantText::digest_of(SCHEMA_VERSION, text)
}

fn account(name: &str) -> String {
    format!("Account::\"{}\"", address(name))
}

/// Permits everything but what is forbidden.
fn except(forbids: &str) -> String {
    format!("@id(\"rest\") {PERMIT}\n{forbids}")
}

fn spending_limit(window: &str, most: u64) -> String {
    except(&format!(
        "@id(\"limit\") forbid (principal, action in Action::\"moves_value\", resource)
         when {{ context.asset == Asset::\"gcc\" && context.spent.{window} + context.amount > {most} }};"
    ))
}

fn plane() -> Story {
    plane_of(&["alice", "bob", "carol", "dave", "operator"])
}

fn plane_of(names: &[&str]) -> Story {
    let mut story = Story::new();
    for name in names {
        story.deposit(name, gcc(100)).deposit(name, mana(1_000_000));
    }
    story.seal();
    // So that everybody is registered.
    for name in names.iter().filter(|name| **name != "carol") {
        story.transfer(name, "carol", units(1));
    }
    if names.contains(&"carol") {
        story.transfer("carol", "bob", units(1));
    }
    story.seal();
    story
}

/// Publishes rules and attaches them.
fn rule(story: &mut Story, who: &str, at: CovenantAt, text: &str) {
    story.act(who, &[publish(text), attach(at, text)]).seal();
    assert_eq!(story.codes(), [0], "{text}");
    if at.waits() {
        story.wait(story.plane.genesis().governance.notice_ms).seal_something();
    }
}

impl Story {
    /// A batch of no interest.
    fn seal_something(&mut self) -> &mut Self {
        self.deposit("somebody", units(1)).seal()
    }

    /// The same explanation by the whole state and by a witness.
    fn explain(&self, at: usize) -> Explained {
        explain(&self.plane, self.last(), at)
    }
}

fn explain(plane: &Plane, batch: &Batch, at: usize) -> Explained {
    let before = &batch.before;
    let live = explain_posted(plane, &before.keystone, &before.prev, &before.inbox, &batch.posted, at, &Serial);
    let witness = Witness::from_bytes(&before.witness(&batch.posted)).expect("a witness");
    let view = witness.verify(&before.prev.roots).expect("of this state");
    let alone = explain_posted(plane, &view, &before.prev, &before.inbox, &batch.posted, at, &Serial);
    let live = live.expect("an honest batch").expect("such a record");
    assert_eq!(alone.expect("the witness is enough").as_ref(), Some(&live));
    live
}

#[test]
fn a_limit_binds_every_payment_and_says_why() {
    let mut story = plane();
    rule(&mut story, "alice", CovenantAt::Outgoing, &spending_limit("day", 25_000_000_000));
    story
        .transfer("alice", "bob", gcc(20))
        .transfer("alice", "carol", gcc(6))
        .transfer("alice", "carol", gcc(5))
        .seal();
    assert_eq!(story.codes(), [0, 280, 0]);
    // It costs what it costs to find out, and nothing else.
    assert_eq!((story.receipt(1).fee, story.receipt(1).entries), (story.receipt(1).gas, 0));
    let refusal = story.explain(1).refusal.expect("refused");
    let because = refusal.because.expect("by a covenant");
    assert_eq!((refusal.reject.code(), because.policies), (280, vec![("outgoing", "limit".to_owned())]));
    let fact = |name: &str| because.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!([fact("amount"), fact("spent.day")], [Some("6gcc"), Some("20gcc")]);
    assert_eq!(because.would_pass[0], "passes with amount <= 5gcc");
    assert_eq!(story.explain(0).refusal, None);
    // Tomorrow is another day; yesterday's count is dropped from the record by the first payment of it.
    story.wait(DAY_MS).transfer("alice", "bob", gcc(25)).transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.codes(), [0, 280]);
    // Without the rule nothing is asked any more.
    story.act("alice", &[detach(CovenantAt::Outgoing)]).seal();
    story.transfer("alice", "bob", gcc(30)).seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn a_bundle_is_bound_in_sum() {
    let mut story = plane();
    let per_payee = except(
        "@id(\"per-payee\") forbid (principal, action == Action::\"transfer\", resource) when { context.amount > 10 };",
    );
    rule(&mut story, "alice", CovenantAt::Outgoing, &per_payee);
    let many = |to: &str, count: usize| vec![pay(to, units(1)); count];
    story
        .act("alice", &many("bob", 10))
        .act("alice", &many("bob", 11))
        .act("alice", &[many("bob", 10), many("carol", 10)].concat())
        .act("alice", &[many("carol", 2), vec![pay("bob", units(3)), pay("carol", units(9))]].concat())
        .act("alice", &[pay("bob", units(10)), pay("bob", mana(10))])
        .seal();
    assert_eq!(story.codes(), [0, 280, 0, 280, 0]);
    // The first action that has a part in it is named.
    assert_eq!((story.receipt(1).action, story.receipt(3).action), (0, 0));
    rule(&mut story, "alice", CovenantAt::Outgoing, &spending_limit("hour", 100));
    let mixed = [pay("bob", units(60)), leave("alice", units(40))];
    story.act("alice", &[&mixed[..], &[pay("carol", units(1))]].concat()).act("alice", &mixed).seal();
    assert_eq!((story.codes(), story.receipt(0).action), (vec![280, 0], 2));
    story.transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.codes(), [280]);
}

/// Every place where rules can be: what they are asked about, what they are not.
#[test]
fn every_place_is_asked() {
    let nothing = "forbid (principal, action in Action::\"moves_value\", resource);";
    let text = except(nothing);
    let cases = [
        (CovenantAt::Outgoing, "alice", "outgoing", [280, 280, 0, 0]),
        (CovenantAt::Incoming, "bob", "incoming", [280, 0, 0, 0]),
        (CovenantAt::Asset(AssetId::GCC), "operator", "asset", [280, 280, 0, 280]),
        (CovenantAt::Plane, "operator", "plane", [280, 280, 280, 280]),
    ];
    for (at, who, name, codes) in cases {
        let mut story = plane();
        rule(&mut story, who, at, &text);
        story
            .transfer("alice", "bob", units(5))
            .act("alice", &[leave("alice", units(5))])
            .act("dave", &[pay("carol", mana(5))])
            .act("dave", &[pay("carol", units(5))])
            .seal();
        assert_eq!(story.codes(), codes, "{at:?}");
        assert_eq!(
            story.explain(0).refusal.expect("refused").because.expect("so").policies,
            [(name, "policy1".into())]
        );
    }
}

#[test]
fn no_covenant_takes_the_exit_away() {
    let text = except("forbid (principal, action, resource);");
    let cases = [
        (CovenantAt::Incoming, "bob", 0),
        (CovenantAt::Incoming, "alice", 0),
        (CovenantAt::Asset(AssetId::GCC), "operator", 0),
        (CovenantAt::Plane, "operator", 0),
        // What an account forbids itself stays forbidden: it is what its key alone may not do.
        (CovenantAt::Outgoing, "alice", 280),
    ];
    for (at, who, code) in cases {
        let mut story = plane();
        rule(&mut story, who, at, &text);
        let before = story.balance("alice");
        story.force("alice", &[leave("alice", units(7))]).seal();
        assert_eq!(story.codes(), [code], "{at:?}");
        assert_eq!(before - story.balance("alice"), if code == 0 { 7 } else { 0 });
    }
    // Nor that of an account that needs its guardians for it, by approvals or by a proposal.
    let mut story = plane_of(&["alice", "bob", "carol", "gina", "gus", "operator"]);
    story.act("alice", &[set(two_of_three())]).seal();
    let propose = [Action::Propose { actions: vec![leave("alice", units(9))] }];
    let id = act(&mut story, "alice", &propose, &["gina", "bob"]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    rule(&mut story, "operator", CovenantAt::Plane, &text);
    let before = story.balance("alice");
    story.force("carol", &[Action::Execute { account: address("alice"), proposal: id }]).seal();
    // What was held for the proposal is hers again.
    assert_eq!((story.codes(), before + OBJECT_PRICE - story.balance("alice")), (vec![0], 9));
    // On the plane's own way the plane's rules hold.
    story.force("carol", &[pay("bob", units(1))]).seal();
    assert_eq!(story.codes(), [280]);
}

#[test]
fn a_deposit_that_is_refused_goes_back() {
    let only_small =
        except("forbid (principal, action == Action::\"deposit\", resource) when { context.amount > 100 };");
    for (at, who) in [
        (CovenantAt::Incoming, "alice"),
        (CovenantAt::Plane, "operator"),
        (CovenantAt::Asset(AssetId::GCC), "operator"),
    ] {
        let mut story = plane();
        rule(&mut story, who, at, &only_small);
        let before = story.balance("alice");
        story.deposit("alice", units(100)).deposit("alice", units(101)).seal();
        assert_eq!((story.codes(), story.balance("alice")), (vec![0, 280], before + 100), "{at:?}");
        assert_eq!(story.withdrawals().iter().map(|back| back.amount.units()).collect::<Vec<_>>(), [101]);
    }
    // What leaves an account is another matter than what comes to it.
    let mut story = plane();
    rule(
        &mut story,
        "alice",
        CovenantAt::Outgoing,
        &except("forbid (principal, action in Action::\"moves_value\", resource);"),
    );
    story.deposit("alice", units(500)).seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn obligations_are_met_or_refused() {
    let mut story = plane_of(&["alice", "bob", "carol", "gina", "gus"]);
    let small =
        "@id(\"small\") permit (principal, action, resource) unless { context has amount && context.amount > 10 };";
    let agreed = "@requires(\"guardian\") permit (principal, action in Action::\"moves_value\", resource) when { context.amount > 10 };";
    let later =
        "@delay(\"60\") permit (principal, action in Action::\"moves_value\", resource) when { context.amount > 100 };";
    let text = format!("{small}\n{agreed}\n{later}");
    // Nobody can be obliged to ask guardians whom he does not have.
    story.act("alice", &[publish(&text), attach(CovenantAt::Outgoing, &text)]).act("alice", &[publish(&text)]).seal();
    assert_eq!((story.codes(), story.receipt(0).action), (vec![284, 0], 1));
    let allowances = vec![limit(AssetId::GCC, 10_000_000_000, Window::Day, 50_000_000_000)];
    let guardians = GuardianSet { allowances, ..two_of_three() };
    story.act("alice", &[attach(CovenantAt::Outgoing, PERMIT)]).act("alice", &[set(guardians)]).seal();
    assert_eq!(story.codes(), [288, 0]);
    act_by_rules(&mut story, "alice", &[attach(CovenantAt::Outgoing, &text)], &["gina", "gus"]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    for (units_paid, by, code) in [
        (10, &[][..], 0),
        (11, &[], 284),
        (11, &["gina"], 284),
        (11, &["gina", "gus"], 0),
        (101, &["gina", "gus"], 285),
    ] {
        let transaction = approved_with(&story, "alice", &[pay("carol", units(units_paid))], by, 100_000);
        take(&mut story, "alice", transaction);
        story.seal();
        assert_eq!(story.codes(), [code], "{units_paid} by {by:?}");
        let because = || story.explain(0).refusal.and_then(|refusal| refusal.because).expect("a reason");
        match (units_paid, by) {
            (11, []) => {
                assert!(because().would_pass.contains(&"passes with 2 more approvals of guardians:spend".into()))
            }
            (11, ["gina"]) => {
                assert!(because().would_pass.contains(&"passes with 1 more approval of guardians:spend".into()));
            }
            _ => {}
        }
    }
    // As a proposal it waits.
    let propose = [Action::Propose { actions: vec![pay("carol", units(101))] }];
    let id = act_by_rules(&mut story, "alice", &propose, &["gina", "gus"]);
    story.seal();
    let execute = Action::Execute { account: address("alice"), proposal: id };
    story.act("bob", std::slice::from_ref(&execute)).seal();
    assert_eq!(story.codes(), [285]);
    let before = story.balance("carol");
    story.wait(60_000).act("bob", &[execute]).seal();
    assert_eq!((story.codes(), story.balance("carol") - before), (vec![0], 101));
}

#[test]
fn rules_that_are_forced_into_place_keep_the_notice_of_the_batch() {
    let mut story = plane();
    let notice = story.plane.genesis().governance.notice_ms;
    let text = except("");
    story.act("operator", &[publish(&text)]).seal();
    // The L1 takes it long before a batch does.
    story.force("operator", &[attach(CovenantAt::Plane, &text)]).wait(10 * notice).seal();
    assert_eq!(story.codes(), [0]);
    let object = story.keystone.object(&ObjectKey::plane_rules()).expect("the whole state").expect("rules");
    let rules = PlaneRules::from_bytes(object.value).expect("rules");
    let change = Change { to: Some(name_of(&text)), from: story.header().time + notice };
    assert_eq!(rules.plane, Scheduled { now: None, next: Some(change) });

    // Nor does what is forced in a time before they held take them back.
    let late = story.body("operator", Nonce::LANE_FORCED, &[attach(CovenantAt::Plane, PERMIT)]);
    story.act("operator", &[publish(PERMIT)]).seal();
    let forced = sign("operator", TransactionBody { valid_until: story.time + 20 * notice, ..late });
    story.force_bytes(&forced.to_bytes()).wait(2 * notice).seal();
    assert_eq!(story.codes(), [0]);
    let object = story.keystone.object(&ObjectKey::plane_rules()).expect("the whole state").expect("rules");
    let rules = PlaneRules::from_bytes(object.value).expect("rules");
    assert_eq!(rules.plane.now, Some(name_of(&text)), "they hold since");
}

#[test]
fn rules_for_all_come_after_their_notice() {
    let mut story = plane();
    let text = except(
        "forbid (principal, action == Action::\"transfer\", resource) when { context.asset == Asset::\"zman\" };",
    );
    for at in [CovenantAt::Plane, CovenantAt::Asset(AssetId::ZMAN)] {
        story.act("alice", &[publish(&text), attach(at, &text)]).seal();
        assert_eq!((story.codes(), story.receipt(0).action), (vec![289], 1));
    }
    story.act("operator", &[publish(&text), attach(CovenantAt::Plane, &text)]).seal();
    let notice = story.plane.genesis().governance.notice_ms;
    // Twice what it took: the text, and the first rules of the plane.
    assert_eq!(story.receipt(0).fee, story.receipt(0).gas + 2 * OBJECT_PRICE);
    let from = story.header().time + notice;
    story.wait(from - 1 - story.time).act("alice", &[pay("bob", mana(1))]).seal();
    assert_eq!(story.codes(), [0]);
    story.time = from;
    story.act("alice", &[pay("bob", mana(1))]).seal();
    assert_eq!(story.codes(), [280]);
    // The end of rules is announced as well.
    story.act("operator", &[detach(CovenantAt::Plane)]).act("alice", &[pay("bob", mana(1))]).seal();
    assert_eq!(story.codes(), [0, 280]);
    story.wait(notice).act("alice", &[pay("bob", mana(1))]).seal();
    assert_eq!(story.codes(), [0]);
    // So it is for assets of the plane's own, by their issuers.
    let tea = AssetId::new(70_000).expect("below 2^30");
    let register = Action::RegisterAsset { asset: tea, symbol: b"tea".to_vec(), decimals: 0, cap: amount(100) };
    let closed = except(&format!(
        "forbid (principal, action == Action::\"transfer\", resource) when {{ principal != {} }};",
        account("alice")
    ));
    let mint = |to: &str| Action::Mint { asset: tea, to: address(to), amount: amount(10) };
    story.act("alice", &[register, mint("bob"), publish(&closed), attach(CovenantAt::Asset(tea), &closed)]);
    story.act("bob", &[attach(CovenantAt::Asset(tea), &closed)]).seal();
    assert_eq!(story.codes(), [0, 289]);
    let pay_tea = |to: &str| pay(to, Money { amount: amount(1), asset: tea });
    story.act("bob", &[pay_tea("carol")]).seal();
    assert_eq!(story.codes(), [0]);
    story.wait(notice).act("bob", &[pay_tea("carol")]).act("alice", &[mint("alice")]).seal();
    story.act("alice", &[pay_tea("carol")]).act("carol", &[pay_tea("alice")]).seal();
    assert_eq!(story.codes(), [0, 280]);
}

#[test]
fn facts_are_what_the_state_says() {
    let mut story = plane();
    let text = |condition: &str| {
        except(&format!("@id(\"seen\") forbid (principal, action, resource) when {{ {condition} }};"))
    };
    let tea = AssetId::new(70_000).expect("below 2^30");
    let register = Action::RegisterAsset { asset: tea, symbol: b"tea".to_vec(), decimals: 0, cap: amount(100) };
    story.act("bob", &[register, Action::Mint { asset: tea, to: address("alice"), amount: amount(50) }]).seal();
    let pay_tea = || pay("carol", Money { amount: amount(1), asset: tea });
    let cases = [
        (format!("principal == {}", account("alice")), pay("bob", units(1))),
        (format!("resource == {}", account("bob")), pay("bob", units(1))),
        ("principal has claimed && principal.claimed == \"wallet\"".into(), pay("bob", units(1))),
        ("!(resource is Account && resource has claimed) && context has amount".into(), pay("stranger", units(1))),
        (
            "context has counterparty && context.counterparty.level == 0 && context.amount == 3".into(),
            pay("bob", units(3)),
        ),
        ("context has amount && !(context has counterparty)".into(), leave("alice", units(1))),
        (format!("context.time == {}", story.time + 50), pay("bob", units(1))),
        ("!(context has session) && context.approvals.count == 0".into(), pay("bob", units(1))),
        (
            format!("context has asset && context.asset has issuer && context.asset.issuer == {}", account("bob")),
            pay_tea(),
        ),
        ("context has asset && context.asset has issuer && context.asset.issuer has claimed".into(), pay_tea()),
        ("resource is Asset && resource.bridged".into(), leave("alice", units(1))),
        ("resource is Asset && !resource.bridged".into(), Action::Burn { asset: tea, amount: amount(1) }),
    ];
    for (condition, action) in cases {
        let mut story = story.clone();
        let text = text(&condition);
        story.act("alice", &[publish(&text), attach(CovenantAt::Outgoing, &text)]).seal();
        assert_eq!(story.codes(), [0], "{condition}");
        story.act("alice", &[action]).seal();
        assert_eq!(story.codes(), [280], "{condition}");
    }
}

#[test]
fn every_refusal_has_its_code() {
    let mut story = plane();
    let tea = AssetId::new(70_000).expect("below 2^30");
    let zman = "when { context has amount && 9223372036854775807 + context.amount > 0 };";
    let fails = except(&format!("forbid (principal, action, resource) {zman}"));
    let silent = "permit (principal, action == Action::\"set_covenant\", resource);";
    for (text, code) in [(fails.as_str(), 282), (silent, 281)] {
        story.act("alice", &[publish(text), attach(CovenantAt::Outgoing, text)]).seal();
        story.transfer("alice", "bob", units(1)).seal();
        assert_eq!(story.codes(), [code], "{text}");
        // A covenant that permits it can be taken off by its own account.
        story.act("alice", &[detach(CovenantAt::Outgoing)]).seal();
        assert_eq!(story.codes(), [0], "{text}");
    }
    for (code, action) in [
        (287, publish("")),
        (287, publish("permit (principal, action")),
        (287, publish("permit (principal, action, resource) when { context.nothing };")),
        (287, Action::PublishCovenant { schema_version: SCHEMA_VERSION + 1, text: PERMIT.into() }),
        (288, attach(CovenantAt::Outgoing, "nobody has published this")),
        (289, attach(CovenantAt::Plane, silent)),
        (289, attach(CovenantAt::Asset(AssetId::GCC), silent)),
        (204, attach(CovenantAt::Asset(tea), silent)),
    ] {
        story.act("bob", &[action]).seal();
        assert_eq!(story.codes(), [code]);
    }
    let reason = |text: &str| {
        let mut story = story.clone();
        story.act("bob", &[publish(text)]).seal();
        story.explain(0).refusal.expect("refused").reject.to_string()
    };
    let known = |name: &str| SET_ERROR_CODES.iter().find(|(_, known)| *known == name).expect("listed").0;
    assert!(reason("").contains(&format!("reason {} ", known("Empty"))));
    story.act("operator", &[attach(CovenantAt::Asset(AssetId::new(7).expect("small")), silent)]).seal();
    assert_eq!(story.codes(), [204]);
    // Asked with too little gas for it: nothing moves.
    let text = spending_limit("day", 1_000);
    rule(&mut story, "alice", CovenantAt::Outgoing, &text);
    let body = TransactionBody { gas_limit: 4_000, ..story.body("alice", Nonce::LANE_ROOT, &[pay("bob", units(1))]) };
    story.count("alice", &body);
    story.pool.push(sign("alice", body));
    story.seal();
    assert_eq!((story.codes(), story.receipt(0).gas), (vec![207], 4_000));
}

#[test]
fn the_text_is_paid_for_once_in_a_batch() {
    let mut story = plane();
    let text = spending_limit("day", 1_000);
    for name in ["alice", "bob"] {
        rule(&mut story, name, CovenantAt::Outgoing, &text);
    }
    story
        .transfer("alice", "carol", units(1))
        .transfer("alice", "carol", units(1))
        .transfer("bob", "carol", units(1))
        .seal();
    let gas_of = |at: usize| story.receipt(at).gas;
    assert_eq!(gas_of(0) - gas_of(1), gas::covenant_text(text.len()));
    assert!(gas_of(2).abs_diff(gas_of(1)) < 10, "but for the bytes of the posted form");
    // The second time somebody publishes it, it is there: nothing is held for it.
    story.act("carol", &[publish(&text)]).seal();
    assert_eq!((story.codes(), story.receipt(0).fee), (vec![0], story.receipt(0).gas));
}

#[test]
fn spending_of_so_many_assets_is_counted_and_no_more() {
    let mut genesis = genesis();
    let zman = genesis.assets[1].clone();
    for number in 2..20 {
        genesis.assets.push(ghostplane_types::genesis::GenesisAsset {
            asset: AssetId::new(number).expect("small"),
            symbol: format!("a{number}").into_bytes(),
            l1_decimals: 9,
            ..zman.clone()
        });
    }
    let mut story = Story::of(genesis);
    let money = |number: u32| Money { amount: amount(50), asset: AssetId::new(number).expect("small") };
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10));
    (1..20).for_each(|number| {
        story.deposit("alice", money(number));
    });
    story.seal();
    let text =
        except("forbid (principal, action in Action::\"moves_value\", resource) when { context.spent.day > 1000 };");
    rule(&mut story, "alice", CovenantAt::Outgoing, &text);
    let last = u32::try_from(SPENDING_MAX).expect("small");
    let one = |number: u32| pay("bob", Money { amount: amount(1), ..money(number) });
    story.act("alice", &(1..last).map(one).collect::<Vec<_>>()).act("alice", &[one(last), one(last + 1)]).seal();
    assert_eq!((story.codes(), story.receipt(1).action), (vec![0, 286], 1));
    story.act("alice", &[one(last)]).act("alice", &[one(last + 1)]).act("alice", &[one(3)]).seal();
    assert_eq!(story.codes(), [0, 286, 0]);
    // Windows that are over are none: what begins in their place takes room again, in any order.
    story.wait(31 * DAY_MS).act("alice", &(1..=last + 1).map(one).collect::<Vec<_>>());
    story.act("alice", &(1..=last + 1).rev().map(one).collect::<Vec<_>>()).seal();
    let refused = u16::try_from(SPENDING_MAX).expect("small");
    assert_eq!((story.codes(), story.receipt(0).action, story.receipt(1).action), (vec![286; 2], refused, refused));
    // And they make room.
    story.act("alice", &[one(last + 1)]).seal();
    assert_eq!(story.codes(), [0]);
    let gates = story.record("alice").expect("there").gates.expect("a covenant");
    assert_eq!(gates.covenants.spending.iter().map(|known| known.asset.number()).collect::<Vec<_>>(), [last + 1]);
}

#[test]
fn windows_are_what_a_model_counts() {
    let mut random = Random(2_024);
    let mut story = plane();
    let text = except(
        "forbid (principal, action in Action::\"moves_value\", resource)
         when { context.spent.hour + context.amount > 50 || context.spent.day + context.amount > 200 || context.spent.month + context.amount > 900 };",
    );
    rule(&mut story, "alice", CovenantAt::Outgoing, &text);
    let mut history: Vec<(u64, u64)> = Vec::new();
    for _ in 0..60 {
        let mut expected = Vec::new();
        for _ in 0..1 + random.below(6) {
            let amounts: Vec<u64> = (0..1 + random.below(3)).map(|_| 1 + random.next() % 40).collect();
            let actions: Vec<Action> = amounts
                .iter()
                .map(|amount| {
                    if random.one_in(3) {
                        leave("alice", units(*amount))
                    } else {
                        pay(random.pick(&["bob", "carol"]), units(*amount))
                    }
                })
                .collect();
            story.act("alice", &actions);
            // Within a bundle payments to one account are one; the sum is what counts in any case.
            let time = story.time;
            let spent = |length: u64| {
                history.iter().filter(|(at, _)| at / length == time / length).map(|(_, units)| units).sum::<u64>()
            };
            let sum: u64 = amounts.iter().sum();
            let fits = [(HOUR_MS, 50), (DAY_MS, 200), (30 * DAY_MS, 900)]
                .iter()
                .all(|(length, most)| spent(*length) + sum <= *most);
            expected.push(if fits { 0 } else { 280 });
            if fits {
                history.push((time, sum));
            }
        }
        story.seal();
        assert_eq!(story.codes(), expected);
        story.wait([0, 1_000, HOUR_MS / 2, 5 * HOUR_MS, DAY_MS][random.below(5)]);
    }
    assert!(history.len() > 40, "the test would test little");
    let gates = story.record("alice").expect("there").gates.expect("a covenant");
    let last = gates.covenants.spending(AssetId::GCC).copied().expect("counted");
    let (time, _) = history.last().copied().expect("some");
    let sum = |length: u64| {
        history.iter().filter(|(at, _)| at / length == time / length).map(|(_, units)| units).sum::<u64>()
    };
    assert_eq!(last, Spending { asset: AssetId::GCC, time, units: [sum(HOUR_MS), sum(DAY_MS), sum(30 * DAY_MS)] });
}

/// Transactions forced through the inbox are judged by an earlier time. They find no window fresh that has begun.
#[test]
fn what_comes_late_finds_the_window_that_has_begun() {
    let mut story = plane();
    rule(&mut story, "alice", CovenantAt::Outgoing, &spending_limit("hour", 100));
    // The entry's block is the last of an hour, and the batch that takes it comes after one of the next hour.
    let boundary = (story.time / HOUR_MS + 1) * HOUR_MS;
    story.time = boundary - 1;
    story.force("alice", &[pay("bob", units(60))]);
    story.time = boundary + 1_000;
    story.transfer("alice", "bob", units(80)).seal_part(0);
    assert_eq!(story.codes(), [0]);
    story.seal();
    assert_eq!(story.codes(), [280]);
    story.transfer("alice", "bob", units(20)).transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.codes(), [0, 280]);
}

#[test]
fn the_largest_bundle_of_rules_can_be_judged() {
    let mut story = plane();
    rule(&mut story, "alice", CovenantAt::Outgoing, &spending_limit("day", 1_000_000));
    rule(&mut story, "operator", CovenantAt::Plane, PERMIT);
    let strangers: Vec<Action> = (0..ACTIONS_MAX)
        .map(|at| pay_to(Address::from_bytes([u8::try_from(at).expect("small"); 32]), units(1)))
        .collect();
    let body = TransactionBody { gas_limit: 3_000_000, ..story.body("alice", Nonce::LANE_ROOT, &strangers) };
    story.send("alice", body).seal();
    assert_eq!(story.codes(), [0]);
}

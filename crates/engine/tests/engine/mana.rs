//! Mana: a model of it, written from the rules, against random batches; and stories about what it pays.

use crate::guardians::{refuse, set, take, two_of_three};
use crate::random::Random;
use crate::sigil::{limit, public};
use crate::story::{Story, address, amount, gcc, genesis, key, leave, mana, pay, record_of, sign, units};
use ghostplane_engine::{Plane, Pushed};
use ghostplane_ghostcipher::{Digest, Domain};
use ghostplane_keystone::{Changeset, ObjectChange, StateView};
use ghostplane_types::limits::{ACTIONS_MAX, BATCH_WITHDRAWALS_MAX};
use ghostplane_types::{
    Action, Approval, AssetId, Certification, Encode, GenesisError, Holder, KeyRef, KindSet, Mana, ManaNow, ManaTerms,
    Money, Nonce, ObjectKey, Pay, Reject, Scope, Session, Spent, SponsorTerms, Transaction, Window,
};
use std::collections::BTreeMap;

const ZMAN: AssetId = AssetId::ZMAN;
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "judy"];
/// A transfer of these tests uses about 3,000 gas: a balance of 1,000 base units regenerates that in a second.
const WINDOW_MS: u64 = 10_000;

pub fn terms() -> ManaTerms {
    ManaTerms {
        rate: 30_000_000_000,
        window_ms: WINDOW_MS,
        cap_ms: 8_000,
        supply_max: amount(2_000_000),
        grants: vec![4_000, 20_000],
    }
}

/// A plane on which ZMAN regenerates fast, and so little of it that it may; everybody has acted once.
pub fn plane() -> Story {
    let mut genesis = genesis();
    genesis.mana = terms();
    let mut story = Story::of(genesis);
    for name in PEOPLE {
        story.deposit(name, gcc(10)).deposit(name, mana(100_000));
    }
    story.seal();
    for name in PEOPLE {
        story.withdraw(name, units(1));
    }
    story.seal();
    story
}

/// What `sender` signs with this limit, paid so.
pub fn paid(story: &Story, sender: &str, actions: &[Action], pay: Pay, gas_limit: u64) -> Transaction {
    let mut body = story.body(sender, Nonce::LANE_ROOT, actions);
    (body.pay, body.gas_limit) = (pay, gas_limit);
    sign(sender, body)
}

/// The consent of `by` to pay for a transaction.
pub fn sponsored(mut transaction: Transaction, by: &str) -> Transaction {
    let auth = key(by).sign(Domain::Sponsor, transaction.body.chain_id, &transaction.body.id());
    transaction.sponsorship = Some(Box::new(Approval { key: public(by), auth: auth.into() }));
    transaction
}

/// The terms under which `sponsor` pays up to a minute from now.
pub fn terms_of(story: &Story, sponsor: &str, fee_max: u64) -> SponsorTerms {
    SponsorTerms { sponsor: address(sponsor), fee_max: amount(fee_max), valid_until: story.time + 60_000 }
}

/// Gives people levels, as credentials would.
pub fn raise(story: &mut Story, levels: &[(&str, u8)]) {
    let mut changes: Vec<ObjectChange> = Vec::new();
    for (name, level) in levels {
        let mut record = story.record(name).expect("registered");
        let old = record.to_bytes();
        if record.level(story.time) == *level {
            continue;
        }
        let certification = Certification {
            issuer: address("operator"),
            claims: Digest([0; 32]),
            level: *level,
            certified: None,
            until: u64::MAX,
        };
        record.change_gates(|gates| gates.certifications = (*level > 0).then_some(certification).into_iter().collect());
        let key = ObjectKey::account(&address(name));
        changes.push(ObjectChange { key, old: Some(old.into()), new: Some(record.to_bytes().into()) });
    }
    changes.sort_unstable_by_key(|change| change.key);
    story.make_up(&Changeset::new(Vec::new(), changes).expect("ascending"));
}

/// What somebody could pay with at the time of the next batch.
fn now(story: &Story, name: &str) -> ManaNow {
    let record = story.record(name).unwrap_or_else(|| panic!("{name} has an account"));
    let zman = amount(story.balance_of(address(name), ZMAN));
    story.plane.genesis().mana.now(record.mana(), zman, record.level(story.time), story.time)
}

fn state(story: &Story, name: &str) -> Mana {
    story.record(name).expect("an account").mana()
}

// The model.

/// What one person has, as of the model's time.
#[derive(Clone, Default)]
struct Purse {
    gcc: u128,
    zman: u128,
    /// Mana, in units.
    units: u128,
    level: u8,
    /// Gas of the grant that is used up, in which window.
    used: (u64, u64),
}

/// Everybody's mana is brought forward at every batch, rather than when it is touched.
#[derive(Clone)]
struct Model {
    terms: ManaTerms,
    time: u64,
    purses: BTreeMap<&'static str, Purse>,
    /// Gas that mana, and the grant, paid in each window.
    spent: BTreeMap<u64, (u128, u128)>,
}

impl Model {
    fn gas(&self) -> u128 {
        1_000_000_000 * u128::from(self.terms.window_ms)
    }

    fn advance(&mut self, time: u64) {
        let (elapsed, window) = (u128::from(time - self.time), time / self.terms.window_ms);
        for purse in self.purses.values_mut() {
            let rate = u128::from(self.terms.rate);
            let most = purse.zman * rate * u128::from(self.terms.cap_ms);
            purse.units = (purse.units + purse.zman * rate * elapsed).min(most);
            if purse.used.0 != window {
                purse.used = (window, 0);
            }
        }
        self.time = time;
    }

    fn grant(&self, level: u8) -> u64 {
        match level {
            0 => 0,
            1 => 4_000,
            _ => 20_000,
        }
    }

    fn purse(&mut self, name: &str) -> &mut Purse {
        self.purses.get_mut(name).expect("one of the people")
    }

    /// ZMAN moves, or leaves, or comes.
    fn move_zman(&mut self, from: Option<&str>, to: Option<&str>, x: u128) -> Result<(), u16> {
        let mut taken = 0;
        if let Some(from) = from {
            let purse = self.purse(from);
            let rest = purse.zman.checked_sub(x).ok_or(200_u16)?;
            taken = purse.units * x / purse.zman;
            (purse.zman, purse.units) = (rest, purse.units - taken);
        }
        if let Some(to) = to {
            let purse = self.purse(to);
            purse.zman += x;
            purse.units += if from.is_some() { taken } else { 0 };
        }
        Ok(())
    }

    fn act(&mut self, sender: &str, action: &Action) -> Result<(), u16> {
        let (asset, moved) = action.moves().expect("money only");
        let x = u128::from(moved.units());
        let to = match action {
            Action::Transfer { to, .. } => PEOPLE.into_iter().find(|name| address(name) == *to),
            _ => None,
        };
        if asset == ZMAN {
            return self.move_zman(Some(sender), to, x);
        }
        self.purse(sender).gcc = self.purse(sender).gcc.checked_sub(x).ok_or(200_u16)?;
        if let Some(to) = to {
            self.purse(to).gcc += x;
        }
        Ok(())
    }

    /// The code and the fee in credits; `Err` for what may not be in a batch.
    fn transaction(&mut self, sender: &'static str, transaction: &Transaction) -> Result<(u16, u64), u16> {
        let body = &transaction.body;
        let signatures = if transaction.sponsorship.is_some() { 4_000 } else { 2_000 };
        let used = 500 + signatures + 2 * transaction.to_bytes().len() as u64 + 300 * body.actions.len() as u64;
        let (limit, unit, window) = (body.gas_limit, self.gas(), self.time / self.terms.window_ms);
        let payer = match &body.pay {
            Pay::Sponsor(of) => PEOPLE.into_iter().find(|name| address(name) == of.sponsor).expect("of the people"),
            _ => sender,
        };
        let grant = self.grant(self.purses[sender].level);
        let of_grant = grant.saturating_sub(self.purses[sender].used.1).min(limit);
        let by_mana = body.pay == Pay::Mana;
        if by_mana {
            let purse = self.purse(sender);
            let needed = u128::from(limit - of_grant) * unit;
            purse.units = purse.units.checked_sub(needed).ok_or(140_u16)?;
            purse.used.1 += of_grant;
        } else {
            let refusal = if payer == sender { 118_u16 } else { 149 };
            let purse = self.purse(payer);
            purse.gcc = purse.gcc.checked_sub(u128::from(limit)).ok_or(refusal)?;
        }
        let before = self.clone();
        let done = body.actions.iter().try_for_each(|action| self.act(sender, action));
        let code = done.err().unwrap_or(0);
        if code != 0 {
            *self = before;
        }
        if by_mana {
            let back = limit - used;
            let mana_back = back.min(limit - of_grant);
            let rate = u128::from(self.terms.rate) * u128::from(self.terms.cap_ms);
            let purse = self.purse(sender);
            purse.units = (purse.units + u128::from(mana_back) * unit).min(purse.zman * rate);
            purse.used.1 -= back - mana_back;
            let (of_mana, granted) = (limit - of_grant - mana_back, of_grant - (back - mana_back));
            let spent = self.spent.entry(window).or_default();
            *spent = (spent.0 + u128::from(of_mana), spent.1 + u128::from(granted));
            return Ok((code, 0));
        }
        let purse = self.purse(payer);
        purse.gcc += u128::from(limit - used);
        Ok((code, used))
    }

    fn check(&self, story: &Story) {
        let window = self.time / self.terms.window_ms;
        for (name, purse) in &self.purses {
            assert_eq!(u128::from(story.balance(name)), purse.gcc, "{name}");
            assert_eq!(u128::from(story.balance_of(address(name), ZMAN)), purse.zman, "{name}");
            let record = story.record(name).expect("an account");
            let zman = amount(u64::try_from(purse.zman).expect("below 2^63"));
            let found = self.terms.touch(record.mana(), zman, self.time);
            assert_eq!(found.units, purse.units, "{name}");
            let used = if found.granted.window == window { found.granted.units } else { 0 };
            assert_eq!(used, purse.used.1, "{name}");
        }
        // Nothing out of nothing: in no window more than the supply regenerates and had saved up, and no grant twice.
        let supply: u128 = self.purses.values().map(|purse| purse.zman).sum();
        let most = u128::from(terms().supply_max.units()) * u128::from(self.terms.rate);
        assert!(supply <= u128::from(terms().supply_max.units()));
        let most = most * u128::from(self.terms.window_ms + self.terms.cap_ms) / self.gas();
        let grants: u64 = self.purses.values().map(|purse| self.grant(purse.level)).sum();
        assert!(self.spent.values().all(|(mana, granted)| *mana <= most && *granted <= u128::from(grants)));
    }
}

#[test]
fn the_engine_does_what_the_model_says() {
    let mut met: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    for seed in 0..16 {
        let mut random = Random(seed);
        let mut story = plane();
        let levels: Vec<(&str, u8)> = PEOPLE.into_iter().zip([0, 1, 2, 3, 0, 1]).collect();
        raise(&mut story, &levels);
        let mut model =
            Model { terms: terms(), time: story.time - 50, purses: BTreeMap::new(), spent: BTreeMap::new() };
        for (name, level) in levels {
            let zman = story.balance_of(address(name), ZMAN);
            let units = model.terms.touch(state(&story, name), amount(zman), model.time).units;
            let gcc = u128::from(story.balance(name));
            let purse = Purse { gcc, zman: zman.into(), units, level, ..Purse::default() };
            model.purses.insert(PEOPLE.into_iter().find(|known| *known == name).expect("itself"), purse);
        }
        for _ in 0..12 {
            play(&mut random, &mut story, &mut model, &mut met);
        }
    }
    let expected = [
        ("gcc", 0),
        ("gcc", 118),
        ("gcc", 200),
        ("mana", 0),
        ("mana", 140),
        ("mana", 200),
        ("sponsor", 0),
        ("sponsor", 149),
        ("sponsor", 200),
    ];
    assert_eq!(met.keys().copied().collect::<Vec<_>>(), expected, "{met:?}");
}

fn play(random: &mut Random, story: &mut Story, model: &mut Model, met: &mut BTreeMap<(&'static str, u16), usize>) {
    story.wait(random.pick(&[0, 1, 7, 500, 3_000, 9_950, 25_000]));
    model.advance(story.time);
    let mut expected = Vec::new();
    for _ in 0..random.below(3) {
        let to = random.pick(&PEOPLE);
        let x = 1 + random.next() % 5_000;
        if random.one_in(2) {
            story.deposit(to, mana(x));
            model.move_zman(None, Some(to), x.into()).expect("it comes");
        } else {
            story.deposit(to, gcc(x % 4 + 1));
            model.purse(to).gcc += u128::from(gcc(x % 4 + 1).amount.units());
        }
        expected.push((0, 0));
    }
    for _ in 0..2 + random.below(25) {
        let sender = random.pick(&PEOPLE);
        let actions: Vec<Action> = (0..1 + random.below(3)).map(|_| errand(random, story, sender)).collect();
        let gas_limit = random.pick(&[8_000, 8_000, 12_000, 50_000, 5_000_000]);
        let (way, how) = match random.below(4) {
            0 => ("gcc", Pay::Gcc),
            1 | 2 => ("mana", Pay::Mana),
            _ => {
                let others: Vec<&str> = PEOPLE.into_iter().filter(|name| *name != sender).collect();
                let terms = terms_of(story, random.pick(&others), u64::MAX / 4);
                ("sponsor", Pay::Sponsor(Box::new(terms)))
            }
        };
        let mut transaction = paid(story, sender, &actions, how, gas_limit);
        if let Some(of) = transaction.body.pay.sponsor().copied() {
            let by = PEOPLE.into_iter().find(|name| address(name) == of.sponsor).expect("of the people");
            transaction = sponsored(transaction, by);
        }
        let mut ahead = model.clone();
        match ahead.transaction(sender, &transaction) {
            Ok(outcome) => {
                *model = ahead;
                take(story, sender, transaction);
                *met.entry((way, outcome.0)).or_default() += 1;
                expected.push(outcome);
            }
            Err(code) => {
                refuse(story, transaction, code);
                *met.entry((way, code)).or_default() += 1;
            }
        }
    }
    if expected.is_empty() {
        story.refused.clear();
        return;
    }
    story.seal();
    let records = story.last().sealed.records();
    let found: Vec<(u16, u64)> = records.iter().map(|record| (record.2.code, record.2.fee)).collect();
    assert_eq!(found, expected);
    model.check(story);
}

fn errand(random: &mut Random, story: &Story, sender: &str) -> Action {
    let others: Vec<&str> = PEOPLE.into_iter().filter(|name| *name != sender).collect();
    let held = story.balance_of(address(sender), ZMAN);
    let x = match random.below(6) {
        0 => held.max(1),
        1 => held / 2 + 1,
        2 => held + 1,
        _ => 1 + random.next() % 3_000,
    };
    match random.below(6) {
        0 => leave("exit", mana(1_000 * (1 + random.next() % 10))),
        1 => pay(random.pick(&others), units(1 + random.next() % 1_000_000_000)),
        2 if random.one_in(3) => {
            let held = story.balance(sender);
            leave("exit", units(held.saturating_sub(20_000).max(1)))
        }
        2 => leave("exit", units(1 + random.next() % 1_000_000_000)),
        _ => pay(random.pick(&others), mana(x)),
    }
}

// Stories.

#[test]
fn mana_pays_gas_and_no_storage() {
    let mut story = plane();
    story.wait(2_000);
    let (gcc_before, mana_before) = (story.balance("alice"), now(&story, "alice"));
    assert_eq!(mana_before, ManaNow { granted: 0, regenerated: mana_before.regenerated });
    assert!(mana_before.regenerated > 600_000, "{mana_before:?}");
    let transaction = paid(&story, "alice", &[pay("bob", units(5))], Pay::Mana, 10_000);
    take(&mut story, "alice", transaction);
    // Somebody whom nobody has paid yet: gas is paid, storage is not.
    let transaction = paid(&story, "alice", &[pay("zoe", units(7))], Pay::Mana, 10_000);
    take(&mut story, "alice", transaction);
    let time = story.time;
    story.seal();
    assert_eq!(story.codes(), [0, 0]);
    let (first, second) = (story.receipt(0), story.receipt(1));
    assert_eq!((first.fee, second.fee), (0, 500));
    assert_eq!(story.balance("alice"), gcc_before - 5 - 7 - 500);
    story.time = time;
    assert_eq!(now(&story, "alice").regenerated, mana_before.regenerated - first.gas - second.gas);
}

#[test]
fn who_has_too_little_is_refused_for_nothing_and_told_when() {
    let mut story = plane();
    let now_ms = story.time;
    let have = now(&story, "alice").gas();
    let transaction = paid(&story, "alice", &[pay("bob", units(5))], Pay::Mana, have + 30);
    let reject = story.refusal(&transaction);
    assert_eq!(reject, Some(Reject::ManaShort { found: have, needed: have + 30 }));
    refuse(&mut story, transaction.clone(), 140);
    let record = story.record("alice").expect("an account");
    let (terms, zman) = (terms(), amount(100_000));
    let at = terms.ready_at(record.mana(), zman, 0, now_ms, have + 30).expect("soon");
    // At that moment it goes, and not before.
    story.time = at - 1;
    assert_eq!(story.refusal(&transaction).map(|reject| reject.code()), Some(140));
    story.time = at;
    assert_eq!(story.refusal(&transaction), None);
    story.refused.clear();
    take(&mut story, "alice", transaction);
    story.seal();
    assert_eq!(story.codes(), [0]);
    // More than the cap it never has.
    let most = terms.gas_cap(zman);
    story.wait(1_000_000);
    assert_eq!(now(&story, "alice").gas(), most);
    let transaction = paid(&story, "alice", &[pay("bob", units(5))], Pay::Mana, most + 1);
    refuse(&mut story, transaction, 140);
    assert_eq!(terms.ready_at(Mana::default(), zman, 0, story.time, most + 1), None);
}

#[test]
fn mana_goes_with_the_zman_that_moves_and_none_comes_from_outside() {
    let mut story = plane();
    story.wait(4_000);
    let time = story.time;
    // All of it to somebody who has none, a part to somebody who has some, a part out.
    story.transfer("alice", "zoe", mana(100_000)).transfer("bob", "carol", mana(25_000));
    story.withdraw("dave", mana(50_000)).deposit("erin", mana(100_000));
    let before: Vec<u128> = ["alice", "bob", "carol", "dave", "erin"]
        .into_iter()
        .map(|name| terms().touch(state(&story, name), amount(100_000), time).units)
        .collect();
    story.seal();
    assert_eq!(story.codes(), [0; 4]);
    assert_eq!((state(&story, "alice"), state(&story, "zoe").units), (Mana::default(), before[0]));
    assert_eq!(state(&story, "bob").units, before[1] - before[1] / 4);
    assert_eq!(state(&story, "carol").units, before[2] + before[1] / 4);
    assert_eq!(state(&story, "dave").units, before[3] - before[3] / 2);
    assert_eq!(state(&story, "erin").units, before[4]);
    assert!(["bob", "carol", "dave", "erin", "zoe"].iter().all(|name| state(&story, name).touched == time));
    // A refused transfer takes nothing along.
    let (bob, erin) = (state(&story, "bob"), state(&story, "erin"));
    story.wait(10).act("bob", &[pay("erin", mana(100)), pay("erin", gcc(1_000))]).seal();
    assert_eq!(story.codes(), [200]);
    assert_eq!((state(&story, "bob"), state(&story, "erin")), (bob, erin));
}

#[test]
fn the_grant_pays_first_and_needs_no_zman() {
    let mut story = plane();
    story.act("alice", &[leave("exit", mana(100_000))]).seal();
    raise(&mut story, &[("alice", 2)]);
    let window = story.time / WINDOW_MS;
    let send = |story: &mut Story| {
        let transaction = paid(story, "alice", &[pay("bob", units(1))], Pay::Mana, 4_000);
        take(story, "alice", transaction);
    };
    let gcc_before = story.balance("alice");
    (0..3).for_each(|_| send(&mut story));
    story.seal();
    assert_eq!(story.codes(), [0; 3]);
    let gas: u64 = (0..3).map(|at| story.receipt(at).gas).sum();
    assert_eq!(story.balance("alice"), gcc_before - 3);
    assert_eq!(state(&story, "alice").granted, Spent { window, units: gas });
    assert_eq!(now(&story, "alice"), ManaNow { granted: 20_000 - gas, regenerated: 0 });
    // What is left does not cover another limit once too much is used, and the next window starts anew.
    while now(&story, "alice").gas() >= 4_000 {
        send(&mut story);
        story.seal();
    }
    let transaction = paid(&story, "alice", &[pay("bob", units(1))], Pay::Mana, 4_000);
    refuse(&mut story, transaction, 140);
    story.time = (story.time / WINDOW_MS + 1) * WINDOW_MS;
    story.refused.clear();
    assert_eq!(now(&story, "alice").granted, 20_000);
    send(&mut story);
    story.seal();
    assert_eq!(story.codes(), [0]);
}

#[test]
fn a_session_pays_with_mana_what_it_may_pay_with_credits() {
    let mut story = plane();
    story.wait(4_000);
    let session = Session {
        lane: 7,
        holder: Holder::Key(public("phone")),
        expires: story.time + 3_600_000,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![limit(AssetId::GCC, 8_000, Window::Day, 8_000)],
        },
    };
    story.act("alice", &[Action::AddSession(Box::new(session))]).seal();
    assert_eq!(story.codes(), [0]);
    let by_phone = |story: &Story, gas_limit| {
        let mut body = story.body("alice", 7, &[pay("bob", units(10))]);
        (body.pay, body.gas_limit) = (Pay::Mana, gas_limit);
        assert_eq!(body.key_ref, KeyRef::Session);
        sign("phone", body)
    };
    // Mana is not for a key to use up that may not spend as much.
    let transaction = by_phone(&story, 7_991);
    refuse(&mut story, transaction, 123);
    let transaction = by_phone(&story, 7_990);
    take(&mut story, "alice", transaction);
    story.seal();
    assert_eq!((story.codes(), story.receipt(0).fee), (vec![0], 0));
    let gates = story.record("alice").and_then(|record| record.gates).expect("a session");
    assert_eq!(gates.session(7).expect("it is there").spent[0].units, story.receipt(0).gas + 10);
    let transaction = by_phone(&story, 5_000);
    refuse(&mut story, transaction, 124);
}

#[test]
fn below_the_quorum_mana_pays_nothing_either() {
    let mut story = plane();
    story.wait(4_000).act("alice", &[set(two_of_three())]).seal();
    assert_eq!(story.codes(), [0]);
    let before = state(&story, "alice");
    for actions in [vec![pay("bob", units(1))], vec![Action::RevokeSession { lane: 3 }]] {
        let transaction = paid(&story, "alice", &actions, Pay::Mana, 20_000);
        refuse(&mut story, transaction, 127);
    }
    story.transfer("bob", "carol", units(1)).seal();
    assert_eq!(state(&story, "alice"), before);
}

#[test]
fn forced_transactions_are_paid_on_the_l1_whatever_they_say() {
    let mut story = plane();
    story.wait(4_000);
    let before = state(&story, "alice");
    let mut body = story.body("alice", Nonce::LANE_FORCED, &[pay("bob", units(5))]);
    body.pay = Pay::Mana;
    let mana = sign("alice", body);
    story.count("alice", &mana.body);
    story.force_bytes(&mana.to_bytes());
    let mut body = story.body("alice", Nonce::LANE_FORCED, &[pay("bob", units(6))]);
    body.pay = Pay::Sponsor(Box::new(terms_of(&story, "carol", 0)));
    let sponsored = sponsored(sign("alice", body), "carol");
    story.count("alice", &sponsored.body);
    story.force_bytes(&sponsored.to_bytes());
    let carol = story.balance("carol");
    // Nobody who was never paid acts from there either.
    let mut body = story.body("nobody", Nonce::LANE_FORCED, &[pay("bob", units(6))]);
    body.pay = Pay::Mana;
    story.force_bytes(&sign("nobody", body).to_bytes());
    story.wait(100).seal();
    assert_eq!(story.codes(), [0, 0, 141]);
    assert_eq!((story.receipt(0).fee, story.receipt(1).fee, story.balance("carol")), (0, 0, carol));
    assert_eq!(state(&story, "alice"), before);
}

#[test]
fn mana_counts_by_the_batch_and_not_by_the_l1() {
    let mut story = plane();
    // Entered on the L1 early, executed late, behind a batch that touched later.
    story.force("alice", &[pay("bob", mana(10_000))]);
    story.wait(3_000).transfer("alice", "carol", mana(1)).seal_part(0);
    let touched = state(&story, "alice");
    assert_eq!(touched.touched, story.time - 50);
    story.seal();
    assert_eq!(story.codes(), [0]);
    let after = state(&story, "alice");
    assert_eq!(after.touched, story.time - 50);
    let whole = terms().touch(touched, amount(99_999), after.touched).units;
    assert_eq!(after.units, whole - ManaTerms::part(whole, amount(10_000), amount(99_999)));
}

#[test]
fn what_does_not_fit_leaves_no_mana_behind() {
    let mut story = plane();
    story.wait(4_000);
    let many = vec![leave("alice", units(1)); ACTIONS_MAX];
    for _ in 0..BATCH_WITHDRAWALS_MAX / ACTIONS_MAX {
        story.force("carol", &many);
    }
    // Admitted, applied, and one withdrawal too many: by mana, by a sponsor, and with ZMAN that moves.
    let exits = [leave("alice", units(1)), pay("bob", mana(500))];
    let by_mana = paid(&story, "alice", &exits, Pay::Mana, 50_000);
    let terms = Pay::Sponsor(Box::new(terms_of(&story, "bob", 50_000)));
    let by_sponsor = sponsored(paid(&story, "alice", &exits, terms, 50_000), "bob");
    for transaction in [by_mana, by_sponsor] {
        let mut story = story.clone();
        let fits = paid(&story, "erin", &[pay("bob", mana(5))], Pay::Mana, 50_000);
        take(&mut story, "erin", fits);
        take(&mut story, "alice", transaction);
        let filled = story.fill();
        assert!(matches!(filled.pushed[..], [Pushed::Included { .. }, Pushed::Full]), "{:?}", filled.pushed);
        let closed = filled.closed.expect("it holds something");
        let changed = closed.executed.changes().objects();
        let alice = ObjectKey::account(&address("alice"));
        assert!(changed.iter().all(|change| change.key != alice));
        // Bob has what Erin sent, and nothing else.
        let bob = changed.iter().find(|change| change.key == ObjectKey::account(&address("bob"))).expect("touched");
        assert!(bob.new.is_some());
    }
}

#[test]
fn no_plane_gives_away_more_than_half_of_what_it_has() {
    let mut terms_of_a_test = genesis();
    terms_of_a_test.mana = ManaTerms { rate: 300_000_000_000_000, ..terms() };
    let refused = Plane::new(terms_of_a_test).expect_err("too much");
    assert!(matches!(refused, GenesisError::Mana(_)), "{refused}");
}

#[test]
fn a_plane_without_mana_keeps_none() {
    let mut genesis = genesis();
    (genesis.mana.rate, genesis.mana.grants) = (0, Vec::new());
    let mut story = Story::of(genesis);
    story.deposit("alice", gcc(1)).deposit("alice", mana(1_000_000)).deposit("bob", gcc(1)).seal();
    story.wait(100_000).transfer("alice", "bob", mana(10)).seal();
    assert!(
        ["alice", "bob"]
            .iter()
            .all(|name| record_of(&story.keystone, &address(name)).is_some_and(|of| of.mana.is_none()))
    );
    let transaction = paid(&story, "alice", &[pay("bob", units(1))], Pay::Mana, 6_000);
    refuse(&mut story, transaction, 140);
    assert_eq!(Money { amount: amount(10), asset: ZMAN }, mana(10));
    assert_eq!(story.keystone.roots(), story.state.roots);
}

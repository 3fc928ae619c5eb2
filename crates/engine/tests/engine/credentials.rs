//! Credentials: who may say what of whom, what of it counts, and until when.

use crate::guardians::{self, HOUR_MS, approved, guarded_by, take, two_of_three};
use crate::random::Random;
use crate::story::{OBJECT_PRICE, Story, address, gcc, genesis, pay, units};
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{StateView, scan};
use ghostplane_types::credential::Authority;
use ghostplane_types::limits::CREDENTIAL_MS_MAX;
use ghostplane_types::{
    Action, AssetId, CovenantAt, CovenantText, Credential, CredentialTerms, Decode, EntityType, EntityTypes,
    GuardianSet, ObjectClass, ObjectKey, Standing, gas,
};
use std::collections::BTreeMap;

fn claims(number: u8) -> Digest {
    Digest([number; 32])
}

fn terms(of: &str, number: u8, level: u8, certified: Option<EntityType>, expires: u64) -> CredentialTerms {
    CredentialTerms { subject: address(of), claims: claims(number), level, certified, expires }
}

fn issue(terms: CredentialTerms) -> Action {
    Action::IssueCredential(Box::new(terms))
}

fn revoke(of: &str, number: u8) -> Action {
    Action::RevokeCredential { subject: address(of), claims: claims(number) }
}

fn drop(by: &str, number: u8) -> Action {
    Action::DropCredential { issuer: address(by), claims: claims(number) }
}

/// A plane with two authorities, a registrar and a notary, and people who have acted before.
fn plane() -> Story {
    let mut genesis = genesis();
    genesis.authorities = vec![
        Authority {
            address: address("registrar"),
            level_max: 3,
            certifies: EntityTypes::of(&[EntityType::Bridge, EntityType::Oracle]),
        },
        Authority { address: address("notary"), level_max: 2, certifies: EntityTypes::of(&[EntityType::Oracle]) },
    ];
    genesis.authorities.sort_by_key(|authority| authority.address);
    let mut story = Story::of(genesis);
    let people = ["registrar", "notary", "alice", "bob"];
    for name in people {
        story.deposit(name, gcc(10));
    }
    story.deposit("carol", gcc(1)).seal();
    for name in people {
        story.transfer(name, "carol", units(1));
    }
    story.seal();
    story
}

fn credential(story: &Story, by: &str, of: &str, number: u8) -> Option<Credential> {
    let key = ObjectKey::credential(&address(by), &address(of), &claims(number));
    let object = story.keystone.object(&key).expect("the whole state misses nothing")?;
    Some(Credential::from_bytes(object.value).expect("a credential"))
}

/// What Alice is worth at the time of the last batch.
fn standing(story: &Story) -> Standing {
    story.record("alice").expect("she has an account").standing(story.header().time)
}

fn held(story: &Story) -> u64 {
    story.balance_of(story.plane.storage(), AssetId::GCC)
}

#[test]
fn what_an_authority_certifies_counts_until_it_ends() {
    let mut story = plane();
    let (before, was_held) = (story.record("alice"), held(&story));
    let expires = story.time + HOUR_MS;
    let oracle = Some(EntityType::Oracle);
    story.act("registrar", &[issue(terms("alice", 1, 2, oracle, expires))]).seal();
    assert_eq!((story.codes(), standing(&story)), (vec![0], Standing { level: 2, certified: oracle }));
    let issued = credential(&story, "registrar", "alice", 1).expect("issued");
    assert_eq!((issued.issuer, issued.issued), (address("registrar"), story.header().time));
    // The issuer pays for the object, and nothing of the subject's moves.
    assert_eq!((held(&story), story.receipt(0).fee), (was_held + OBJECT_PRICE, story.receipt(0).gas + OBJECT_PRICE));

    // It counts at its last moment and not after, without anybody doing anything.
    let wait = expires - story.time;
    story.wait(wait).transfer("bob", "carol", units(1)).seal();
    assert_eq!((story.header().time, standing(&story).level), (expires, 2));
    story.transfer("bob", "carol", units(1)).seal();
    assert_eq!(standing(&story), Standing::default());

    // What is over can be revoked like anything else, and leaves no trace in the record.
    let registrar = story.balance("registrar");
    story.act("registrar", &[revoke("alice", 1)]).seal();
    assert_eq!((story.codes(), held(&story)), (vec![0], was_held));
    assert_eq!(story.balance("registrar"), registrar + OBJECT_PRICE - story.receipt(0).fee);
    assert_eq!((credential(&story, "registrar", "alice", 1), story.record("alice")), (None, before));
}

#[test]
fn a_revocation_and_a_refusal_count_at_once() {
    let mut story = plane();
    let expires = story.time + HOUR_MS;
    let bridge = Some(EntityType::Bridge);
    // All within one batch, and each shows what the one before has left.
    story.act("registrar", &[issue(terms("alice", 1, 3, bridge, expires)), revoke("alice", 1)]);
    story.act("registrar", &[issue(terms("alice", 1, 1, bridge, expires))]);
    story.act("notary", &[issue(terms("alice", 1, 2, None, expires))]);
    story.act("alice", &[drop("registrar", 1)]);
    story.seal();
    assert_eq!(story.codes(), [0; 4]);
    assert_eq!(standing(&story), Standing { level: 2, certified: None });
    assert_eq!(credential(&story, "registrar", "alice", 1), None);
    // What was held for what she dropped went back to who had issued it.
    assert_eq!(held(&story) % OBJECT_PRICE, 0);
    let before = story.balance("notary");
    story.act("alice", &[drop("notary", 1)]).act("notary", &[revoke("alice", 1)]).seal();
    assert_eq!(story.codes(), [0, 292]);
    assert_eq!(story.balance("notary"), before + OBJECT_PRICE - story.receipt(1).fee);
    assert_eq!(standing(&story), Standing::default());
    // The same can be issued again, under the same key.
    story.act("notary", &[issue(terms("alice", 1, 1, None, story.time + HOUR_MS))]).seal();
    assert_eq!((story.codes(), standing(&story).level), (vec![0], 1));
}

#[test]
fn each_mistake_has_its_code() {
    let mut story = plane();
    let expires = story.time + HOUR_MS;
    let (bridge, oracle, validator) = (Some(EntityType::Bridge), Some(EntityType::Oracle), Some(EntityType::Validator));
    story.act("registrar", &[issue(terms("alice", 1, 1, bridge, expires))]);
    story.act("bob", &[issue(terms("alice", 1, 0, None, expires))]).seal();
    assert_eq!(story.codes(), [0, 0]);
    let late = story.time + CREDENTIAL_MS_MAX;
    let before = story.keystone.roots().object_root;
    let cases: Vec<(u16, &str, Action)> = vec![
        (290, "bob", issue(terms("bob", 2, 0, None, expires))),
        (290, "bob", issue(terms("alice", 2, 0, None, story.time - 1))),
        (290, "bob", issue(terms("alice", 2, 0, None, late + 1))),
        (291, "bob", issue(terms("alice", 1, 0, None, expires))),
        (291, "registrar", issue(terms("alice", 1, 2, None, expires))),
        (292, "bob", revoke("alice", 2)),
        (292, "bob", revoke("carol", 1)),
        (292, "alice", revoke("alice", 1)),
        (292, "notary", revoke("alice", 1)),
        (292, "alice", drop("notary", 1)),
        (292, "bob", drop("registrar", 1)),
        (293, "bob", issue(terms("alice", 2, 1, None, expires))),
        (293, "bob", issue(terms("alice", 2, 0, oracle, expires))),
        (294, "registrar", issue(terms("alice", 2, 4, None, expires))),
        (294, "registrar", issue(terms("alice", 2, 0, validator, expires))),
        (294, "notary", issue(terms("alice", 2, 1, bridge, expires))),
        (295, "notary", issue(terms("alice", 2, 1, oracle, expires))),
        (296, "registrar", issue(terms("alice", 2, 3, bridge, expires))),
        (297, "bob", issue(terms("carol", 1, 0, None, expires))),
        (297, "bob", issue(terms("nobody", 1, 0, None, expires))),
        (297, "registrar", issue(terms("carol", 1, 1, None, expires))),
    ];
    for (_, by, action) in &cases {
        story.act(by, std::slice::from_ref(action));
    }
    // A bundle of which the last fails leaves nothing of the first.
    story.act("registrar", &[revoke("alice", 1), issue(terms("alice", 3, 3, bridge, expires)), revoke("bob", 9)]);
    story.seal();
    let mut expected: Vec<u16> = cases.iter().map(|(code, ..)| *code).collect();
    expected.push(292);
    assert_eq!(story.codes(), expected);
    assert_eq!(standing(&story), Standing { level: 1, certified: bridge });
    assert!(credential(&story, "bob", "alice", 1).is_some() && credential(&story, "registrar", "alice", 3).is_none());
    assert_ne!(story.keystone.roots().object_root, before, "fees and numbers were used");
    assert_eq!(story.receipt(0).fee, story.receipt(0).gas);
}

#[test]
fn what_others_say_is_kept_and_counts_for_nothing() {
    let mut story = plane();
    let record = story.record("alice");
    let expires = story.time + HOUR_MS;
    for number in 1..=40 {
        story.act("bob", &[issue(terms("alice", number, 0, None, expires))]);
    }
    // An authority may say what does not count, too.
    story.act("registrar", &[issue(terms("alice", 1, 0, None, expires))]).seal();
    assert_eq!((story.codes(), story.record("alice")), (vec![0; 41], record));
    // All of it is found under her, a page at a time.
    let number = ObjectKey::subject_number(&address("alice"));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = scan(&story.keystone, ObjectClass::Credential, number, after.as_ref(), 7).expect("the whole state");
        found.extend(page.objects.iter().map(|(_, object)| Credential::from_bytes(object.value).expect("one")));
        after = page.resume_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 41);
    assert!(found.iter().all(|credential| credential.terms.subject == address("alice")));
    // She gets rid of what she does not like, at the price of gas.
    let bob = story.balance("bob");
    story.act("alice", &[drop("bob", 7), drop("bob", 8)]).seal();
    assert_eq!((story.codes(), story.balance("bob")), (vec![0], bob + 2 * OBJECT_PRICE));
}

#[test]
fn an_object_that_cannot_be_paid_for_or_held_is_not_made() {
    let mut story = plane();
    let expires = story.time + HOUR_MS;
    story.transfer("alice", "dora", units(20_000)).seal();
    let body = story.body("dora", 0, &[issue(terms("alice", 1, 0, None, expires))]);
    let poor = ghostplane_types::TransactionBody { gas_limit: 19_900, ..body };
    story.send("dora", poor).seal();
    assert_eq!((story.codes(), credential(&story, "dora", "alice", 1)), (vec![206], None));
    let least = gas::GAS_CREDENTIAL + gas::GAS_NEW_OBJECT;
    let body = story.body("bob", 0, &[issue(terms("alice", 1, 0, None, expires))]);
    let intrinsic = crate::sigil::gas_of(&body);
    let short = ghostplane_types::TransactionBody { gas_limit: intrinsic + least - 1, ..body };
    story.send("bob", short);
    let body = story.body("bob", 0, &[issue(terms("alice", 1, 0, None, expires))]);
    story.send("bob", ghostplane_types::TransactionBody { gas_limit: intrinsic + least, ..body }).seal();
    assert_eq!(story.codes(), [207, 0]);
    assert_eq!(story.receipt(1).gas, intrinsic + least);

    let mut genesis = story.plane.genesis().clone();
    genesis.objects_max = 256;
    let mut story = Story::of(genesis);
    story.deposit("alice", gcc(10)).deposit("bob", gcc(10)).seal();
    story.transfer("alice", "bob", units(1)).seal();
    let mut number = 0_u8;
    while story.codes().iter().all(|code| *code == 0) {
        let some: Vec<Action> =
            (0..10).map(|at| issue(terms("alice", number + at, 0, None, story.time + HOUR_MS))).collect();
        story.act("bob", &some).seal();
        number += 10;
    }
    assert_eq!((story.codes(), number > 200), (vec![208], true));
}

#[test]
fn guardians_speak_for_an_issuer_and_hold_what_is_proposed() {
    let mut story = guarded_by(two_of_three());
    let expires = story.time + 9 * HOUR_MS;
    let say = |number| issue(terms("carol", number, 0, None, expires));
    let alone = approved(&story, "alice", &[say(1)], &["gina"]);
    guardians::refuse(&mut story, alone, 127);
    let together = approved(&story, "alice", &[say(1)], &["gina", "gus"]);
    take(&mut story, "alice", together);
    story.act("bob", &[issue(terms("alice", 5, 0, None, expires))]).seal();
    assert_eq!(story.codes(), [0, 0]);

    // Held: one is issued, one revoked, and one that Bob said is dropped, by whoever executes it.
    let proposed = [say(2), Action::RevokeCredential { subject: address("carol"), claims: claims(1) }, drop("bob", 5)];
    let propose = [Action::Propose { actions: proposed.to_vec() }];
    let id = guardians::act(&mut story, "alice", &propose, &["gina", "gus"]);
    story.seal();
    assert_eq!(story.codes(), [0]);
    let (bob, was_held) = (story.balance("bob"), held(&story));
    story.act("gus", &[Action::Execute { account: address("alice"), proposal: id }]).seal();
    assert_eq!(story.codes(), [0]);
    let found = [1, 2].map(|number| credential(&story, "alice", "carol", number).is_some());
    assert_eq!((found, credential(&story, "bob", "alice", 5)), ([false, true], None));
    assert_eq!(story.balance("bob"), bob + OBJECT_PRICE);
    // The proposal's price, that of what was revoked and of what was dropped went back; one was taken.
    assert_eq!(held(&story), was_held - 2 * OBJECT_PRICE);

    // A change of somebody else's gates waits no less than one's own.
    let mut waiting = guarded_by(GuardianSet { gate_delay_ms: HOUR_MS, ..two_of_three() });
    let at_once = approved(&waiting, "alice", &[say(1)], &["gina", "gus"]);
    guardians::refuse(&mut waiting, at_once, 128);
}

/// What a plane should know of credentials: issuer, subject and number to terms, and when it was issued.
type Modelled = BTreeMap<(&'static str, &'static str, u8), CredentialTerms>;

fn judge(
    model: &Modelled,
    (by, of, number): (&'static str, &'static str, u8),
    terms: &CredentialTerms,
    time: u64,
) -> u16 {
    let live = |terms: &CredentialTerms| terms.expires >= time;
    if by == of || !live(terms) {
        return 290;
    }
    let counts = terms.level > 0 || terms.certified.is_some();
    let (level_max, types): (u8, &[EntityType]) = match by {
        "registrar" => (3, &[EntityType::Bridge, EntityType::Oracle]),
        "notary" => (2, &[EntityType::Oracle]),
        _ if counts => return 293,
        _ => (0, &[]),
    };
    if terms.level > level_max || terms.certified.is_some_and(|certified| !types.contains(&certified)) {
        return 294;
    }
    if model.get(&(by, of, number)).is_some_and(live) {
        return 291;
    }
    if !counts {
        return 0;
    }
    // In the order in which the record has them.
    let mut others: Vec<_> = model
        .iter()
        .filter(|((_, whom, _), known)| *whom == of && live(known) && (known.level > 0 || known.certified.is_some()))
        .map(|((whose, ..), known)| (address(whose), *whose, known))
        .collect();
    others.sort_by_key(|(address, ..)| *address);
    for (_, whose, known) in others {
        if whose == by {
            return 296;
        }
        if known.certified.is_some() && terms.certified.is_some() && known.certified != terms.certified {
            return 295;
        }
    }
    0
}

#[test]
fn any_sequence_leaves_what_a_model_has() {
    let mut seen: BTreeMap<u16, u32> = BTreeMap::new();
    for seed in 0..3 {
        let mut random = Random(seed);
        let mut story = plane();
        let mut model = Modelled::new();
        for _ in 0..60 {
            let mut expected = Vec::new();
            for _ in 0..1 + random.below(4) {
                let by = random.pick(&["registrar", "notary", "bob"]);
                let of = random.pick(&["alice", "bob"]);
                let number = 1 + u8::try_from(random.below(3)).expect("small");
                let place = (by, of, number);
                let code = match random.below(8) {
                    0 => {
                        story.act(by, &[revoke(of, number)]);
                        if model.remove(&place).is_some() { 0 } else { 292 }
                    }
                    1 => {
                        story.act(of, &[drop(by, number)]);
                        if model.remove(&place).is_some() { 0 } else { 292 }
                    }
                    _ => {
                        let level = u8::try_from(random.below(5)).expect("small");
                        let certified = random.pick(&[None, None, Some(EntityType::Oracle), Some(EntityType::Bridge)]);
                        let expires = (story.time + random.next() % (4 * HOUR_MS)).saturating_sub(HOUR_MS / 4);
                        let terms = terms(of, number, level, certified, expires);
                        story.act(by, &[issue(terms)]);
                        let code = judge(&model, place, &terms, story.time);
                        if code == 0 {
                            model.insert(place, terms);
                        }
                        code
                    }
                };
                expected.push(code);
                *seen.entry(code).or_default() += 1;
            }
            story.seal();
            assert_eq!(story.codes(), expected);
            let time = story.header().time;
            for of in ["alice", "bob"] {
                let live = model.iter().filter(|((_, whom, _), terms)| *whom == of && terms.expires >= time);
                let level = live.clone().map(|(_, terms)| terms.level).max().unwrap_or(0);
                let certified = live.clone().find_map(|(_, terms)| terms.certified);
                let found = story.record(of).expect("she has an account").standing(time);
                assert_eq!(found, Standing { level, certified });
            }
            for ((by, of, number), terms) in &model {
                assert_eq!(credential(&story, by, of, *number).map(|found| found.terms), Some(*terms));
            }
            assert_eq!(held_for_credentials(&story), model.len() as u64);
            if random.one_in(3) {
                story.wait(random.next() % (2 * HOUR_MS));
            }
        }
    }
    assert!([0, 290, 291, 292, 293, 294, 295, 296].iter().all(|code| seen.contains_key(code)), "{seen:?}");
}

/// How many credentials there are of everybody.
fn held_for_credentials(story: &Story) -> u64 {
    let of = |name: &str| {
        let number = ObjectKey::subject_number(&address(name));
        scan(&story.keystone, ObjectClass::Credential, number, None, 1_000).expect("the whole state").objects.len()
    };
    (of("alice") + of("bob")) as u64
}

#[test]
fn rules_see_what_is_certified_and_no_longer_than_it_holds() {
    let mut story = plane();
    let text = "permit (principal, action, resource) when {
        principal has certified && principal.certified == \"oracle\" && principal.level >= 2 };";
    let digest = Some(CovenantText::digest_of(1, text));
    story.act("bob", &[Action::PublishCovenant { schema_version: 1, text: text.into() }]).seal();
    story.act("bob", &[Action::SetCovenant { at: CovenantAt::Incoming, digest }]).seal();
    assert_eq!(story.codes(), [0]);
    let expires = story.time + HOUR_MS;
    let oracle = Some(EntityType::Oracle);
    // In one batch: nothing, a type without the level, both; and one of them taken back.
    story.transfer("alice", "bob", units(1));
    story.act("notary", &[issue(terms("alice", 1, 1, oracle, expires))]).transfer("alice", "bob", units(1));
    story.act("registrar", &[issue(terms("alice", 1, 2, None, expires))]).transfer("alice", "bob", units(1));
    story.act("alice", &[drop("notary", 1)]).transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.codes(), [281, 0, 281, 0, 0, 0, 281]);
    story.act("notary", &[issue(terms("alice", 2, 0, oracle, expires))]).transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.codes(), [0, 0]);
    let wait = expires - story.time;
    story.wait(wait).transfer("alice", "bob", units(1)).seal();
    assert_eq!((story.header().time, story.codes()), (expires, vec![0]));
    story.transfer("alice", "bob", units(1)).seal();
    assert_eq!(story.codes(), [281]);
}

#[test]
fn a_payment_to_who_is_certified_is_a_payment_like_any() {
    let mut story = plane();
    story.act("registrar", &[issue(terms("alice", 1, 1, None, story.time + HOUR_MS))]).seal();
    story.act("bob", &[pay("alice", units(5))]).act("alice", &[pay("bob", units(3))]).seal();
    assert_eq!(story.codes(), [0, 0]);
    assert_eq!(story.receipt(1).fee, story.receipt(1).gas);
}

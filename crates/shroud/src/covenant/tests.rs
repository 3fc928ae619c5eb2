//! The oracle: the same policies asked by Cedar itself, with every fact there is and the schema's own check of them.

use super::request::{FactSet, InCedar};
use super::schema::VALIDATOR;
use super::*;
use cedar_policy::{Authorizer, Entities};
use ghostplane_types::transaction::ACTION_KINDS;
use ghostplane_types::{Address, Amount, AssetId, EntityType};

/// Made-up numbers, the same in every run (splitmix64; Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % bound
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        let at = usize::try_from(self.below(all.len() as u64)).expect("small");
        all[at].clone()
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(2) == 1).then_some(value)
    }
}

fn party(random: &mut Random) -> Party {
    let byte = u8::try_from(random.below(3)).expect("small");
    // Facts follow from the address, as the request demands.
    let mut of = Random(u64::from(byte) + 40);
    let (claimed, certified) = (of.of(&EntityType::ALL), of.of(&EntityType::ALL));
    Party {
        address: Address::from_bytes([byte; 32]),
        claimed: of.maybe(claimed),
        certified: of.maybe(certified),
        level: u8::try_from(of.below(4)).expect("small"),
    }
}

fn amount(random: &mut Random) -> Amount {
    let units = random.of(&[0, 1, 5, 9, 10, 11, 50, i64::MAX as u64 - 3, i64::MAX as u64]);
    Amount::new(units).expect("at most 2^63 - 1")
}

fn request(random: &mut Random) -> Request {
    let (kind, _) = random.of(ACTION_KINDS);
    let shape = action_shape(kind).expect("known");
    let asset = random.of(&[AssetId::GCC, AssetId::ZMAN, AssetId::new(70_000).expect("small")]);
    let (one, other, issuer) = (party(random), party(random), party(random));
    let issuer = (!asset.is_bridged()).then_some(issuer);
    let resource = match random.of(shape.resources) {
        ResourceKind::Account => Resource::Account(other),
        ResourceKind::Asset => Resource::Asset { asset, issuer },
        ResourceKind::Contract => Resource::Contract {
            address: other.address,
            code: random.maybe(ghostplane_ghostcipher::Digest([6; 32])),
            owner: random.maybe(one),
        },
        ResourceKind::Name => Resource::Name { name: "tea.house".into(), owner: random.maybe(one) },
    };
    let moving = shape.moves_value.then(|| Moving {
        amount: amount(random),
        asset,
        issuer,
        counterparty: random.maybe(other),
        spent: Spent { hour: amount(random), day: amount(random), month: amount(random) },
    });
    let approvals = (0..random.below(3)).map(|_| {
        let roles: &[&str] = random.of(&[&["treasury"][..], &["audit"], &["audit", "treasury"]]);
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Approval { roles, weight: u32::try_from(1 + random.below(2)).expect("small") }
    });
    let approvals = approvals.collect();
    let time = random.of(&[0, 1_000, 1_700_000_000_000, i64::MAX as u64]);
    let session = random.maybe(7);
    Request::new(Facts { principal: one, action: kind, resource, moving, time, approvals, session }).expect("it fits")
}

/// Conditions that hold for every action, and those for actions that move value alone.
fn conditions(moving: bool) -> Vec<String> {
    let account = format!("Account::\"{}\"", Address::from_bytes([1; 32]));
    let mut all: Vec<String> = [
        "resource is Account && principal == resource",
        "principal.level > 1",
        "principal has certified && principal.certified == \"service\"",
        "principal has claimed",
        "resource is Account && resource.level < 2",
        "resource is Account && resource has claimed && resource.claimed like \"w*\"",
        "resource is Asset && resource.bridged",
        "resource is Asset && resource has issuer && resource.issuer.level == 1",
        "resource is Contract && resource has code && resource.code like \"06*\"",
        "resource is Name && resource has owner && resource.owner == principal",
        "context.time > 500",
        "context.time + 10 > 500",
        "context.minute < 900 || context.weekday == 4",
        "context.approvals.count >= 1",
        "context.approvals.weight * 2 > 3",
        "context.approvals.hasTag(\"treasury\") && context.approvals.getTag(\"treasury\") >= 2",
        "context has session && context.session == 7",
        "if principal.level > 0 then context.time > 5 else principal.level > 1",
        "action in Action::\"moves_value\"",
        "action == Action::\"transfer\"",
        "!(principal is Account)",
        "{a: context.time, b: 1} == {b: 1, a: 1000}",
        "resource is Account && [principal].contains(resource)",
        "(if principal.level > 2 then context else context).approvals.count == 1",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(format!("[{account}].contains(principal)"));
    all.push(format!("resource is Account && resource == {account}"));
    if moving {
        all.extend(
            [
                "context.amount <= 10",
                "context.amount + context.spent.day > 50",
                "context.spent.hour + context.spent.month + context.amount <= 100",
                "context.asset == Asset::\"gcc\"",
                "context.asset.bridged",
                "context.asset has issuer && context.asset.issuer has certified",
                "context has counterparty && context.counterparty.level >= 1",
                "context has counterparty && context.counterparty == principal",
                "context.amount * 3 > 20",
                "context == context",
                "context.spent.day > 5 && context.spent.month < 100",
                "context.spent has day && context.spent.day < 10",
                "context has spent.day && context.spent[\"hour\"] > 9",
                "context.spent == {hour: 0, day: 5, month: 9}",
                "{day: context.spent}.day.month > 9",
                "(if principal.level > 2 then context.spent else context.spent).hour > 5",
                "(if principal.level > 2 then context else context).spent.day > context.spent.day",
                "[context].contains(context) && context.spent.day > 5",
                "context has \"spent.day\" || context.amount > 10",
                "context has \"spent.day\" && context[\"spent.day\"] > 0 || context.spent.day > 5",
            ]
            .map(str::to_owned),
        );
    }
    all
}

fn text(random: &mut Random) -> String {
    let mut text = String::new();
    for at in 0..=random.below(4) {
        let (head, moving) = random.of(&[
            ("action", false),
            ("action in Action::\"moves_value\"", true),
            ("action == Action::\"transfer\"", true),
            ("action in [Action::\"withdraw\", Action::\"call\", Action::\"transfer\"]", true),
            ("action in [Action::\"set_covenant\", Action::\"transfer\", Action::\"deploy\"]", false),
        ]);
        let effect = random.of(&["permit", "permit", "forbid"]);
        let annotation =
            if effect == "permit" { random.of(&["", "@log ", "@delay(\"9\")", "@requires(\"guardian\")"]) } else { "" };
        let clause = random.of(&["when", "unless"]);
        let all = conditions(moving);
        let (one, other, joint) = (random.of(&all), random.of(&all), random.of(&["&&", "||"]));
        text.push_str(&format!(
            "@id(\"p{at}\") {annotation} {effect} (principal, {head}, resource) {clause} {{ ({one}) {joint} ({other}) }};\n"
        ));
    }
    text
}

/// What Cedar says with every fact, all policies, and the schema watching; errors read as the design asks.
fn oracle(set: &PolicySet, request: &Request) -> (u16, Vec<String>) {
    let all: cedar_policy::PolicySet = set.text().parse().expect("it was set");
    let InCedar { request: full, entities } = request.in_cedar(FactSet::ALL).expect("a known kind");
    let schema = VALIDATOR.schema();
    let (principal, action, resource) = (full.principal(), full.action(), full.resource());
    let known = |uid: Option<&cedar_policy::EntityUid>| uid.expect("it is concrete").clone();
    let context = full.context().expect("it is concrete").clone();
    cedar_policy::Request::new(known(principal), known(action), known(resource), context, Some(schema))
        .expect("every fact is as the schema says");
    Entities::from_entities(entities.iter().cloned(), Some(schema)).expect("every entity is as the schema says");
    let response = Authorizer::new().is_authorized(&full, &all, &entities);
    let name = |id: &cedar_policy::PolicyId| all.annotation(id, "id").expect("all have one").to_owned();
    let mut failed: Vec<String> = response
        .diagnostics()
        .errors()
        .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(error)| name(error.policy_id()))
        .collect();
    failed.sort();
    if !failed.is_empty() {
        return (3, failed);
    }
    let mut reasons: Vec<String> = response.diagnostics().reason().map(name).collect();
    reasons.sort();
    match response.decision() {
        cedar_policy::Decision::Allow => (0, reasons),
        cedar_policy::Decision::Deny if reasons.is_empty() => (2, reasons),
        cedar_policy::Decision::Deny => (1, reasons),
    }
}

#[test]
fn what_is_asked_of_some_facts_is_what_cedar_says_of_all() {
    let mut random = Random(11);
    let mut seen = [0; 4];
    for _ in 0..400 {
        let text = text(&mut random);
        let set = match PolicySet::set(&text) {
            Ok(set) => set,
            // Two conditions of which one can never hold beside the other.
            Err(SetError::Suspicious { .. }) => continue,
            Err(error) => panic!("{error}\n{text}"),
        };
        for _ in 0..20 {
            let request = request(&mut random);
            let decision = decide(&[Attached { at: Attachment::Plane, set: &set }], &request);
            let named: Vec<String> = decision.policies().iter().map(|deciding| deciding.id.to_string()).collect();
            assert_eq!((decision.code(), named), oracle(&set, &request), "{text}\n{request:?}");
            seen[usize::from(decision.code())] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "allowed, forbidden, not permitted, failed: {seen:?}");
}

/// Sets share what is handed to Cedar, and some take the context in one piece.
#[test]
fn sets_beside_each_other_say_what_each_says_alone() {
    let mut random = Random(13);
    let mut sets = Vec::new();
    while sets.len() < 60 {
        sets.extend(PolicySet::set(&text(&mut random)).ok());
    }
    for _ in 0..1_500 {
        let all: Vec<&PolicySet> = sets.iter().collect();
        let chosen = [random.of(&all), random.of(&all), random.of(&all)];
        let attached: Vec<Attached<'_>> = chosen.iter().map(|set| Attached { at: Attachment::Plane, set }).collect();
        let request = request(&mut random);
        let alone: Vec<Decision> = attached.iter().map(|one| decide(&[*one], &request)).collect();
        let first = alone.iter().find(|decision| !decision.is_allowed());
        let together = decide(&attached, &request);
        assert_eq!(together.denial(), first.and_then(Decision::denial));
        let ids = |decision: &Decision| decision.policies().to_vec();
        assert_eq!(ids(&together), first.map_or_else(|| alone.iter().flat_map(ids).collect(), ids));
    }
}

#[test]
fn what_is_said_of_less_holds_for_less() {
    let mut random = Random(12);
    let mut claims = 0;
    for _ in 0..600 {
        let all = conditions(true);
        let amounts = &all[all.len() - 20..];
        let mut text = "permit (principal, action, resource);".to_owned();
        for _ in 0..=random.below(2) {
            let (one, other, joint) = (random.of(amounts), random.of(amounts), random.of(&["&&", "||"]));
            let clause = random.of(&["when", "unless"]);
            text.push_str(&format!(
                "forbid (principal, action in Action::\"moves_value\", resource) {clause} {{ ({one}) {joint} ({other}) }};"
            ));
        }
        let Ok(set) = PolicySet::set(&text) else { continue };
        for _ in 0..40 {
            let request = request(&mut random);
            let attached = [Attached { at: Attachment::AccountOutgoing, set: &set }];
            for claim in would_pass(&attached, &request) {
                let Counterfactual::Amount { money, and_less } = claim else { continue };
                let passes = |units: u64| {
                    let with = request.with(|facts| {
                        facts.moving.as_mut().expect("it moves").amount = Amount::new(units).expect("small");
                    });
                    decide(&attached, &with).is_allowed()
                };
                let units = money.amount.units();
                assert!(passes(units) && !passes(units + 1), "{}\n{request:?}", set.text());
                if and_less {
                    claims += 1;
                    let below = (1..=units.min(60)).chain((0..40).map(|_| 1 + random.below(units)));
                    below.for_each(|less| assert!(passes(less), "{less}: {}\n{request:?}", set.text()));
                }
            }
        }
    }
    assert!(claims > 20, "{claims}");
}

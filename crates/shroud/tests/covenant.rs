//! Rules as their authors, their subjects and their enemies meet them.

use ghostplane_shroud::covenant::*;
use ghostplane_types::transaction::ACTION_KINDS;
use ghostplane_types::{Address, Amount, AssetId, EntityType, Money};
use std::collections::BTreeMap;

const ALICE: Address = Address::from_bytes([1; 32]);
const BOB: Address = Address::from_bytes([2; 32]);
const CAROL: Address = Address::from_bytes([3; 32]);
/// Tuesday 2026-11-24, 10:00 UTC.
const TUESDAY_TEN: u64 = 1_795_514_400_000;
const DAY_MS: u64 = 86_400_000;

fn gcc(coins: u64) -> Amount {
    Amount::new(coins * 1_000_000_000).expect("small")
}

/// Facts of an action of that kind, alice's, to bob where there is somebody.
fn facts(kind: u8, resource: ResourceKind) -> Facts {
    let bob = Party::unknown(BOB);
    let moves = action_shape(kind).is_some_and(|shape| shape.moves_value);
    Facts {
        principal: Party { claimed: Some(EntityType::Wallet), ..Party::unknown(ALICE) },
        action: kind,
        resource: match resource {
            ResourceKind::Account => Resource::Account(bob),
            ResourceKind::Asset => Resource::Asset { asset: AssetId::GCC, issuer: None },
            ResourceKind::Contract => Resource::Contract { address: CAROL, code: None, owner: None },
            ResourceKind::Name => Resource::Name { name: "tea.house".into(), owner: None },
        },
        moving: moves.then(|| Moving {
            amount: gcc(30),
            asset: AssetId::GCC,
            issuer: None,
            counterparty: (resource == ResourceKind::Account).then_some(bob),
            spent: Spent::default(),
        }),
        time: TUESDAY_TEN,
        approvals: Vec::new(),
        session: None,
    }
}

fn transfer() -> Facts {
    facts(1, ResourceKind::Account)
}

fn request(facts: Facts) -> Request {
    Request::new(facts).expect("the facts fit")
}

fn with(change: impl FnOnce(&mut Facts)) -> Request {
    let mut facts = transfer();
    change(&mut facts);
    request(facts)
}

fn paying(amount: Amount) -> Request {
    with(|facts| facts.moving.as_mut().expect("it moves").amount = amount)
}

fn set(text: &str) -> PolicySet {
    PolicySet::set(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn outgoing(set: &PolicySet) -> [Attached<'_>; 1] {
    [Attached { at: Attachment::AccountOutgoing, set }]
}

fn ids(decision: &Decision) -> Vec<&str> {
    decision.policies().iter().map(|deciding| &*deciding.id).collect()
}

const PERMIT_ALL: &str = "@id(\"all\") permit (principal, action, resource);";
/// Fails for every action: the sum is past 2^63 - 1.
const FAILS: &str =
    "@id(\"fails\") forbid (principal, action, resource) when { context.time + 9223372036854775807 > 0 };";

#[test]
fn every_kind_at_every_attachment_is_allowed_denied_or_failed_as_its_set_says() {
    let allow = set(PERMIT_ALL);
    let forbid = set(&format!("{PERMIT_ALL} @id(\"no\") forbid (principal, action, resource);"));
    let fail = set(&format!("{PERMIT_ALL} {FAILS}"));
    for (kind, name) in ACTION_KINDS {
        let named = set(&format!("@id(\"only\") permit (principal, action == Action::\"{name}\", resource);"));
        let others =
            ACTION_KINDS.iter().filter(|(other, _)| other != kind).map(|(_, name)| format!("Action::\"{name}\""));
        let others = others.collect::<Vec<_>>().join(", ");
        let unnamed = set(&format!("@id(\"only\") permit (principal, action in [{others}], resource);"));
        for resource in action_shape(*kind).expect("a known kind").resources {
            let request = request(facts(*kind, *resource));
            assert!(decide(&[], &request).is_allowed(), "{name}: nothing attached");
            for at in Attachment::ALL {
                let table: [(&PolicySet, u16, &[&str]); 5] = [
                    (&allow, 0, &["all"]),
                    (&forbid, 1, &["no"]),
                    (&fail, 3, &["fails"]),
                    (&named, 0, &["only"]),
                    (&unnamed, 2, &[]),
                ];
                for (set, code, deciding) in table {
                    let decision = decide(&[Attached { at, set }], &request);
                    assert_eq!((decision.code(), ids(&decision)), (code, deciding.to_vec()), "{name} {at}");
                    assert_eq!(decision.denial().map(Denial::at), (code != 0).then_some(at));
                    // Behind sets that permit, and before them, it says the same.
                    for place in 0..=2 {
                        let mut sets: Vec<Attached<'_>> =
                            [Attachment::Plane, Attachment::Asset].map(|at| Attached { at, set: &allow }).to_vec();
                        sets.insert(place, Attached { at, set });
                        let among = decide(&sets, &request);
                        assert_eq!(among.denial(), decision.denial(), "{name} {at} {place}");
                        assert_eq!(among.cost(), 2 * allow.cost(0) + set.cost(0));
                    }
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_evaluated_is_denied_where_cedar_alone_would_allow() {
    let text = format!("{PERMIT_ALL} {FAILS}");
    let set = set(&text);
    assert_eq!(
        decide(&outgoing(&set), &paying(gcc(1))).denial(),
        Some(&Denial::Failed { at: Attachment::AccountOutgoing })
    );
    // A permit that fails denies as well, although another one permits.
    let both = PolicySet::set(
        "permit (principal, action, resource);
         permit (principal, action, resource) when { context.time * 9000000000000000000 > 0 };",
    )
    .expect("good");
    let decision = decide(&outgoing(&both), &paying(gcc(1)));
    assert_eq!((decision.code(), ids(&decision)), (3, vec!["policy1"]));
    // Shielded from failing, it is asked like any other.
    let shielded = PolicySet::set(
        "permit (principal, action, resource);
         forbid (principal, action, resource) when { context.minute < 5 && context.time + 9223372036854775807 > 0 };",
    );
    assert!(decide(&outgoing(&shielded.expect("good")), &paying(gcc(1))).is_allowed());
}

#[test]
fn a_kind_that_a_set_does_not_know_is_denied() {
    let all = set(PERMIT_ALL);
    for kind in [0, 37, 255] {
        let request = with(|facts| facts.action = kind);
        let decision = decide(&outgoing(&all), &request);
        let denial = Denial::UnknownAction { at: Attachment::AccountOutgoing, kind, version: 1 };
        assert_eq!((decision.denial(), decision.code()), (Some(&denial), 4));
        assert!(would_pass(&outgoing(&all), &request).is_empty());
        assert!(decide(&[], &request).is_allowed());
    }
    assert_eq!(PolicySet::set_at(PERMIT_ALL, 2).expect_err("there is none").code(), 1);
}

#[test]
fn obligations_of_all_satisfied_permits_apply() {
    let one = set("@requires(\"guardian\") @delay(\"60\") permit (principal, action, resource);
                   @delay(\"90\") permit (principal, action == Action::\"transfer\", resource);
                   @delay(\"900\") permit (principal, action == Action::\"withdraw\", resource);");
    let other = set("@log permit (principal, action, resource);");
    let sets = [Attached { at: Attachment::Plane, set: &one }, Attached { at: Attachment::Asset, set: &other }];
    let decision = decide(&sets, &paying(gcc(1)));
    assert_eq!(decision.obligations(), Obligations { guardian: true, delay_seconds: 90, log: true });
    assert_eq!(ids(&decision), ["policy0", "policy1", "policy0"]);
    let none = set(&format!("{PERMIT_ALL} forbid (principal, action, resource);"));
    let denied = decide(&[sets[0], Attached { at: Attachment::Asset, set: &none }], &paying(gcc(1)));
    assert!(denied.obligations().is_none() && !denied.is_allowed());
}

#[test]
fn a_decision_says_which_facts_it_rests_on() {
    let limit = Template::SpendingLimit { limit: "25gcc".parse().expect("money"), window: Window::Day };
    let set = limit.set().expect("in range");
    let request = paying(gcc(30));
    let decision = decide(&outgoing(&set), &request);
    let facts = decision.facts(&request);
    let facts: Vec<(&str, &str)> = facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect();
    let expected = [("amount", "30gcc"), ("asset", "gcc"), ("spent.day", "0gcc")];
    assert_eq!(facts, expected);
    assert!(decide(&outgoing(&set), &paying(gcc(25))).facts(&request).is_empty(), "the permit looked at nothing");
}

#[test]
fn facts_of_everybody_whom_a_policy_looks_at_are_shown() {
    let shown = |text: &str, facts: Facts| {
        let (set, request) = (set(text), request(facts));
        let decision = decide(&outgoing(&set), &request);
        let facts = decision.facts(&request).into_iter().map(|fact| format!("{}={}", fact.name, fact.value));
        facts.collect::<Vec<_>>().join(" ")
    };
    let guarded = "permit (principal, action == Action::\"set_guardians\", resource) when { resource.level > 3 };";
    assert_eq!(
        shown(guarded, facts(10, ResourceKind::Account)),
        format!("resource={BOB} principal.level=0 resource.level=0")
    );
    let owned = "permit (principal, action == Action::\"renew_name\", resource) when { resource has owner && resource.owner.level > 3 };";
    let mut renew = facts(24, ResourceKind::Name);
    renew.resource =
        Resource::Name { name: "tea.house".into(), owner: Some(Party { level: 2, ..Party::unknown(CAROL) }) };
    let expected = format!("resource=tea.house principal.level=0 resource.owner.level=2 resource.owner={CAROL}");
    assert_eq!(shown(owned, renew), expected);
    let registering = "permit (principal, action == Action::\"register_asset\", resource) when { !resource.bridged };";
    let asset = shown(registering, facts(18, ResourceKind::Asset));
    assert_eq!(asset, "resource=gcc asset.bridged=true");
}

/// Against a list of everything that was ever spent.
#[test]
fn windows_count_what_was_spent_in_them() {
    let windows = [DAY_MS / 24, DAY_MS, 30 * DAY_MS];
    let (mut counted, mut then, mut all) = (Spent::default(), 0, Vec::<(u64, u64)>::new());
    let mut now = TUESDAY_TEN;
    for step in 1_u64..2_000 {
        now += step * 7_919 * 7_919 % (DAY_MS / 5);
        counted = counted.at(then, now);
        let model = windows.map(|window| {
            let within = all.iter().filter(|(time, _)| time / window == now / window);
            Amount::new(within.map(|(_, units)| units).sum()).expect("small")
        });
        assert_eq!([counted.hour, counted.day, counted.month], model, "step {step}");
        let units = step * 31 % 1_000;
        all.push((now, units));
        counted = counted.and(Amount::new(units).expect("small"));
        then = now;
    }
    // More than a number holds is not forgotten: whatever adds to it fails, and is denied.
    let max = Amount::new(i64::MAX as u64).expect("the most");
    let most = Spent::default().and(max).and(gcc(1));
    assert_eq!(most.day, max);
    let limit = Template::SpendingLimit { limit: "25gcc".parse().expect("money"), window: Window::Day }.set();
    let request = with(|facts| facts.moving.as_mut().expect("it moves").spent = most);
    assert_eq!(decide(&outgoing(&limit.expect("in range")), &request).code(), 3);
}

#[test]
fn decisions_are_the_same_every_time_and_in_the_order_of_the_text() {
    let text: String = (0..60)
        .rev()
        .map(|at| format!("@id(\"p{at}\") forbid (principal, action, resource) when {{ context.time > {at} }};\n"))
        .collect();
    let expected: Vec<String> = (0..60).rev().map(|at| format!("p{at}")).collect();
    for _ in 0..5 {
        let set = set(&text);
        let decision = decide(&outgoing(&set), &paying(gcc(1)));
        assert_eq!(ids(&decision), expected);
        assert_eq!(decision, decide(&outgoing(&set), &paying(gcc(1))));
    }
    let fails: String = (0..40).map(|at| FAILS.replace("fails", &format!("f{at}"))).collect();
    let set = set(&fails);
    let expected: Vec<String> = (0..40).map(|at| format!("f{at}")).collect();
    assert_eq!(ids(&decide(&outgoing(&set), &paying(gcc(1)))), expected);
    let wrong = "permit (principal, action, resource) when { context.b }; permit (principal, action, resource) when { context.a };";
    let first = PolicySet::set(wrong).expect_err("no such facts");
    assert!((0..5).all(|_| PolicySet::set(wrong).as_ref().err() == Some(&first)));
    assert!(first.to_string().starts_with("policy0: "), "{first}");
}

// Setting.

fn refused(text: &str) -> SetError {
    match PolicySet::set(text) {
        Err(error) => error,
        Ok(_) => panic!("this was set: {}", text.chars().take(300).collect::<String>()),
    }
}

/// One policy with that condition.
fn when(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn each_mistake_has_its_own_code() {
    let moving = |condition: &str| {
        format!("permit (principal, action in Action::\"moves_value\", resource) when {{ {condition} }};")
    };
    let annotated = |annotation: &str| format!("{annotation} {PERMIT_ALL}");
    let stranger = format!("Account::\"{BOB}\".level > 1");
    let short = BOB.to_string().replace("ghost1", "ghost2");
    let service = BOB.to_text(EntityType::Service);
    let table = [
        (2, format!("{PERMIT_ALL} // {}", "x".repeat(TEXT_BYTES_MAX))),
        (3, when(&format!("{}true{}", "(".repeat(40), ")".repeat(40)))),
        (3, when(&vec!["context.time > 1"; 70].join(" && "))),
        (4, when(&format!("[{}].contains(context.time)", vec!["1"; 1_100].join(", ")))),
        (4, when(&vec!["true"; 3_000].join(" && "))),
        (5, "permit".into()),
        (20, when("ip(\"10.0.0.1\").isLoopback()")),
        (20, when("decimal(\"1.0\").lessThan(decimal(\"2.0\"))")),
        (5, when("rand() > 1")),
        (5, "@log @log permit (principal, action, resource);".into()),
        (6, "permit (principal == ?principal, action, resource);".into()),
        (7, String::new()),
        (7, "// nothing".into()),
        (8, "@id(\"with a blank\") permit (principal, action, resource);".into()),
        (8, "@id permit (principal, action, resource);".into()),
        (9, format!("{PERMIT_ALL} {PERMIT_ALL}")),
        (9, format!("{PERMIT_ALL} @id(\"policy2\") {} {}", when("true"), when("context.time > 1"))),
        (10, annotated("@advice(\"rest\")")),
        (10, annotated("@unless")),
        (11, annotated("@requires(\"luck\")")),
        (11, annotated("@delay(\"soon\")")),
        (11, annotated("@delay(\"0\")")),
        (11, annotated("@delay(\"+5\")")),
        (11, annotated("@delay(\"99999999\")")),
        (11, annotated("@log(\"loudly\")")),
        (12, format!("{PERMIT_ALL} @log forbid (principal, action, resource);")),
        (13, when(&format!("principal == Account::\"{short}\""))),
        (13, when(&format!("principal == Account::\"{service}\""))),
        (13, when("resource == Asset::\"btc\"")),
        (13, when("resource == Asset::\"0\"")),
        (13, when("resource == Name::\"Tea House\"")),
        (13, when("principal == User::\"alice\"")),
        (13, when("context.approvals == Approvals::\"\"")),
        (13, "permit (principal is User, action, resource);".into()),
        (14, "permit (principal, action == Action::\"steal\", resource);".into()),
        (14, when("action == Action::\"steal\"")),
        (15, when(&stranger)),
        (16, when("context.amount > 5")),
        (16, when("principal.age > 5")),
        (16, moving("resource.level > 5")),
        (17, when("principal.certified == \"service\"")),
        (17, moving("context.counterparty == principal")),
        (17, when("context.approvals.getTag(\"treasury\") > 1")),
        (17, when("context.session == 5")),
        (18, when("context.time > \"noon\"")),
        (18, when("context.time == \"noon\"")),
        (18, when("1")),
        (18, when("[].contains(context.time)")),
        (19, when("false")),
        (19, when("resource is Name && action == Action::\"transfer\"")),
        (19, when("principal has claimed && principal.claimed == \"wa\u{202e}llet\"")),
    ];
    for (code, text) in &table {
        let error = refused(text);
        assert_eq!(error.code(), *code, "{error:?}\n{}", text.chars().take(200).collect::<String>());
        assert!(error.to_string().len() < 1_000, "{error}");
    }
    let tried: std::collections::BTreeSet<u16> = table.iter().map(|(code, _)| *code).chain([1]).collect();
    assert_eq!(
        tried.into_iter().collect::<Vec<_>>(),
        SET_ERROR_CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_just_within_bounds_is_set_and_decided() {
    let deep = when(&vec!["context.time > 1"; DEPTH_MAX - 2].join(" && "));
    let wide: Vec<String> = (0..NODES_MAX - 6).map(|at| at.to_string()).collect();
    let wide = when(&format!("![{}].contains(context.time)", wide.join(", ")));
    let brackets = BRACKETS_MAX - 2;
    let nested = when(&format!("{}context.time > 1{}", "(".repeat(brackets), ")".repeat(brackets)));
    let long = format!("{PERMIT_ALL}//{}", "é".repeat((TEXT_BYTES_MAX - PERMIT_ALL.len() - 2) / 2));
    for text in [deep, wide, nested, long] {
        let set = set(&text);
        assert!(set.nodes() <= NODES_MAX && set.depth() <= DEPTH_MAX);
        // On a small stack it gets what it needs.
        let decided = stacker::grow(64 << 10, || decide(&outgoing(&set), &paying(gcc(1))));
        assert_eq!(decided, decide(&outgoing(&set), &paying(gcc(1))));
        assert!(decided.is_allowed());
    }
    assert_eq!(set(&wide_set(100)).cost(0) - set(&wide_set(50)).cost(0), 100);
    assert_eq!(set(PERMIT_ALL).cost(3) - set(PERMIT_ALL).cost(0), 3);
}

fn wide_set(values: u32) -> String {
    let values: Vec<String> = (0..values).map(|at| at.to_string()).collect();
    when(&format!("[{}].contains(context.time)", values.join(", ")))
}

#[test]
fn hostile_texts_are_refused_and_nothing_panics() {
    let mut texts: Vec<String> = Vec::new();
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{a: ", "}"), ("!", ""), ("-", ""), ("if true then ", " else false"), ("if ", "")]
    {
        for count in [5, 31, 33, 1_000, 20_000] {
            let text = when(&format!("{}true{}", open.repeat(count), close.repeat(count)));
            texts.push(text.chars().take(TEXT_BYTES_MAX).collect());
        }
    }
    for joint in [" && ", " || ", " + ", ".a", " == ", " in ", " has ", " like ", " is ", " - ", ", ", "::", ";"] {
        for count in [10, 1_000, 8_000] {
            texts.push(when(&vec!["a"; count].join(joint)).chars().take(TEXT_BYTES_MAX).collect());
        }
    }
    for filler in [
        "@",
        "\"",
        "\\",
        "permit",
        "permit(",
        "//",
        "/*",
        "\u{0}",
        "\u{feff}",
        "\u{202e}",
        "𝔭𝔢𝔯𝔪𝔦𝔱",
        "?principal",
        "@id(\"",
        "}",
        ";",
        "permit (principal, action, resource)",
    ] {
        texts.push(filler.repeat(60_000 / filler.len()));
        texts.push(format!("{PERMIT_ALL}{filler}"));
    }
    for text in &texts {
        let _ = PolicySet::set(text);
    }
    // Soup of the language's own words, and good texts with one thing changed.
    let words = [
        "permit",
        "forbid",
        "(",
        ")",
        "principal",
        "action",
        "resource",
        "context",
        ",",
        ";",
        "when",
        "unless",
        "{",
        "}",
        "==",
        "in",
        "has",
        "is",
        "like",
        "\"x\"",
        ".",
        "amount",
        "&&",
        "||",
        "!",
        "[",
        "]",
        "if",
        "then",
        "else",
        "1",
        "-",
        "9223372036854775808",
        "@",
        "id",
        "Account",
        "::",
        "Action",
        "\"transfer\"",
        "contains",
        "\u{301}",
        "\n",
    ];
    let good = Template::DenyList { accounts: [BOB].into() }.text().expect("in range");
    let mut state = 5_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % bound
    };
    for _ in 0..1_500 {
        let soup: Vec<&str> = (0..1 + below(40)).map(|_| words[below(words.len())]).collect();
        let _ = PolicySet::set(&soup.join(" "));
        let mut tokens: Vec<&str> = good.split_inclusive([' ', '\n', '(', ')', '[']).collect();
        let at = below(tokens.len());
        tokens[at] = words[below(words.len())];
        if let Ok(set) = PolicySet::set(&tokens.concat()) {
            let _ = decide(&outgoing(&set), &paying(gcc(1)));
        }
    }
}

#[test]
fn facts_that_do_not_fit_are_no_request() {
    let refuse = |change: &dyn Fn(&mut Facts)| {
        let mut facts = transfer();
        change(&mut facts);
        Request::new(facts).expect_err("it does not fit")
    };
    let approval = |role: &str, weight| Approval::of(role, weight);
    assert!(matches!(refuse(&|facts| facts.action = 2), RequestError::Resource { .. }));
    assert!(matches!(refuse(&|facts| facts.moving = None), RequestError::Moving { moves: true, .. }));
    assert!(matches!(refuse(&|facts| facts.action = 6), RequestError::Moving { moves: false, .. }));
    assert!(matches!(refuse(&|facts| facts.time = u64::MAX), RequestError::Time { .. }));
    assert!(matches!(refuse(&|facts| facts.approvals = vec![approval("a", 1); 65]), RequestError::Approvals { .. }));
    for (role, weight) in [("", 1), ("A", 1), ("a b", 1), ("a", 0), ("a", u32::MAX)] {
        assert!(matches!(refuse(&|facts| facts.approvals.push(approval(role, weight))), RequestError::Approval { .. }));
    }
    let other_bob = Party { level: 3, ..Party::unknown(BOB) };
    let contradiction = refuse(&|facts| facts.resource = Resource::Account(other_bob));
    assert_eq!(contradiction, RequestError::Contradiction { address: BOB });
    let issued = refuse(&|facts| facts.moving.as_mut().expect("it moves").issuer = Some(Party::unknown(CAROL)));
    assert_eq!(issued, RequestError::Issuer { asset: AssetId::GCC }, "nobody on the plane issues what the L1 holds");
    let own = AssetId::new(70_000).expect("small");
    let mut mint = facts(19, ResourceKind::Asset);
    mint.resource = Resource::Asset { asset: own, issuer: Some(Party::unknown(CAROL)) };
    mint.moving.as_mut().expect("it moves").asset = own;
    assert_eq!(Request::new(mint.clone()).expect_err("two answers"), RequestError::Issuer { asset: own });
    mint.moving.as_mut().expect("it moves").issuer = Some(Party::unknown(CAROL));
    assert!(Request::new(mint).is_ok());
    let name = Resource::Name { name: "Tea".into(), owner: None };
    let mut facts = facts(21, ResourceKind::Name);
    facts.resource = name;
    assert!(matches!(Request::new(facts), Err(RequestError::Name { .. })));
}

// Templates.

fn parsed(name: &str, parameters: &[(&str, &str)]) -> Result<Template, TemplateError> {
    let values: BTreeMap<String, String> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Template::parse(name, &values)
}

#[test]
fn every_template_sets_with_its_examples() {
    let alice = ALICE.to_string();
    for info in TEMPLATES {
        let example =
            |parameter: &Parameter| if parameter.example == "A" { alice.clone() } else { parameter.example.into() };
        let values: BTreeMap<String, String> =
            info.parameters.iter().map(|parameter| (parameter.name.to_owned(), example(parameter))).collect();
        let template = Template::parse(info.name, &values).expect("its own example");
        assert_eq!(template.name(), info.name);
        let set = template.set().expect("in range");
        assert_eq!(set.ids().collect::<Vec<_>>(), [info.name, "otherwise"]);
        for parameter in info.parameters {
            let mut fewer = values.clone();
            fewer.remove(parameter.name);
            assert!(
                matches!(Template::parse(info.name, &fewer), Err(TemplateError::Missing { name, .. }) if name == parameter.name)
            );
            // Nothing that a person types reaches the text unread.
            for hostile in [
                "",
                "\"",
                "x\") ; permit (principal, action, resource); //",
                "-1",
                "1e9",
                "\u{202e}",
                "ghost1",
                "A",
                "1gcc\"]",
            ] {
                let mut other = values.clone();
                other.insert(parameter.name.to_owned(), hostile.to_owned());
                let refused = Template::parse(info.name, &other);
                if parameter.name == "role" && ["-1", "1e9", "ghost1"].contains(&hostile) {
                    assert!(refused.is_ok(), "a role may be {hostile}");
                    continue;
                }
                assert!(refused.is_err(), "{} {}={hostile}: {refused:?}", info.name, parameter.name);
            }
        }
        let mut more = values.clone();
        more.insert("colour".into(), "red".into());
        assert!(matches!(Template::parse(info.name, &more), Err(TemplateError::UnknownParameter { .. })));
    }
    assert!(matches!(parsed("luck", &[]), Err(TemplateError::Unknown { .. })));
}

#[test]
fn templates_at_the_ends_of_their_ranges_still_set() {
    let many = |count: u16| {
        (0..count).map(|at| {
            let [low, high] = at.to_le_bytes();
            let mut bytes = [9; 32];
            (bytes[0], bytes[1]) = (low, high);
            Address::from_bytes(bytes)
        })
    };
    let most = Money {
        amount: Amount::new(i64::MAX as u64).expect("the most"),
        asset: AssetId::new((1 << 30) - 1).expect("the last"),
    };
    let role = "z".repeat(ROLE_BYTES_MAX);
    let fine = [
        Template::AllowList { accounts: many(512).collect() },
        Template::DenyList { accounts: many(256).collect() },
        Template::SpendingLimit { limit: most, window: Window::Month },
        Template::SpendingLimit { limit: Money { amount: Amount::ZERO, ..most }, window: Window::Hour },
        Template::BusinessHours { from: 0, until: 1_440, days: (1..=7).collect() },
        Template::BusinessHours { from: 1_439, until: 1_440, days: [7].into() },
        Template::TwoPerson { above: most, role: role.clone(), weight: APPROVAL_WEIGHT_MAX },
        Template::CredentialRequired { certified: EntityType::Oracle, level: 255 },
        Template::PayeeCap { payee: BOB, cap: most },
    ];
    for template in fine {
        let set = template.set().expect("in range");
        decide(&outgoing(&set), &paying(gcc(1)));
    }
    let wrong = [
        Template::AllowList { accounts: many(513).collect() },
        Template::AllowList { accounts: many(0).collect() },
        Template::DenyList { accounts: many(257).collect() },
        Template::DenyList { accounts: many(0).collect() },
        Template::BusinessHours { from: 600, until: 600, days: [1].into() },
        Template::BusinessHours { from: 600, until: 1_441, days: [1].into() },
        Template::BusinessHours { from: 600, until: 601, days: [].into() },
        Template::BusinessHours { from: 600, until: 601, days: [0].into() },
        Template::TwoPerson { above: most, role: "a\"b".into(), weight: 1 },
        Template::TwoPerson { above: most, role, weight: 0 },
    ];
    for template in wrong {
        assert!(matches!(template.text(), Err(TemplateError::OutOfRange { .. })), "{template:?}");
    }
}

#[test]
fn templates_do_what_they_say() {
    let passes = |template: &Template, request: &Request| {
        decide(&outgoing(&template.set().expect("in range")), request).is_allowed()
    };
    let rotate = request(facts(6, ResourceKind::Account));
    let withdraw = request(facts(2, ResourceKind::Asset));
    let to = |address| {
        with(|facts| {
            facts.resource = Resource::Account(Party::unknown(address));
            facts.moving.as_mut().expect("it moves").counterparty = Some(Party::unknown(address));
        })
    };
    let money = |text: &str| text.parse::<Money>().expect("money");

    let limit = Template::SpendingLimit { limit: money("25gcc"), window: Window::Day };
    let spent = |day| {
        with(|facts| {
            let moving = facts.moving.as_mut().expect("it moves");
            (moving.amount, moving.spent.day, moving.spent.month) = (gcc(5), gcc(day), gcc(1_000));
        })
    };
    assert!(passes(&limit, &spent(20)) && !passes(&limit, &spent(21)));
    let zman = with(|facts| facts.moving.as_mut().expect("it moves").asset = AssetId::ZMAN);
    assert!(passes(&limit, &zman));

    let allow = Template::AllowList { accounts: [BOB].into() };
    assert!(passes(&allow, &to(BOB)) && !passes(&allow, &to(CAROL)) && !passes(&allow, &withdraw));
    let deny = Template::DenyList { accounts: [BOB].into() };
    assert!(!passes(&deny, &to(BOB)) && passes(&deny, &to(CAROL)) && passes(&deny, &withdraw));
    assert!(!passes(&Template::DenyList { accounts: [ALICE].into() }, &withdraw));

    let hours = Template::BusinessHours { from: 9 * 60, until: 17 * 60, days: (1..=5).collect() };
    let at = |time| with(|facts| facts.time = time);
    let hour = 3_600_000;
    assert!(passes(&hours, &at(TUESDAY_TEN)) && passes(&hours, &at(TUESDAY_TEN - hour)));
    assert!(!passes(&hours, &at(TUESDAY_TEN - hour - 1)) && !passes(&hours, &at(TUESDAY_TEN + 7 * hour)));
    assert!(passes(&hours, &at(TUESDAY_TEN + 7 * hour - 1)));
    assert!(passes(&hours, &at(TUESDAY_TEN + 3 * DAY_MS)) && !passes(&hours, &at(TUESDAY_TEN + 4 * DAY_MS)));

    let two = Template::TwoPerson { above: money("10gcc"), role: "treasury".into(), weight: 2 };
    let approved = |roles: &[(&str, u32)]| {
        with(|facts| facts.approvals = roles.iter().map(|(role, weight)| Approval::of(role, *weight)).collect())
    };
    assert!(passes(&two, &paying(gcc(10))) && !passes(&two, &paying(gcc(11))));
    assert!(!passes(&two, &approved(&[("treasury", 1), ("audit", 5)])));
    assert!(
        passes(&two, &approved(&[("treasury", 1), ("treasury", 1)])) && passes(&two, &approved(&[("treasury", 2)]))
    );

    let credential = Template::CredentialRequired { certified: EntityType::Service, level: 2 };
    let is = |certified, level| with(|facts| (facts.principal.certified, facts.principal.level) = (certified, level));
    assert!(passes(&credential, &is(Some(EntityType::Service), 2)));
    assert!(
        !passes(&credential, &is(Some(EntityType::Service), 1))
            && !passes(&credential, &is(Some(EntityType::Oracle), 2))
    );
    assert!(!passes(&credential, &is(None, 9)));

    assert!(!passes(&Template::Freeze, &to(BOB)) && !passes(&Template::Freeze, &withdraw));
    assert!(!passes(&Template::ReceiveOnly { account: ALICE }, &to(BOB)));
    assert!(passes(&Template::ReceiveOnly { account: BOB }, &to(BOB)));
    let cap = Template::PayeeCap { payee: BOB, cap: money("29gcc") };
    assert!(!passes(&cap, &to(BOB)) && passes(&cap, &to(CAROL)) && passes(&cap, &paying(gcc(29))));
    for template in [limit, allow, deny, hours, two, credential, Template::Freeze, cap] {
        assert!(passes(&template, &rotate), "{}: gates can always be worked on", template.name());
    }
}

// What would make it pass.

fn said(set: &PolicySet, request: &Request) -> Vec<String> {
    would_pass(&outgoing(set), request).iter().map(Counterfactual::to_string).collect()
}

#[test]
fn a_denial_says_what_would_pass() {
    let limit = Template::SpendingLimit { limit: "25gcc".parse().expect("money"), window: Window::Day }.set();
    let limit = limit.expect("in range");
    assert_eq!(said(&limit, &paying(gcc(30))), ["passes with amount <= 25gcc"]);
    assert!(said(&limit, &paying(gcc(25))).is_empty());
    let spent = with(|facts| {
        let moving = facts.moving.as_mut().expect("it moves");
        (moving.amount, moving.spent.day) = (gcc(10), gcc(25));
    });
    // The day is used up: nothing passes today, all of it at midnight.
    assert_eq!(said(&limit, &spent), [format!("passes at {} ms", TUESDAY_TEN + 14 * 3_600_000)]);

    let two = Template::TwoPerson { above: "10gcc".parse().expect("money"), role: "treasury".into(), weight: 2 };
    let two = two.set().expect("in range");
    let one_approval = with(|facts| facts.approvals.push(Approval::of("treasury", 1)));
    assert_eq!(
        said(&two, &one_approval),
        ["passes with amount <= 10gcc", "passes with 1 more approval of guardians:treasury"]
    );
    assert_eq!(said(&two, &paying(gcc(11)))[1], "passes with 2 more approvals of guardians:treasury");

    let hours = Template::BusinessHours { from: 9 * 60, until: 17 * 60, days: (1..=5).collect() }.set();
    let hours = hours.expect("in range");
    let at = |time| with(|facts| facts.time = time);
    let friday_evening = TUESDAY_TEN + 3 * DAY_MS + 8 * 3_600_000;
    let monday_nine = TUESDAY_TEN + 6 * DAY_MS - 3_600_000;
    assert_eq!(said(&hours, &at(friday_evening)), [format!("passes at {monday_nine} ms")]);

    let embargo = set(&format!(
        "forbid (principal, action, resource) unless {{ context.time > {} }}; {PERMIT_ALL}",
        TUESDAY_TEN + 5
    ));
    assert_eq!(said(&embargo, &paying(gcc(1))), [format!("passes at {} ms", TUESDAY_TEN + 6)]);
    assert!(said(&Template::Freeze.set().expect("in range"), &paying(gcc(5))).is_empty());
}

#[test]
fn where_less_is_not_always_better_nothing_is_said_of_less() {
    let odd = set("permit (principal, action in Action::\"moves_value\", resource)
                   when { context.amount * 2 <= 50000000000 && context.amount != 7 };");
    assert_eq!(said(&odd, &paying(gcc(30))), ["passes with amount = 25gcc"]);
    // What would overflow below the claim is not claimed either.
    let sums = set("permit (principal, action in Action::\"moves_value\", resource)
                    when { context.amount + 9223372036000000000 + 1 > 0 };");
    assert_eq!(said(&sums, &paying(gcc(30))), ["passes with amount = 0.854775806gcc"]);
    // Two sets: the tighter one speaks.
    let sets = ["12gcc", "9gcc"]
        .map(|limit| Template::SpendingLimit { limit: limit.parse().expect("money"), window: Window::Hour });
    let sets = sets.map(|template| template.set().expect("in range"));
    let attached = sets.each_ref().map(|set| Attached { at: Attachment::Plane, set });
    let claims = would_pass(&attached, &paying(gcc(30)));
    assert_eq!(claims.iter().map(Counterfactual::to_string).collect::<Vec<_>>(), ["passes with amount <= 9gcc"]);
}

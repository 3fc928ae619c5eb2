//! Who pays for gas on a running plane: mana, a sponsor, and what an estimate says before.

use crate::process::{Home, Process, funded, gcc, told};
use ghostplane_types::{Amount, AssetId};
use serde_json::{Value, json};

fn plane(home: &Home) -> Process {
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    node
}

fn refused(error: &Value, code: u64) {
    assert_eq!(error["code"], json!(code), "{error}");
}

fn units(balance: &Value, asset: u64) -> u64 {
    let all = balance["balances"].as_array().expect("balances");
    let of = all.iter().find(|of| of["asset"] == json!(asset)).expect("a balance");
    of["units"].as_u64().expect("units")
}

/// How an estimate judges a way to pay.
fn way<'a>(estimate: &'a Value, with: &str) -> &'a Value {
    let ways = estimate["pays"].as_array().expect("ways to pay");
    ways.iter().find(|way| way["with"] == with).unwrap_or_else(|| panic!("{with}: {estimate}"))
}

#[test]
fn mana_pays_once_there_is_enough() {
    let home = Home::new("mana");
    let node = plane(&home);
    home.run(&node, &["transfer", "--from", "bob", "--to", "alice", "1gcc"]).json();
    // All the ZMAN that there is for Alice goes, and with it her mana: she starts from nothing.
    let all = units(&home.run(&node, &["balance", "alice"]).json(), 1);
    assert_eq!(all, 1_000_000_000_000);
    home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1000zman"]).json();
    let pay = |way: &[&str]| {
        let arguments = [&["transfer", "--from", "alice", "--to", "bob", "1gcc"], way].concat();
        home.run(&node, &arguments)
    };
    let error = pay(&["--pay", "mana"]).error();
    refused(&error, 140);
    assert!(error["error"].as_str().is_some_and(|error| error.contains("not enough mana")), "{error}");
    let estimate = |way: &[&str]| {
        let arguments = [&["fee", "estimate", "--from", "alice", "--to", "bob", "1gcc"], way].concat();
        home.run(&node, &arguments).json()
    };
    let never = estimate(&["--pay", "mana"]);
    assert_eq!(never["mana"]["suffices_at"], Value::Null, "{never}");
    assert_eq!(
        (&way(&never, "mana")["pays"], &way(&never, "mana")["chosen"]),
        (&json!(false), &json!(true)),
        "{never}"
    );
    assert_eq!(way(&never, "gcc")["pays"], json!(true), "{never}");

    // ZMAN regenerates from the moment it comes: asked until it suffices, it comes to that.
    home.run(&node, &["transfer", "--from", "bob", "--to", "alice", "1500zman"]).json();
    let ready = loop {
        let now = estimate(&["--pay", "mana"]);
        if way(&now, "mana")["pays"] == json!(true) {
            break now;
        }
        assert!(now["mana"]["suffices_at"].as_u64() > now["mana"]["at"].as_u64(), "{now}");
    };
    assert_eq!((&ready["storage"], &ready["new_slots"]), (&json!(0), &json!(0)), "{ready}");
    let before = home.run(&node, &["balance", "alice", "--proof"]).json();
    let paid = pay(&["--pay", "mana"]).json();
    assert_eq!((&paid["fee"], &paid["paid_with"]), (&json!(0), &json!("mana")), "{paid}");
    assert_eq!(paid["gas"], ready["gas"], "{paid} {ready}");
    let after = home.run(&node, &["balance", "alice", "--proof"]).json();
    assert_eq!(units(&after, 0), units(&before, 0) - 1_000_000_000, "no fee in credits");

    told(async {
        // Whoever asks gets the same, for any time, and it follows from what is proven.
        let (client, alice) = (node.client().await, home.person("alice"));
        let account = client.account(&alice.address).await.expect("proven, mana as well");
        let at = account.header().time + 5_000;
        let now = client.plane().mana_of(&account, at);
        let (status, body) = node.call("GET", &format!("/v1/accounts/{}?proof=true&at={at}", alice.address), b"");
        assert_eq!((status, &body["mana"]["at"]), (200, &json!(at)), "{body}");
        assert_eq!(body["mana"]["gas"], json!(now.gas()), "{body}");
        assert_eq!(body["mana"]["per_window"], json!(1_500 * client.plane().genesis().mana.rate), "{body}");
        assert_eq!(account.balance(AssetId::ZMAN).map(Amount::units), Some(1_500_000_000_000));
        let nobody = node.call("GET", &format!("/v1/accounts/{}?at=7", "5a".repeat(32)), b"").1;
        assert_eq!(nobody["mana"]["gas"], json!(0), "{nobody}");
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_sponsor_pays_for_another() {
    let home = Home::new("sponsor");
    let node = plane(&home);
    let pay = |way: &[&str]| {
        let arguments = [&["transfer", "--from", "alice", "--to", "bob", "1gcc"], way].concat();
        home.run(&node, &arguments)
    };
    // Carol has never acted: nobody knows her keys yet.
    refused(&pay(&["--sponsor", "carol"]).error(), 143);
    home.run(&node, &["transfer", "--from", "carol", "--to", "dave", "1gcc"]).json();
    let gcc_of = |who: &str| units(&home.run(&node, &["balance", who]).json(), 0);
    let (alice, carol) = (gcc_of("alice"), gcc_of("carol"));
    let estimate = |way: &[&str]| {
        let arguments = [&["fee", "estimate", "--from", "alice", "--to", "bob", "1gcc"], way].concat();
        home.run(&node, &arguments).json()
    };
    let expected = estimate(&["--sponsor", "carol"]);
    assert_eq!(way(&expected, "gcc of carol")["pays"], json!(true), "{expected}");
    let paid = pay(&["--sponsor", "carol"]).json();
    assert_eq!(paid["paid_with"], json!("gcc of carol"), "{paid}");
    let fee = paid["fee"].as_u64().expect("a fee");
    assert_eq!(Some(fee), expected["fee"].as_u64(), "{paid} {expected}");
    assert_eq!((gcc_of("alice"), gcc_of("carol")), (alice - 1_000_000_000, carol - fee));

    // No more than she said, and by nobody else's key.
    let tight = estimate(&["--sponsor", "carol", "--fee-max", "0.000001gcc"]);
    assert_eq!(way(&tight, "gcc of carol")["pays"], json!(false), "{tight}");
    refused(&pay(&["--sponsor", "carol", "--fee-max", "0.000001gcc"]).error(), 146);
    refused(&pay(&["--sponsor", "carol", "--sponsor-signer", "dave"]).error(), 144);
    let error = pay(&["--sponsor", "alice"]).error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("does not sponsor its own")), "{error}");
    // A program is told the same without a terminal.
    told(async {
        let client = node.client().await;
        let account = client.account(&home.person("carol").address).await.expect("proven");
        assert_eq!(account.balance(AssetId::GCC), Some(gcc(carol - fee)));
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn an_estimate_says_what_storage_costs_and_signs_nothing() {
    let home = Home::new("estimate");
    let node = plane(&home);
    home.run(&node, &["key", "new", "zoe", "--dev"]).json();
    let estimate = |more: &[&str]| home.run(&node, &[&["fee", "estimate", "--from", "alice"], more].concat());
    let known = estimate(&["--to", "bob", "1gcc"]).json();
    let new = estimate(&["--to", "zoe", "1gcc", "--also", "bob=1gcc", "--also", "zoe=2zman"]).json();
    assert_eq!(
        (&known["storage"], &new["new_accounts"], &new["new_slots"]),
        (&json!(0), &json!(1), &json!(2)),
        "{new}"
    );
    assert_eq!(new["storage"], json!(2 * 100_000 + 400_000), "{new}");
    let sent = ["transfer", "--from", "alice", "--to", "zoe", "1gcc", "--also", "bob=1gcc", "--also", "zoe=2zman"];
    let sent = home.run(&node, &sent).json();
    assert_eq!(sent["gas"], new["gas"], "{sent} {new}");
    assert_eq!(sent["fee"].as_u64(), Some(new["fee"].as_u64().expect("a fee") + 600_000), "{sent} {new}");
    let many = estimate(&["--actions", "256"]).json();
    assert!(many["gas"].as_u64() > Some(80_000) && many["bytes_max"].as_u64() > Some(11_000), "{many}");
    assert!(estimate(&["--withdraw", "5gcc"]).json()["gas_limit"].as_u64() >= Some(3_000));
    for bad in [&[][..], &["--to", "alice", "1gcc"]] {
        assert!(estimate(bad).error()["error"].is_string());
    }
    assert!(node.interrupt().success());
}

/// What would come of it, by an estimate.
fn outlook(estimate: &Value) -> (&Value, &Value) {
    (&estimate["outcome"]["is_admitted"], &estimate["outcome"]["code"])
}

#[test]
fn an_estimate_knows_covenants() {
    let home = Home::new("estimate-covenants");
    let node = plane(&home);
    home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).json();
    let estimate =
        |amount: &str| home.run(&node, &["fee", "estimate", "--from", "alice", "--to", "bob", amount]).json();
    let pay = |amount: &str| home.run(&node, &["transfer", "--from", "alice", "--to", "bob", amount]);
    let unbound = estimate("1gcc");
    home.run(&node, &["covenant", "apply", "spending-limit", "limit=25gcc", "window=day", "--from", "alice"]).json();
    let bound = estimate("1gcc");
    assert_eq!(outlook(&bound), (&json!(true), &json!(0)), "{bound}");
    // The text is read, and the rules are asked.
    assert!(bound["gas"].as_u64() > unbound["gas"].as_u64().map(|gas| gas + 10_000), "{bound} {unbound}");
    assert!(bound["gas_limit"].as_u64() > bound["gas"].as_u64(), "{bound}");
    let paid = pay("1gcc").json();
    assert_eq!((&paid["gas"], &paid["fee"]), (&bound["gas"], &bound["fee"]), "{paid} {bound}");

    // What would be refused costs what the refusal does, says so, and says what would pass.
    let over = estimate("30gcc");
    assert_eq!(outlook(&over), (&json!(true), &json!(280)), "{over}");
    assert_eq!(over["outcome"]["would_pass"][0], json!("passes with amount <= 24gcc"), "{over}");
    let before = units(&home.run(&node, &["balance", "alice"]).json(), 0);
    refused(&pay("30gcc").error(), 280);
    let after = units(&home.run(&node, &["balance", "alice"]).json(), 0);
    assert_eq!(Some(before - after), over["fee"].as_u64(), "{over}");
    assert_eq!(outlook(&estimate("24gcc")), (&json!(true), &json!(0)));

    // Who is paid under rules costs the payer as well.
    let rules = home.file(
        "incoming.cedar",
        "@id(\"known\") permit (principal, action in Action::\"moves_value\", resource) when { context.amount < 9000000000 };\n",
    );
    home.run(&node, &["covenant", "set", &rules, "--incoming", "--from", "bob"]).json();
    let both = estimate("2gcc");
    assert!(both["gas"].as_u64() > bound["gas"].as_u64(), "{both} {bound}");
    assert_eq!(pay("2gcc").json()["gas"], both["gas"], "{both}");

    told(async {
        // A program asks for either: whether there is enough for the fee as well, the price tells.
        let (client, carol) = (node.client().await, home.person("carol"));
        let account = client.account(&carol.address).await.expect("proven");
        let all = account.balance(AssetId::GCC).expect("she has money").units();
        let simulated = |query: &str, units: u64| {
            let signed = carol.pay(&client, account.record(), 0, home.person("dave").address, units);
            let bytes = ghostplane_types::Encode::to_bytes(&signed);
            let (status, answer) = node.call("POST", &format!("/v1/simulate{query}"), &bytes);
            assert_eq!((status, &answer["is_admitted"]), (200, &json!(true)), "{answer}");
            answer
        };
        assert_eq!(simulated("", all)["code"], json!(0));
        assert_ne!(simulated("?priced=true", all)["code"], json!(0));
        let (free, priced) = (simulated("", 1_000), simulated("?priced=true", 1_000));
        assert_eq!((&free["gas"], &free["code"]), (&priced["gas"], &json!(0)), "{priced}");
        assert_eq!(node.call("POST", "/v1/simulate?priced=1", b"").0, 400);
    });
    let many = home.run(&node, &["fee", "estimate", "--from", "alice", "--actions", "3"]).json();
    assert_eq!(many["outcome"]["tried"], json!(false), "{many}");
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn an_estimate_knows_limits_of_sessions_and_guardians() {
    let home = Home::new("estimate-limits");
    let node = plane(&home);
    home.run(&node, &["key", "new", "phone", "--dev"]).json();
    home.run(&node, &["session", "add", "phone", "--from", "alice", "--limit", "5gcc/day,1gcc"]).json();
    let estimate = |signer: &str, amount: &str| {
        home.run(&node, &["fee", "estimate", "--from", "alice", "--signer", signer, "--to", "bob", amount]).json()
    };
    let pay = |signer: &str, amount: &str| {
        home.run(&node, &["transfer", "--from", "alice", "--signer", signer, "--to", "bob", amount])
    };
    // 1gcc is what one transaction may take: it is the fee that does not fit.
    let told_of = |estimate: &Value, code: u64| {
        assert_eq!(outlook(estimate), (&json!(false), &json!(code)), "{estimate}");
        assert!(estimate["outcome"]["next"].as_str().is_some_and(|next| next.contains("session list")), "{estimate}");
    };
    let over = estimate("phone", "1gcc");
    told_of(&over, 123);
    // What it would use if it were let in is told all the same.
    assert_eq!(over["gas"], estimate("phone", "0.9gcc")["gas"], "{over}");
    refused(&pay("phone", "1gcc").error(), 123);
    for _ in 0..5 {
        let expected = estimate("phone", "0.9gcc");
        assert_eq!(outlook(&expected), (&json!(true), &json!(0)), "{expected}");
        assert_eq!(pay("phone", "0.9gcc").json()["gas"], expected["gas"], "{expected}");
    }
    // 0.5gcc are left of the day without the fees.
    told_of(&estimate("phone", "0.5gcc"), 124);
    refused(&pay("phone", "0.5gcc").error(), 124);
    assert_eq!(outlook(&estimate("alice", "0.5gcc")), (&json!(true), &json!(0)));

    // An account that acts for another, by a key of its own.
    home.run(&node, &["transfer", "--from", "bob", "--to", "carol", "1gcc"]).json();
    home.run(&node, &["session", "add", "--to-account", "bob", "--from", "alice", "--limit", "2gcc/day"]).json();
    let by_bob = |amount: &str| {
        let arguments = ["fee", "estimate", "--from", "alice", "--signer", "bob", "--to", "carol", amount];
        home.run(&node, &arguments).json()
    };
    assert_eq!(outlook(&by_bob("1gcc")), (&json!(true), &json!(0)));
    told_of(&by_bob("3gcc"), 123);

    // Guardians, with their approvals and without.
    let set = ["guardian", "set", "--from", "carol", "--member", "dave", "--member", "erin", "--quorum", "2"];
    home.run(&node, &[&set[..], &["--allow", "5gcc/day,2gcc"]].concat()).json();
    let guarded = |command: &[&str], more: &[&str]| {
        home.run(&node, &[command, &["--from", "carol", "--to", "bob", "20gcc"], more].concat())
    };
    let below = guarded(&["fee", "estimate"], &[]).json();
    assert_eq!(outlook(&below), (&json!(false), &json!(127)), "{below}");
    assert!(below["outcome"]["next"].as_str().is_some_and(|next| next.contains("--approve")), "{below}");
    let agreed = guarded(&["fee", "estimate"], &["--approve", "dave,erin"]).json();
    assert_eq!(outlook(&agreed), (&json!(true), &json!(0)), "{agreed}");
    let paid = guarded(&["transfer"], &["--approve", "dave,erin"]).json();
    assert_eq!((&paid["gas"], &paid["fee"]), (&agreed["gas"], &agreed["fee"]), "{paid} {agreed}");
    assert!(node.interrupt().success());
    home.verify();
}

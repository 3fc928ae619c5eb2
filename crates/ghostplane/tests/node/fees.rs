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

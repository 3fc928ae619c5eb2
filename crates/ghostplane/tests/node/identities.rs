//! Who may act for an account, on a running plane: more keys, sessions within limits, signing in.

use crate::process::{Home, Process, funded, told};
use serde_json::{Value, json};

/// A plane whose people have their money.
fn plane(home: &Home) -> Process {
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    node
}

/// That an error has this code.
fn refused(error: &Value, code: u64) {
    assert_eq!(error["code"], json!(code), "{error}");
}

#[test]
fn a_session_pays_within_its_limits_until_it_is_revoked() {
    let home = Home::new("sessions");
    let node = plane(&home);
    home.run(&node, &["key", "new", "phone", "--dev"]).json();
    home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).json();
    let added =
        home.run(&node, &["session", "add", "phone", "--from", "alice", "--limit", "5gcc/day,2gcc", "--to", "bob"]);
    assert_eq!(added.json()["session"]["lane"], json!(1));
    let pay = |to: &str, amount: &str| {
        home.run(&node, &["transfer", "--from", "alice", "--signer", "phone", "--to", to, amount])
    };
    for _ in 0..2 {
        assert!(pay("bob", "1.9gcc").json()["batch"].is_u64());
    }
    refused(&pay("bob", "3gcc").error(), 123);
    refused(&pay("bob", "1.5gcc").error(), 124);
    refused(&pay("carol", "0.1gcc").error(), 122);
    let listed = home.run(&node, &["session", "list", "alice"]).json();
    let left = listed["sessions"][0]["left"][0].as_u64().expect("what is left");
    assert!(left < 1_200_000_000 && left > 1_199_000_000, "the payments and their fees are counted: {listed}");
    // A session changes no gate.
    let error = home.run(&node, &["identity", "add-key", "bob", "--from", "alice", "--signer", "phone"]).error();
    refused(&error, 122);
    home.run(&node, &["session", "revoke", "phone", "--from", "alice"]).json();
    let error = pay("bob", "0.1gcc").error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("may not act")), "{error}");
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn keys_come_and_go_and_the_account_stays() {
    let home = Home::new("keys");
    let node = plane(&home);
    for key in ["spare", "newer"] {
        home.run(&node, &["key", "new", key, "--dev", "--scheme", "p256"]).json();
    }
    home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).json();
    home.run(&node, &["identity", "add-key", "spare", "--from", "alice"]).json();
    let shown = home.run(&node, &["identity", "show", "alice"]).json();
    let document = &shown["document"];
    assert_eq!(shown["keys"].as_array().map(Vec::len), Some(2), "{shown}");
    assert_eq!(document["authentication"].as_array().map(Vec::len), Some(2), "{document}");
    assert_eq!(home.run(&node, &["identity", "did", "alice"]).json(), *document);
    let error = home.run(&node, &["identity", "add-key", "spare", "--from", "alice"]).error();
    refused(&error, 222);
    // The spare key takes the place of a lost one, for the same account.
    home.run(&node, &["identity", "replace-key", "0", "newer", "--from", "alice", "--signer", "spare"]).json();
    let error = home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("may not act")), "{error}");
    home.run(&node, &["transfer", "--from", "alice", "--signer", "newer", "--to", "bob", "1gcc"]).json();
    home.run(&node, &["identity", "remove-key", "1", "--from", "alice", "--signer", "newer"]).json();
    let error = home.run(&node, &["identity", "remove-key", "0", "--from", "alice", "--signer", "newer"]).error();
    refused(&error, 224);
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_service_finds_out_who_is_there() {
    let home = Home::new("sign-in");
    let node = plane(&home);
    let token = |of: &Value, what: &str| of[what].as_str().expect("a token").to_owned();
    let challenge = |who: &str| {
        let made = home.run(&node, &["identity", "challenge", who, "--service", "shop.example"]).json();
        token(&made, "challenge")
    };
    // Alice has not acted yet: the key that her address is made of speaks for her. Then a registered one does.
    for _ in 0..2 {
        let asked = challenge("alice");
        let answer = home.run(&node, &["identity", "answer", &asked, "--from", "alice", "--service", "shop.example"]);
        let answer = token(&answer.json(), "answer");
        let verify = |challenge: &str, answer: &str, service: &str| {
            home.run(&node, &["identity", "verify", challenge, answer, "--service", service])
        };
        let known = verify(&asked, &answer, "shop.example").json();
        assert_eq!(known["service"], "shop.example");
        assert!(known["did"].as_str().is_some_and(|did| did.starts_with("did:ghost:ghost1")), "{known}");
        refused(&verify(&asked, &answer, "other.example").error(), 731);
        refused(&verify(&challenge("alice"), &answer, "shop.example").error(), 735);
        refused(&verify(&challenge("bob"), &answer, "shop.example").error(), 734);
        home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).json();
    }
    // Nobody signs for a service he does not mean, nor for somebody else.
    let asked = challenge("alice");
    let error =
        home.run(&node, &["identity", "answer", &asked, "--from", "alice", "--service", "bank.example"]).error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("not signed")), "{error}");
    let error = home.run(&node, &["identity", "answer", &asked, "--from", "bob", "--service", "shop.example"]).error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("does not speak")), "{error}");
    let error = home.run(&node, &["identity", "verify", "00ff", "00", "--service", "shop.example"]).error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("no challenge")), "{error}");
    assert!(node.interrupt().success());
}

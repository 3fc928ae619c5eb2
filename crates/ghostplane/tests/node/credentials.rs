//! Who vouches for whom and who acts for whom, on a running plane.

use crate::process::{Home, Process, funded, told};
use serde_json::{Value, json};

/// A plane whose people have their money, and whose operator, its authority, has some too.
fn plane(home: &Home) -> (Process, String) {
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    let operator = home.run_as_operator(&node, &["key", "show", "sequencer"]).json();
    let operator = operator["address"].as_str().expect("an address").to_owned();
    home.run(&node, &["transfer", "--from", "bob", "--to", &operator, "10gcc"]).json();
    home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).json();
    (node, operator)
}

fn refused(error: &Value, code: u64) {
    assert_eq!(error["code"], json!(code), "{error}");
}

#[test]
fn a_credential_counts_until_it_is_taken_back() {
    let home = Home::new("credentials");
    let (node, operator) = plane(&home);
    let alice = home.person("alice").address.to_string();
    let claims = home.file("claims.json", "{ \"name\": \"Alice\", \"salt\": \"4f1c\", \"age\": 34 }");
    let issue = ["identity", "credential", "issue", &claims, "--to", &alice, "--from", "sequencer"];
    let certify = [&issue[..], &["--level", "2", "--type", "oracle"]].concat();
    let issued = home.run_as_operator(&node, &certify).json();
    refused(&home.run_as_operator(&node, &certify).error(), 291);

    let shown = home.run(&node, &["identity", "show", "alice"]).json();
    assert_eq!((&shown["level"], &shown["certified"]), (&json!(2), &json!("oracle")), "{shown}");
    assert_eq!(shown["certifications"][0]["claims"], issued["claims"]);
    let (status, account) = node.call("GET", &format!("/v1/accounts/{alice}"), &[]);
    assert_eq!((status, &account["level"], &account["certified"]), (200, &json!(2), &json!("oracle")), "{account}");

    // Who is shown the claims, in whatever form, finds out that they are vouched for, and by whom.
    let same = home.file("copy.json", "{\"age\":34,\"salt\":\"4f1c\",\"name\":\"Alice\"}");
    let checked = home.run(&node, &["identity", "credential", "check", &same, "--subject", "alice"]).json();
    assert_eq!(checked["vouched_for"][0]["authority"], json!(true), "{checked}");
    assert_eq!(checked["vouched_for"][0]["credential"]["level"], json!(2));
    let other = home.file("other.json", "{\"age\":35,\"salt\":\"4f1c\",\"name\":\"Alice\"}");
    refused(&home.run(&node, &["identity", "credential", "check", &other, "--subject", "alice"]).error(), 740);
    refused(&home.run(&node, &["identity", "credential", "check", &claims, "--subject", "bob"]).error(), 740);
    let broken = home.file("broken.json", "{\"age\":34.5}");
    let error = home.run(&node, &["identity", "credential", "check", &broken, "--subject", "alice"]).error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("broken.json")), "{error}");

    // Bob says the same, and it counts for nothing; he certifies nothing.
    let by_bob = ["identity", "credential", "issue", &claims, "--to", "alice", "--from", "bob"];
    home.run(&node, &by_bob).json();
    refused(&home.run(&node, &[&by_bob[..], &["--level", "1"]].concat()).error(), 293);
    let listed = home.run(&node, &["identity", "credential", "list", "alice"]).json();
    assert_eq!(listed["credentials"].as_array().map(Vec::len), Some(2), "{listed}");
    assert!(listed["proven"]["last_batch"].is_u64() && listed["proven"]["rung"].is_string(), "{listed}");
    let (status, page) = node.call("GET", &format!("/v1/credentials/{alice}?count=1"), &[]);
    assert_eq!((status, page["credentials"].as_array().map(Vec::len)), (200, Some(1)), "{page}");
    let after = page["resume_after"].as_str().expect("one more");
    let (_, rest) = node.call("GET", &format!("/v1/credentials/{alice}?after={after}"), &[]);
    assert_eq!(
        (rest["credentials"].as_array().map(Vec::len), &rest["resume_after"]),
        (Some(1), &Value::Null),
        "{rest}"
    );
    assert_ne!(page["credentials"][0]["issuer"], rest["credentials"][0]["issuer"]);
    assert_eq!(node.call("GET", &format!("/v1/credentials/{alice}?count=0"), &[]).0, 400);

    // Each can be proven, and that there is none as well.
    let digest = issued["claims"].as_str().expect("a digest");
    let path = format!("/v1/credentials/{alice}/{operator}/{digest}?proof=true");
    let (status, one) = node.call("GET", &path, &[]);
    assert_eq!((status, &one["exists"], one["proof"].is_string()), (200, &json!(true), true), "{one}");
    let show = |issuer: &str| {
        home.run(&node, &["identity", "credential", "show", digest, "--subject", "alice", "--issuer", issuer]).json()
    };
    assert_eq!(show(&operator)["credential"]["certified"], "oracle");
    assert_eq!(show("carol")["credential"], Value::Null);

    // Taken back, it counts no more, at once; what Bob said she drops herself.
    let revoke = ["identity", "credential", "revoke", digest, "--subject", &alice, "--from", "sequencer"];
    home.run_as_operator(&node, &revoke).json();
    refused(&home.run_as_operator(&node, &revoke).error(), 292);
    let shown = home.run(&node, &["identity", "show", "alice"]).json();
    assert_eq!((&shown["level"], &shown["certified"]), (&json!(0), &Value::Null), "{shown}");
    let check = ["identity", "credential", "check", &claims, "--subject", "alice"];
    assert_eq!(home.run(&node, &check).json()["vouched_for"][0]["authority"], json!(false));
    home.run(&node, &["identity", "credential", "drop", &claims, "--issuer", "bob", "--from", "alice"]).json();
    refused(&home.run(&node, &check).error(), 740);
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn an_account_acts_for_another_with_whatever_keys_it_has() {
    let home = Home::new("delegates");
    let (node, _) = plane(&home);
    let pay = |signer: &str, amount: &str| {
        home.run(&node, &["transfer", "--from", "alice", "--signer", signer, "--to", "carol", amount])
    };
    let error = pay("bob", "1gcc").error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("may not act")), "{error}");
    let add = ["session", "add", "--to-account", "bob", "--from", "alice", "--limit", "5gcc/day,2gcc"];
    let added = home.run(&node, &add).json();
    let bob = home.person("bob").address.to_string();
    assert_eq!((&added["session"]["account"], &added["session"]["public_key"]), (&json!(bob), &Value::Null), "{added}");
    pay("bob", "1gcc").json();
    refused(&pay("bob", "3gcc").error(), 123);
    let listed = home.run(&node, &["session", "list", "alice"]).json();
    assert_eq!(listed["sessions"][0]["account"], json!(bob), "{listed}");
    let shown = home.run(&node, &["identity", "show", "alice"]).json();
    assert_eq!(shown["delegates"][0]["account"], json!(bob), "{shown}");
    // Nobody acts for who acts for him.
    let back = ["session", "add", "--to-account", "alice", "--from", "bob", "--limit", "1gcc/day"];
    refused(&home.run(&node, &back).error(), 298);
    refused(&home.run(&node, &[&back[..2], &["--to-account", "dave"], &back[4..]].concat()).error(), 299);

    // His new key acts at once, the old one no more.
    home.run(&node, &["key", "new", "newer", "--dev", "--scheme", "p256"]).json();
    home.run(&node, &["identity", "replace-key", "0", "newer", "--from", "bob"]).json();
    pay("newer", "1gcc").json();
    let error = pay("bob", "1gcc").error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("may not act")), "{error}");
    // A delegate signs in for nobody.
    let challenge = home.run(&node, &["identity", "challenge", "alice", "--service", "shop.example"]).json();
    let challenge = challenge["challenge"].as_str().expect("a token").to_owned();
    let answer = ["identity", "answer", &challenge, "--from", "newer", "--service", "shop.example"];
    assert!(home.run(&node, &answer).error()["error"].as_str().is_some_and(|error| error.contains("does not speak")));
    home.run(&node, &["session", "revoke", "bob", "--from", "alice"]).json();
    let error = pay("newer", "1gcc").error();
    assert!(error["error"].as_str().is_some_and(|error| error.contains("may not act")), "{error}");
    assert!(node.interrupt().success());
    home.verify();
}

//! Rules on a running plane: attached, asked, explained, taken off.

use crate::process::{Home, Process, funded, told};
use ghostplane_client::wire;
use serde_json::{Value, json};

fn plane(home: &Home) -> Process {
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    node
}

/// That an error has this code, and what command explains it.
fn refused(error: &Value, code: u64) -> String {
    assert_eq!(error["code"], json!(code), "{error}");
    let message = error["error"].as_str().expect("a message");
    let (_, id) = message.rsplit_once("ghostplane explain ").expect("what to do next");
    id.trim_end_matches(|last: char| !last.is_ascii_hexdigit())[..64].to_owned()
}

#[test]
fn a_limit_binds_and_explains_itself_with_the_node_and_without() {
    let home = Home::new("covenants");
    let node = plane(&home);
    home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "1gcc"]).json();
    let apply = ["covenant", "apply", "spending-limit", "limit=25gcc", "window=day", "--from"];
    let first = home.run(&node, &[&apply[..], &["alice"]].concat()).json();
    assert_eq!(first["published"], json!(true));
    // The same rules are there already for the next one.
    let second = home.run(&node, &[&apply[..], &["bob"]].concat()).json();
    assert_eq!((&second["published"], &second["covenant"]), (&json!(false), &first["covenant"]));
    let pay = |amount: &str| home.run(&node, &["transfer", "--from", "alice", "--to", "carol", amount]);
    pay("20gcc").json();
    let id = refused(&pay("6gcc").error(), 280);
    let shown = home.run(&node, &["covenant", "show", "alice"]).json();
    assert_eq!(
        shown["spending"],
        json!([{ "asset": 0, "hour": 20_000_000_000_u64, "day": 20_000_000_000_u64, "month": 20_000_000_000_u64 }])
    );

    let explained = home.run(&node, &["explain", &id]).json();
    assert_eq!((&explained["code"], &explained["name"]), (&json!(280), &json!("CovenantForbids")));
    assert_eq!(explained["would_pass"][0], json!("passes with amount <= 5gcc"));
    assert!(explained["policies"].as_array().is_some_and(|policies| policies.len() == 1), "{explained}");
    let get = |path: &str| {
        let (status, value) = node.call("GET", path, &[]);
        assert_eq!(status, 200, "{value}");
        value
    };
    assert_eq!(get(&format!("/v1/transactions/{id}/explanation")), explained);
    let text = get(&format!("/v1/covenants/{}", first["covenant"].as_str().expect("a digest")));
    assert!(text["text"].as_str().is_some_and(|text| text.contains("spent.day")), "{text}");
    // What was said to pass passes, and a unit more does not.
    refused(&pay("5.000000001gcc").error(), 280);
    pay("5gcc").json();

    // An applied transaction has nothing to explain.
    let applied = home.run(&node, &["transfer", "--from", "carol", "--to", "alice", "1gcc"]).json();
    let error = home.run(&node, &["explain", applied["id"].as_str().expect("an id")]).error();
    assert_eq!(error["code"], json!(710), "{error}");

    home.run(&node, &["covenant", "remove", "--from", "alice"]).json();
    pay("30gcc").json();
    assert!(node.interrupt().success());
    home.verify();

    // From the log, and from one batch with its witness.
    let case = home.dir().join("refused.case");
    let case = case.to_str().expect("text");
    let from_log = home.offline(&["explain", &id, "--save", case]);
    assert_eq!(from_log.json(), explained);
    std::fs::rename(home.dir().join("log"), home.dir().join("no-log")).expect("the log is there");
    let from_case = home.alone(&["explain", "--case", case]);
    assert_eq!(from_case.out, from_log.out, "byte for byte");
    let mut bytes = std::fs::read(case).expect("the case");
    let last = bytes.len() - 1;
    bytes[last - 40] ^= 1;
    std::fs::write(case, bytes).expect("the case");
    let error = home.alone(&["explain", "--case", case]).error();
    assert!(
        error["error"].as_str().is_some_and(|error| error.contains("witness") || error.contains("case")),
        "{error}"
    );
}

#[test]
fn rules_for_all_come_after_their_notice_and_deposits_come_back() {
    let home = Home::new("plane-rules");
    let node = plane(&home);
    let rules = home.dir().join("incoming.cedar");
    std::fs::write(
        &rules,
        "@id(\"known\") permit (principal, action, resource);\n@id(\"small\") forbid (principal, action == Action::\"deposit\", resource) when { context.amount > 5000000000 };\n",
    )
    .expect("a scratch file");
    home.run(&node, &["covenant", "set", rules.to_str().expect("text"), "--incoming", "--from", "alice"]).json();
    let before = home.run(&node, &["balance", "alice"]).json();
    told(async {
        let client = node.client().await;
        let mut events = client.events(&[wire::EventKind::BatchSealed]).await.expect("events");
        home.run(&node, &["deposit", "--to", "alice", "6gcc"]).json();
        home.run(&node, &["deposit", "--to", "alice", "5gcc"]).json();
        loop {
            let bridge = client.bridge().await.expect("an answer");
            if bridge.inbox_consumed == bridge.inbox_end {
                break;
            }
            events.message().await.expect("events go on").expect("events go on");
        }
    });
    let units = |balance: &Value| balance["balances"][0]["units"].as_u64().expect("a balance");
    let after = home.run(&node, &["balance", "alice"]).json();
    assert_eq!(units(&after) - units(&before), 5_000_000_000);
    // Only the governor sets rules for all.
    let error =
        home.run(&node, &["covenant", "set", rules.to_str().expect("text"), "--plane", "--from", "alice"]).error();
    refused(&error, 289);
    let none = home.run(&node, &["covenant", "show"]).json();
    assert_eq!(none["covenants"], json!([]));
    let governor = none["governor"].as_str().expect("a development plane has one");
    home.run(&node, &["transfer", "--from", "alice", "--to", governor, "1gcc"]).json();
    let rules = rules.to_str().expect("text");
    home.run_as_operator(&node, &["covenant", "set", rules, "--plane", "--from", "sequencer"]).json();
    let announced = home.run(&node, &["covenant", "show"]).json();
    assert!(announced["covenants"][0]["from"].is_u64(), "{announced}");
    assert!(node.interrupt().success());
    home.verify();
}

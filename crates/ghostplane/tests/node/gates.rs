//! Guardians, proposals, freezes, recoveries and assets of the plane's own, on a running plane and by its commands.

use crate::process::{Ended, Home, Process, funded, told};
use ghostplane_client::{Client, gates, wire};
use ghostplane_types::{AssetId, Encode as _};
use serde_json::{Value, json};

const GCC: u64 = 1_000_000_000;

/// A plane whose people have their money, and where Dave has acted.
fn plane(home: &Home) -> Process {
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    home.run(&node, &["transfer", "--from", "dave", "--to", "erin", "1gcc"]).json();
    node
}

/// Gives Alice three guardians of whom two are enough, an allowance, and these delays.
fn guard(home: &Home, node: &Process, gate_delay: &str, recovery_delay: &str) -> Value {
    let set = [
        "guardian",
        "set",
        "--from",
        "alice",
        "--member",
        "bob",
        "--member",
        "carol=1",
        "--member",
        "account:dave",
        "--quorum",
        "2",
        "--allow",
        "5gcc/day,2gcc",
        "--gate-delay",
        gate_delay,
        "--recovery-delay",
        recovery_delay,
    ];
    home.run(node, &set).json()
}

/// That it failed with this code, and what it says of it.
fn refused(ended: &Ended, code: u64) -> String {
    let error = ended.error();
    assert_eq!(error["code"], json!(code), "{error}");
    error["error"].as_str().expect("words").to_owned()
}

/// Waits until the L1 has a block well behind a time: whatever comes then is in a batch that opened after it.
async fn past(client: &Client, time: u64) {
    let mut events = client.events(&[wire::EventKind::L1Block]).await.expect("events");
    loop {
        let event = events.message().await.expect("events go on").expect("events go on").event;
        if let Some(wire::event::Event::L1Block(block)) = event
            && block.time >= time + 100
        {
            return;
        }
    }
}

fn address(home: &Home, name: &str) -> String {
    home.person(name).address.to_string()
}

/// What the node says over HTTP.
fn http(node: &Process, path: &str) -> Value {
    let (status, answer) = node.call("GET", path, b"");
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn a_treasury_pays_much_with_two_of_three_and_a_little_alone() {
    let home = Home::new("treasury");
    let node = plane(&home);
    guard(&home, &node, "0", "2d");
    let pay = |more: &[&str]| home.run(&node, &[&["transfer", "--from", "alice", "--to", "erin"], more].concat());
    pay(&["1gcc"]).json();
    let said = refused(&pay(&["3gcc"]), 127);
    assert!(said.contains("--approve") && said.contains("--out") && said.contains("--propose"), "{said}");
    refused(&pay(&["100gcc", "--approve", "bob"]), 127);
    refused(&pay(&["100gcc", "--approve", "bob,erin"]), 129);
    assert!(pay(&["100gcc", "--approve", "bob,carol"]).json()["batch"].is_u64());
    // The allowance is one for the day, fees included: what was approved does not count, what was not does.
    refused(&pay(&["2gcc"]), 127);
    pay(&["1.9gcc"]).json();
    pay(&["1.9gcc"]).json();
    refused(&pay(&["1.9gcc"]), 127);

    let shown = home.run(&node, &["guardian", "show", "alice"]).json();
    let left = shown["guardians"]["allowances"][0]["left"].as_u64().expect("what is left");
    assert!(left < GCC / 5 && left > GCC / 10, "{shown}");
    let answer = http(&node, &format!("/v1/accounts/{}?proof=true", address(&home, "alice")));
    assert_eq!(answer["guardians"]["members"].as_array().map(Vec::len), Some(3), "{answer}");
    assert_eq!(answer["guardians"]["members"][2]["account"], json!(address(&home, "dave")));
    assert_eq!(answer["guardians"]["allowances"][0]["left"]["units"], json!(left.to_string()));
    assert_eq!(answer["guardians"]["quorums"], json!({ "spend": 2, "gates": 2, "freeze": 2, "recover": 2 }));
    assert_eq!((&answer["safety"]["frozen"], &answer["proposals"]), (&json!(false), &json!([])));
    told(async {
        // The client makes the same of the proven record, and takes nothing else.
        let client = node.client().await;
        let proven = client.account(&home.person("alice").address).await.expect("proven");
        let guarded = proven.record().and_then(|record| record.gates.as_ref()?.guarded.as_ref()).expect("guardians");
        let time = proven.header().time;
        assert_eq!(gates::left(&guarded.set.allowances[0], &guarded.spent[0], time), left);
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_transaction_travels_from_guardian_to_guardian() {
    let home = Home::new("travel");
    let node = plane(&home);
    guard(&home, &node, "0", "2d");
    let path = home.dir().with_file_name("payment");
    let file = path.to_str().expect("a scratch path is text");
    let pay = ["transfer", "--from", "alice", "--to", "erin", "50gcc"];
    let written = home.run(&node, &[&pay[..], &["--out", file]].concat()).json();
    assert_eq!((&written["signed"], written["approvals"].as_array().map(Vec::len)), (&json!(true), Some(0)));
    let consent = |keys: &str| home.run(&node, &["approve", file, "--key", keys]);
    // Looking at it changes nothing; somebody who has no say spoils nothing.
    let seen = home.run(&node, &["approve", file]).json();
    assert!(seen["does"][0].as_str().is_some_and(|does| does.starts_with("transfer 50gcc to ghost1")), "{seen}");
    refused(&consent("erin"), 746);
    assert_eq!(consent("bob").json()["approvals"].as_array().map(Vec::len), Some(1));
    refused(&consent("bob"), 743);
    refused(&home.run(&node, &["send", file]), 127);
    consent("dave").json();
    let sent = home.run(&node, &["send", file]).json();
    assert_eq!(sent["id"], written["id"]);
    // Whoever sends it too is told the same: it is one payment.
    assert_eq!(home.run(&node, &["send", file]).json()["position"], sent["position"]);

    // Nobody has signed this one yet, the sender comes last.
    let unsigned = home.run(&node, &[&pay[..], &["--unsigned", file]].concat()).json();
    assert_eq!(unsigned["signed"], json!(false), "{unsigned}");
    consent("carol,bob").json();
    assert!(refused(&home.run(&node, &["send", file]), 744).contains("ghostplane approve"));
    assert_eq!(consent("alice").json()["signed"], json!(true));
    assert_ne!(home.run(&node, &["send", file]).json()["id"], sent["id"]);

    // What was altered on the way is neither signed nor sent.
    home.run(&node, &[&pay[..], &["--out", file]].concat()).json();
    let honest: Value = serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
    let mut altered = honest.clone();
    altered["id"] = sent["id"].clone();
    std::fs::write(&path, altered.to_string()).expect("written");
    refused(&consent("bob"), 741);
    refused(&home.run(&node, &["send", file]), 741);
    std::fs::write(&path, "{}").expect("written");
    refused(&home.run(&node, &["send", file]), 740);
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn proposals_wait_for_votes_and_for_their_time() {
    let home = Home::new("proposals");
    let node = plane(&home);
    home.run(&node, &["key", "new", "spare", "--dev"]).json();
    guard(&home, &node, "1500ms", "2d");
    let new = home.run(&node, &["proposal", "new", "transfer", "--from", "alice", "--to", "erin", "20gcc"]).json();
    let id = new["proposal"].as_str().expect("an id").to_owned();
    assert_eq!((&new["paid"], &new["intended"]["paid"][0]["amount"]), (&Value::Null, &json!("20gcc")), "{new}");
    let listed = home.run(&node, &["proposal", "list", "alice"]).json();
    assert_eq!(listed["proposals"][0]["state"], "pending", "{listed}");
    assert_eq!(listed["proposals"][0]["quorums"], json!([{ "role": "spend", "found": 0, "needed": 2 }]));
    let on = |what: &str, id: &str, from: &str| home.run(&node, &["proposal", what, "alice", id, "--from", from]);
    refused(&on("execute", &id, "erin"), 256);
    refused(&on("approve", &id, "erin"), 254);
    assert_eq!(on("approve", &id[..8], "bob").json()["state"], "pending");
    refused(&on("approve", &id, "bob"), 255);
    refused(&on("approve", "0bad0bad0bad", "bob"), 747);
    let agreed = on("approve", &id, "dave").json();
    assert_eq!((&agreed["state"], &agreed["known_from"]), (&json!("ready"), &json!("record")), "{agreed}");
    let answer = http(&node, &format!("/v1/accounts/{}", address(&home, "alice")));
    assert_eq!(answer["proposals"][0]["state"], "ready", "{answer}");
    assert_eq!(answer["proposals"][0]["approved_by"].as_array().map(Vec::len), Some(2));
    let balance =
        |who: &str| home.run(&node, &["balance", who, "--asset", "gcc"]).json()["balances"][0]["units"].clone();
    let had = balance("frank");
    assert_eq!(on("execute", &id, "frank").json()["state"], "executed");
    assert!(balance("frank").as_u64() < had.as_u64(), "whoever executes pays the gas");
    refused(&on("execute", &id, "frank"), 747);
    let over = home.run(&node, &["proposal", "show", "alice", &id]).json();
    assert_eq!((&over["state"], &over["known_from"]), (&json!("over"), &json!("receipt")), "{over}");

    // A change of keys waits even when everybody agrees.
    let add = ["identity", "add-key", "spare", "--from", "alice", "--approve", "bob,carol"];
    assert!(refused(&home.run(&node, &add), 128).contains("--propose"));
    let held = home.run(&node, &[&add[..], &["--propose"]].concat()).json();
    let id = held["proposal"].as_str().expect("an id").to_owned();
    let shown = home.run(&node, &["proposal", "show", "alice", &id]).json();
    let ready_at = shown["ready_at"].as_u64().expect("enough agree");
    let spare_pays = || home.run(&node, &["transfer", "--from", "alice", "--signer", "spare", "--to", "erin", "1gcc"]);
    assert!(spare_pays().error()["error"].as_str().is_some_and(|error| error.contains("may not act")));
    told(async { past(&node.client().await, ready_at).await });
    assert_eq!(on("execute", &id, "erin").json()["state"], "executed");
    spare_pays().json();

    // Two of three against it are enough to drop it.
    let new = home.run(&node, &["proposal", "new", "transfer", "--from", "alice", "--to", "erin", "9gcc"]).json();
    let id = new["proposal"].as_str().expect("an id");
    assert_eq!(on("reject", id, "bob").json()["state"], "pending");
    assert_eq!(on("reject", id, "carol").json()["state"], "declined");
    // What is done at once is no proposal.
    refused(&home.run(&node, &["guardian", "freeze", "alice", "--from", "bob", "--propose"]), 745);
    refused(&home.run(&node, &["proposal", "approve", "bob", id, "--from", "carol"]), 749);
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_freeze_stops_a_thief_and_a_lost_key_is_replaced() {
    let home = Home::new("freeze");
    let node = plane(&home);
    home.run(&node, &["key", "new", "spare", "--dev"]).json();
    guard(&home, &node, "0", "1500ms");
    let steal = |amount: &str| home.run(&node, &["transfer", "--from", "alice", "--to", "judy", amount]);
    let on = |what: &[&str], more: &[&str]| home.run(&node, &[&["guardian"], what, more].concat());
    // Who has the owner's key has the allowance, and no more.
    steal("1.9gcc").json();
    refused(&steal("500gcc"), 127);
    let said = refused(&on(&["freeze", "alice"], &["--from", "bob"]), 259);
    assert!(said.contains("--approve"), "{said}");
    refused(&on(&["freeze", "alice"], &["--from", "judy"]), 259);
    let frozen = on(&["freeze", "alice"], &["--from", "bob", "--approve", "carol"]).json();
    assert_eq!(frozen["safety"]["frozen"], json!(true), "{frozen}");
    refused(&steal("0.1gcc"), 126);
    let answer = http(&node, &format!("/v1/accounts/{}", address(&home, "alice")));
    assert_eq!(answer["safety"]["frozen"], json!(true));
    refused(&on(&["freeze", "alice"], &["--from", "bob", "--approve", "carol"]), 260);

    let recover = ["--from", "bob", "--approve", "dave"];
    on(&["recover", "alice", "spare"], &recover).json();
    refused(&on(&["finish-recovery", "alice"], &["--from", "erin"]), 257);
    // While frozen, the owner's key can say no. The first time alone.
    on(&["cancel-recovery", "alice"], &["--from", "alice"]).json();
    let begun = on(&["recover", "alice", "spare"], &recover).json();
    refused(&on(&["cancel-recovery", "alice"], &["--from", "alice"]), 264);
    let ready_at = begun["safety"]["recovery"]["ready_at"].as_u64().expect("a time");
    told(async { past(&node.client().await, ready_at).await });
    let done = on(&["finish-recovery", "alice"], &["--from", "erin"]).json();
    assert_eq!(done["safety"]["frozen"], json!(false), "{done}");
    assert!(steal("0.1gcc").error()["error"].as_str().is_some_and(|error| error.contains("may not act")));
    home.run(&node, &["transfer", "--from", "alice", "--signer", "spare", "--to", "erin", "1gcc"]).json();

    // A freeze that is not needed any more ends.
    on(&["freeze", "alice"], &["--from", "bob", "--approve", "carol"]).json();
    assert_eq!(on(&["unfreeze", "alice"], &recover).json()["safety"]["frozen"], json!(false));
    let gone =
        home.run(&node, &["guardian", "remove", "--from", "alice", "--signer", "spare", "--approve", "bob,carol"]);
    gone.json();
    assert_eq!(home.run(&node, &["guardian", "show", "alice"]).json()["guardians"], Value::Null);
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn terms_that_cannot_be_are_told_before_anything_is_sent() {
    let home = Home::new("terms");
    let node = plane(&home);
    let set = |more: &[&str]| home.run(&node, &[&["guardian", "set", "--from", "alice"], more].concat());
    refused(&set(&["--member", "bob", "--quorum", "2"]), 752);
    refused(&set(&["--member", "bob", "--quorum", "spend=1"]), 752);
    refused(&set(&["--member", "bob", "--quorum", "1", "--allow", "1gcc/day", "--allow", "2gcc/hour"]), 752);
    // What only the plane knows, it says.
    refused(&set(&["--member", "account:judy", "--quorum", "1"]), 243);
    refused(&set(&["--member", "alice", "--quorum", "1"]), 242);
    refused(&home.run(&node, &["proposal", "approve", "alice", "abcd", "--from", "bob"]), 749);
    refused(&home.run(&node, &["guardian", "remove", "--from", "alice"]), 240);
    assert!(node.interrupt().success());
}

#[test]
fn an_asset_is_registered_made_moved_capped_and_stopped() {
    let home = Home::new("assets");
    let node = plane(&home);
    let run = |arguments: &[&str]| home.run(&node, arguments);
    let register = ["asset", "register", "--symbol", "tea", "--cap", "1000", "--from", "alice"];
    assert_eq!(run(&register).json()["asset"], json!(65_536));
    assert_eq!(run(&register).json()["asset"], json!(65_537), "the next free number");
    refused(&run(&[&register[..], &["65536"]].concat()), 270);
    run(&["asset", "mint", "65536", "600", "--to", "bob", "--from", "alice"]).json();
    refused(&run(&["asset", "mint", "65536", "400.01", "--to", "bob", "--from", "alice"]), 273);
    assert!(
        refused(&run(&["asset", "mint", "65536", "1", "--to", "bob", "--from", "bob"]), 272).contains("asset show")
    );

    let pay = |more: &[&str]| run(&[&["transfer", "--from", "bob", "--to", "carol"], more].concat());
    assert_eq!(pay(&["1.25", "--asset", "#65536"]).json()["paid"][0]["amount"], "1.25tea#65536");
    assert_eq!(pay(&["25#65536"]).json()["paid"][0]["units"], json!(25), "base units");
    assert_eq!(pay(&["0.5tea#65536"]).json()["paid"][0]["units"], json!(50));
    for bad in [&["0.5cup#65536"][..], &["1.234", "--asset", "#65536"], &["5"], &["1gcc", "--asset", "#65536"]] {
        refused(&pay(bad), 751);
    }
    refused(&pay(&["5#70000"]), 750);
    let has = run(&["balance", "carol", "--asset", "#65536", "--proof"]).json();
    assert_eq!(has["balances"], json!([{ "asset": 65_536, "units": 200, "text": "2tea#65536" }]));
    let answer = http(&node, &format!("/v1/accounts/{}", address(&home, "carol")));
    let held = answer["balances"].as_array().and_then(|all| all.iter().find(|one| one["asset"] == json!(65_536)));
    assert_eq!(held.map(|held| &held["amount"]["text"]), Some(&json!("2")), "{answer}");

    run(&["asset", "freeze", "65536", "--from", "alice"]).json();
    assert!(refused(&pay(&["1", "--asset", "#65536"]), 274).contains("unfreeze"));
    assert_eq!(run(&["asset", "show", "65536"]).json()["frozen"], json!(true));
    refused(&run(&["asset", "unfreeze", "65536", "--from", "bob"]), 272);
    run(&["asset", "unfreeze", "65536", "--from", "alice"]).json();
    run(&["asset", "burn", "65536", "2", "--from", "carol"]).json();
    let shown = run(&["asset", "show", "#65536"]).json();
    assert_eq!((&shown["supply"], &shown["cap"], &shown["symbol"]), (&json!(59_800), &json!(100_000), &json!("tea")));
    refused(&run(&["asset", "show", "70000"]), 750);

    let listed = run(&["asset", "list"]).json();
    let numbers: Vec<_> = listed["assets"].as_array().expect("assets").iter().map(|one| one["asset"].clone()).collect();
    assert_eq!(numbers, [json!(0), json!(1), json!(65_536), json!(65_537)], "{listed}");
    assert!(listed["proven"]["first_batch"].is_u64() && listed["proven"]["rung"].is_string(), "{listed}");
    assert_eq!(listed["proven"]["complete"], "the node's word", "{listed}");
    let page = http(&node, "/v1/assets?count=1");
    let next = page["next"].as_str().expect("there are more").to_owned();
    let rest = http(&node, &format!("/v1/assets?after={next}"));
    let of = |page: &Value| page["assets"].as_array().map(Vec::len);
    assert_eq!((of(&page), of(&rest), &rest["next"]), (Some(3), Some(1), &Value::Null));
    let one = http(&node, "/v1/assets/65536?proof=true");
    assert_eq!((&one["supply"]["text"], &one["frozen"]), (&json!("598"), &json!(false)), "{one}");
    assert!(one["proof"].is_string() && one["header"].is_string());
    assert_eq!(node.call("GET", "/v1/assets/70000", b"").0, 404);
    assert_eq!(http(&node, "/v1/assets/70000?proof=true")["exists"], json!(false), "proven to be none");
    told(async {
        let client = node.client().await;
        let tea = AssetId::new(65_536).expect("small");
        let proven = client.asset(tea).await.expect("proven");
        let record = proven.record().expect("registered");
        assert_eq!((record.asset, record.supply.units()), (tea, 59_800));
        assert!(client.asset(AssetId::new(70_000).expect("small")).await.expect("proven").record().is_none());
        // No proof of one asset passes for another, and nothing that is said beside it may differ.
        let mut service = wire::state_client::StateClient::new(client.channel());
        let request = wire::GetAssetRequest { asset: 65_536, proof: true };
        let honest = service.get_asset(request).await.expect("an answer").into_inner();
        assert!(client.plane().asset(tea, &honest).is_ok());
        let other = AssetId::new(65_537).expect("small");
        assert!(client.plane().asset(other, &wire::Asset { asset: 65_537, ..honest.clone() }).is_err());
        for lie in [
            wire::Asset { supply: 1, ..honest.clone() },
            wire::Asset { frozen: true, ..honest.clone() },
            wire::Asset { decimals: 3, ..honest.clone() },
            wire::Asset { symbol: "gcc".to_owned(), ..honest.clone() },
            wire::Asset { exists: false, record: Vec::new().into(), ..honest.clone() },
            wire::Asset { record: record.issuer.to_bytes().into(), ..honest.clone() },
        ] {
            assert!(client.plane().asset(tea, &lie).is_err(), "{lie:?}");
        }
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn identities_and_sessions_are_told_over_http() {
    let home = Home::new("over-http");
    let node = plane(&home);
    home.run(&node, &["key", "new", "phone", "--dev"]).json();
    home.run(&node, &["session", "add", "phone", "--from", "alice", "--limit", "5gcc/day,2gcc", "--to", "bob"]).json();
    home.run(&node, &["transfer", "--from", "alice", "--signer", "phone", "--to", "bob", "1gcc"]).json();
    let alice = address(&home, "alice");
    let answer = http(&node, &format!("/v1/accounts/{alice}"));
    let session = &answer["sessions"][0];
    assert_eq!(
        (&session["lane"], &session["kinds"], &session["over"]),
        (&json!(1), &json!(["transfer"]), &json!(false))
    );
    assert_eq!(session["recipients"], json!([address(&home, "bob")]));
    let units = |of: &Value| of["units"].as_str().and_then(|units| units.parse::<u64>().ok()).expect("units");
    let limit = &session["limits"][0];
    assert_eq!(units(&limit["spent"]) + units(&limit["left"]), 5 * GCC, "{limit}");
    assert!(units(&limit["spent"]) > GCC, "the fee counts");
    assert_eq!(answer["identity"]["keys"].as_array().map(Vec::len), Some(1));

    let known = http(&node, &format!("/v1/identities/{alice}?proof=true"));
    assert_eq!(known["document"], home.run(&node, &["identity", "did", "alice"]).json());
    assert_eq!(known["identity"], answer["identity"]);
    assert!(known["record_proof"].is_string() && known["header"].is_string());
    let nobody = http(&node, &format!("/v1/identities/{}", "5a".repeat(32)));
    assert_eq!((&nobody["exists"], &nobody["identity"]), (&json!(false), &Value::Null), "{nobody}");
    assert_eq!(node.call("GET", "/v1/identities/alice", b"").0, 400);
    assert!(node.interrupt().success());
}

#[test]
fn rules_that_nobody_has_published_are_proposed_at_once() {
    let home = Home::new("proposed-rules");
    let node = plane(&home);
    guard(&home, &node, "1500ms", "2d");
    let apply = ["covenant", "apply", "spending-limit", "limit=25gcc", "window=day", "--from", "alice"];
    assert!(refused(&home.run(&node, &[&apply[..], &["--approve", "bob,carol"]].concat()), 128).contains("--propose"));
    // A little fee is within the allowance: the owner proposes alone, and what is published is there at once.
    let held = home.run(&node, &[&apply[..], &["--propose"]].concat()).json();
    let (id, digest) = (held["proposal"].as_str().expect("an id"), held["intended"]["covenant"].as_str());
    assert_eq!((&held["published"], held["held"].as_array().map(Vec::len)), (&json!(true), Some(1)), "{held}");
    let text = http(&node, &format!("/v1/covenants/{}", digest.expect("a digest")));
    assert!(text["text"].as_str().is_some_and(|text| text.contains("spent.day")), "{text}");
    let shown = || home.run(&node, &["covenant", "show", "alice"]).json();
    assert_eq!(shown()["covenants"], json!([]), "it is held");

    // The second time there is nothing to publish.
    let again = home.run(&node, &[&apply[..], &["--propose", "--approve", "bob,carol"]].concat()).json();
    assert_eq!((&again["published"], &again["intended"]["covenant"]), (&json!(false), &json!(digest)), "{again}");
    let on = |what: &str, from: &str| home.run(&node, &["proposal", what, "alice", id, "--from", from]);
    on("approve", "bob").json();
    on("approve", "dave").json();
    let proposal = home.run(&node, &["proposal", "show", "alice", id]).json();
    let ready_at = proposal["ready_at"].as_u64().expect("enough agree");
    told(async { past(&node.client().await, ready_at).await });
    assert_eq!(on("execute", "erin").json()["state"], "executed");
    assert_eq!(shown()["covenants"][0]["digest"], json!(digest));
    // Its rules bind those who agree as well.
    let pay = |amount: &str| {
        home.run(&node, &["transfer", "--from", "alice", "--to", "erin", amount, "--approve", "bob,carol"])
    };
    refused(&pay("26gcc"), 280);
    pay("25gcc").json();
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_treasury_pays_a_file_with_its_guardians() {
    let home = Home::new("payout");
    let node = plane(&home);
    guard(&home, &node, "0", "2d");
    let balance = |who: &str| {
        let said = home.run(&node, &["balance", who, "--asset", "gcc"]).json();
        said["balances"][0]["units"].as_u64().expect("a balance")
    };
    let had = ["erin", "frank", "grace"].map(balance);
    let rows = "payee,amount,asset,reference\nerin,20,gcc,one\nfrank,30,gcc,two\ngrace,1,gcc,three\nerin,5,gcc,four\n";
    let file = home.file("payout.csv", rows);
    let pay = |more: &[&str]| home.run(&node, &[&["pay", "--from", "alice", "--file", &file], more].concat());
    let told_of = |ended: &Ended| ended.error()["error"].as_str().expect("words").to_owned();
    let alone = told_of(&pay(&[]));
    assert!(alone.contains("line 2 is not paid") && alone.contains("(127)") && alone.contains("--approve"), "{alone}");
    // What the first run signed is signed anew with whoever approves now, and that is still too few.
    let below = told_of(&pay(&["--approve", "bob"]));
    assert!(below.contains("line 2 is not paid") && below.contains("(127)"), "{below}");
    assert!(told_of(&pay(&["--approve", "bob,erin"])).contains("line 2 is not paid"), "she has no say");
    let paid = pay(&["--approve", "bob,carol"]).json();
    assert_eq!((&paid["done"], &paid["done_now"], &paid["failed"]), (&json!(4), &json!(4), &json!([])), "{paid}");
    let gained = |had: [u64; 3]| {
        let has = ["erin", "frank", "grace"].map(balance);
        [0, 1, 2].map(|at| has[at] - had[at])
    };
    assert_eq!(gained(had), [25 * GCC, 30 * GCC, GCC]);
    // Once, with approvals and without.
    assert_eq!(pay(&["--approve", "bob,carol"]).json()["done_now"], json!(0));
    assert_eq!(pay(&[]).json()["done_now"], json!(0));
    assert_eq!(gained(had), [25 * GCC, 30 * GCC, GCC]);

    // Under rules: there is gas for asking them, and what they refuse is told by its line.
    let apply = ["covenant", "apply", "spending-limit", "limit=100gcc", "window=day", "--from", "alice"];
    home.run(&node, &[&apply[..], &["--approve", "bob,carol"]].concat()).json();
    let had = ["erin", "frank", "grace"].map(balance);
    let rows = "payee,amount,asset,reference\nerin,60,gcc,one\nfrank,50,gcc,two\ngrace,40,gcc,three\n";
    let file = home.file("bound.csv", rows);
    let ended = home.run(&node, &["pay", "--from", "alice", "--file", &file, "--approve", "bob,carol"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said: Value = serde_json::from_str(&ended.out).expect("one document");
    assert_eq!(said["failed"], json!([{ "line": 3, "code": 280, "name": "CovenantForbids" }]), "{said}");
    assert_eq!(gained(had), [60 * GCC, 0, 40 * GCC]);
    assert!(node.interrupt().success());
    home.verify();
}

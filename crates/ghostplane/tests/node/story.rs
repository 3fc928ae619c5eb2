//! What people do with a plane, from the first payment to the money's way home, and what they get told when they err.

use crate::process::{Home, funded, gcc, standing, told};
use ghostplane_client::{ClientError, Draft, Rung};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{Amount, AssetId, Encode as _};

#[test]
fn money_comes_moves_and_goes_home() {
    let home = Home::new("story");
    let node = home.dev();
    assert_eq!(node.said["accounts"].as_array().map(Vec::len), Some(10));
    let (alice, bob) = (home.person("alice"), home.person("bob"));
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        assert_eq!(client.status().await.expect("a status").state, "ready");
        assert_eq!(node.call("GET", "/v1/status", b"").1["state"], "ready");

        // Bob has the money as soon as Alice has the receipt, and can prove it.
        let (had, _) = standing(&client, &bob.address).await;
        let payment = alice.pay(&client, None, 0, bob.address, 1_500_000_000);
        let receipt = client.submit(&payment).await.expect("executed");
        assert!(receipt.claimed().is_applied());
        assert_eq!(client.receipt(&receipt.id()).await.expect("kept"), receipt);
        let account = client.account(&bob.address).await.expect("with proofs");
        assert_eq!(account.balance(AssetId::GCC).map(Amount::units), Some(had + 1_500_000_000));
        assert!(account.header().number >= receipt.claimed().batch);
        client.wait_for(&receipt.id(), Rung::Challengeable, 60_000).await.expect("the L1 hears of it");
        let (header, _) = client.batch(receipt.claimed().batch, false, false).await.expect("sealed");
        assert!(client.anchor(&header).await.expect("under a commitment").rung >= Rung::Challengeable);

        // From the L1 and back to it, on the command line.
        let (had, _) = standing(&client, &bob.address).await;
        let mut events = client.events(&[]).await.expect("events");
        let deposit = home.run(&node, &["deposit", "--to", "bob", "3gcc"]).json();
        assert!(deposit["inbox_index"].as_u64().is_some(), "{deposit}");
        while standing(&client, &bob.address).await.0 == had {
            events.message().await.expect("events go on").expect("events go on");
        }
        assert_eq!(standing(&client, &bob.address).await.0, had + 3_000_000_000);
        let l1 = ghostplane_types::L1Address(public_key(&bob.gid));
        let amount = async || {
            let account = client.l1_account(&l1).await.expect("an L1 account");
            let of_gcc = account.balances.into_iter().find(|balance| balance.asset == AssetId::GCC.number());
            of_gcc.expect("GCC").amount.parse::<u128>().expect("a number")
        };
        let before = amount().await;
        let withdrawn = home.run(&node, &["withdraw", "--from", "bob", "2gcc", "--wait", "final"]).json();
        assert_eq!(withdrawn["rung"], "final", "{withdrawn}");
        let index = withdrawn["withdrawal"].as_u64().expect("an index").to_string();
        home.run(&node, &["claim", &index, "--from", "bob"]).json();
        assert!(amount().await > before, "the money is home");
        let again = home.run(&node, &["claim", &index, "--from", "bob"]).error();
        assert!(again["error"].as_str().is_some_and(|error| error.contains("paid out already")), "{again}");
    });
    assert!(node.interrupt().success());
    home.verify();
}

fn public_key(gid: &ghostplane_types::Gid) -> [u8; 32] {
    let ghostplane_types::PublicKey::Ed25519(key) = gid.public_key else { panic!("a key for development") };
    *key.as_bytes()
}

#[test]
fn who_errs_is_told_the_same_everywhere() {
    let home = Home::new("errs");
    let node = home.dev();
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let (alice, bob) = (home.person("alice"), home.person("bob"));
        client.submit(&alice.pay(&client, None, 0, bob.address, 1)).await.expect("executed");
        let record = client.account(&alice.address).await.expect("an account").record().cloned();
        let record = record.as_ref();

        let mut forged = alice.pay(&client, record, 1, bob.address, 1);
        forged.auth = alice.pay(&client, record, 1, bob.address, 2).auth;
        let used = alice.pay(&client, record, 0, bob.address, 2);
        let far = alice.pay(&client, record, 1_000, bob.address, 2);
        for (transaction, name) in [(&forged, "BadSignature"), (&used, "NonceUsed"), (&far, "NonceGap")] {
            let error = client.submit_once(transaction).await.expect_err(name);
            let ClientError::Refused(refused) = &error else { panic!("{name}: {error}") };
            assert_eq!(refused.name, name);
            let (status, body) = node.call("POST", "/v1/transactions", &transaction.to_bytes());
            assert!((400..500).contains(&status), "{status} {body}");
            assert_eq!(body["error"]["code"], refused.code, "{body}");
            assert_eq!(body["error"]["name"], name, "{body}");
        }

        let bytes = b"no transaction".to_vec();
        let mut service = ghostplane_client::wire::transactions_client::TransactionsClient::new(client.channel());
        let request =
            ghostplane_client::wire::SubmitRequest { transaction: bytes.clone().into(), ..Default::default() };
        let answer = service.submit(request).await.expect("an answer").into_inner().answer;
        let Some(ghostplane_client::wire::submit_response::Answer::Refusal(refusal)) = answer else {
            panic!("not refused: {answer:?}")
        };
        assert_eq!((refusal.code, refusal.name.as_str()), (100, "Malformed"));
        let (status, body) = node.call("POST", "/v1/transactions", &bytes);
        assert_eq!((status, &body["error"]["code"]), (400, &100.into()), "{body}");

        // More than she has: executed, for a fee, without effect.
        let overdrawn = alice.pay(&client, record, 1, bob.address, 99_000_000_000_000);
        let receipt = client.submit_once(&overdrawn).await.expect("executed");
        assert!(!receipt.claimed().is_applied());
        let overdrawn = alice.pay(&client, record, 2, bob.address, 99_000_000_000_000);
        let (status, body) = node.call("POST", "/v1/transactions", &overdrawn.to_bytes());
        assert_eq!((status, &body["code"]), (200, &receipt.claimed().code.into()), "{body}");
        let said = home.run(&node, &["transfer", "--from", "alice", "--to", "bob", "99000gcc"]).error();
        assert_eq!(said["code"], receipt.claimed().code, "{said}");

        // A purse that does not even have the fee is refused.
        let poor = ghostplane_ghostcipher::SigningKey::from_seed([9; 32]);
        let public_key = ghostplane_types::PublicKey::Ed25519(poor.verification_key());
        let gid = ghostplane_types::Gid { public_key, ..alice.gid };
        let until = client.status().await.expect("a status").batch_time + 60_000;
        let draft = Draft::new(client.plane(), client.info().gas_price).transfer(bob.address, AssetId::GCC, gcc(1));
        let beggar = draft.valid(0, until).sign(&poor, gid, 0).expect("a good draft");
        let error = client.submit_once(&beggar).await.expect_err("no money");
        let (_, body) = node.call("POST", "/v1/transactions", &beggar.to_bytes());
        assert_eq!(body["error"]["code"].as_u64(), error.code().map(u64::from), "{error} {body}");

        let nobody = Digest([0x5a; 32]);
        let error = client.transaction(&nobody).await.expect_err("unknown");
        assert_eq!(error.code(), Some(710), "{error}");
        let (status, body) = node.call("GET", &format!("/v1/transactions/{nobody}"), b"");
        assert_eq!((status, &body["error"]["code"]), (404, &710.into()), "{body}");
        let said = home.run(&node, &["tx", &nobody.to_string()]).error();
        assert_eq!(said["code"], 710, "{said}");
    });
    assert!(node.interrupt().success());
}

//! Keys of every scheme on a running plane: made and used on the command line, or kept by an authenticator.

use crate::process::{Home, funded, gcc, standing, told};
use ghostplane_client::{Draft, Sender};
use ghostplane_ghostcipher::webauthn::Authenticator;
use ghostplane_types::{AssetId, EntityType, Gid, KeyRef, Signer as _};

#[test]
fn keys_of_every_scheme_pay_and_are_paid() {
    let home = Home::new("schemes");
    let node = home.dev();
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let bob = home.person("bob").address;
        let mut bob_has = standing(&client, &bob).await.0;

        for scheme in ["secp256k1", "p256"] {
            let made = home.run(&node, &["key", "new", scheme, "--dev", "--scheme", scheme]).json();
            assert_eq!(made["scheme"], scheme, "{made}");
            assert!(made["public_key"].as_str().is_some_and(|key| key.starts_with(&format!("{scheme}:0"))), "{made}");
            home.run(&node, &["transfer", "--from", "alice", "--to", scheme, "5gcc"]).json();
            // The first transaction carries the identity, the second names the key in the account.
            for memo in ["carried", "registered"] {
                let paid = home.run(&node, &["transfer", "--from", scheme, "--to", "bob", "1gcc", "--memo", memo]);
                assert!(paid.json()["batch"].as_u64().is_some(), "{paid:?}");
                bob_has += 1_000_000_000;
                assert_eq!(standing(&client, &bob).await.0, bob_has);
            }
            // Money goes home to an account of the L1, and such a key has none there.
            let error = home.run(&node, &["withdraw", "--from", scheme, "1gcc"]).error();
            assert!(error["error"].as_str().is_some_and(|error| error.contains("ed25519 only")), "{error}");
            let to = "07".repeat(32);
            home.run(&node, &["withdraw", "--from", scheme, "1gcc", "--to", &to]).json();
            let error = home.run(&node, &["deposit", "--from", scheme, "--to", "bob", "1gcc"]).error();
            assert!(error["error"].as_str().is_some_and(|error| error.contains("ed25519")), "{error}");
        }
        let listed = home.run(&node, &["key", "list"]).json();
        let schemes: Vec<&str> =
            listed["keys"].as_array().expect("keys").iter().filter_map(|key| key["scheme"].as_str()).collect();
        assert_eq!(schemes.iter().filter(|scheme| **scheme == "ed25519").count(), 10);
        assert_eq!(schemes.len(), 12);

        // A passkey stays in its authenticator, which is asked for each payment.
        let authenticator = Authenticator::new([5; 32], "wallet.example", true).expect("a scalar below the order");
        let chain_id = client.plane().chain_id();
        let gid = Gid { public_key: authenticator.public_key(), chain_id, entity_type: EntityType::Wallet, version: 0 };
        home.run(&node, &["transfer", "--from", "alice", "--to", &gid.address().to_string(), "5gcc"]).json();
        let mut sender = Sender::new(client.clone(), authenticator, gid).await.expect("an account");
        for _ in 0..2 {
            let until = client.status().await.expect("a status").batch_time + 60_000;
            let draft = Draft::new(client.plane(), client.info().gas_price).valid(0, until);
            let receipt = sender.send(&draft.transfer(bob, AssetId::GCC, gcc(7))).await.expect("executed");
            assert!(receipt.claimed().is_applied());
            bob_has += 7;
            assert_eq!(standing(&client, &bob).await.0, bob_has);
            sender.resynchronise().await.expect("an account");
        }
        let until = client.status().await.expect("a status").batch_time + 60_000;
        let draft = Draft::new(client.plane(), client.info().gas_price).valid(0, until);
        let next = sender.sign(&draft.transfer(bob, AssetId::GCC, gcc(7))).expect("a good draft");
        assert_eq!(next.body.key_ref, KeyRef::RegisteredPasskey(0));
    });
    assert!(node.interrupt().success());
    // What the log says comes out the same again.
    home.verify();
}

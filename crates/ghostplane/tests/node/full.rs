//! A disk without room: the node says so, keeps what it has, and goes on by itself when there is room again.

use crate::process::{Home, Process, funded, standing, told};
use ghostplane_client::{Client, ClientError, wire};
use ghostplane_store::free_bytes;
use ghostplane_types::Encode as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use tonic_health::pb::health_check_response::ServingStatus;

const MIB: u64 = 1024 * 1024;
/// What the node leaves to others, see docs/node.md.
const STOPS_BELOW: u64 = 64 * MIB;
const DISK_MIB: u32 = 256;

/// Writes a file until so much is free.
fn fill(path: &Path, left: u64) {
    let free = free_bytes(path.parent().expect("in a directory")).expect("a disk");
    assert!(free > left + MIB, "the disk of the test is too small for a node: {free} bytes are free");
    let mut file = File::create(path).expect("a file");
    let mib = vec![0; usize::try_from(MIB).expect("small")];
    for _ in 0..(free - left) / MIB {
        file.write_all(&mib).expect("there is room");
    }
}

/// Looks again with every block of the L1, which goes on, until the node is as asked.
async fn wait_until(node: &Process, client: &Client, ready: bool) {
    let mut blocks = client.events(&[wire::EventKind::L1Block]).await.expect("events");
    while (node.call("GET", "/healthz", b"").0 == 200) != ready {
        blocks.message().await.expect("blocks go on").expect("blocks go on");
    }
}

#[test]
fn a_full_disk_stops_the_taking_and_the_node_goes_on_when_there_is_room() {
    let home = Home::new("full");
    let Some(node) = home.dev_on_small_disk(DISK_MIB) else {
        println!("skipped: this system lets nobody mount a small file system in a namespace of his own");
        return;
    };
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| home.person(name));
        let pay = async |number| client.submit_once(&alice.pay(&client, None, number, bob.address, 3)).await;
        assert!(pay(0).await.expect("executed").claimed().is_applied());
        let had = standing(&client, &bob.address).await.0;
        assert_eq!(node.health("").await, ServingStatus::Serving);

        let ballast = node.seen(&home.dir()).join("ballast");
        fill(&ballast, STOPS_BELOW - 8 * MIB);
        // The first that comes is executed and cannot be written: nobody is answered for it, and nothing of it is lost.
        let kept = {
            let (client, payment) = (client.clone(), alice.pay(&client, None, 1, bob.address, 5));
            tokio::spawn(async move { client.submit_once(&payment).await })
        };
        wait_until(&node, &client, false).await;
        assert_eq!(node.health("").await, ServingStatus::NotServing);
        assert_eq!(node.health("ghostplane.v1.Transactions").await, ServingStatus::NotServing);
        let (status, body) = node.call("GET", "/v1/status", b"");
        assert_eq!((status, body["state"].as_str()), (200, Some("disk full")), "{body}");

        // Others are told at once, with the stable code, over every way in.
        let payment = carol.pay(&client, None, 0, bob.address, 7);
        let refused = client.submit_once(&payment).await.expect_err("there is no room");
        assert!(matches!(&refused, ClientError::Refused(refused) if refused.passes()), "{refused}");
        assert_eq!(refused.code(), Some(701), "{refused}");
        let (status, body) = node.call("POST", "/v1/transactions", &payment.to_bytes());
        assert_eq!((status, &body["error"]["code"]), (503, &701.into()), "{body}");

        // Questions are answered and the L1 goes on: for them there is room.
        let height = client.status().await.expect("a status").l1_height;
        let mut blocks = client.events(&[wire::EventKind::L1Block]).await.expect("events");
        for _ in 0..3 {
            blocks.message().await.expect("blocks go on").expect("blocks go on");
        }
        assert!(client.status().await.expect("a status").l1_height >= height + 2);
        assert!(!kept.is_finished(), "nobody is answered for what is not on disk");

        std::fs::remove_file(&ballast).expect("removed");
        wait_until(&node, &client, true).await;
        let receipt = kept.await.expect("it ends").expect("kept, and written when there was room");
        assert!(receipt.claimed().is_applied());
        assert!(client.submit(&payment).await.expect("executed").claimed().is_applied());
        assert_eq!(standing(&client, &bob.address).await.0, had + 5 + 7);
        assert_eq!(node.health("").await, ServingStatus::Serving);
    });
    assert!(node.interrupt().success());
}

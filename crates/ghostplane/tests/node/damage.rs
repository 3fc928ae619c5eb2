//! Damage to a log: what a crash leaves is repaired, anything else is refused with the place.

use crate::process::{Home, funded, newest_segment, segments, standing, told};
use std::fs;

#[test]
fn a_tail_that_was_cut_short_is_cut_off_and_the_node_starts() {
    let home = Home::new("cut");
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    assert!(node.interrupt().success());

    // No L1 block comes any more: the payment is in the log and nowhere else.
    let mut node = home.dev_with(600_000);
    let (alice, bob) = (home.person("alice"), home.person("bob"));
    let (payment, before) = told(async {
        let client = node.client().await;
        let before = standing(&client, &bob.address).await;
        let payment = alice.pay(&client, None, 0, bob.address, 7);
        client.submit(&payment).await.expect("executed");
        (payment, before)
    });
    node.kill();
    let segment = newest_segment(&home.dir());
    let bytes = fs::read(&segment).expect("readable");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("a segment has content");
    fs::write(&segment, &bytes[..end - 2]).expect("writable");
    let cut_off = home.verify()["cut_off_bytes"].as_u64();
    assert!(cut_off.is_some_and(|bytes| bytes > 0), "the rest of a frame is there to be cut off: {cut_off:?}");
    // The node shall find it as the crash left it, whatever looked at it before.
    fs::write(&segment, &bytes[..end - 2]).expect("writable");

    let node = home.dev();
    told(async {
        let client = node.client().await;
        client.submit(&payment).await.expect("whether or not the cut took it, sending it again is safe");
        assert_eq!(standing(&client, &bob.address).await.0, before.0 + 7);
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_flipped_byte_is_refused_with_file_and_offset() {
    let home = Home::new("flip");
    let node = home.dev();
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let (alice, bob) = (home.person("alice"), home.person("bob"));
        client.submit(&alice.pay(&client, None, 0, bob.address, 7)).await.expect("executed");
    });
    assert!(node.interrupt().success());

    let segment = segments(&home.dir()).remove(0);
    let good = fs::read(&segment).expect("readable");
    let mut bytes = good.clone();
    bytes[300] ^= 0x10;
    fs::write(&segment, &bytes).expect("writable");
    let refused = home.dev_fails().error();
    let message = refused["error"].as_str().expect("a message");
    assert!(message.contains(segment.to_str().expect("text")), "{message}");
    assert!(message.contains("byte ") || message.contains("offset "), "{message}");
    assert_eq!(fs::read(&segment).expect("readable"), bytes, "refusing changes nothing");

    fs::write(&segment, good).expect("writable");
    assert!(home.dev().interrupt().success());
    home.verify();
}

#[test]
fn damage_in_the_middle_is_given_up_by_hand_and_the_plane_goes_on_from_before_it() {
    let home = Home::new("repair");
    let node = home.dev();
    told(async { funded(&node.client().await, &home.people()).await });
    let running = home.offline(&["repair", "--yes"]).error();
    assert!(running["error"].as_str().is_some_and(|text| text.contains("in use by another process")), "{running}");
    assert!(node.interrupt().success());
    assert_eq!(home.offline(&["repair", "--yes"]).json()["damaged"], false, "there is nothing to repair");

    // No L1 block comes any more: what is paid now is in the log and nowhere else.
    let segment = newest_segment(&home.dir());
    let before = fs::metadata(&segment).expect("readable").len();
    let mut node = home.dev_with(600_000);
    let (alice, bob) = (home.person("alice"), home.person("bob"));
    let (payments, had) = told(async {
        let client = node.client().await;
        let had = standing(&client, &bob.address).await;
        let mut payments = Vec::new();
        for number in 0..5 {
            let payment = alice.pay(&client, None, number, bob.address, 7);
            client.submit(&payment).await.expect("executed");
            payments.push(payment);
        }
        (payments, had)
    });
    node.kill();

    // In the first group of that run, with whole groups behind it.
    let mut bytes = fs::read(&segment).expect("readable");
    let at = usize::try_from(before).expect("a short log") + 60;
    bytes[at] ^= 0x10;
    fs::write(&segment, &bytes).expect("writable");
    let refused = home.dev_fails().error();
    let message = refused["error"].as_str().expect("a message");
    assert!(message.contains(&format!("damaged at byte {before}")), "{message}");
    assert!(message.contains("ghostplane repair --dir"), "{message}");

    let asked = home.offline(&["repair"]).error();
    let message = asked["error"].as_str().expect("a message");
    assert!(message.contains("nothing was changed") && message.contains("--yes"), "{message}");
    assert_eq!(fs::read(&segment).expect("readable"), bytes, "nobody agreed");

    let repaired = home.offline(&["repair", "--yes"]).json();
    assert_eq!(repaired["repaired"], true, "{repaired}");
    assert_eq!(repaired["offset"], before, "{repaired}");
    assert_eq!(repaired["bytes"], bytes.len() as u64 - before, "{repaired}");
    let kept = repaired["kept"][0].as_str().expect("a path");
    assert_eq!(fs::read(kept).expect("readable"), bytes, "the damaged file is kept as it was");

    let node = home.dev();
    told(async {
        let client = node.client().await;
        assert_eq!(standing(&client, &bob.address).await, had, "the plane is where it was before");
        let gone = client.receipt(&payments[0].body.id()).await.expect_err("given up");
        assert_eq!(gone.code(), Some(710), "{gone}");
        for payment in &payments {
            client.submit(payment).await.expect("what was given up can be sent again");
        }
        assert_eq!(standing(&client, &bob.address).await.0, had.0 + 35);
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_second_node_on_one_directory_is_refused() {
    let home = Home::new("second");
    let first = home.dev();
    let refused = home.dev_fails().error();
    let message = refused["error"].as_str().expect("a message");
    assert!(message.contains("in use by another process"), "{message}");
    assert_eq!(first.call("GET", "/v1/status", b"").0, 200, "the first goes on");
    assert!(first.interrupt().success());
}

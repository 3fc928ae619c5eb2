//! Bytes that somebody bent: they do not decode, or they decode to a value that has exactly these bytes. Nothing panics.

use crate::fixture::{OPERATOR, USD, World, gcc, who};
use crate::plane::{MarkJudge, Plan};
use ghostplane_settlement::{L1Block, Message, Purpose, Settlement};
use ghostplane_types::{AssetId, Decode, Encode};

/// A state that has something of everything, and the messages that can follow.
fn busy() -> (World, Vec<(&'static str, Message)>) {
    let pays = |name, asset, amount| Plan { withdrawals: vec![(who(name), asset, amount)], ..Plan::default() };
    let world = World::new().bonded().deposit("alice", AssetId::GCC, gcc(9)).deposit("bob", USD, 30_000).mine(2);
    let world = world.commit(vec![pays("alice", AssetId::GCC, gcc(1)), pays("bob", USD, 10_000)]).mine(20).claim(1);
    let world = world.deposit("alice", AssetId::ZMAN, gcc(1)).mine(2);
    let mut world = world.commit(vec![pays("bob", AssetId::GCC, gcc(2)), Plan::default(), Plan::default()]);
    world.must("alice", &Message::Force { transaction: b"anything".to_vec() });
    let mut world = world.replay("carol", 3).mine(1).commit(vec![Plan::default()]);
    let case = world.open("dave", Purpose::Challenge, 5);
    let material = world.material(5);
    world.must("dave", &Message::Material { case, offset: 0, bytes: material[..7].to_vec() });
    world.open("erin", Purpose::Replay, 4);
    world.next_block();
    world.plan(Plan::default());
    world.post();
    let chunk = Message::PostData { number: 8, chunk: 0, last: false, bytes: vec![1; 512 * 1024] };
    world.must(OPERATOR, &chunk);
    let piece = |offset, bytes: &[u8]| {
        let (first_batch, last_batch) = (5, 6);
        Message::SubmitProof { first_batch, last_batch, len: 9, offset, bytes: bytes.to_vec() }
    };
    world.must("frank", &piece(0, b"pr"));
    let messages = vec![
        ("frank", piece(2, b"oof")),
        (OPERATOR, world.draft().message()),
        ("dave", Message::Material { case, offset: 7, bytes: material[7..].to_vec() }),
        ("dave", Message::Judge { case }),
        ("erin", Message::OpenCase(Box::new(world.case_request(Purpose::Challenge, 6)))),
        ("alice", Message::Claim(Box::new(world.claim_of(0)))),
        ("alice", world.deposit_of(AssetId::GCC, gcc(1))),
        (OPERATOR, world.bond_message(OPERATOR, gcc(1))),
        (OPERATOR, Message::DiscardData),
        (OPERATOR, Message::Unbond),
    ];
    world.check_bytes();
    (world, messages)
}

/// Bends every byte in several ways, and cuts the bytes short everywhere.
fn bent(bytes: &[u8], mut look: impl FnMut(&[u8])) {
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bent = bytes.to_vec();
            bent[at] ^= flip;
            look(&bent);
        }
        look(&bytes[..at]);
    }
    look(&[bytes, &[0]].concat());
}

#[test]
fn bent_states_are_refused_or_are_states() {
    let (world, messages) = busy();
    let mut states = 0;
    bent(&world.settlement.to_bytes(), |bytes| {
        if let Ok(mut state) = Settlement::from_bytes(bytes) {
            assert_eq!(state.to_bytes(), bytes);
            states += 1;
            go_on(&mut state, &messages);
        }
    });
    assert!(states > 1000, "{states}");
}

/// A state that decodes takes blocks and messages; what it answers does not matter here.
fn go_on(state: &mut Settlement, messages: &[(&str, Message)]) {
    let here = state.block();
    for (from, message) in messages {
        let sane_case = !matches!(message, Message::Judge { .. } | Message::Material { .. });
        if sane_case {
            let _ = state.apply(message, who(from), here, &MarkJudge);
        }
    }
    let later = L1Block { height: here.height.saturating_add(100), time: here.time.saturating_add(1) };
    let _ = state.advance(later);
    assert_eq!(Settlement::from_bytes(&state.to_bytes()).as_ref(), Ok(&*state));
}

#[test]
fn bent_messages_are_refused_or_are_messages() {
    let (mut world, messages) = busy();
    for (from, message) in &messages {
        let mut applied = world.clone();
        bent(&message.to_bytes(), |bytes| {
            if let Ok(message) = Message::from_bytes(bytes) {
                assert_eq!(message.to_bytes(), bytes);
                let _ = applied.settlement.clone().apply(&message, who(from), applied.block, &MarkJudge);
            }
        });
        applied.must("anybody", &world.deposit_of(AssetId::GCC, gcc(1)));
    }
    for (from, message) in &messages[..3] {
        world.must(from, message);
    }
}

#[test]
fn a_message_claims_no_more_than_it_brings() {
    let mut headers = Message::Commit { commitment: Box::new(commitment()), headers: vec![] }.to_bytes();
    headers.pop();
    for count in [&[0xff, 0x07][..], &[0x81, 0x08], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert!(Message::from_bytes(&[&headers, count].concat()).is_err());
    }
    for tag in (12..64).chain(69..=255).chain([0]) {
        assert!(Message::from_bytes(&[tag, 0]).is_err(), "{tag}");
    }
}

fn commitment() -> ghostplane_types::Commitment {
    let mut world = World::new().bonded();
    world.plan(Plan::default());
    world.draft().commitment
}

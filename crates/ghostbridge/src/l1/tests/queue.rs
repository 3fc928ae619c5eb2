use super::world::{GENESIS_MS, RICH, World, deposit, gcc, key, on_l1, open, submit};
use crate::limits::{BLOCK_MESSAGES_MAX, QUEUE_MESSAGES_MAX, SUBSCRIBER_BLOCKS_MAX};
use crate::refusal::{L1_REFUSAL_CODES, L1Refusal};
use crate::run;
use ghostplane_ghostcipher::Signature;
use ghostplane_settlement::{Event, Message};
use ghostplane_types::{AssetId, Encode, SignedL1Message};

/// What becomes of one signed message in a block of its own.
fn send_one(world: &mut World, message: SignedL1Message) -> u16 {
    let answer = submit(&world.l1, vec![message]);
    world.mine();
    answer.try_recv().unwrap().map_or_else(|refused| refused.refusal.code(), |_| 0)
}

#[test]
fn a_message_is_taken_once_in_its_turn_and_as_it_was_signed() {
    let mut world = World::new("messages");
    let chain = world.l1.chain_id();
    let sign = |chain, sequence, message: &Message| {
        SignedL1Message::sign(&key("alice"), chain, sequence, message.to_bytes()).unwrap()
    };
    let pay = deposit("alice", gcc(1));
    let first = sign(chain, 0, &pay);
    assert_eq!(send_one(&mut world, sign(chain, 1, &pay)), 604, "a gap");
    assert_eq!(send_one(&mut world, sign(chain + 1, 0, &pay)), 601, "another chain");
    assert_eq!(send_one(&mut world, SignedL1Message { signature: Signature([7; 64]), ..first.clone() }), 602);
    assert_eq!(send_one(&mut world, SignedL1Message { sequence: 1, ..first.clone() }), 602, "the number is signed");
    let garbage = SignedL1Message::sign(&key("alice"), chain, 0, vec![200, 1]).unwrap();
    assert_eq!(send_one(&mut world, garbage), 600);
    assert_eq!(world.l1.account(&on_l1("alice")).next_sequence, 0, "refused messages use no number");
    assert_eq!(send_one(&mut world, first.clone()), 0);
    assert_eq!(send_one(&mut world, first), 603, "sent twice");
    assert_eq!(send_one(&mut world, sign(chain, 1, &pay)), 0);
    assert_eq!(world.l1.account(&on_l1("alice")).next_sequence, 2);
    let poor = SignedL1Message::sign(&key("poor"), chain, 0, pay.to_bytes()).unwrap();
    assert_eq!(send_one(&mut world, poor), 605);
    let all = deposit("alice", ghostplane_types::Amount::new(u64::try_from(RICH).unwrap()).unwrap());
    assert_eq!(send_one(&mut world, sign(chain, 2, &all)), 605, "what went in before is gone");
    assert_eq!(send_one(&mut world, sign(chain, 2, &Message::Unbond)), 303, "the settlement's own code");
    assert!(L1_REFUSAL_CODES.is_sorted_by(|one, next| one.0 < next.0));
}

#[test]
fn a_bond_and_a_case_need_their_money_too() {
    let mut world = World::new("bond-money");
    let amount = world.plane.genesis().settlement.sequencer_bond;
    let bond = run::bond(&world.plane, &key("operator"), &on_l1("poor"), 0, amount);
    assert_eq!(world.send("poor", &[bond]).unwrap_err().code(), 605);
}

#[test]
fn a_run_stands_in_one_block_up_to_what_is_refused() {
    let mut world = World::new("runs");
    let good = deposit("alice", gcc(1));
    let run = world.signed("alice", &[good.clone(), Message::Unbond, good.clone()]);
    let answer = submit(&world.l1, run);
    let block = world.mine();
    let refused = answer.try_recv().unwrap().unwrap_err();
    assert_eq!((refused.taken, refused.refusal.code()), (1, 303));
    assert_eq!(refused.events.len(), 2);
    assert_eq!((block.inbox.len(), world.l1.account(&on_l1("alice")).next_sequence), (1, 1));

    let both = [world.signed("alice", std::slice::from_ref(&good)), world.signed("bob", &[good])].concat();
    assert_eq!(submit(&world.l1, both).try_recv().unwrap().unwrap_err().refusal, L1Refusal::RunShape);
    assert_eq!(submit(&world.l1, Vec::new()).try_recv().unwrap().unwrap_err().refusal, L1Refusal::RunShape);
    let long = vec![world.signed("alice", &[Message::Unbond])[0].clone(); BLOCK_MESSAGES_MAX + 1];
    assert_eq!(submit(&world.l1, long).try_recv().unwrap().unwrap_err().refusal.code(), 607);
}

#[test]
fn the_queue_has_an_end_and_waits_in_order() {
    let mut world = World::new("full");
    let discard = world.signed("bob", &[Message::DiscardData])[0].clone();
    let run = vec![discard; BLOCK_MESSAGES_MAX / 4];
    let fitting = QUEUE_MESSAGES_MAX / run.len();
    let answers: Vec<_> = (0..fitting).map(|_| submit(&world.l1, run.clone())).collect();
    let over = submit(&world.l1, run).try_recv().unwrap().unwrap_err().refusal;
    assert_eq!(over, L1Refusal::BlockFull { waiting: QUEUE_MESSAGES_MAX, bytes: over_bytes(&over) });
    assert!(over.is_retryable());
    for block in 1..=4 {
        world.mine();
        let answered = answers.iter().filter(|answer| !answer.is_empty()).count();
        assert_eq!(answered, block * fitting / 4, "a block takes what fits, from the front");
    }
    assert!(answers.into_iter().all(|answer| answer.try_recv().unwrap().is_err()));
    world.deposit("bob", gcc(1));
}

fn over_bytes(refusal: &L1Refusal) -> usize {
    match refusal {
        L1Refusal::BlockFull { bytes, .. } => *bytes,
        other => panic!("{other}"),
    }
}

#[test]
fn time_never_goes_back_and_jumps_are_followed() {
    let mut world = World::new("clock");
    let times = [GENESIS_MS - 5, GENESIS_MS + 10, 0, GENESIS_MS + 5_000_000, GENESIS_MS + 20, GENESIS_MS + 6_000_000];
    let made: Vec<u64> = times.iter().map(|now| world.l1.produce_block(*now).unwrap().time - GENESIS_MS).collect();
    assert_eq!(made, [1, 10, 11, 5_000_000, 5_000_001, 6_000_000]);
    assert_eq!(world.l1.block().height, 6);
    world.crash();
    assert_eq!(world.l1.produce_block(GENESIS_MS).unwrap().time, GENESIS_MS + 6_000_001, "time goes on after a start");
    for _ in 0..3 {
        assert_eq!(world.l1.produce_block(u64::MAX).unwrap().time, u64::MAX, "the end of all clocks");
    }
    world.crash();
    assert_eq!(world.l1.block().height, 10);
}

#[test]
fn followers_see_every_block_and_slow_ones_are_cut_off() {
    let mut world = World::new("followers");
    let (fast, slow) = (world.l1.subscribe(), world.l1.subscribe());
    world.deposit("alice", gcc(1));
    let block = fast.try_recv().unwrap();
    assert_eq!((block.height, block.inbox.len()), (1, 1));
    assert!(block.events.iter().any(|event| matches!(event, Event::InboxAppended { index: 0, .. })));
    for height in 2..=SUBSCRIBER_BLOCKS_MAX as u64 + 3 {
        world.mine();
        assert_eq!(fast.try_recv().unwrap().height, height);
    }
    assert_eq!(slow.iter().count(), SUBSCRIBER_BLOCKS_MAX, "what it had not read, then the end");
    let again = world.l1.subscribe();
    let height = world.mine().height;
    assert_eq!(again.try_recv().unwrap().height, height);
}

#[test]
fn a_stopped_l1_answers_what_waits_and_frees_its_directory() {
    let world = World::new("stop");
    let waiting = submit(&world.l1, world.signed("alice", &[deposit("alice", gcc(1))]));
    let follower = world.l1.subscribe();
    world.l1.stop().unwrap();
    assert_eq!(waiting.try_recv().unwrap().unwrap_err().refusal, L1Refusal::Stopped);
    assert!(follower.recv().is_err());
    assert!(world.l1.produce_block(GENESIS_MS).is_err());
    let late = submit(&world.l1, world.signed("alice", &[deposit("alice", gcc(1))]));
    assert_eq!(late.try_recv().unwrap().unwrap_err().refusal, L1Refusal::Stopped);
    world.l1.stop().unwrap();
    let again = open(&world.config, world.dir.path(), None).unwrap();
    assert_eq!(again.account(&on_l1("alice")).balance(AssetId::GCC), RICH);
}

#[test]
fn a_thread_makes_blocks_at_the_time_it_is_told() {
    let world = World::new("thread");
    let blocks = world.l1.subscribe();
    let answer = submit(&world.l1, world.signed("alice", &[deposit("alice", gcc(1))]));
    world.l1.run(1, || GENESIS_MS + 77).unwrap();
    let included = answer.recv().unwrap().unwrap();
    assert_eq!((blocks.recv().unwrap().time, blocks.recv().unwrap().time), (GENESIS_MS + 77, GENESIS_MS + 78));
    assert_eq!(included.height, 1);
    world.l1.stop().unwrap();
}

use super::world::{RICH, World, address, gcc, on_l1};
use ghostplane_settlement::limits::RECENT_FINALS_MAX;
use ghostplane_settlement::{CaseOutcome, ClaimedUnder, Event, Message, Rung};
use ghostplane_types::{AssetId, InboxPayload};

#[test]
fn money_goes_in_and_comes_back() {
    let mut world = World::new("there-and-back");
    world.bond().deposit("alice", gcc(50));
    assert_eq!(world.l1.account(&on_l1("alice")).balance(AssetId::GCC), RICH - 50_000_000_000);
    world.mine();
    world.mine();
    world.seal(Vec::new());
    let out = world.withdrawal("alice", gcc(20));
    world.seal(vec![out]);
    let included = world.commit();
    assert_eq!(included.events.last(), Some(&Event::Committed { first_batch: 1, last_batch: 2 }));

    let published = world.l1.published(2).unwrap().unwrap();
    assert_eq!((published.header, &published.posted), (world.kept[1].header, &world.kept[1].posted));
    let under = world.l1.commitment_of(2).unwrap().unwrap();
    assert_eq!((under.commitment.first_batch, under.headers.len(), under.l1_height), (1, 2, included.height));
    assert_eq!(world.l1.published(3).unwrap(), None);
    let inbox = world.l1.inbox(0, 9).unwrap();
    assert!(matches!(inbox[0].payload, InboxPayload::Deposit { to, .. } if to == address("alice")));

    let withdrawals = world.kept[1].withdrawals.clone();
    let early = world.l1.claim(2, &withdrawals, 0).unwrap();
    assert_eq!(world.send("bob", &[early]).unwrap_err().code(), 443, "not final yet");
    world.mine_until_final(2);
    assert_eq!(world.l1.with_settlement(|settlement| settlement.status_of(2)), Some(Rung::Final));
    let claim = world.l1.claim(2, &withdrawals, 0).unwrap();
    world.send("bob", std::slice::from_ref(&claim)).unwrap();
    assert_eq!(world.l1.account(&on_l1("alice")).balance(AssetId::GCC), RICH - 30_000_000_000);
    assert_eq!(world.send("bob", &[claim]).unwrap_err().code(), 448, "claimed already");

    assert!(world.l1.claim(3, &withdrawals, 0).is_err(), "there is no such batch");
    assert!(world.l1.claim(2, &withdrawals, 1).is_err(), "there is no such withdrawal");
    assert!(world.l1.claim(1, &withdrawals, 0).is_err(), "it is another batch's");
    assert_eq!(world.l1.inbox(0, 9).unwrap(), inbox, "the settlement has dropped it, the history has not");
}

#[test]
fn a_withdrawal_can_be_claimed_when_its_commitment_is_long_in_the_archive() {
    let mut world = World::new("archived");
    world.bond().deposit("alice", gcc(50));
    world.mine();
    world.mine();
    world.seal(Vec::new());
    let out = world.withdrawal("alice", gcc(20));
    world.seal(vec![out]);
    world.commit();
    let (batches, many) = (2, RECENT_FINALS_MAX as u64 + 4);
    for _ in 0..many {
        world.seal_something();
        world.commit();
    }
    world.mine_until_final(batches + many);
    let withdrawals = world.kept[1].withdrawals.clone();
    let claim = world.l1.claim(2, &withdrawals, 0).unwrap();
    let Message::Claim(content) = &claim else { panic!("a claim") };
    let ClaimedUnder::Archived { record, path } = content.under.clone() else { panic!("too old to be recent") };
    assert_eq!((world.l1.final_record(0).unwrap(), world.l1.archive_path(0)), (Some(record), Some(path)));
    assert_eq!(world.l1.final_record(many + 1).unwrap(), None);
    world.send("bob", &[claim]).unwrap();

    world.crash();
    assert_eq!(world.l1.account(&on_l1("alice")).balance(AssetId::GCC), RICH - 30_000_000_000);
    assert_eq!(world.l1.final_record(0).unwrap(), Some(record));
}

#[test]
fn a_lie_is_convicted_by_the_engine_and_what_follows_it_is_gone() {
    let mut world = World::new("conviction");
    world.bond().deposit("alice", gcc(50));
    world.mine();
    world.mine();
    world.seal(Vec::new()).seal_something().seal_something();
    let honest = world.kept[1].header;
    world.kept[1].header.gas += 1;
    let before = world.l1.account(&on_l1("watcher")).balance(AssetId::GCC);
    world.commit();
    assert_eq!(world.l1.published_upto(), 3);
    let judged = world.challenge(2);
    let convicted =
        |event: &Event| matches!(event, Event::CaseClosed { batch: 2, outcome: CaseOutcome::Convicted { .. }, .. });
    assert!(judged.events.iter().any(convicted), "{:?}", judged.events);
    assert!(judged.events.contains(&Event::Reverted { first_batch: 2, generation: 1 }));
    assert_eq!(world.l1.published_upto(), 1);
    assert_eq!(world.l1.published(2).unwrap(), None);
    assert_eq!(world.l1.commitment_of(1).unwrap().unwrap().last_batch, 1, "the rest was cut off");
    assert!(world.l1.account(&on_l1("watcher")).balance(AssetId::GCC) > before, "the watcher is paid");
    assert!(world.l1.burned(AssetId::GCC) > 0);
    world.crash();
    assert_eq!(world.l1.published_upto(), 1);

    world.next_generation();
    world.bond();
    world.seal_something();
    assert_eq!((world.kept[1].header.number, world.kept[1].header.gas), (2, honest.gas));
    world.commit();
    world.mine_until_final(2);
    let record = world.l1.final_record(0).unwrap().unwrap();
    assert_eq!((record.first_batch, record.last_batch), (1, 1));
    let record = world.l1.final_record(1).unwrap().unwrap();
    assert_eq!((record.first_batch, record.last_batch), (2, 2));
    let digest = world.l1.with_settlement(|settlement| *settlement.recent_finals().front().unwrap());
    assert_eq!(world.l1.final_record(0).unwrap(), Some(digest), "the record is the settlement's");
}

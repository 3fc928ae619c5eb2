//! What people do with it, told from their side.

use crate::fixture::{GENESIS_TIME, OPERATOR, USD, World, chain_of, gcc, genesis, post_messages, units, who};
use crate::plane::{FORGED, NoJudge, Plan, Plane};
use ghostplane_settlement::limits::{CASES_OPEN_MAX, RECENT_FINALS_MAX, REPLAYS_OPEN_MAX};
use ghostplane_settlement::{
    CaseOutcome, ClaimedUnder, Event, L1Block, Message, Purpose, Refusal, Rung, Settlement, SetupError,
};
use ghostplane_types::limits::{CHUNK_BYTES_MAX, COMMITMENT_BATCHES_MAX};
use ghostplane_types::{AssetId, Encode};

const GCC: AssetId = AssetId::GCC;

fn pays(to: &str, amount: u64) -> Plan {
    Plan { withdrawals: vec![(who(to), GCC, amount)], ..Plan::default() }
}

fn steals(to: &str, amount: u64) -> Plan {
    Plan { forged: true, ..pays(to, amount) }
}

fn nothing() -> Plan {
    Plan::default()
}

/// A plane with an operator, and 100 GCC of Alice's that the next batch may consume.
fn running() -> World {
    World::new().bonded().deposit("alice", GCC, gcc(100)).mine(2)
}

fn closed(events: &[Event]) -> Vec<CaseOutcome> {
    let outcome = |event: &Event| match event {
        Event::CaseClosed { outcome, .. } => Some(*outcome),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

#[test]
fn money_goes_in_and_comes_out_after_the_window() {
    let mut l1 = running().commit(vec![pays("alice", gcc(40)), pays("bob", gcc(60))]);
    assert_eq!(l1.settlement.status_of(2), Some(Rung::Challengeable));
    let early = l1.claim_of(0);
    assert_eq!(l1.refused("alice", &Message::Claim(Box::new(early))), 443);

    let l1 = l1.mine(19);
    assert_eq!(l1.settlement.final_number(), 0);
    let l1 = l1.mine(1);
    assert_eq!((l1.settlement.final_number(), l1.settlement.status_of(2)), (2, Some(Rung::Final)));
    assert_eq!(l1.settlement.status_of(3), None);
    assert_eq!(l1.settlement.inbox_start(), 1, "consumed for good");

    let mut l1 = l1.claim(1).claim(0);
    assert_eq!((l1.balance("bob"), l1.balance("alice")), (i128::from(gcc(60)), -i128::from(gcc(60))));
    assert_eq!(l1.settlement.escrow(GCC), Some(units(0)));
    assert_eq!((l1.settlement.claimed_below(), l1.settlement.is_claimed(2)), (2, false));
    let again = l1.claim_of(1);
    assert_eq!(l1.refused("bob", &Message::Claim(Box::new(again))), 448);
    l1.check_bytes();
}

#[test]
fn a_replay_makes_batches_final_at_once_but_only_in_order() {
    let mut l1 = running().commit(vec![nothing(), pays("alice", gcc(1)), nothing()]);
    let bonded = l1.balance("carol");
    let events = l1.run_case("carol", Purpose::Replay, 2);
    assert_eq!(closed(&events), [CaseOutcome::True]);
    assert_eq!(l1.balance("carol"), bonded, "a replayer gets his bond back");
    assert_eq!(l1.settlement.final_number(), 0, "batch 1 is not final");
    assert!(l1.settlement.pending()[0].is_replayed(2));

    let l1 = l1.replay("carol", 1);
    assert_eq!(l1.settlement.final_number(), 2);
    assert_eq!(l1.settlement.pending().len(), 1, "batch 3 keeps its commitment");
    let l1 = l1.claim(0).replay("dave", 3);
    assert_eq!((l1.settlement.final_number(), l1.settlement.pending().len()), (3, 0));
    l1.check_bytes();
}

#[test]
fn a_theft_is_convicted_and_everything_after_it_is_undone() {
    let l1 = running().commit(vec![nothing(), pays("alice", gcc(1))]).deposit("bob", GCC, gcc(5)).mine(3);
    let consumed_before = l1.settlement.tip().inbox_upto;
    let mut l1 = l1.commit(vec![nothing(), steals("mallory", gcc(99)), nothing()]).mine(1).commit(vec![nothing()]);
    assert_eq!(l1.settlement.tip().number, 6);
    assert_eq!(l1.settlement.tip().inbox_upto, consumed_before + 1);
    l1.plan(nothing());
    l1.post();
    let other = l1.open("dave", Purpose::Challenge, 5);
    let earlier = l1.open("erin", Purpose::Challenge, 2);
    let stolen = l1.claim_of(1);

    let bond = l1.settlement.bond().units();
    let events = l1.run_case("carol", Purpose::Challenge, 4);
    assert_eq!(closed(&events), [CaseOutcome::Convicted { reason: FORGED }, CaseOutcome::Moot]);
    assert!(events.contains(&Event::Reverted { first_batch: 4, generation: 1 }));
    assert!(events.contains(&Event::DataDropped { batches: 1 }));
    assert_eq!(l1.balance("carol"), i128::from(bond / 2), "half of the bond and his own back");
    assert_eq!(l1.burned, u128::from(bond / 2));
    assert_eq!(l1.settlement.bond(), units(0));
    assert!(!l1.settlement.cases().contains_key(&other) && l1.settlement.cases().contains_key(&earlier));

    // Batch 3 stands, and what batch 3 consumed stays consumed.
    assert_eq!((l1.settlement.tip().number, l1.settlement.generation()), (3, 1));
    assert_eq!((l1.settlement.tip(), l1.settlement.status_of(4)), (&l1.plane.header(3), None));
    assert_eq!(l1.settlement.tip().inbox_upto, consumed_before + 1);
    l1.check_bytes();

    // Without a bond nothing is committed; with one the plane goes on, and the stolen money stays where it was.
    l1.plan(nothing());
    l1.post();
    let draft = l1.mine(1);
    let message = draft.draft().message();
    let mut l1 = draft;
    assert_eq!(l1.refused(OPERATOR, &message), 360);
    let mut l1 = l1.bonded();
    l1.must(OPERATOR, &message);
    let l1 = l1.mine(40);
    assert_eq!(l1.settlement.final_number(), 4);
    let mut l1 = l1.claim(0);
    assert_eq!(l1.refused("mallory", &Message::Claim(Box::new(stolen))), 442, "cut off its commitment");
    assert_eq!(l1.settlement.escrow(GCC), Some(units(gcc(104))));
}

#[test]
fn what_a_reverted_batch_consumed_is_there_again() {
    let l1 = running().commit(vec![steals("mallory", gcc(50))]);
    assert_eq!(l1.settlement.tip().inbox_upto, 1);
    let chain = l1.settlement.inbox_chain();
    let l1 = l1.challenge("carol", 1);
    assert_eq!((l1.settlement.tip().inbox_upto, l1.settlement.inbox_start(), l1.settlement.inbox_end()), (0, 0, 1));
    assert_eq!(l1.settlement.inbox_chain(), chain);
    assert_eq!(chain_of(l1.settlement.inbox_entries(0, 1), l1.chain_id()), chain);

    let l1 = l1.bonded().mine(1).commit(vec![pays("alice", gcc(100))]).mine(20).claim(0);
    assert_eq!((l1.balance("alice"), l1.settlement.generation()), (0, 1));
    assert_eq!(l1.settlement.inbox_start(), 1);
}

#[test]
fn a_replay_convicts_as_well() {
    let mut l1 = running().commit(vec![steals("mallory", gcc(50))]);
    let events = l1.run_case("carol", Purpose::Replay, 1);
    assert_eq!(closed(&events), [CaseOutcome::Convicted { reason: FORGED }]);
    assert!(l1.balance("carol") > 0);
}

#[test]
fn a_challenger_of_a_true_batch_pays_for_the_delay() {
    let mut l1 = running().commit(vec![nothing()]);
    let bond = l1.settlement.genesis().settlement.challenge_bond.units();
    let before = l1.balance(OPERATOR);
    let moot = l1.open("dave", Purpose::Challenge, 1);
    let events = l1.run_case("carol", Purpose::Challenge, 1);
    assert_eq!(closed(&events), [CaseOutcome::True; 2], "Dave's challenge of the same batch is answered too");
    assert!(!l1.settlement.cases().contains_key(&moot));
    assert_eq!(l1.balance("carol"), -i128::from(bond));
    assert_eq!(l1.balance("dave"), -i128::from(bond));
    assert_eq!(l1.balance(OPERATOR) - before, i128::from(bond), "half of each");
    assert_eq!(l1.settlement.final_number(), 1, "replayed is final");
}

#[test]
fn a_short_witness_and_foreign_data_lose_the_bond_and_convict_nobody() {
    for (name, spoil) in [("witness", usize::MAX), ("data", 0)] {
        let mut l1 = running().commit(vec![steals("mallory", gcc(1))]);
        let case = l1.open("carol", Purpose::Challenge, 1);
        let mut material = l1.material(1);
        let at = spoil.min(material.len() - 1);
        material[at] ^= 1;
        l1.bring("carol", case, &material);
        let events = l1.must("anybody", &Message::Judge { case });
        let expected = if at == 0 { CaseOutcome::PostedDiffers } else { CaseOutcome::WitnessInsufficient };
        assert_eq!(closed(&events), [expected], "{name}");
        assert_eq!(l1.settlement.generation(), 0);
        let bond = l1.settlement.genesis().settlement.challenge_bond.units();
        assert_eq!(l1.balance("carol"), -i128::from(bond));
        // The next one does it right, and in time.
        let l1 = l1.challenge("dave", 1);
        assert_eq!((l1.settlement.generation(), l1.settlement.tip().number), (1, 0));
    }
}

#[test]
fn a_case_runs_out_at_its_deadline_and_delays_only_until_then() {
    let mut l1 = running().commit(vec![nothing()]).mine(19);
    let case = l1.open("carol", Purpose::Challenge, 1);
    let mut l1 = l1.mine(10);
    assert_eq!(l1.settlement.final_number(), 0, "the window is over, and the case is open");
    let late = l1.case_request(Purpose::Challenge, 1);
    assert_eq!(l1.refused("dave", &Message::OpenCase(Box::new(late))), 402);
    let mut l1 = l1.mine(1);
    assert_eq!((l1.settlement.final_number(), l1.settlement.cases().len()), (1, 0));
    assert_eq!(l1.refused("carol", &Message::Judge { case }), 416);
    assert!(l1.balance("carol") < 0);
}

#[test]
fn an_open_replay_holds_nothing_up_and_gets_its_bond_back() {
    let mut l1 = running().commit(vec![nothing()]).mine(15);
    l1.open("carol", Purpose::Replay, 1);
    let l1 = l1.mine(5);
    assert_eq!((l1.settlement.final_number(), l1.balance("carol")), (1, 0));
}

#[test]
fn filling_the_table_of_cases_stops_the_windows_instead_of_the_challengers() {
    let mut l1 = running().commit(vec![steals("mallory", gcc(1))]).mine(15);
    for at in 0..CASES_OPEN_MAX {
        let purpose = if at < REPLAYS_OPEN_MAX { Purpose::Replay } else { Purpose::Challenge };
        l1.open(&format!("friend {at}"), purpose, 1);
    }
    let shut_out = Message::OpenCase(Box::new(l1.case_request(Purpose::Challenge, 1)));
    assert_eq!(l1.refused("carol", &shut_out), 403);
    let clock = l1.settlement.window_clock();
    let mut at_once = l1.clone();
    let later = L1Block { height: l1.block.height + 8, time: l1.block.time + 8_000 };
    at_once.settlement.advance(later).expect("a later block");
    assert_eq!(at_once.settlement.window_clock(), clock, "blocks that nobody announced count no more than others");
    let l1 = l1.mine(10);
    assert_eq!((l1.settlement.window_clock(), l1.settlement.final_number()), (clock, 0));
    l1.check_bytes();
    // The friends' bonds are gone, and the window is as open as it was.
    let l1 = l1.mine(1);
    assert_eq!(l1.settlement.cases().len(), 0);
    let l1 = l1.mine(1);
    assert_eq!(l1.settlement.window_clock(), clock + 1);
    let l1 = l1.challenge("carol", 1);
    assert_eq!(l1.settlement.generation(), 1);
}

#[test]
fn a_moment_of_a_full_table_spoils_its_block() {
    let mut l1 = running().commit(vec![nothing(), nothing()]).mine(1);
    let clock = l1.settlement.window_clock();
    for at in 0..CASES_OPEN_MAX {
        let purpose = if at < REPLAYS_OPEN_MAX { Purpose::Replay } else { Purpose::Challenge };
        l1.open(&format!("friend {at}"), purpose, 2);
    }
    let (case, _) = l1.settlement.cases().first_key_value().map(|(case, open)| (*case, open.clone())).expect("open");
    l1.bring("friend 0", case, &l1.material(2));
    l1.must("friend 0", &Message::Judge { case });
    assert!(l1.settlement.cases().is_empty());
    assert_eq!(l1.mine(3).settlement.window_clock(), clock + 2);
}

#[test]
fn claims_work_for_ever_through_the_archive() {
    let mut l1 = running().commit(vec![pays("alice", gcc(1)), pays("bob", gcc(2))]);
    for _ in 0..RECENT_FINALS_MAX + 40 {
        l1.next_block();
        l1.plan(nothing());
        l1.commit_planned();
    }
    let mut l1 = l1.mine(21);
    assert_eq!(l1.settlement.recent_finals().len(), RECENT_FINALS_MAX);
    assert_eq!(l1.settlement.archive().count(), l1.records.len() as u64);
    assert!(l1.settlement.recent_finals()[0].first_batch > 1);

    let mut forgotten = l1.claim_of(0);
    assert!(matches!(forgotten.under, ClaimedUnder::Archived { .. }));
    forgotten.under = ClaimedUnder::Recent { first_batch: 1 };
    assert_eq!(l1.refused("alice", &Message::Claim(Box::new(forgotten))), 440);
    let mut made_up = l1.claim_of(0);
    if let ClaimedUnder::Archived { record, .. } = &mut made_up.under {
        record.last_batch += 5;
    }
    assert_eq!(l1.refused("alice", &Message::Claim(Box::new(made_up))), 441);

    let mut l1 = l1.claim(0).claim(1);
    let again = l1.claim_of(0);
    assert_eq!(l1.refused("alice", &Message::Claim(Box::new(again))), 448);
    assert_eq!(l1.balance("bob"), i128::from(gcc(2)));
    l1.check_bytes();
}

#[test]
fn recent_commitments_can_be_claimed_through_the_archive_too() {
    let l1 = running().commit(vec![pays("alice", gcc(1))]).mine(20);
    let mut claim = l1.claim_of(0);
    claim.under = l1.archived(1);
    let mut l1 = l1;
    l1.must("alice", &Message::Claim(Box::new(claim)));
}

#[test]
fn the_operator_replaces_data_before_he_commits() {
    let mut l1 = running();
    l1.plan(nothing());
    l1.post();
    let old = l1.draft().message();
    l1.must(OPERATOR, &Message::DiscardData);
    assert_eq!(l1.settlement.next_posted(), 1);
    l1.plane.revert_to(0);
    l1.plan(Plan { posted_len: 50, ..nothing() });
    l1.post();
    assert_eq!(l1.refused(OPERATOR, &old), 386, "what was discarded cannot be committed");
    l1.commit_planned();
    assert_eq!(l1.settlement.tip(), &l1.plane.header(1));
}

#[test]
fn a_large_batch_is_posted_and_judged_in_chunks() {
    let mut l1 = running();
    l1.plan(Plan { posted_len: 2 * CHUNK_BYTES_MAX, ..nothing() });
    let messages = post_messages(1, &l1.plane.batch(1).posted);
    assert_eq!(messages.len(), 2);
    l1.must(OPERATOR, &messages[0]);
    l1.check_bytes();
    assert_eq!(l1.refused(OPERATOR, &messages[0]), 341);
    l1.must(OPERATOR, &messages[1]);
    let message = l1.draft().message();
    l1.must(OPERATOR, &message);
    let l1 = l1.replay("carol", 1);
    assert_eq!(l1.settlement.final_number(), 1);
}

#[test]
fn a_full_commitment_is_one_message_and_becomes_final_in_one_go() {
    let mut plans = vec![nothing(); COMMITMENT_BATCHES_MAX];
    plans[1000] = pays("alice", gcc(3));
    let mut l1 = running().commit(plans);
    l1.check_bytes();
    l1.run_case("carol", Purpose::Challenge, 1024);
    let l1 = l1.mine(20);
    assert_eq!(l1.settlement.final_number(), 1024);
    let l1 = l1.claim(0);
    assert_eq!(l1.settlement.archive().count(), 1);
}

#[test]
fn a_long_silence_is_worked_off_a_bounded_piece_at_a_time() {
    // Nobody looks for a thousand blocks; then each look does its share.
    let mut l1 = running();
    for _ in 0..100 {
        l1.next_block();
        l1.plan(nothing());
        l1.commit_planned();
    }
    let before = l1.settlement.final_number();
    let far = L1Block { height: l1.block.height + 1000, time: l1.block.time + 1_000_000 };
    let events = l1.settlement.advance(far).expect("a later block");
    assert!(events.len() <= 3 * 64);
    l1.settlement.advance(far).expect("the same block");
    assert!(l1.settlement.final_number() > before);
    assert_eq!(l1.settlement.final_number(), 100);
}

#[test]
fn the_sequencer_moves_to_another_operator_for_good() {
    let l1 = running();
    let first = l1.bond_message(OPERATOR, gcc(1));
    let mut l1 = l1;
    l1.must(OPERATOR, &first);
    let second = l1.bond_message("new operator", gcc(1));
    l1.must("new operator", &second);
    assert_eq!(l1.settlement.operator(), Some(who("new operator")));
    assert_eq!(l1.refused(OPERATOR, &Message::DiscardData), 303);
    assert_eq!(l1.refused(OPERATOR, &first), 330, "the old permission is of an earlier term");
    assert_eq!(l1.refused(OPERATOR, &second), 330, "and the new one is for somebody else");
    l1.must("new operator", &second);
    let bond = l1.settlement.bond();
    assert_eq!(bond, units(gcc(1_003)));
    l1.must("new operator", &Message::Unbond);
    assert_eq!(l1.balance("new operator"), i128::from(gcc(1_001)));
    l1.check_bytes();
}

#[test]
fn assets_convert_exactly_or_not_at_all() {
    let l1 = World::new().bonded().deposit("alice", USD, 20_000).deposit("alice", AssetId::ZMAN, gcc(1)).mine(2);
    let plan = Plan { withdrawals: vec![(who("bob"), USD, 10_000), (who("bob"), USD, 5_000)], ..nothing() };
    let mut l1 = l1.commit(vec![plan]).mine(20).claim(0);
    assert_eq!(l1.settlement.escrow(USD), Some(units(10_000)));
    let inexact = l1.claim_of(1);
    assert_eq!(l1.refused("bob", &Message::Claim(Box::new(inexact))), 451);
}

#[test]
fn blocks_only_go_forward() {
    let mut l1 = World::new().mine(5);
    let here = l1.block;
    let before = l1.settlement.to_bytes();
    let table = [
        (L1Block { height: 5, time: here.time }, 300),
        (L1Block { height: 7, time: here.time - 1 }, 301),
        (L1Block { height: 6, time: here.time + 1 }, 301),
    ];
    for (block, code) in table {
        assert_eq!(l1.settlement.advance(block).map_err(|refusal| refusal.code()), Err(code), "{block:?}");
        let applied = l1.settlement.apply(&Message::Unbond, who("x"), block, &NoJudge);
        assert_eq!(applied.map_err(|refusal| refusal.code()), Err(code), "{block:?}");
    }
    let next = L1Block { height: 7, time: here.time };
    let unannounced = l1.settlement.apply(&Message::Unbond, who("x"), next, &NoJudge);
    assert_eq!(unannounced, Err(Refusal::OtherBlock { found: 7, current: 6 }));
    assert_eq!(l1.settlement.to_bytes(), before);
    assert_eq!(l1.settlement.advance(here), Ok(vec![]), "the same block again");
    assert_eq!(l1.settlement.to_bytes(), before);
}

#[test]
fn a_settlement_is_founded_on_the_state_of_its_genesis() {
    let genesis = genesis();
    let good = Plane::genesis_state(&genesis);
    let settlement = Settlement::new(genesis.clone(), &good).expect("good terms");
    assert_eq!((settlement.tip().number, settlement.tip().time), (0, GENESIS_TIME));
    let bad = [
        ghostplane_types::PlaneState { number: 1, ..good },
        ghostplane_types::PlaneState { time: GENESIS_TIME + 1, ..good },
        ghostplane_types::PlaneState { inbox_upto: 1, ..good },
        ghostplane_types::PlaneState { outbox_upto: 1, ..good },
        ghostplane_types::PlaneState { log_upto: 1, ..good },
    ];
    for state in bad {
        assert!(matches!(Settlement::new(genesis.clone(), &state), Err(SetupError::State(_))), "{state:?}");
    }
    let mut coarse = genesis.clone();
    coarse.assets[0].l1_decimals = 0;
    coarse.settlement.challenge_bond = units(gcc(1) + 1);
    assert!(matches!(Settlement::new(coarse, &good), Err(SetupError::BondInexact { .. })));
    let mut broken = genesis;
    broken.settlement.window_blocks = 0;
    assert!(matches!(Settlement::new(broken, &good), Err(SetupError::Genesis(_))));
}

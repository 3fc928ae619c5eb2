//! Proofs of conservation over batches whose ledger is real: what they shorten, and what they do not.

use crate::fixture::{OPERATOR, World, gcc, who};
use crate::ledger::{self, Ledger, Random, entry};
use crate::plane::{LedgerPart, Plan};
use ghostplane_proof::{BatchWitness, Statement, ThreadPoolBuilder, prove};
use ghostplane_settlement::limits::{PROOF_BLOCKS_MAX, PROOF_BUNDLE_BYTES_MAX, PROOFS_OPEN_MAX};
use ghostplane_settlement::{Event, Message, ProofBundle, ProvenBatch, Purpose, Rung, Settlement};
use ghostplane_types::limits::CHUNK_BYTES_MAX;
use ghostplane_types::{AssetId, Decode, Encode, Flow};
use std::collections::BTreeMap;

const WINDOW: u64 = 10;
const WINDOW_UNPROVEN: u64 = 20;

/// A world whose batches from 2 on move a real ledger. Batch 1 brings it in; the L1 has replayed it.
#[derive(Clone)]
struct Proving {
    world: World,
    ledger: Ledger,
    seed: u64,
    made: BTreeMap<u64, (Vec<Flow>, BatchWitness)>,
}

impl Proving {
    fn new() -> Self {
        let ledger = Ledger::new(20, 1_000_000);
        let world = World::new().bonded().deposit("alice", AssetId::GCC, gcc(9)).mine(2);
        let root = ledger.header.ledger_root;
        let part = LedgerPart { root, entries: 9, ..part_of(&ledger.header) };
        let world = world.commit(vec![Plan { ledger: Some(part), ..Plan::default() }]).replay("carol", 1).mine(1);
        assert_eq!(world.settlement.final_number(), 1);
        Self { world, ledger, seed: 5, made: BTreeMap::new() }
    }

    /// Commits to `count` batches, the first of which pays Alice on the L1.
    fn commit(&mut self, count: usize) {
        for at in 0..count {
            self.seed += 1;
            let mut entries = self.ledger.payments(&mut Random(self.seed), 5, 10);
            entries.push(entry(0, 3, 70));
            let batch = self.ledger.batch(&entries);
            let mut plan = Plan { ledger: Some(part_of(&batch.header)), ..Plan::default() };
            if at == 0 {
                plan.withdrawals = vec![(who("alice"), AssetId::GCC, gcc(1))];
            }
            let number = self.world.plan(plan).header.number;
            self.made.insert(number, (batch.flows, batch.witness));
        }
        self.world.commit_planned();
        self.world.next_block();
    }

    /// An honest proof.
    fn prove(&self, first: u64, last: u64) -> ProofBundle {
        let made = || (first..=last).map(|batch| (batch, &self.made[&batch]));
        let headers = || made().map(|(batch, (flows, _))| (self.world.plane.header(batch), flows.clone()));
        let previous = self.world.plane.header(first - 1);
        let plane_id = self.world.settlement.plane_id();
        let claims: Vec<_> = headers().collect();
        let statement = Statement::new(self.world.chain_id(), plane_id, &previous, &claims).expect("they follow");
        let witnesses: Vec<BatchWitness> = made().map(|(_, (_, witness))| witness.clone()).collect();
        let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
        let proof = prove(&statement, &witnesses, &pool).expect("an honest proof");
        let shown = |(header, flows): (ghostplane_types::BatchHeader, Vec<Flow>)| ProvenBatch {
            header_path: self.world.header_path(header.number),
            header,
            flows,
        };
        ProofBundle { previous, batches: headers().map(shown).collect(), proof }
    }

    /// Brings a whole bundle and returns what the last piece brought about.
    fn bring(&mut self, name: &str, bundle: &ProofBundle) -> Result<Vec<Event>, u16> {
        let mut last = Ok(Vec::new());
        for message in pieces(bundle) {
            last = self.world.send(name, &message).map_err(|refusal| refusal.code());
            self.world.check_bytes();
        }
        last
    }

    fn settlement(&self) -> &Settlement {
        &self.world.settlement
    }

    fn mine(&mut self, blocks: u64) {
        (0..blocks).for_each(|_| self.world.next_block());
    }
}

fn part_of(header: &ghostplane_types::BatchHeader) -> LedgerPart {
    LedgerPart {
        root: header.ledger_root,
        journal_digest: header.journal_digest,
        flows_digest: header.flows_digest,
        entries: header.entries,
    }
}

fn pieces(bundle: &ProofBundle) -> Vec<Message> {
    let first = bundle.batches[0].header.number;
    let last = bundle.batches[bundle.batches.len() - 1].header.number;
    let bytes = bundle.to_bytes();
    assert_eq!(ProofBundle::from_bytes(&bytes).as_ref(), Ok(bundle));
    let piece = |(at, piece): (usize, &[u8])| Message::SubmitProof {
        first_batch: first,
        last_batch: last,
        len: bytes.len() as u64,
        offset: (at * CHUNK_BYTES_MAX) as u64,
        bytes: piece.to_vec(),
    };
    bytes.chunks(CHUNK_BYTES_MAX).enumerate().map(piece).collect()
}

fn proven(first_batch: u64, last_batch: u64) -> Event {
    Event::Proven { first_batch, last_batch }
}

#[test]
fn proofs_come_in_any_order_and_shorten_the_window_of_what_they_are_about() {
    let mut plane = Proving::new();
    plane.commit(2);
    plane.commit(2);
    plane.commit(1);
    let (late, early) = (plane.prove(4, 5), plane.prove(2, 3));
    assert_eq!(plane.bring("anybody", &late), Ok(vec![proven(4, 5)]));
    assert_eq!(plane.settlement().status_of(4), Some(Rung::Proven));
    assert_eq!(plane.settlement().status_of(3), Some(Rung::Challengeable));
    assert_eq!(plane.settlement().proven_number(), 1, "batch 2 is not proven");
    assert_eq!(plane.bring("anybody", &early), Ok(vec![proven(2, 3)]));
    assert_eq!((plane.settlement().proven_number(), plane.settlement().status_of(6)), (5, Some(Rung::Challengeable)));
    assert_eq!(plane.bring("anybody", &early), Err(472), "once is enough");

    // Committed in blocks h, h + 1, h + 2; a proof alone releases nothing.
    let claim = plane.world.claim_of(0);
    plane.mine(WINDOW - 4);
    assert_eq!(plane.settlement().final_number(), 1);
    let foreseen = [0, 1, 2, WINDOW_UNPROVEN - WINDOW + 2, WINDOW_UNPROVEN - WINDOW + 3];
    assert_eq!(foreseen.map(|blocks| plane.settlement().final_in(blocks)), [1, 3, 5, 5, 6]);
    assert_eq!(plane.world.refused("alice", &Message::Claim(Box::new(claim))), 443);
    plane.mine(1);
    assert_eq!(plane.settlement().final_number(), 3);
    plane.mine(1);
    assert_eq!(plane.settlement().final_number(), 5);
    let claim = plane.world.claim_of(0);
    plane.world.must("alice", &Message::Claim(Box::new(claim)));
    // The last has no proof, and becomes final all the same, later.
    plane.mine(WINDOW_UNPROVEN - WINDOW);
    assert_eq!(plane.settlement().final_number(), 5);
    plane.mine(1);
    assert_eq!(plane.settlement().final_number(), 6);
    plane.world.check_bytes();
}

#[test]
fn a_proof_over_two_commitments_that_comes_late_makes_final_what_has_waited() {
    let mut plane = Proving::new();
    plane.commit(1);
    plane.commit(2);
    let bundle = plane.prove(2, 4);
    plane.mine(WINDOW);
    assert_eq!(plane.settlement().final_number(), 1);
    // A challenge that is open holds up its batch, proven or not.
    let case = plane.world.open("dave", Purpose::Challenge, 3);
    let events = plane.bring("anybody", &bundle).expect("a good proof");
    assert_eq!(events[..2], [proven(2, 4), Event::Final { batch: 2 }]);
    assert_eq!(plane.settlement().final_number(), 2);
    let request = plane.world.case_request(Purpose::Challenge, 4);
    assert_eq!(plane.world.refused("erin", &Message::OpenCase(Box::new(request))), 402, "its window was the short one");
    let material = plane.world.material(3);
    plane.world.bring("dave", case, &material);
    plane.world.must("dave", &Message::Judge { case });
    assert_eq!(plane.settlement().final_number(), 4);
}

#[test]
fn forged_proofs_and_proofs_of_something_else_are_refused() {
    let mut plane = Proving::new();
    plane.commit(3);
    let honest = plane.prove(2, 3);
    let spoilt = |spoil: &dyn Fn(&mut ProofBundle)| {
        let mut bundle = honest.clone();
        spoil(&mut bundle);
        plane.clone().bring("mallory", &bundle)
    };
    let half = honest.proof.len() / 2;
    assert_eq!(spoilt(&|bundle| bundle.proof[half] ^= 1), Err(485));
    assert_eq!(spoilt(&|bundle| bundle.proof.truncate(half)), Err(485));
    assert_eq!(spoilt(&|bundle| bundle.proof.clear()), Err(485));
    assert_eq!(spoilt(&|bundle| bundle.batches[1].header.gas += 1), Err(483));
    assert_eq!(spoilt(&|bundle| bundle.batches[1].header_path.index = 0), Err(482));
    assert_eq!(spoilt(&|bundle| bundle.batches[0].header_path.siblings[0].0[0] ^= 1), Err(483));
    assert_eq!(spoilt(&|bundle| bundle.batches[0].flows.clear()), Err(484));
    assert_eq!(spoilt(&|bundle| bundle.previous.time += 1), Err(484));
    // What is not part of the state before says nothing, and is not looked at.
    assert_eq!(spoilt(&|bundle| bundle.previous.gas += 1), Ok(vec![proven(2, 3)]));

    // The proof is good, and about other batches than are shown with it.
    let other = plane.prove(3, 4);
    assert_eq!(spoilt(&|bundle| bundle.proof.clone_from(&other.proof)), Err(485));
    let mut longer = pieces(&honest);
    for message in &mut longer {
        let Message::SubmitProof { last_batch, .. } = message else { panic!("a piece") };
        *last_batch = 4;
    }
    let refusals: Vec<u16> =
        longer.iter().filter_map(|message| plane.world.send("mallory", message).err()).map(|why| why.code()).collect();
    assert_eq!(refusals, [481]);
    let first = plane.world.settlement.open_proofs()[&who("mallory")].first_batch;
    assert_eq!(first, 2, "a refused piece changes nothing; another proof may take its place");
    assert_eq!(plane.bring("mallory", &honest), Ok(vec![proven(2, 3)]));
    assert!(plane.settlement().open_proofs().is_empty());
    let garbage = Message::SubmitProof { first_batch: 4, last_batch: 4, len: 3, offset: 0, bytes: vec![1, 2, 3] };
    assert_eq!(plane.world.refused("mallory", &garbage), 480);
}

#[test]
fn a_conviction_takes_the_proofs_with_it() {
    let mut plane = Proving::new();
    plane.commit(2);
    // It conserves value and lies about something else: the proof is as good as any.
    let batch = plane.ledger.batch(&[entry(1, 2, 5)]);
    let number =
        plane.world.plan(Plan { forged: true, ledger: Some(part_of(&batch.header)), ..Plan::default() }).header.number;
    plane.made.insert(number, (batch.flows, batch.witness));
    plane.commit(1);
    let bundle = plane.prove(3, 5);
    assert_eq!(plane.bring("anybody", &bundle), Ok(vec![proven(3, 5)]));
    let begun = &pieces(&plane.prove(2, 5))[0];
    plane.world.must("erin", begun);
    let begun = &pieces(&plane.prove(2, 3))[0];
    plane.world.must("frank", begun);

    plane.world.run_case("dave", Purpose::Challenge, number);
    let settlement = plane.settlement();
    assert_eq!(settlement.tip().number, 3);
    assert_eq!((settlement.is_proven(3), settlement.is_proven(4)), (true, false));
    assert_eq!(settlement.open_proofs().keys().copied().collect::<Vec<_>>(), [who("frank")]);
    assert_eq!(plane.bring("anybody", &bundle), Err(471), "what it is about is gone");
    plane.world.check_bytes();
}

#[test]
fn pieces_are_bounded_by_sender_length_and_time() {
    let mut plane = Proving::new();
    plane.commit(2);
    let piece = |first_batch, last_batch, len: u64, offset, bytes: usize| Message::SubmitProof {
        first_batch,
        last_batch,
        len,
        offset,
        bytes: vec![1; bytes],
    };
    let most = PROOF_BUNDLE_BYTES_MAX as u64;
    let refused = |plane: &mut Proving, message: &Message| plane.world.refused("mallory", message);
    for range in [(0, 1), (3, 2), (2, 66), (2, u64::MAX)] {
        assert_eq!(refused(&mut plane, &piece(range.0, range.1, 9, 0, 1)), 470, "{range:?}");
    }
    for range in [(1, 3), (2, 4), (4, 4)] {
        assert_eq!(refused(&mut plane, &piece(range.0, range.1, 9, 0, 1)), 471, "{range:?}");
    }
    assert_eq!(refused(&mut plane, &piece(2, 3, 0, 0, 1)), 473);
    assert_eq!(refused(&mut plane, &piece(2, 3, most + 1, 0, 1)), 473);
    assert_eq!(refused(&mut plane, &piece(2, 3, 9, 1, 1)), 475);
    assert_eq!(refused(&mut plane, &piece(2, 3, 9, 0, 0)), 476);
    assert_eq!(refused(&mut plane, &piece(2, 3, most, 0, CHUNK_BYTES_MAX + 1)), 477);
    assert_eq!(refused(&mut plane, &piece(2, 3, 9, 0, 10)), 478);

    plane.world.must("mallory", &piece(2, 3, most, 0, 10));
    assert_eq!(refused(&mut plane, &piece(2, 2, most, 10, 10)), 474);
    assert_eq!(refused(&mut plane, &piece(2, 3, most - 1, 10, 10)), 474);
    assert_eq!(refused(&mut plane, &piece(2, 3, most, 11, 10)), 475);
    plane.world.must("mallory", &piece(2, 3, most, 10, 10));
    plane.world.must("mallory", &piece(3, 3, 99, 0, 7));
    assert_eq!(plane.settlement().open_proofs()[&who("mallory")].brought(), 7, "a first piece starts anew");

    for name in ["erin", "frank", "grace"].into_iter().take(PROOFS_OPEN_MAX - 1) {
        plane.world.must(name, &piece(2, 2, 9, 0, 1));
    }
    assert_eq!(plane.world.refused("heidi", &piece(2, 2, 9, 0, 1)), 479);
    plane.world.must(OPERATOR, &piece(2, 2, 9, 0, 1));
    assert_eq!(plane.world.refused("heidi", &piece(2, 2, 9, 0, 1)), 479);
    plane.world.check_bytes();
    plane.mine(PROOF_BLOCKS_MAX);
    assert_eq!(plane.settlement().open_proofs().len(), PROOFS_OPEN_MAX + 1);
    plane.mine(1);
    assert!(plane.settlement().open_proofs().is_empty(), "they had their time");
    plane.world.must("heidi", &piece(2, 2, 9, 0, 1));
    plane.mine(WINDOW_UNPROVEN);
    assert!(plane.settlement().open_proofs().is_empty(), "the batches are final");
}

/// The fixture makes what these tests take it to make.
#[test]
fn an_unproven_ledger_cannot_be_shown() {
    let mut plane = Proving::new();
    plane.commit(1);
    let bundle = plane.prove(2, 2);
    let witness = ledger::witnesses(&[]);
    assert!(witness.is_empty() && bundle.batches.len() == 1);
    assert!(bundle.proof.len() > CHUNK_BYTES_MAX, "a proof takes several messages: {}", bundle.proof.len());
}

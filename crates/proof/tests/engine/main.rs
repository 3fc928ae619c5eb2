//! Batches that the engine made, random ones among them: each is proved from what the engine hands over, and the ledger
//! that the proof speaks of is the one that a plain model reaches.

use ghostplane_keystone::StateView;
use ghostplane_proof::{Statement, ThreadPoolBuilder, prove, verify};
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{BatchHeader, Flow, JournalEntry, SlotIndex};
use std::collections::BTreeMap;

mod plane;
use plane::{Operator, Random};

/// Balances by slot, moved entry by entry.
#[derive(Default)]
struct Model(BTreeMap<SlotIndex, u64>);

impl Model {
    fn run(&mut self, journal: &[JournalEntry]) {
        for moved in journal {
            if !moved.from.is_outside() {
                let payer = self.0.entry(moved.from).or_default();
                *payer = payer.checked_sub(moved.amount.units()).expect("nobody overdraws");
            }
            if !moved.to.is_outside() {
                *self.0.entry(moved.to).or_default() += moved.amount.units();
            }
        }
    }
}

#[test]
fn random_batches_of_the_engine_are_proved() {
    let pool = ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    for seed in 0..6 {
        let mut random = Random(seed);
        let mut operator = Operator::new();
        let mut model = Model::default();
        let mut before = operator.header;
        let (mut claims, mut witnesses) = (Vec::new(), Vec::new());
        for round in 0..4 {
            operator.random_round(&mut random, round == 0);
            let (header, flows, journal, witness) = operator.seal();
            model.run(&journal);
            for (index, units) in &model.0 {
                let slot = operator.keystone.slot(*index).expect("all of it").expect("handed out");
                assert_eq!(slot.balance.units(), *units, "slot {}", index.index());
            }
            claims.push((header, flows));
            witnesses.push(witness);
            if round % 2 == 1 {
                // Two batches a proof.
                let statement =
                    Statement::new(CHAIN_DEV, operator.plane.plane_id(), &before, &claims).expect("in order");
                let proof = prove(&statement, &witnesses, &pool).expect("what the engine did");
                let verified = verify(&statement, &proof).expect("an honest proof");
                let digests: Vec<_> = claims.iter().map(|(header, _)| header.digest(CHAIN_DEV)).collect();
                assert_eq!(verified.headers(), digests);
                before = header;
                claims.clear();
                witnesses.clear();
            }
        }
    }
}

#[test]
fn a_statement_takes_only_headers_and_flows_that_belong_together() {
    use ghostplane_proof::StatementError;
    let mut operator = Operator::new();
    let first = operator.header;
    operator.random_round(&mut Random(9), true);
    let (one, flows_one, ..) = operator.seal();
    operator.random_round(&mut Random(10), false);
    let (two, flows_two, ..) = operator.seal();
    let plane = operator.plane.plane_id();
    let of =
        |before: &BatchHeader, claims: &[(BatchHeader, Vec<Flow>)]| Statement::new(CHAIN_DEV, plane, before, claims);
    let (one, two) = ((one, flows_one), (two, flows_two));
    assert!(of(&first, &[one.clone(), two.clone()]).is_ok());
    assert!(of(&one.0, std::slice::from_ref(&two)).is_ok());
    assert_eq!(of(&first, &[]), Err(StatementError::Batches { found: 0 }));
    assert_eq!(of(&first, std::slice::from_ref(&two)), Err(StatementError::DoesNotFollow { number: 2 }));
    assert_eq!(of(&first, &[two.clone(), one.clone()]), Err(StatementError::DoesNotFollow { number: 2 }));
    assert_eq!(of(&first, &[one.clone(), one.clone()]), Err(StatementError::DoesNotFollow { number: 1 }));
    assert_eq!(of(&first, &[(one.0, two.1.clone())]), Err(StatementError::Flows { number: 1 }));
    let other_plane = Statement::new(CHAIN_DEV, operator.header.prev_state, &first, &[one]);
    assert_eq!(other_plane, Err(StatementError::DoesNotFollow { number: 1 }));
}

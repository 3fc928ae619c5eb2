//! What gets a signature, and what does not.

use super::*;
use crate::local::{LocalL1, Operator, Threads};
use ghostplane_settlement::Message;
use ghostplane_types::{Address, Amount, AssetId, Genesis};
use std::num::NonZeroUsize;

const ONE: Threads = Threads(NonZeroUsize::MIN);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn address(seed: u8) -> Address {
    Address::from_bytes([seed; 32])
}

/// An operator, an L1 with deposits, and a batch for each of them.
struct World {
    plane: Plane,
    operator: Operator,
    inbox: Vec<InboxEntry>,
    genesis: BatchHeader,
}

impl World {
    fn new(batches: usize) -> Self {
        let plane = Plane::new(Genesis::dev(1_700_000_000_000, key(1).verification_key(), address(9)));
        let plane = plane.expect("sound terms");
        let mut operator = Operator::found(plane.clone(), key(1), 1, &ONE).expect("founded");
        let genesis = BatchHeader::genesis(operator.state());
        let mut l1 = LocalL1::new(&plane, operator.state(), 1_000).expect("set up");
        l1.mine(1).expect("time passes");
        for number in 0..batches {
            let to = address(if number % 2 == 0 { 20 } else { 21 });
            let deposit = Message::Deposit { asset: AssetId::GCC, l1_amount: 1_000_000_000, to };
            l1.send(L1Address([5; 32]), deposit).expect("the L1 takes it");
        }
        l1.mine(5).expect("time passes");
        for number in 0..batches {
            let time = l1.block().time + number as u64;
            operator.produce(time, &l1.inbox()[number..=number], Vec::new(), &ONE).expect("a batch");
        }
        Self { plane, operator, inbox: l1.inbox().to_vec(), genesis }
    }

    fn committer(&self, signed: Option<Signed>) -> Committer {
        Committer::new(self.plane.clone(), signed, 7, &ONE).expect("genesis gives a state")
    }

    fn header(&self, number: u64) -> BatchHeader {
        match number {
            0 => self.genesis,
            _ => self.operator.batches()[usize::try_from(number - 1).expect("few")].header,
        }
    }

    fn show(&self, committer: &mut Committer, number: u64) -> Result<(), NotVouched> {
        let batch = &self.operator.batches()[usize::try_from(number - 1).expect("few")];
        let Range { start, end } = committer.inbox_of(&batch.header);
        let inbox: Vec<_> = self.inbox.iter().filter(|entry| (start..end).contains(&entry.index)).cloned().collect();
        committer.check(&batch.header, batch.posted.clone(), &inbox, &ONE)
    }

    fn committed(&self, number: u64) -> Committed {
        let batch = &self.operator.batches()[usize::try_from(number - 1).expect("few")];
        Committed::new(&self.plane, &batch.header, &batch.posted)
    }

    /// What the sequencer proposes.
    fn proposal(&self, first: u64, last: u64) -> Commitment {
        let batches: Vec<_> = (first..=last).map(|number| self.committed(number)).collect();
        let claim = run::claim(&self.plane, 0, &self.header(first - 1), &batches).expect("batches in order");
        self.proposed(claim)
    }

    fn proposed(&self, mut claim: Commitment) -> Commitment {
        claim.attestations = vec![run::attest(&self.plane, &key(1), &claim)];
        claim
    }

    fn signed(&self, number: u64) -> Signed {
        Signed { generation: 0, number, header: self.header(number).digest(self.plane.chain_id()) }
    }
}

/// Vouches where what is signed can be kept.
fn vouch(committer: &mut Committer, proposal: &Commitment) -> Result<Attestation, NotVouched> {
    committer.vouch(proposal, &key(3), |_| Ok(()))
}

#[test]
fn what_comes_out_as_claimed_is_vouched_for() {
    let world = World::new(4);
    let mut committer = world.committer(None);
    let refused = vouch(&mut committer, &world.proposal(1, 2)).expect_err("nothing is executed yet");
    assert!(matches!(refused, NotVouched::Behind { newest: 0, needed: 2 }), "{refused}");
    (1..=3).for_each(|number| world.show(&mut committer, number).expect("true"));
    for (first, last) in [(1, 1), (1, 3), (2, 3), (3, 3)] {
        let proposal = world.proposal(first, last);
        let by = vouch(&mut committer, &proposal).expect("true");
        assert_eq!(by.key, key(3).verification_key());
        proposal.verify_attestation(world.plane.chain_id(), &by).expect("his signature");
    }
    // What came before a commitment is committed, and forgotten.
    let refused = vouch(&mut committer, &world.proposal(1, 3)).expect_err("too late");
    assert!(matches!(refused, NotVouched::Forgotten { first: 1, from: 3 }), "{refused}");
    world.show(&mut committer, 4).expect("true");
    vouch(&mut committer, &world.proposal(3, 4)).expect("true");
}

#[test]
fn a_theft_gets_no_signature_and_changes_nothing() {
    let mut world = World::new(3);
    world.operator.forge_theft(&address(20), &address(21), Amount::new(5).expect("small"), &ONE).expect("forged");
    let mut committer = world.committer(None);
    (1..=2).for_each(|number| world.show(&mut committer, number).expect("true"));
    for _ in 0..2 {
        let refused = world.show(&mut committer, 3).expect_err("a theft");
        assert!(matches!(refused, NotVouched::False { batch: 3, difference: Difference::Field(_) }), "{refused}");
        let refused = vouch(&mut committer, &world.proposal(1, 3)).expect_err("not executed");
        assert!(matches!(refused, NotVouched::Behind { newest: 2, needed: 3 }), "{refused}");
    }
    vouch(&mut committer, &world.proposal(1, 2)).expect("true before as after");
    // Data that is none, and entries that the L1 does not have.
    let batch = &world.operator.batches()[2];
    let inbox = &world.inbox[2..];
    let mut bent = batch.posted.clone();
    bent[0] ^= 0xff;
    let refused = committer.check(&batch.header, bent, inbox, &ONE).expect_err("no data");
    assert!(matches!(refused, NotVouched::False { batch: 3, .. }), "{refused}");
    let refused = committer.check(&batch.header, batch.posted.clone(), &[], &ONE).expect_err("no such entry");
    assert!(matches!(refused, NotVouched::False { difference: Difference::Inbox { .. }, .. }), "{refused}");
    let refused = world.show(&mut committer, 2).expect_err("in another place");
    assert!(matches!(refused, NotVouched::Order { found: 2, expected: 3 }), "{refused}");
}

#[test]
fn a_commitment_that_claims_anything_else_about_true_batches_gets_no_signature() {
    let world = World::new(3);
    let mut committer = world.committer(None);
    (1..=3).for_each(|number| world.show(&mut committer, number).expect("true"));
    let honest = world.proposal(1, 3);
    let changes: [fn(&mut Commitment); 9] = [
        |claim| claim.version += 1,
        |claim| claim.plane_id.0[0] ^= 1,
        |claim| claim.generation += 1,
        |claim| claim.first_batch += 1,
        |claim| claim.headers_root.0[0] ^= 1,
        |claim| claim.prev_header_digest.0[0] ^= 1,
        |claim| claim.last_header.gas += 1,
        |claim| claim.data_digest.0[0] ^= 1,
        |claim| claim.data_len += 1,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut claim = honest.clone();
        change(&mut claim);
        let claim = world.proposed(claim);
        let mut fresh = world.committer(None);
        (1..=3).for_each(|number| world.show(&mut fresh, number).expect("true"));
        let refused = vouch(&mut fresh, &claim).expect_err("false");
        assert!(matches!(refused, NotVouched::OtherClaim { .. }), "change {at}: {refused}");
    }
    let mut backwards = honest.clone();
    backwards.first_batch = 4;
    let backwards = world.proposed(backwards);
    assert!(vouch(&mut committer, &backwards).is_err(), "no batches");
    vouch(&mut world.committer(None), &honest).expect_err("nothing is executed");
}

#[test]
fn nothing_is_signed_or_kept_that_the_sequencer_has_not_proposed() {
    let world = World::new(2);
    let mut committer = world.committer(None);
    (1..=2).for_each(|number| world.show(&mut committer, number).expect("true"));
    let honest = world.proposal(1, 2);
    let by_another = run::attest(&world.plane, &key(4), &honest);
    let of_another = world.proposal(1, 1).attestations[0];
    for attestations in [vec![], vec![by_another], vec![by_another, honest.attestations[0]], vec![of_another]] {
        let claim = Commitment { attestations, ..honest.clone() };
        let refused = committer.vouch(&claim, &key(3), |_| panic!("it is not kept")).expect_err("nobody proposed it");
        assert!(matches!(refused, NotVouched::NotProposed), "{refused}");
    }
}

#[test]
fn nothing_is_signed_that_cannot_be_kept() {
    let world = World::new(1);
    let mut committer = world.committer(None);
    world.show(&mut committer, 1).expect("true");
    #[derive(Debug)]
    enum Why {
        Disk,
        Other,
    }
    impl From<NotVouched> for Why {
        fn from(_: NotVouched) -> Self {
            Self::Other
        }
    }
    let proposal = world.proposal(1, 1);
    let result = committer.vouch(&proposal, &key(3), |_| Err(Why::Disk));
    assert!(matches!(result, Err(Why::Disk)));
    let mut kept = None;
    let keep = |signed: &Signed| {
        kept = Some(*signed);
        Ok::<(), Why>(())
    };
    committer.vouch(&proposal, &key(3), keep).expect("it is kept");
    assert_eq!(kept, Some(world.signed(1)));
    // The same again is the same signature, and nothing new to keep.
    committer.vouch(&proposal, &key(3), |_| Err(Why::Disk)).expect("it was kept before");
}

#[test]
fn after_a_start_no_other_history_is_signed() {
    let world = World::new(3);
    // Until the batch that was signed is seen again, nothing is: who knows whether this is the same history.
    let mut committer = world.committer(Some(world.signed(3)));
    (1..=2).for_each(|number| world.show(&mut committer, number).expect("true"));
    let refused = vouch(&mut committer, &world.proposal(1, 2)).expect_err("not seen yet");
    assert!(matches!(refused, NotVouched::Behind { newest: 2, needed: 3 }), "{refused}");
    world.show(&mut committer, 3).expect("the one that was signed");
    vouch(&mut committer, &world.proposal(1, 2)).expect("the same history");

    let mut other = world.signed(2);
    other.header.0[0] ^= 1;
    let mut committer = world.committer(Some(other));
    world.show(&mut committer, 1).expect("true");
    let refused = world.show(&mut committer, 2).expect_err("another was signed");
    assert!(matches!(refused, NotVouched::OtherHistory { batch: 2, .. }), "{refused}");

    // Nor where a later generation stands in its place: the signed batch is not in this history.
    let mut committer = world.committer(Some(other));
    world.show(&mut committer, 1).expect("true");
    let mut later = World::new(2);
    later.operator.revert(2, 1, &ONE).expect("it goes back");
    let time = later.header(1).time + 5;
    later.operator.produce(time, &later.inbox[1..], Vec::new(), &ONE).expect("a batch");
    later.show(&mut committer, 2).expect("true in its generation");
    let refused = vouch(&mut committer, &world.proposal(1, 1)).expect_err("another was signed");
    assert!(matches!(refused, NotVouched::Unseen { batch: 2, generation: 0 }), "{refused}");
    let refused = world.show(&mut committer, 3).expect_err("generations rise");
    assert!(matches!(refused, NotVouched::Backwards { batch: 3, found: 0, before: 1 }), "{refused}");

    // What the L1 has gone behind is over.
    let later = Signed { generation: 1, ..world.signed(2) };
    let mut committer = world.committer(Some(later));
    (1..=3).for_each(|number| world.show(&mut committer, number).expect("true"));
    let refused = vouch(&mut committer, &world.proposal(1, 3)).expect_err("a generation that is over");
    assert!(matches!(refused, NotVouched::Over { found: 0, signed: 1 }), "{refused}");
}

#[test]
fn what_was_signed_is_read_back_by_one_process_and_damage_is_told() {
    let dir = std::env::temp_dir().join(format!("ghostplane-signed-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let world = World::new(2);
    let plane_id = world.plane.plane_id();
    let (file, nothing) = SignedFile::open(&dir, &plane_id).expect("a new one");
    assert_eq!(nothing, None);
    assert!(matches!(SignedFile::open(&dir, &plane_id), Err(SignedError::Taken(_))), "one at a time");
    for number in [1, 2] {
        file.keep(&world.signed(number)).expect("room");
    }
    drop(file);
    let (file, signed) = SignedFile::open(&dir, &plane_id).expect("again");
    assert_eq!(signed, Some(world.signed(2)));
    drop(file);
    let (other, nothing) = SignedFile::open(&dir, &Digest([1; 32])).expect("of another plane");
    assert_eq!(nothing, None);
    drop(other);
    std::fs::write(dir.join(format!("signed-{plane_id}")), b"{\"generation\":0").expect("writable");
    assert!(matches!(SignedFile::open(&dir, &plane_id), Err(SignedError::Damaged { .. })));
    std::fs::remove_dir_all(&dir).expect("ours");
    assert_ne!(world.signed(1).header, world.signed(2).header);
}

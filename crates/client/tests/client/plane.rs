//! A plane with real trees and signatures, and the honest answers about it.

use ghostplane_client::{Plane, gates, wire};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_ghostcipher::{Digest, Domain, SigningKey, merkle};
use ghostplane_keystone::{Changeset, Keystone, ObjectChange, SlotChange};
use ghostplane_types::slot::SlotKind;
use ghostplane_types::{
    AccountRecord, Address, Amount, AssetId, Attestation, BatchHeader, Commitment, Decode, Encode, Flush, Genesis,
    ObjectKey, SignedFlush, Slot, SlotIndex,
};

pub const ALICE: Address = Address::from_bytes([7; 32]);
pub const NOBODY: Address = Address::from_bytes([8; 32]);
pub const FIRST_POSITION: u64 = 100;
/// How long after the newest batch an answer tells mana for.
const MANA_AFTER_MS: u64 = 1_000;

pub fn sequencer() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

pub struct World {
    pub plane: Plane,
    pub keystone: Keystone,
    pub headers: Vec<BatchHeader>,
}

impl World {
    /// Genesis as the engine makes it, and Alice with two balances.
    pub fn new() -> Self {
        Self::founded(1_000)
    }

    pub fn founded(time: u64) -> Self {
        let genesis = Genesis::dev(time, sequencer().verification_key(), Address::from_bytes([9; 32]));
        let engine = ghostplane_engine::Plane::new(genesis.clone()).unwrap();
        let mut keystone = Keystone::new(1);
        let roots = keystone.apply(&engine.founding_changes().unwrap(), &Serial).unwrap();
        let mut record = AccountRecord::new(ALICE);
        let mut slots = Vec::new();
        for (nth, asset) in (0..).zip([AssetId::GCC, AssetId::ZMAN]) {
            let index = SlotIndex::new(roots.slots_used + nth).unwrap();
            let balance = Amount::new(500 + u64::from(nth)).unwrap();
            let new = Slot { kind: SlotKind::Account, owner: ALICE.owner_digest(), asset, balance };
            slots.push(SlotChange { index, old: None, new });
            record.insert_slot(asset, index);
        }
        let key = ObjectKey::account(&ALICE);
        let object = ObjectChange { key, old: None, new: Some(record.to_bytes().into()) };
        let roots = keystone.apply(&Changeset::new(slots, vec![object]).unwrap(), &Serial).unwrap();
        let mut header = BatchHeader::genesis(&engine.genesis_state(roots));
        let headers = (4..7).map(|number| {
            header.number = number;
            header
        });
        Self { headers: headers.collect(), plane: Plane::new(genesis).unwrap(), keystone }
    }

    pub fn header(&self) -> BatchHeader {
        self.headers[1]
    }

    pub fn info(&self) -> wire::Info {
        let genesis = self.plane.genesis();
        wire::Info {
            genesis: genesis.to_bytes().into(),
            plane_id: self.plane.id().0.to_vec().into(),
            chain_id: genesis.chain_id,
            l1_chain_id: genesis.l1_chain_id,
            protocol: genesis.protocol,
            sequencer: genesis.sequencer.as_bytes().to_vec().into(),
            gas_price: genesis.gas_price,
            ..wire::Info::default()
        }
    }

    /// The account as an honest node answers it.
    pub fn account(&self, address: &Address) -> wire::Account {
        let proof = self.keystone.prove_object(&ObjectKey::account(address));
        let roots = self.header().state().roots;
        let mut answer = wire::Account {
            address: address.as_bytes().to_vec().into(),
            batch: self.header().number,
            header: self.header().to_bytes().into(),
            record_proof: proof.to_bytes().into(),
            rung: wire::Rung::Attested.into(),
            time: self.header().time,
            ..wire::Account::default()
        };
        let proven = proof.verify(&roots).unwrap();
        let at = self.header().time + MANA_AFTER_MS;
        let Some((index, bytes)) = proven.object() else {
            answer.mana = Some(wire::Mana { at, ..wire::Mana::default() });
            return answer;
        };
        let record = AccountRecord::from_bytes(bytes).unwrap();
        answer.exists = true;
        answer.number = index.index();
        answer.record = bytes.to_vec().into();
        answer.next_sequence = record.next_in_lane(0);
        answer.identity = gates::identity_message(&record, self.header().time);
        answer.gates = gates::gates_message(&record, self.header().time);
        answer.balances = record.slots.iter().map(|of| self.balance(of.asset, of.slot)).collect();
        let zman = answer.balances.iter().find(|balance| balance.asset == AssetId::ZMAN.number());
        let zman = Amount::new(zman.map_or(0, |balance| balance.amount)).unwrap();
        let terms = &self.plane.genesis().mana;
        let now = terms.now(record.mana(), zman, record.level(at), at);
        answer.mana = Some(wire::Mana {
            at,
            granted: now.granted,
            regenerated: now.regenerated,
            per_window: terms.gas_per_window(zman),
            cap: terms.gas_cap(zman),
            grant: terms.grant(record.level(at)),
        });
        answer
    }

    pub fn balance(&self, asset: AssetId, slot: SlotIndex) -> wire::Balance {
        let proof = self.keystone.prove_slot(slot);
        wire::Balance {
            asset: asset.number(),
            symbol: "any".to_owned(),
            amount: proof.slot.unwrap().balance.units(),
            slot: slot.index(),
            proof: proof.to_bytes().into(),
        }
    }

    pub fn commitment(&self) -> wire::CommitmentOf {
        let chain_id = self.plane.chain_id();
        let leaves: Vec<Digest> = self.headers.iter().map(|header| header.digest(chain_id)).collect();
        let tree = merkle::Tree::new(leaves);
        let mut commitment = Commitment {
            version: 1,
            plane_id: self.plane.id(),
            generation: 0,
            first_batch: self.headers[0].number,
            headers_root: tree.root(),
            prev_header_digest: Digest([3; 32]),
            last_header: self.headers[2],
            data_digest: Digest([4; 32]),
            data_len: 5,
            attestations: Vec::new(),
        };
        let (key, digest) = (sequencer(), commitment.digest(chain_id));
        let signature = key.sign(Domain::Attestation, chain_id, &digest);
        commitment.attestations.push(Attestation { key: key.verification_key(), signature });
        wire::CommitmentOf {
            commitment: commitment.to_bytes().into(),
            header: self.header().to_bytes().into(),
            path: path_bytes(&tree.path(1).unwrap()).into(),
            batches: 3,
            l1_height: 12,
            rung: wire::Rung::Challengeable.into(),
        }
    }

    /// The receipt of the transaction at `index` of a flush with these ids.
    pub fn receipt(&self, ids: &[Digest], index: usize) -> wire::Receipt {
        self.receipt_by(&sequencer(), self.plane.id(), ids, index)
    }

    pub fn receipt_by(&self, key: &SigningKey, plane_id: Digest, ids: &[Digest], index: usize) -> wire::Receipt {
        let tree = merkle::Tree::new(ids.to_vec());
        let flush = Flush {
            plane_id,
            generation: 0,
            flush: 3,
            first_position: FIRST_POSITION,
            root: tree.root(),
            prev_flush_digest: Digest([2; 32]),
            batch_at_most: 9,
        };
        let chain_id = self.plane.chain_id();
        let signature = key.sign(Domain::FlushSignature, chain_id, &flush.digest(chain_id));
        let executed = wire::Executed {
            id: ids[index].0.to_vec().into(),
            position: FIRST_POSITION + index as u64,
            batch: 8,
            gas: 3_000,
            fee: 3_000,
            path: path_bytes(&tree.path(index as u64).unwrap()).into(),
            ..wire::Executed::default()
        };
        wire::Receipt {
            signed_flush: SignedFlush { flush, signature }.to_bytes().into(),
            flush_transactions: u32::try_from(ids.len()).unwrap(),
            executed: Some(executed),
        }
    }
}

pub fn path_bytes(path: &merkle::Path) -> Vec<u8> {
    path.siblings.iter().flat_map(|node| node.0).collect()
}

//! Proofs of conservation: their pieces, what they are checked against, and what they mark.

use super::Settlement;
use crate::event::Event;
use crate::limits::{PROOF_BLOCKS_MAX, PROOF_BUNDLE_BYTES_MAX, PROOFS_OPEN_MAX};
use crate::proofs::{OpenProof, ProofBundle, is_range};
use crate::refusal::Refusal;
use ghostplane_ghostcipher::merkle;
use ghostplane_proof::{Statement, verify};
use ghostplane_types::limits::CHUNK_BYTES_MAX;
use ghostplane_types::{BatchHeader, Decode, Flow, L1Address};

/// Where the pieces of one message belong.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) first_batch: u64,
    pub(super) last_batch: u64,
    pub(super) len: u64,
    pub(super) offset: u64,
}

impl Settlement {
    /// Takes a piece; the last one has the proof verified. A sender has one proof open at a time, and a first piece drops
    /// what he had.
    pub(super) fn submit_proof(&mut self, from: L1Address, piece: Piece, bytes: &[u8]) -> Result<Vec<Event>, Refusal> {
        self.check_piece(from, piece, bytes)?;
        let before = self.open_proofs.get(&from).filter(|_| piece.offset > 0);
        let mut brought = before.map(|open| open.bytes.clone()).unwrap_or_default();
        brought.extend_from_slice(bytes);
        if (brought.len() as u64) < piece.len {
            let deadline = before.map_or(self.block.height.saturating_add(PROOF_BLOCKS_MAX), |open| open.deadline);
            let Piece { first_batch, last_batch, len, .. } = piece;
            self.open_proofs.insert(from, OpenProof { first_batch, last_batch, len, deadline, bytes: brought });
            return Ok(Vec::new());
        }
        self.check_bundle(piece, &brought)?;

        self.open_proofs.remove(&from);
        for pending in &mut self.pending {
            pending.mark_proven(piece.first_batch, piece.last_batch);
        }
        let mut events = vec![Event::Proven { first_batch: piece.first_batch, last_batch: piece.last_batch }];
        self.finalize(&mut events);
        Ok(events)
    }

    fn check_piece(&self, from: L1Address, piece: Piece, bytes: &[u8]) -> Result<(), Refusal> {
        let Piece { first_batch, last_batch, len, offset } = piece;
        if !is_range(first_batch, last_batch) {
            return Err(Refusal::ProofRange { first_batch, last_batch });
        }
        self.check_provable(first_batch, last_batch)?;
        let limit = PROOF_BUNDLE_BYTES_MAX as u64;
        if !(1..=limit).contains(&len) {
            return Err(Refusal::ProofLength { found: len, limit });
        }
        let open = self.open_proofs.get(&from);
        match open.filter(|_| offset > 0) {
            Some(open) if (open.first_batch, open.last_batch, open.len) != (first_batch, last_batch, len) => {
                return Err(Refusal::ProofOther { first_batch: open.first_batch, last_batch: open.last_batch });
            }
            Some(open) if open.brought() != offset => {
                return Err(Refusal::ProofOffset { found: offset, expected: open.brought() });
            }
            None if offset > 0 => return Err(Refusal::ProofOffset { found: offset, expected: 0 }),
            _ => {}
        }
        if bytes.is_empty() {
            return Err(Refusal::ProofPieceEmpty);
        }
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(Refusal::ProofPieceLong { found: bytes.len(), limit: CHUNK_BYTES_MAX });
        }
        let found = offset + bytes.len() as u64;
        if found > len {
            return Err(Refusal::ProofOver { found, limit: len });
        }
        // One place more is the operator's, so that nobody can keep him from proving.
        let is_operator = self.operator.is_some_and(|operator| operator.address == from);
        let limit = PROOFS_OPEN_MAX + usize::from(is_operator);
        if open.is_none() && self.open_proofs.len() >= limit {
            return Err(Refusal::ProofsFull { open: self.open_proofs.len(), limit });
        }
        Ok(())
    }

    /// That the settlement still has the commitments of all these batches, and that a proof would tell it anything.
    fn check_provable(&self, first_batch: u64, last_batch: u64) -> Result<(), Refusal> {
        let (final_number, tip) = (self.final_number, self.tip().number);
        for batch in [first_batch, last_batch] {
            if self.pending_with(batch).is_none() {
                return Err(Refusal::ProofNotPending { batch, final_number, tip });
            }
        }
        let settled = |batch: u64| batch <= final_number || self.is_proven(batch);
        if (first_batch..=last_batch).all(settled) {
            return Err(Refusal::ProvenAlready { first_batch, last_batch });
        }
        Ok(())
    }

    /// That a bundle is a proof of these batches as they are committed.
    fn check_bundle(&self, piece: Piece, bytes: &[u8]) -> Result<(), Refusal> {
        let bundle = ProofBundle::from_bytes(bytes).map_err(|_| Refusal::ProofUnreadable)?;
        let expected = piece.last_batch - piece.first_batch + 1;
        let found = bundle.batches.len() as u64;
        if found != expected {
            return Err(Refusal::ProofBatches { found, expected });
        }
        let chain_id = self.genesis.chain_id;
        for (shown, batch) in bundle.batches.iter().zip(piece.first_batch..) {
            let (_, pending) = self.pending_with(batch).expect("checked: from the first to the last, none is missing");
            let expected = batch - pending.first_batch;
            let found = shown.header_path.index;
            if found != expected {
                return Err(Refusal::ProofHeaderPosition { batch, found, expected });
            }
            merkle::verify(&pending.headers_root, &shown.header.digest(chain_id), &shown.header_path)
                .map_err(|error| Refusal::ProofHeaderPath { batch, error })?;
        }
        let claims: Vec<(BatchHeader, Vec<Flow>)> =
            bundle.batches.into_iter().map(|shown| (shown.header, shown.flows)).collect();
        let statement = Statement::new(chain_id, self.plane_id, &bundle.previous, &claims)
            .map_err(|error| Refusal::ProofStatement { error })?;
        verify(&statement, &bundle.proof).map_err(|error| Refusal::ProofInvalid { error })?;
        Ok(())
    }

    /// Drops what can no longer become anything.
    pub(super) fn drop_open_proofs(&mut self) {
        let (base, final_number, tip) = (self.base.number, self.final_number, self.tip().number);
        let height = self.block.height;
        self.open_proofs.retain(|_, open| {
            open.first_batch > base
                && open.last_batch > final_number
                && open.last_batch <= tip
                && open.deadline >= height
        });
    }
}

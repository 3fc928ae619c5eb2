//! Threads that turn bytes into verified transactions, many signatures by one equation.
//!
//! Each has a ring of keys of its own, so that senders who come again cost neither a look at the state nor a decompression.

use super::Inner;
use super::api::{Answers, Refusal};
use super::core::ToCore;
use crossbeam_channel::{Receiver, Sender};
use ghostplane_engine::{KeyRing, Verified, registered_keys, verify_ring};
use ghostplane_keystone::Missing;
use ghostplane_types::{Address, Transaction};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::codegen::Bytes;

/// Transactions whose signatures are checked, wait for it, or wait for the sequencer to take them.
pub(super) const VERIFYING_MAX: usize = 8_192;
/// Transactions of one equation: more would make the first of them wait for the last.
const TOGETHER_MAX: usize = 512;
/// Keys that one thread remembers, about 250 bytes each.
const RING_KEYS_MAX: usize = 1 << 18;

/// Where answers go.
#[derive(Clone)]
pub(super) struct Sink {
    /// Told apart by this.
    pub(super) id: u64,
    pub(super) to: mpsc::UnboundedSender<Answers>,
}

impl Sink {
    /// Answers. Whoever has gone away is answered no more.
    pub(super) fn send(&self, answers: Answers) {
        let _ = self.to.send(answers);
    }
}

/// Transactions as they came.
pub(super) struct Raw {
    pub(super) sink: Sink,
    /// The reference of the first; the others follow.
    pub(super) first: u64,
    pub(super) transactions: Vec<Bytes>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Transactions whose signatures hold, with their references.
pub(super) struct VerifiedGroup {
    pub(super) sink: Sink,
    pub(super) transactions: Vec<(u64, Arc<Verified>)>,
    /// Given back when the sequencer takes the group.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Runs until nobody sends any more.
pub(super) fn run(shared: &Inner, from: &Receiver<Raw>, to: &Sender<ToCore>, hash_seed: u64) {
    let mut ring = KeyRing::new(RING_KEYS_MAX, hash_seed);
    while let Ok(first) = from.recv() {
        let mut count = first.transactions.len();
        let mut groups = vec![first];
        while count < TOGETHER_MAX
            && let Ok(group) = from.try_recv()
        {
            count += group.transactions.len();
            groups.push(group);
        }
        verify(shared, &mut ring, groups, to);
    }
}

fn verify(shared: &Inner, ring: &mut KeyRing, groups: Vec<Raw>, to: &Sender<ToCore>) {
    let mut decoded = Vec::new();
    let mut opened: Vec<Opened> = Vec::with_capacity(groups.len());
    for Raw { sink, first, transactions, permit } in groups {
        let mut references = Vec::with_capacity(transactions.len());
        let mut refused = Vec::new();
        for (reference, bytes) in (first..).zip(transactions) {
            match Transaction::decode_bounded(&bytes) {
                Ok(transaction) => {
                    references.push(reference);
                    decoded.push(transaction);
                }
                Err(reject) => refused.push((reference, reject.into())),
            }
        }
        opened.push(Opened { sink, references, refused, permit });
    }
    let look_up = |senders: &[Address]| {
        let live = shared.live.read();
        senders.iter().map(|sender| registered_keys(&live.keystone, sender)).collect::<Result<Vec<_>, Missing>>()
    };
    let verified = match verify_ring(&shared.plane, ring, look_up, decoded) {
        Ok(verified) => verified,
        Err(missing) => return shared.fail(format!("the node's own state says too little: {missing}")),
    };
    let mut verified = verified.into_iter();
    for Opened { sink, references, mut refused, permit } in opened {
        let mut transactions = Vec::with_capacity(references.len());
        for (reference, verified) in references.into_iter().zip(verified.by_ref()) {
            match verified {
                Ok(verified) => transactions.push((reference, Arc::new(verified))),
                Err(reject) => refused.push((reference, reject.into())),
            }
        }
        if !refused.is_empty() {
            shared.counters.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
            sink.send(Answers::Refused(refused));
        }
        // The core is gone only when the node stops; then the answers end.
        let _ = to.send(ToCore::Verified(VerifiedGroup { sink, transactions, permit }));
    }
}

/// A group whose bytes are decoded.
struct Opened {
    sink: Sink,
    references: Vec<u64>,
    refused: Vec<(u64, Refusal)>,
    permit: OwnedSemaphorePermit,
}

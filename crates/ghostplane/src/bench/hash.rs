//! Hashes and signatures: the rates that everything else is made of.

use super::Row;
use super::measure::{HashRates, Samples, rate};
use crate::screen::Screen;
use ghostplane_ghostcipher::ed25519::{Item, PreparedKey, verify_batch};
use ghostplane_ghostcipher::node::{self, TreeKey};
use ghostplane_ghostcipher::webauthn::Authenticator;
use ghostplane_ghostcipher::{Digest, Domain, Signature, SigningKey, digest, ed25519, p256, secp256k1, signing_bytes};
use ghostplane_keystone::journal;
use ghostplane_types::{Amount, Auth, JournalEntry, PublicKey, Signer, SlotIndex};
use std::hint::black_box;

/// Samples of each figure.
const ROUNDS: u64 = 15;
/// Small operations of one sample.
const PASS: usize = 4096;
const JOURNAL_ENTRIES: usize = 6000;
/// Signers in the rows where they repeat.
const REPEATING: usize = 32;
/// Consents of one sample and scheme.
const CONSENTS: usize = 64;
const BATCH_LARGE: usize = 1024;
const BATCH_SMALL: usize = 256;

pub(super) fn measure(screen: &Screen) -> Vec<Row> {
    let bar = screen.progress("hashes and signatures", ROUNDS);
    let mut rates = HashRates::new();
    let mut figures = Figures::default();
    let journal = journal_entries();
    let signed = Signed::new();
    let consented = consented();
    for _ in 0..ROUNDS {
        rates.sample();
        figures.hashes(&journal);
        figures.signatures(&signed);
        figures.consents(&consented);
        bar.inc(1);
    }
    bar.finish("");
    figures.rows(&rates)
}

#[derive(Default)]
struct Figures {
    node_128: Samples,
    digest_64: Samples,
    digest_mebibyte: Samples,
    journal: Samples,
    verify: Samples,
    verify_prepared: Samples,
    batches: [Samples; 4],
    sign: Samples,
    decompress: Samples,
    /// By scheme, in their order: keys decompressed each time, as a stranger's first consent is checked, or before.
    consent: [Samples; 4],
    consent_prepared: [Samples; 4],
}

impl Figures {
    fn hashes(&mut self, journal: &[JournalEntry]) {
        let key = TreeKey::new(Domain::Test);
        let inputs = vec![[3; 128]; 128];
        let mut outputs = vec![Digest::ZERO; inputs.len()];
        self.node_128.push(rate(16 * PASS, || {
            for _ in 0..16 * PASS / inputs.len() {
                node::hash_128(&key, black_box(&inputs), &mut outputs);
                black_box(&outputs);
            }
        }));
        let small = [5; 64];
        self.digest_64.push(rate(PASS, || {
            for _ in 0..PASS {
                black_box(digest::hash(Domain::Test, 0, &[black_box(&small)]));
            }
        }));
        let large = vec![9; 1 << 20];
        self.digest_mebibyte.push(rate(8, || {
            for _ in 0..8 {
                black_box(digest::hash(Domain::Test, 0, &[black_box(&large)]));
            }
        }));
        self.journal.push(rate(journal.len(), || journal::digest(black_box(journal))));
    }

    fn signatures(&mut self, signed: &Signed) {
        let few = 128;
        self.verify.push(rate(few, || {
            for at in 0..few {
                let key = signed.prepared[at].key();
                ed25519::verify(Domain::Test, 0, key, &signed.digests[at], &signed.signatures[at]).expect("it is good");
            }
        }));
        self.verify_prepared.push(rate(few, || {
            for at in 0..few {
                let message = signing_bytes(Domain::Test, 0, &signed.digests[at]);
                signed.prepared[at].verify(&message, &signed.signatures[at]).expect("it is good");
            }
        }));
        let cases = [(false, BATCH_SMALL), (false, BATCH_LARGE), (true, BATCH_SMALL), (true, BATCH_LARGE)];
        for (samples, (repeating, count)) in self.batches.iter_mut().zip(cases) {
            let items = signed.items(repeating, count);
            samples.push(rate(count, || verify_batch(&items).expect("all are good")));
        }
        self.sign.push(rate(few, || {
            for digest in &signed.digests[..few] {
                black_box(signed.key.sign(Domain::Test, 0, digest));
            }
        }));
        self.decompress.push(rate(BATCH_LARGE, || {
            for key in &signed.prepared {
                black_box(PreparedKey::new(key.key()).expect("it is good"));
            }
        }));
    }

    /// One by one, as the schemes without an equation for many are always checked.
    fn consents(&mut self, consented: &[Consented]) {
        for (at, of) in consented.iter().enumerate() {
            self.consent[at].push(rate(CONSENTS, || {
                for (digest, auth) in &of.consents {
                    of.key.verify(Domain::Test, 0, digest, auth).expect("it is good");
                }
            }));
            let prepared = ghostplane_types::PreparedKey::parse(&of.key).expect("it is good");
            self.consent_prepared[at].push(rate(CONSENTS, || {
                for (digest, auth) in &of.consents {
                    prepared.verify(Domain::Test, 0, digest, auth).expect("it is good");
                }
            }));
        }
    }

    fn rows(&self, rates: &HashRates) -> Vec<Row> {
        const TWO_BLOCKS: &str = "64-byte nodes / 2";
        const MEBIBYTE: &str = "64-byte nodes, 2^14 of them and the tree above";
        let (packed, block) = (rates.packed(), rates.block());
        // A chunk of 1,024 bytes takes 16 blocks, and there is about one parent for each.
        let mebibyte_blocks = 1024.0 * 17.0;
        let [distinct_small, distinct_large, repeating_small, repeating_large] = &self.batches;
        vec![
            Row::plain("hash/poseidon2-packed", packed, "compressions/s"),
            Row::plain("hash/poseidon2-scalar", rates.chained(), "compressions/s"),
            Row::plain("hash/blake3-node-64", block, "hashes/s"),
            Row::rate("hash/blake3-node-128", self.node_128.median(), "hashes/s", block / 2.0, TWO_BLOCKS),
            Row::plain("hash/blake3-digest-64", self.digest_64.median(), "hashes/s"),
            Row::rate(
                "hash/blake3-digest-mebibyte",
                self.digest_mebibyte.median(),
                "MiB/s",
                block / mebibyte_blocks,
                MEBIBYTE,
            ),
            Row::rate("hash/journal", self.journal.median(), "entries/s", packed, "hash/poseidon2-packed"),
            Row::plain("hash/ed25519-verify", self.verify.median(), "signatures/s"),
            Row::plain("hash/ed25519-verify-prepared", self.verify_prepared.median(), "signatures/s"),
            Row::plain("hash/ed25519-batch-256", distinct_small.median(), "signatures/s"),
            Row::plain("hash/ed25519-batch-1024", distinct_large.median(), "signatures/s"),
            Row::plain("hash/ed25519-batch-256-repeating", repeating_small.median(), "signatures/s"),
            Row::plain("hash/ed25519-batch-1024-repeating", repeating_large.median(), "signatures/s"),
            Row::plain("hash/ed25519-sign", self.sign.median(), "signatures/s"),
            Row::plain("hash/ed25519-decompress", self.decompress.median(), "keys/s"),
            Row::plain("hash/consent-ed25519", self.consent[0].median(), "signatures/s"),
            Row::plain("hash/consent-secp256k1", self.consent[1].median(), "signatures/s"),
            Row::plain("hash/consent-p256", self.consent[2].median(), "signatures/s"),
            Row::plain("hash/consent-passkey", self.consent[3].median(), "assertions/s"),
            Row::plain("hash/consent-ed25519-prepared", self.consent_prepared[0].median(), "signatures/s"),
            Row::plain("hash/consent-secp256k1-prepared", self.consent_prepared[1].median(), "signatures/s"),
            Row::plain("hash/consent-p256-prepared", self.consent_prepared[2].median(), "signatures/s"),
            Row::plain("hash/consent-passkey-prepared", self.consent_prepared[3].median(), "assertions/s"),
        ]
    }
}

fn journal_entries() -> Vec<JournalEntry> {
    let slot = |index| SlotIndex::new(index).expect("far below 2^30");
    let entry = |at: u32| JournalEntry {
        from: slot(1 + at),
        to: slot(9_000 + at),
        amount: Amount::new(1 + u64::from(at)).expect("small"),
    };
    (0..JOURNAL_ENTRIES as u32).map(entry).collect()
}

/// Good consents by one key.
struct Consented {
    key: PublicKey,
    consents: Vec<(Digest, Auth)>,
}

/// One key of each scheme, in their order.
fn consented() -> Vec<Consented> {
    let of_curve = "a small scalar";
    let keys: [Box<dyn Signer>; 4] = [
        Box::new(SigningKey::from_seed([1; 32])),
        Box::new(secp256k1::SigningKey::from_secret([2; 32]).expect(of_curve)),
        Box::new(p256::SigningKey::from_secret([3; 32]).expect(of_curve)),
        Box::new(Authenticator::new([4; 32], "wallet.example", true).expect(of_curve)),
    ];
    let by = |key: &dyn Signer| Consented {
        key: key.public_key(),
        consents: (0..CONSENTS)
            .map(|at| digest::hash(Domain::Test, 2, &[&at.to_le_bytes()]))
            .map(|digest| (digest, key.consent(Domain::Test, 0, &digest)))
            .collect(),
    };
    keys.iter().map(|key| by(&**key)).collect()
}

/// Good signatures, the first half of the lists by as many signers, the second by a few.
struct Signed {
    key: SigningKey,
    prepared: Vec<PreparedKey>,
    digests: Vec<Digest>,
    signatures: Vec<Signature>,
    repeating: Vec<Signature>,
}

impl Signed {
    fn new() -> Self {
        let key = |at: usize| SigningKey::from_seed(digest::hash(Domain::Test, 0, &[&at.to_le_bytes()]).0);
        let keys: Vec<SigningKey> = (0..BATCH_LARGE).map(key).collect();
        let prepare = |key: &SigningKey| PreparedKey::new(&key.verification_key()).expect("it is good");
        let digests: Vec<Digest> =
            (0..BATCH_LARGE).map(|at| digest::hash(Domain::Test, 1, &[&at.to_le_bytes()])).collect();
        let sign = |(at, digest): (usize, &Digest), signers: usize| keys[at % signers].sign(Domain::Test, 0, digest);
        Self {
            prepared: keys.iter().map(prepare).collect(),
            signatures: digests.iter().enumerate().map(|of| sign(of, BATCH_LARGE)).collect(),
            repeating: digests.iter().enumerate().map(|of| sign(of, REPEATING)).collect(),
            key: key(0),
            digests,
        }
    }

    fn items(&self, repeating: bool, count: usize) -> Vec<Item<'_>> {
        let (signers, signatures) =
            if repeating { (REPEATING, &self.repeating) } else { (BATCH_LARGE, &self.signatures) };
        let item = |at: usize| Item {
            key: &self.prepared[at % signers],
            message: signing_bytes(Domain::Test, 0, &self.digests[at]),
            signature: &signatures[at],
        };
        (0..count).map(item).collect()
    }
}

//! Proofs changed at random: fields for other fields, and bytes for other bytes. None is taken, and none stops the verifier.
//!
//! Some thousands here. The slow job says how many, and from which seed on: `GHOSTPLANE_PROOF_MUTANTS=10000000
//! GHOSTPLANE_PROOF_SEED=1 cargo test --release -p ghostplane-proof --lib fuzz -- --nocapture`. One in sixteen is a proof of the usual settings, of a megabyte. The others have eight queries
//! and no work, which is read and verified by the same code in a small part of the time, and lets changes get past the
//! work, where most of the others end.
#![allow(clippy::disallowed_methods, reason = "a slow job is told how slow, and tells how fast it was")]
#![allow(clippy::print_stdout, clippy::float_arithmetic, reason = "figures for a reader")]

use super::ledger::{Batch, Ledger, Random, entry, witnesses};
use super::{finish, pool};
use crate::air::TableAir;
use crate::codec::{HEADER_BYTES, Shape, decode, decode_header, encode};
use crate::config::{Parameters, config_with, lookups};
use crate::stark::{Form, prove_tables};
use crate::statement::Statement;
use crate::trace::Draft;
use crate::verify::verify_decoded;
use crate::{Settings, verify};
use std::collections::BTreeMap;
use std::time::Instant;

/// Mutants without the variable.
const MUTANTS: u64 = 3_000;
/// The prime, which is no element.
const PRIME: u32 = 0x7f00_0001;
const LIGHT: Parameters = Parameters { log_blowup: 1, queries: 8, query_work_bits: 0 };
/// One mutant in so many is of a proof of the usual settings.
const FULL_EVERY: u64 = 16;

/// A proof, another of the same form about something else, and where the sections of its bytes end.
struct Subject {
    statement: Statement,
    parameters: Option<Parameters>,
    proof: Vec<u8>,
    other: Vec<u8>,
    /// Everything that is not opened rows and their paths: in it a change is told by the transcript.
    head: usize,
}

impl Subject {
    fn new(parameters: Option<Parameters>) -> Self {
        let mut ledger = Ledger::new(40, 1_000);
        let batches =
            [ledger.batch(&[entry(1, 2, 3), entry(0, 3, 4)]), ledger.batch(&[entry(2, 5, 6), entry(3, 0, 4)])];
        let of = |batch: &Batch| {
            let batches = std::slice::from_ref(batch);
            let statement = ledger.statement(batches);
            let proof = prove(&statement, batches, parameters.unwrap_or(Settings::Fast.parameters()));
            (statement, proof)
        };
        let ((statement, proof), (_, other)) = (of(&batches[0]), of(&batches[1]));
        let (layout, _) = decode_header(&proof).expect("a proof");
        let shape = Shape::with(&statement, &layout, parameters.unwrap_or(Settings::Fast.parameters()));
        let parts = crate::codec::parts(&shape, &proof).expect("a proof");
        let head = parts[..3].iter().map(|part| part.bytes).sum();
        let subject = Self { statement, parameters, proof, other, head };
        assert_eq!(subject.check(&subject.proof), Ok(()), "the original");
        subject
    }

    /// The verifier, or what it is made of, with fewer queries.
    fn check(&self, bytes: &[u8]) -> Result<(), &'static str> {
        let verdict = match self.parameters {
            None => verify(&self.statement, bytes).map(drop).map_err(|error| format!("{error:?}")),
            Some(parameters) => self.check_with(bytes, parameters),
        };
        // What it died of, in a word.
        verdict.map_err(|why| {
            let words = [
                ("Length", "length"),
                ("Element", "element"),
                ("Pow", "work"),
                ("PoW", "work"),
                ("Mmcs", "path"),
                ("roof-of-work", "work"),
                ("TooLong", "header"),
                ("NotAProof", "header"),
                ("Version", "header"),
                ("Layout", "header"),
                ("Settings", "header"),
                ("Weak", "header"),
                ("erkle", "path"),
                ("ookup", "lookup sums"),
                ("erminal", "lookup sums"),
                ("valuation", "constraints"),
            ];
            words.into_iter().find(|(part, _)| why.contains(part)).map_or("other", |(_, word)| word)
        })
    }

    fn check_with(&self, bytes: &[u8], parameters: Parameters) -> Result<(), String> {
        let (layout, settings) = decode_header(bytes).map_err(|error| format!("{error:?}"))?;
        if settings != Settings::Fast {
            return Err("Settings".into());
        }
        let shape = Shape::with(&self.statement, &layout, parameters);
        let proof = decode(&shape, bytes).map_err(|error| format!("{error:?}"))?;
        let config = config_with(&self.statement, settings, parameters);
        verify_decoded(&self.statement, &layout, &config, &proof)
    }
}

fn prove(statement: &Statement, batches: &[Batch], parameters: Parameters) -> Vec<u8> {
    let traces = finish(Draft::new(statement, &witnesses(batches), Settings::Fast).expect("small"));
    let airs = TableAir::all(statement, &traces.layout);
    let config = config_with(statement, Settings::Fast, parameters);
    let (forms, lookups) = (Form::all(false), lookups(false));
    let prove = || prove_tables(&config, parameters, forms, lookups, &airs, &traces.tables);
    encode(&traces.layout, Settings::Fast, &pool(2).install(prove).expect("honest batches"))
}

/// Bytes that are changed, tried and put back.
struct Bench<'a> {
    subject: &'a Subject,
    random: Random,
    bytes: Vec<u8>,
    /// Where something was changed.
    touched: Vec<(usize, usize)>,
}

impl Bench<'_> {
    fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.random.below(len as u64)).expect("small")
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = (at + bytes.len()).min(self.bytes.len());
        self.bytes[at..end].copy_from_slice(&bytes[..end - at]);
        self.touched.push((at, end));
    }

    /// The start of a field: all behind the header are of four bytes or more of them. Half of the time in the head.
    fn field(&mut self) -> usize {
        let words = if self.random.below(2) == 0 { self.subject.head } else { self.bytes.len() } / 4;
        4 * (HEADER_BYTES / 4 + self.place(words - HEADER_BYTES / 4))
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(*self.bytes[at..].first_chunk().expect("a field"))
    }

    /// One change. Returns to what length the bytes are cut, if at all.
    fn change(&mut self) -> Option<usize> {
        let at = self.field();
        let word = self.word(at);
        match self.random.below(16) {
            // A field for another value that decodes.
            0 => self.put(at, &((word + 1) % PRIME).to_le_bytes()),
            1 => self.put(at, &(word.wrapping_add(PRIME - 1) % PRIME).to_le_bytes()),
            2 => self.put(at, &[0; 4]),
            3 => self.put(at, &(PRIME - 1).to_le_bytes()),
            4 => {
                let value = u32::try_from(self.random.below(PRIME.into())).expect("31 bits");
                self.put(at, &value.to_le_bytes());
            }
            // The same number in another form: it must not decode.
            5 => self.put(at, &word.wrapping_add(PRIME).to_le_bytes()),
            // A field, an extension element, a digest or a row for another one of the same proof.
            kind @ 6..=9 => {
                let len = [4, 20, 32, 4 * self.place(400)][usize::try_from(kind - 6).expect("small")];
                let from = self.field().min(self.bytes.len() - len);
                let taken = self.bytes[from..from + len].to_vec();
                self.put(at, &taken);
            }
            // What another proof has there.
            10 => {
                let len = [4, 20, 32, 4_096][self.place(4)];
                let end = (at + len).min(self.bytes.len()).min(self.subject.other.len());
                if at < end {
                    let taken = self.subject.other[at..end].to_vec();
                    self.put(at, &taken);
                }
            }
            // Bytes of no form.
            11 => {
                let at = self.place(self.bytes.len());
                let flipped = self.bytes[at] ^ 1 << self.random.below(8);
                self.put(at, &[flipped]);
            }
            12 => {
                let at = self.place(self.bytes.len() - 64);
                let noise: Vec<u8> = (0..=self.place(64)).map(|_| self.random.next().to_le_bytes()[0]).collect();
                self.put(at, &noise);
            }
            13 => {
                let at = self.place(HEADER_BYTES);
                let byte = self.random.next().to_le_bytes()[0];
                self.put(at, &[byte]);
            }
            14 => return Some(self.place(self.bytes.len())),
            // Zeros over anything up to the end.
            _ => {
                let len = self.place(self.bytes.len() - at);
                self.put(at, &vec![0; len]);
            }
        }
        None
    }

    fn try_one(&mut self) -> &'static str {
        let mut cut = None;
        for _ in 0..=self.random.below(3) {
            cut = self.change().or(cut);
        }
        let proof = &self.subject.proof;
        let is_changed =
            cut.is_some() || self.touched.iter().any(|(at, end)| self.bytes[*at..*end] != proof[*at..*end]);
        let verdict = self.subject.check(&self.bytes[..cut.unwrap_or(self.bytes.len())]);
        assert_eq!(verdict.is_ok(), !is_changed, "changed at {:?}, cut to {cut:?}", self.touched);
        for (at, end) in self.touched.drain(..) {
            self.bytes[at..end].copy_from_slice(&proof[at..end]);
        }
        verdict.err().unwrap_or("unchanged")
    }
}

/// A number of the environment.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Mutants between two words of a long run.
const ROUND: usize = 100_000;

#[test]
fn no_mutant_of_a_proof_is_taken() {
    let mutants = asked("GHOSTPLANE_PROOF_MUTANTS").unwrap_or(MUTANTS);
    let first_seed = asked("GHOSTPLANE_PROOF_SEED").unwrap_or(1);
    let subjects = [(Subject::new(None), "203 queries"), (Subject::new(Some(LIGHT)), "8 queries")];
    let started = Instant::now();
    let run = |kind: usize, seed, count: u64| {
        let subject = &subjects[kind].0;
        let mut bench = Bench { subject, random: Random(seed), bytes: subject.proof.clone(), touched: Vec::new() };
        let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
        for _ in 0..count {
            *ends.entry(bench.try_one()).or_default() += 1;
        }
        ends
    };
    // Two seeds for each of two threads of a round.
    let of_thread =
        &|seed, count: u64| [run(0, seed, count / FULL_EVERY), run(1, seed + 1, count - count / FULL_EVERY)];
    let mut all: [BTreeMap<&str, u64>; 2] = Default::default();
    for (start, seed) in (0..mutants).step_by(ROUND).zip((first_seed..).step_by(4)) {
        let count = (mutants - start).min(ROUND as u64);
        let ended = std::thread::scope(|scope| {
            [(seed, count / 2), (seed + 2, count - count / 2)]
                .map(|(seed, count)| scope.spawn(move || of_thread(seed, count)))
                .map(|thread| thread.join().expect("no mutant stops the verifier"))
        });
        for ends in ended {
            for (all, ends) in all.iter_mut().zip(ends) {
                ends.into_iter().for_each(|(end, count)| *all.entry(end).or_default() += count);
            }
        }
        for ((_, name), ends) in subjects.iter().zip(&all) {
            println!("{name}: {} mutants, refused for {ends:?}", ends.values().sum::<u64>());
        }
        let tried: u64 = all.iter().flat_map(BTreeMap::values).sum();
        println!("seeds {first_seed} to {}, {:.0} a second", seed + 3, tried as f64 / started.elapsed().as_secs_f64());
    }
    assert_eq!(all.iter().flat_map(BTreeMap::values).sum::<u64>(), mutants);
}

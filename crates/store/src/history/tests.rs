//! The history against a model of it, and against damage.

use super::*;
use crate::scratch::Scratch;
use fjall::Readable;
use ghostplane_ghostcipher::Signature;
use ghostplane_types::{Address, Amount, AssetId, Flush, L1Address, PlaneState, Roots, SignedFlush};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;

const PLANE: Digest = Digest([9; 32]);

fn open(scratch: &Scratch) -> History {
    History::open(scratch.path(), PLANE).unwrap()
}

fn genesis() -> BatchHeader {
    let roots = Roots {
        ledger_root: ghostplane_ghostcipher::FieldDigest::EMPTY,
        object_root: Digest::ZERO,
        slots_used: 1,
        objects_used: 1,
    };
    BatchHeader::genesis(&PlaneState { number: 0, time: 0, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 })
}

/// What the history should answer: batches and flushes in maps, and nothing clever.
struct Model {
    rng: ChaCha8Rng,
    batches: BTreeMap<u64, Arc<HistoryBatch>>,
    flushes: BTreeMap<u64, (SignedFlush, u32)>,
    ids: Vec<Digest>,
    dropped: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { rng, batches: BTreeMap::new(), flushes: BTreeMap::new(), ids: Vec::new(), dropped: 0 }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit
    }

    fn end(&self) -> BatchHeader {
        self.batches.last_key_value().map_or(genesis(), |(_, batch)| batch.header)
    }

    fn id(&mut self) -> Digest {
        if !self.ids.is_empty() && self.below(8) == 0 {
            let at = self.below(self.ids.len() as u64);
            return self.ids[usize::try_from(at).unwrap()];
        }
        let mut id = Digest::ZERO;
        self.rng.fill_bytes(&mut id.0);
        // A few start with the same bytes: an index that looks at these alone would take one for the other.
        if self.below(4) == 0 && self.ids.iter().filter(|id| id.0[..16] == [5; 16]).count() < 8 {
            id.0[..16].fill(5);
        }
        self.ids.push(id);
        id
    }

    /// Makes the next batch, of transactions, inbox entries and withdrawals of any number, none included.
    fn batch(&mut self) -> Arc<HistoryBatch> {
        let mut header = self.end();
        header.number += 1;
        header.time = self.below(1 << 40);
        let mut records = Vec::new();
        for inbox in [true, false] {
            for _ in 0..self.below(3) * self.below(6) {
                let next = if inbox { &mut header.inbox_upto } else { &mut header.log_upto };
                let source = if inbox { Source::Inbox(*next) } else { Source::Log(*next) };
                *next += 1;
                let outcome = Outcome {
                    code: u16::try_from(self.below(2)).unwrap(),
                    action: Outcome::NO_ACTION,
                    gas: self.below(1000),
                    fee: 7,
                    first_entry: 0,
                    entries: 2,
                    first_withdrawal: 0,
                    withdrawals: 0,
                };
                records.push((source, self.id(), outcome));
            }
        }
        let mut withdrawals = Vec::new();
        for _ in 0..self.below(3) * self.below(3) {
            withdrawals.push(Withdrawal {
                index: header.outbox_upto,
                owner: Address::system(1337, "owner"),
                to: L1Address([7; 32]),
                asset: AssetId::GCC,
                amount: Amount::new(self.below(1 << 40)).unwrap(),
            });
            header.outbox_upto += 1;
        }
        let posted = vec![3; usize::try_from(self.below(400)).unwrap()];
        let batch = Arc::new(HistoryBatch { header, records, withdrawals, posted });
        self.batches.insert(header.number, Arc::clone(&batch));
        batch
    }

    /// Makes flushes up to the end of the batches, and a little further.
    fn flush(&mut self) -> Vec<(SignedFlush, u32)> {
        let end = self.end().log_upto + self.below(4);
        let mut made = Vec::new();
        let mut next = self.flushes.last_key_value().map_or(0, |(first, (_, count))| first + u64::from(*count));
        while next < end {
            let count = u32::try_from(1 + self.below(6)).unwrap();
            let flush = Flush {
                plane_id: PLANE,
                generation: 0,
                flush: 0,
                first_position: next,
                root: Digest([u8::try_from(self.below(256)).unwrap(); 32]),
                prev_flush_digest: Digest::ZERO,
                batch_at_most: 1,
            };
            let entry = (SignedFlush { flush, signature: Signature([5; 64]) }, count);
            self.flushes.insert(next, entry);
            made.push(entry);
            next += u64::from(count);
        }
        made
    }

    fn revert_to(&mut self, number: u64) {
        self.batches.split_off(&(number + 1));
        self.flushes.split_off(&self.end().log_upto);
    }

    fn find(&self, id: &Digest) -> Option<(u64, u32)> {
        let (mut newest, mut applied) = (None, None);
        for (number, batch) in &self.batches {
            for (index, (_, found, outcome)) in (0u32..).zip(&batch.records) {
                if found == id {
                    newest = Some((*number, index));
                    applied = if outcome.is_applied() { newest } else { applied };
                }
            }
        }
        applied.or(newest)
    }

    /// Asks everything that can be asked.
    fn compare(&mut self, reader: &HistoryReader) {
        let end = self.end();
        assert_eq!(reader.upto().unwrap(), self.batches.last_key_value().map(|(_, batch)| batch.header));
        for number in 0..end.number + 2 {
            let expected = self.batches.get(&number).map(|batch| {
                let mut batch = HistoryBatch::clone(batch);
                if number < self.dropped {
                    batch.posted.clear();
                }
                batch
            });
            assert_eq!(reader.batch(number).unwrap(), expected, "batch {number}");
            let expected = expected.as_ref();
            assert_eq!(reader.header(number).unwrap(), expected.map(|batch| batch.header));
            assert_eq!(reader.records(number).unwrap().as_ref(), expected.map(|batch| &batch.records));
            assert_eq!(reader.withdrawals(number).unwrap().as_ref(), expected.map(|batch| &batch.withdrawals));
            let posted = expected.map(|batch| batch.posted.clone()).filter(|posted| !posted.is_empty());
            assert_eq!(reader.posted(number).unwrap(), posted);
            let counts = reader.summary(number).unwrap().map(|summary| summary.transactions + summary.inbox);
            assert_eq!(counts, expected.map(|batch| u32::try_from(batch.records.len()).unwrap()));
        }
        for id in &self.ids {
            let place = reader.find(id).unwrap();
            assert_eq!(place, self.find(id), "{id}");
            if let Some((number, index)) = place {
                assert_eq!(reader.record(number, index).unwrap().unwrap().1, *id);
            }
        }
        assert_eq!(reader.find(&Digest([5; 32])).unwrap(), None);
        let records = self.batches.values().flat_map(|batch| {
            let indexed = (0u32..).zip(&batch.records).filter(|(_, record)| matches!(record.0, Source::Log(_)));
            indexed.map(|(index, record)| (batch.header.number, index, *record))
        });
        let records: Vec<(u64, u32, Record)> = records.collect();
        for _ in 0..20 {
            let first = self.below(end.log_upto + 2);
            let count = self.below(30);
            let last = first + count;
            let expected = if count == 0 {
                Some(Vec::new())
            } else if last > end.log_upto {
                None
            } else {
                Some(records[usize::try_from(first).unwrap()..usize::try_from(last).unwrap()].to_vec())
            };
            let ids = expected.as_ref().map(|records| records.iter().map(|record| record.2.1).collect());
            assert_eq!(reader.records_of(first..last).unwrap(), expected, "{first}..{last}");
            assert_eq!(reader.ids_between(first, u32::try_from(count).unwrap()).unwrap(), ids);
        }
        for position in 0..end.log_upto + 12 {
            let flush = self.flushes.range(..=position).next_back();
            let flush = flush.map(|(_, flush)| *flush);
            let holds =
                |(signed, count): &(SignedFlush, u32)| position - signed.flush.first_position < u64::from(*count);
            assert_eq!(reader.flush_at(position).unwrap(), flush.filter(holds), "position {position}");
        }
        for index in 0..end.outbox_upto + 2 {
            let of = |batch: &Arc<HistoryBatch>| batch.withdrawals.iter().find(|found| found.index == index).copied();
            let expected = self.batches.iter().find_map(|(number, batch)| Some((*number, of(batch)?)));
            assert_eq!(reader.withdrawal(index).unwrap(), expected, "withdrawal {index}");
        }
    }
}

#[test]
fn it_answers_as_the_model_does_through_puts_reverts_drops_and_reopenings() {
    for seed in 0..4 {
        let scratch = Scratch::new(&format!("history-model-{seed}"));
        let mut model = Model::new(seed);
        let mut history = open(&scratch);
        for round in 0..40 {
            match model.below(8) {
                0 => {
                    let number = model.end().number;
                    let number = number - model.below(5).min(number);
                    model.revert_to(number);
                    history.revert_to(number).unwrap();
                }
                1 => {
                    model.dropped = model.dropped.max(model.below(model_end(&model)));
                    history.drop_posted_before(model.dropped).unwrap();
                }
                2 => {
                    drop(history);
                    history = open(&scratch);
                }
                3 => {
                    // What recovery does: the last ones again, and those that follow.
                    let from = model.end().number.saturating_sub(2).max(model.dropped);
                    model.batch();
                    let again: Vec<Arc<HistoryBatch>> =
                        model.batches.range(from..).map(|(_, batch)| Arc::clone(batch)).collect();
                    let _ = model.flush();
                    let flushes: Vec<(SignedFlush, u32)> = model.flushes.values().copied().collect();
                    history.put(&again, &flushes).unwrap();
                }
                _ => {
                    let batches: Vec<Arc<HistoryBatch>> = (0..1 + model.below(4)).map(|_| model.batch()).collect();
                    let flushes = model.flush();
                    history.put(&batches, &flushes).unwrap();
                }
            }
            // A batch that comes again after a revert brings its posted form along.
            model.dropped = model.dropped.min(model.end().number + 1);
            if round % 4 == 3 {
                model.compare(&history.reader());
            }
        }
    }
}

fn model_end(model: &Model) -> u64 {
    model.end().number + 1
}

/// A history of a few batches, each with all that a batch can have.
fn some(scratch: &Scratch, seed: u64) -> (History, Model) {
    let mut model = Model::new(seed);
    let mut history = open(scratch);
    let batches: Vec<Arc<HistoryBatch>> = (0..12).map(|_| model.batch()).collect();
    let flushes = model.flush();
    history.put(&batches, &flushes).unwrap();
    (history, model)
}

/// Asks everything, and tells the first error.
fn ask(reader: &HistoryReader, model: &Model) -> Result<(), HistoryError> {
    reader.upto()?;
    for number in 0..=model.end().number {
        reader.batch(number)?;
        reader.summary(number)?;
    }
    for id in &model.ids {
        reader.find(id)?;
    }
    for position in 0..model.end().log_upto {
        reader.flush_at(position)?;
        reader.ids_between(position, 5)?;
    }
    for index in 0..model.end().outbox_upto {
        reader.withdrawal(index)?;
    }
    Ok(())
}

#[test]
fn every_bit_that_flips_and_every_value_cut_short_is_told() {
    let scratch = Scratch::new("history-damage");
    let (history, model) = some(&scratch, 11);
    let reader = history.reader();
    ask(&reader, &model).unwrap();
    let store = &history.reader.store;
    for keyspace in
        [&store.headers, &store.records, &store.posted, &store.withdrawals, &store.positions, &store.flushes]
    {
        let (key, good) = keyspace.iter().nth(1).unwrap().into_inner().unwrap();
        for at in (0..good.len()).step_by(1 + good.len() / 40) {
            let mut flipped = good.to_vec();
            flipped[at] ^= 1 << (at % 8);
            for bad in [&flipped[..], &good[..at]] {
                keyspace.insert(key.clone(), bad).unwrap();
                let told = ask(&reader, &model);
                assert!(matches!(told, Err(HistoryError::Corrupt { .. })), "{} {at}: {told:?}", &**keyspace.name());
            }
        }
        keyspace.insert(key, good).unwrap();
    }
    ask(&reader, &model).unwrap();
}

#[test]
fn values_and_keys_out_of_their_place_are_told() {
    type Harm = fn(&Store, &Model);
    let harms: [(&str, Harm); 7] = [
        ("records of another batch", |of, _| {
            let (first, second) = (of.records.iter().next().unwrap(), of.records.iter().nth(1).unwrap());
            of.records.insert(second.key().unwrap(), first.value().unwrap()).unwrap();
        }),
        ("records missing", |of, _| of.records.remove(2u64.to_be_bytes()).unwrap()),
        ("withdrawals missing", |of, _| {
            let key = of.withdrawals.last_key_value().unwrap().key().unwrap();
            of.withdrawals.remove(key).unwrap();
        }),
        ("a key too short", |of, _| of.headers.insert([255], [0; 9]).unwrap()),
        ("an id that leads nowhere", |of, model| {
            of.ids.insert(id_key(&model.ids[0], 99, 0), []).unwrap();
        }),
        ("an id that leads to another record", |of, model| {
            let mut id = model.ids[0];
            id.0[7] ^= 1;
            let number = model.batches.values().find(|batch| !batch.records.is_empty()).unwrap().header.number;
            of.ids.insert(id_key(&id, number, 0), []).unwrap();
        }),
        ("a key of an id too long", |of, model| {
            of.ids.insert([&id_key(&model.ids[0], 1, 0)[..], &[0]].concat(), []).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let scratch = Scratch::new("history-place");
        let (history, mut model) = some(&scratch, 12);
        harm(&history.reader.store, &model);
        let mut near = model.ids[0];
        near.0[7] ^= 1;
        model.ids.push(near);
        let told = ask(&history.reader(), &model);
        assert!(matches!(told, Err(HistoryError::Corrupt { .. })), "{name}: {told:?}");
    }
}

#[test]
fn a_marker_that_is_damaged_or_of_another_plane_stops_the_opening() {
    let scratch = Scratch::new("history-marker");
    let (history, _) = some(&scratch, 13);
    drop(history);
    let foreign = History::open(scratch.path(), Digest([8; 32])).unwrap_err();
    assert!(matches!(foreign, HistoryError::OtherPlane { found: PLANE, .. }), "{foreign}");
    let good = marker(PLANE);
    let mut flipped = good.clone();
    flipped[10] ^= 1;
    let mut newer = good.clone();
    newer[0] += 1;
    for bad in [&flipped[..], &good[..good.len() - 1], &newer, &[]] {
        let history = open(&scratch);
        history.reader.store.meta.insert(MARKER, bad).unwrap();
        drop(history);
        let told = History::open(scratch.path(), PLANE).unwrap_err();
        assert!(matches!(told, HistoryError::Corrupt { .. }), "{told}");
        let store = Store::open(scratch.path().join("history")).unwrap();
        store.meta.insert(MARKER, good.as_slice()).unwrap();
    }
    let history = open(&scratch);
    history.reader.store.meta.remove(MARKER).unwrap();
    drop(history);
    assert!(matches!(History::open(scratch.path(), PLANE), Err(HistoryError::Corrupt { .. })));
}

#[test]
fn a_second_opener_is_refused_as_long_as_a_reader_is_left() {
    let scratch = Scratch::new("history-second-opener");
    let history = open(&scratch);
    let reader = history.reader();
    drop(history);
    assert!(matches!(History::open(scratch.path(), PLANE), Err(HistoryError::Locked(_))));
    drop(reader);
    open(&scratch);
}

#[test]
fn batches_that_do_not_follow_or_do_not_fit_are_refused_and_change_nothing() {
    let scratch = Scratch::new("history-refused");
    let (mut history, mut model) = some(&scratch, 14);
    let end = model.end().number;
    let (next, after) = (model.batch(), model.batch());
    let with = |change: fn(&mut HistoryBatch)| {
        let mut batch = HistoryBatch::clone(&next);
        change(&mut batch);
        [Arc::new(batch)]
    };
    let gap = |told: &HistoryError, found, expected| matches!(told, HistoryError::Gap { found: f, expected: e } if (*f, *e) == (found, expected));
    let told = history.put(&[Arc::clone(&after)], &[]).unwrap_err();
    assert!(gap(&told, end + 2, end + 1), "{told}");
    let told = history.put(&[Arc::clone(&after), Arc::clone(&next)], &[]).unwrap_err();
    assert!(gap(&told, end + 2, end + 1), "{told}");
    let told = history.put(&[Arc::clone(&next), Arc::clone(&next)], &[]).unwrap_err();
    assert!(gap(&told, end + 1, end + 2), "{told}");
    let changes: [fn(&mut HistoryBatch); 5] = [
        |batch| batch.header.log_upto += 1,
        |batch| batch.header.outbox_upto += 1,
        |batch| batch.header.log_upto = 0,
        |batch| batch.records.push((Source::Log(0), Digest::ZERO, sample())),
        |batch| batch.posted = vec![0; POSTED_BYTES_MAX + 1],
    ];
    for change in changes {
        let told = history.put(&with(change), &[]).unwrap_err();
        assert!(matches!(told, HistoryError::Unsound { batch, .. } if batch == end + 1), "{told}");
    }
    let mut other = HistoryBatch::clone(&model.batches[&end]);
    other.header.time += 1;
    assert!(matches!(history.put(&[Arc::new(other)], &[]), Err(HistoryError::Other(number)) if number == end));
    let asked = history.reader().records_of(0..POSITIONS_MAX + 1);
    assert!(matches!(asked, Err(HistoryError::TooMany { .. })));
    model.revert_to(end);
    model.flushes = Model::new(0).flushes;
    for entry in history.reader.store.flushes.iter() {
        let first = u64::from_be_bytes((*entry.key().unwrap()).try_into().unwrap());
        let flush = history.reader().flush_at(first).unwrap().unwrap();
        model.flushes.insert(first, flush);
    }
    model.compare(&history.reader());
}

fn sample() -> Outcome {
    Outcome {
        code: 0,
        action: Outcome::NO_ACTION,
        gas: 1,
        fee: 1,
        first_entry: 0,
        entries: 0,
        first_withdrawal: 0,
        withdrawals: 0,
    }
}

#[test]
fn readers_see_whole_writes_while_one_writes_and_reverts() {
    let scratch = Scratch::new("history-threads");
    let (mut history, mut model) = some(&scratch, 15);
    let reader = history.reader();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut looks = 0u64;
            while !done.load(std::sync::atomic::Ordering::Acquire) || looks == 0 {
                if let Some(upto) = reader.upto().unwrap() {
                    // Gone by now or whole: never a header whose records are missing.
                    let _ = reader.batch(upto.number).unwrap();
                    let _ = reader.ids_between(upto.log_upto.saturating_sub(8), 8).unwrap();
                }
                looks += 1;
            }
        });
        for _ in 0..60 {
            let batches = [model.batch(), model.batch()];
            let flushes = model.flush();
            history.put(&batches, &flushes).unwrap();
            let number = model.end().number - 1;
            model.revert_to(number);
            history.revert_to(number).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        watching.join().unwrap();
    });
    model.compare(&history.reader());
    let snapshot = history.reader.store.database.snapshot();
    let ids = snapshot.iter(&history.reader.store.ids).count();
    assert_eq!(ids, model.batches.values().map(|batch| batch.records.len()).sum::<usize>(), "no id outlives its batch");
}

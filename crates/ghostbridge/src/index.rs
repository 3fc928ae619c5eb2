//! Where in the block log everything stands that the L1 shows to everybody: places, not bytes.

use crate::record::Place;
use ghostplane_ghostcipher::Digest;
use ghostplane_settlement::archive::History;
use ghostplane_settlement::{Event, FinalRecord};
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_list};

/// Items of one list of the index; far above what a disk holds.
const ITEMS_MAX: usize = 1 << 30;

/// A commitment of which at least one batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) first_batch: u64,
    /// The last batch that stands: a conviction may have cut the rest off.
    pub(crate) last_batch: u64,
    pub(crate) l1_height: u64,
    /// The canonical bytes of the commit message.
    pub(crate) place: Place,
}

/// A run of inbox entries that one block took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InboxRun {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// The canonical bytes of the entries, one behind the other.
    pub(crate) place: Place,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// By first batch. The first ones are final as a whole: the one at `i` has the record at `i` of the archive.
    commitments: Vec<Committed>,
    /// Pieces of posted data, batch after batch, those that wait for a commitment at the end.
    pieces: Vec<Place>,
    /// For each committed batch from 1 on, where its pieces end.
    ends: Vec<u64>,
    /// The same for complete batches that wait for a commitment.
    waiting: Vec<u64>,
    inbox: Vec<InboxRun>,
    leaves: Vec<Digest>,
    history: History,
}

/// What a message adds to the index.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    Piece { place: Place, last: bool },
    Discard,
    Commit { place: Place, batches: u64 },
}

impl Index {
    /// Takes in what a message showed. Its events are taken in after it.
    pub(crate) fn show(&mut self, shown: Shown, l1_height: u64) {
        match shown {
            Shown::Piece { place, last } => {
                self.pieces.push(place);
                if last {
                    self.waiting.push(self.pieces.len() as u64);
                }
            }
            Shown::Discard => self.drop_waiting(),
            Shown::Commit { place, batches } => {
                let first_batch = self.batches() + 1;
                let taken = usize::try_from(batches).expect("at most the batches of a commitment");
                self.ends.extend(self.waiting.drain(..taken));
                self.commitments.push(Committed { first_batch, last_batch: self.batches(), l1_height, place });
            }
        }
    }

    pub(crate) fn note(&mut self, event: &Event, chain_id: u64) {
        match event {
            Event::Reverted { first_batch, .. } => {
                self.drop_waiting();
                let kept = first_batch - 1;
                self.ends.truncate(usize::try_from(kept).expect("what is indexed fits memory"));
                self.pieces.truncate(self.end_of(kept));
                self.commitments.retain(|committed| committed.first_batch <= kept);
                if let Some(last) = self.commitments.last_mut() {
                    last.last_batch = last.last_batch.min(kept);
                }
            }
            Event::Archived { record, .. } => self.archive(record, chain_id),
            _ => {}
        }
    }

    pub(crate) fn add_inbox(&mut self, run: InboxRun) {
        self.inbox.push(run);
    }

    fn archive(&mut self, record: &FinalRecord, chain_id: u64) {
        let leaf = record.leaf(chain_id);
        self.leaves.push(leaf);
        self.history.append(leaf);
    }

    fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.pieces.truncate(self.end_of(self.batches()));
    }

    /// Where the pieces of the first `batches` batches end.
    fn end_of(&self, batches: u64) -> usize {
        let before = usize::try_from(batches).ok().and_then(|count| count.checked_sub(1));
        let end = before.and_then(|at| self.ends.get(at)).copied().unwrap_or(0);
        usize::try_from(end).expect("what is indexed fits memory")
    }

    /// Committed batches that stand.
    pub(crate) fn batches(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Complete batches that wait for a commitment.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The pieces of a batch that stands.
    pub(crate) fn pieces_of(&self, batch: u64) -> Option<&[Place]> {
        (1..=self.batches()).contains(&batch).then(|| &self.pieces[self.end_of(batch - 1)..self.end_of(batch)])
    }

    pub(crate) fn commitment_of(&self, batch: u64) -> Option<&Committed> {
        let at = self.commitments.partition_point(|committed| committed.last_batch < batch);
        self.commitments.get(at).filter(|committed| committed.first_batch <= batch)
    }

    /// The commitment whose record is at `index` of the archive.
    pub(crate) fn archived(&self, index: u64) -> Option<&Committed> {
        let at = usize::try_from(index).ok()?;
        self.commitments.get(at).filter(|_| at < self.leaves.len())
    }

    /// The place in the archive of the commitment that starts at `first_batch`.
    pub(crate) fn archive_index(&self, first_batch: u64) -> Option<u64> {
        let at = self.commitments.binary_search_by_key(&first_batch, |committed| committed.first_batch).ok()?;
        (at < self.leaves.len()).then_some(at as u64)
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The runs that hold inbox entries from `from` on.
    pub(crate) fn inbox_runs(&self, from: u64) -> &[InboxRun] {
        &self.inbox[self.inbox.partition_point(|run| run.first + run.count <= from)..]
    }

    pub(crate) fn inbox_end(&self) -> u64 {
        self.inbox.last().map_or(0, |run| run.first + run.count)
    }

    /// The rule between the parts that does not hold. Bytes from disk can say anything.
    fn broken_rule(&self) -> Option<&'static str> {
        let mut next = 1;
        for committed in &self.commitments {
            if committed.first_batch != next || committed.last_batch < next || committed.last_batch > self.batches() {
                return Some("indexed commitments");
            }
            next = committed.last_batch + 1;
        }
        let mut entry = 0_u64;
        for run in &self.inbox {
            let end = entry.checked_add(run.count);
            if run.first != entry || run.count == 0 || end.is_none() {
                return Some("indexed inbox");
            }
            entry = end.unwrap_or(entry);
        }
        let ends = self.ends.iter().chain(&self.waiting);
        let rises = ends.clone().zip(ends.clone().skip(1)).all(|(one, next)| one < next);
        let within = ends.last().is_none_or(|end| *end <= self.pieces.len() as u64);
        let starts = self.ends.first().or(self.waiting.first()).is_none_or(|end| *end > 0);
        match () {
            () if next != self.batches() + 1 => Some("indexed batches"),
            () if !rises || !within || !starts => Some("indexed pieces"),
            () if self.leaves.len() > self.commitments.len() => Some("archived commitments"),
            () => None,
        }
    }
}

impl Encode for Committed {
    fn encode(&self, out: &mut Vec<u8>) {
        self.first_batch.encode(out);
        self.last_batch.encode(out);
        self.l1_height.encode(out);
        self.place.encode(out);
    }
}

impl Decode for Committed {
    const BYTES_MIN: usize = 24 + Place::BYTES_MIN;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            first_batch: reader.read()?,
            last_batch: reader.read()?,
            l1_height: reader.read()?,
            place: reader.read()?,
        })
    }
}

impl Encode for InboxRun {
    fn encode(&self, out: &mut Vec<u8>) {
        self.first.encode(out);
        self.count.encode(out);
        self.place.encode(out);
    }
}

impl Decode for InboxRun {
    const BYTES_MIN: usize = 16 + Place::BYTES_MIN;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { first: reader.read()?, count: reader.read()?, place: reader.read()? })
    }
}

impl Encode for Index {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.commitments);
        put_list(out, &self.pieces);
        put_list(out, &self.ends);
        put_list(out, &self.waiting);
        put_list(out, &self.inbox);
        put_list(out, &self.leaves);
    }
}

impl Decode for Index {
    const BYTES_MIN: usize = 6;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut index = Self {
            commitments: reader.list("indexed commitments", ITEMS_MAX)?,
            pieces: reader.list("indexed pieces", ITEMS_MAX)?,
            ends: reader.list("indexed batches", ITEMS_MAX)?,
            waiting: reader.list("indexed posted batches", ITEMS_MAX)?,
            inbox: reader.list("indexed inbox", ITEMS_MAX)?,
            leaves: reader.list("archive leaves", ITEMS_MAX)?,
            history: History::default(),
        };
        if let Some(rule) = index.broken_rule() {
            return Err(reader.non_canonical(rule));
        }
        index.leaves.iter().for_each(|leaf| index.history.append(*leaf));
        Ok(index)
    }
}

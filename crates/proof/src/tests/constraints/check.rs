//! The constraints read plainly, row by row: which assertions fail, and which messages nobody answers.

use crate::Table;
use crate::air::{RANGE, TableAir, range};
use crate::layout::Layout;
use crate::statement::Statement;
use crate::trace::Traces;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{Air, AirBuilder, BaseAir, RowWindow};
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use p3_lookup::{Count, InteractionBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that a table asks, by the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deleted {
    Assertion(usize),
    Message(usize),
}

/// A constraint that a trace breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flaw {
    pub(super) table: Table,
    pub(super) deleted: Deleted,
}

/// What the wide journal asks is counted from here on: it asks other things than the narrow one.
const WIDE: usize = 1_000;

impl Flaw {
    /// What has to be left out for it.
    pub(super) fn deleted(self) -> (Table, Deleted) {
        let deleted = match self.deleted {
            Deleted::Message(at) => Deleted::Message(at % WIDE),
            assertion => assertion,
        };
        (self.table, deleted)
    }

    fn message(air: &TableAir, at: usize) -> Self {
        let from = if matches!(air, TableAir::Journal { wide: true }) { WIDE } else { 0 };
        Self { table: air.table(), deleted: Deleted::Message(from + at) }
    }
}

struct Message {
    at: usize,
    bus: String,
    fields: Vec<u32>,
    count: KoalaBear,
}

/// What one row says.
struct Reading<'a> {
    row: &'a [KoalaBear],
    next: &'a [KoalaBear],
    nothing: RowWindow<'a, KoalaBear>,
    known: &'a [KoalaBear],
    is_first: bool,
    is_last: bool,
    asserted: usize,
    pushed: usize,
    failed: Vec<usize>,
    messages: Vec<Message>,
}

impl<'a> AirBuilder for Reading<'a> {
    type F = KoalaBear;
    type Expr = KoalaBear;
    type Var = KoalaBear;
    type PreprocessedWindow = RowWindow<'a, KoalaBear>;
    type MainWindow = RowWindow<'a, KoalaBear>;
    type PublicVar = KoalaBear;
    type PeriodicVar = KoalaBear;

    fn main(&self) -> Self::MainWindow {
        RowWindow::from_two_rows(self.row, self.next)
    }

    fn preprocessed(&self) -> &Self::PreprocessedWindow {
        &self.nothing
    }

    fn is_first_row(&self) -> KoalaBear {
        KoalaBear::from_bool(self.is_first)
    }

    fn is_last_row(&self) -> KoalaBear {
        KoalaBear::from_bool(self.is_last)
    }

    fn is_transition(&self) -> KoalaBear {
        KoalaBear::from_bool(!self.is_last)
    }

    fn assert_zero<I: Into<KoalaBear>>(&mut self, x: I) {
        if x.into() != KoalaBear::ZERO {
            self.failed.push(self.asserted);
        }
        self.asserted += 1;
    }

    fn periodic_values(&self) -> &[KoalaBear] {
        self.known
    }
}

impl InteractionBuilder for Reading<'_> {
    fn push_interaction<E: Into<KoalaBear>>(
        &mut self,
        bus_name: &str,
        fields: impl IntoIterator<Item = E>,
        count: impl Into<Count<KoalaBear>>,
    ) {
        let (count, _) = count.into().into_parts();
        if count != KoalaBear::ZERO {
            let fields = fields.into_iter().map(|field| field.into().as_canonical_u32()).collect();
            self.messages.push(Message { at: self.pushed, bus: bus_name.to_owned(), fields, count });
        }
        self.pushed += 1;
    }

    fn push_local_interaction(&mut self, _: impl IntoIterator<Item = (Vec<KoalaBear>, Count<KoalaBear>)>) {
        unreachable!("no table speaks to itself alone");
    }
}

fn read<'a>(air: &TableAir, values: &'a [KoalaBear], row: usize, known: &'a [KoalaBear]) -> Reading<'a> {
    let width = air.width();
    let rows = values.len() / width;
    let next = (row + 1) % rows;
    let mut reading = Reading {
        row: &values[row * width..][..width],
        next: &values[next * width..][..width],
        nothing: RowWindow::from_two_rows(&[], &[]),
        known,
        is_first: row == 0,
        is_last: row + 1 == rows,
        asserted: 0,
        pushed: 0,
        failed: Vec::new(),
        messages: Vec::new(),
    };
    air.eval(&mut reading);
    reading
}

/// The constraint systems for traces, by the width of their journal.
pub(super) fn airs(statement: &Statement, traces: &Traces) -> Vec<TableAir> {
    let mut airs = TableAir::all(statement, &traces.layout);
    let journal = Table::Journal as usize;
    airs[journal] = TableAir::Journal { wide: traces.tables[journal].width > crate::air::journal::width(false) };
    airs
}

/// Every constraint that a trace breaks, if these are not there. Numbers that are asked for and out of range are flaws of
/// whoever asks; any other message without an answer is a flaw of all who sent it.
pub(super) fn flaws(statement: &Statement, traces: &Traces, without: &[Flaw]) -> BTreeSet<Flaw> {
    let mut flaws = BTreeSet::new();
    let mut balances: BTreeMap<(String, Vec<u32>), (KoalaBear, BTreeSet<Flaw>)> = BTreeMap::new();
    for (air, trace) in airs(statement, traces).iter().zip(&traces.tables) {
        let table = air.table();
        for row in 0..trace.values.len() / trace.width {
            let known: Vec<KoalaBear> = air.periodic_values(row);
            let reading = read(air, &trace.values, row, &known);
            flaws.extend(reading.failed.iter().map(|at| Flaw { table, deleted: Deleted::Assertion(*at) }));
            for Message { at, bus, fields, count } in reading.messages {
                let flaw = Flaw::message(air, at);
                if without.contains(&flaw) {
                    continue;
                }
                let (sum, senders) = balances.entry((bus, fields)).or_default();
                *sum += count;
                senders.insert(flaw);
            }
        }
    }
    let open = balances.into_values().filter(|(sum, _)| *sum != KoalaBear::ZERO);
    flaws.extend(open.flat_map(|(_, senders)| senders));
    flaws.retain(|flaw| !without.contains(flaw));
    flaws
}

/// Counts what the range table is asked for anew, where nobody asks what was left out.
pub(super) fn count_without(statement: &Statement, traces: &mut Traces, flaw: Flaw) {
    let mut times = vec![KoalaBear::ZERO; 1 << 16];
    for (air, trace) in airs(statement, traces).iter().zip(&traces.tables) {
        for row in 0..trace.values.len() / trace.width {
            let known: Vec<KoalaBear> = air.periodic_values(row);
            let messages = read(air, &trace.values, row, &known).messages.into_iter();
            let others = messages.filter(|message| message.bus == RANGE && Flaw::message(air, message.at) != flaw);
            for message in others.filter(|_| air.table() != Table::Range) {
                if let Some(times) = usize::try_from(message.fields[0]).ok().and_then(|number| times.get_mut(number)) {
                    *times += message.count;
                }
            }
        }
    }
    let rows = traces.tables[Table::Range as usize].values.chunks_exact_mut(range::WIDTH);
    for (row, times) in rows.zip(times.chunks_exact(range::NUMBERS)) {
        row[range::TIMES..].copy_from_slice(times);
    }
}

/// All that there is to be deleted: assertions, and messages that ask for a number to be in range.
pub(super) fn all() -> Vec<Flaw> {
    let statement = Statement::of_nothing();
    let layout = Layout { journal: 5, slots: 5, nodes: 5 };
    let of = |air: TableAir| {
        let (asserted, messages) = said(&air);
        let asks = messages.into_iter().filter(|(_, bus)| bus == RANGE && air.table() != Table::Range);
        let asks = asks.map(|(at, _)| Flaw::message(&air, at));
        let asserted = (0..asserted).map(|at| Flaw { table: air.table(), deleted: Deleted::Assertion(at) });
        asserted.chain(asks).collect::<Vec<Flaw>>()
    };
    let all = TableAir::all(&statement, &layout).into_iter().chain([TableAir::Journal { wide: true }]);
    all.flat_map(of).collect::<BTreeSet<Flaw>>().into_iter().collect()
}

/// For each table, its messages on the buses but that of the range table.
pub(super) fn messages(statement: &Statement, layout: &Layout) -> Vec<(Table, Vec<usize>)> {
    let of = |air: TableAir| {
        let others = said(&air).1.into_iter().filter(|(_, bus)| bus != RANGE);
        (air.table(), others.map(|(at, _)| at).collect())
    };
    TableAir::all(statement, layout).into_iter().map(of).collect()
}

/// How often a table asserts something, and its messages' buses.
fn said(air: &TableAir) -> (usize, Vec<(usize, String)>) {
    // Twos in every cell: no count of a message is zero.
    let cells = vec![KoalaBear::TWO; 2 * air.width()];
    let known = vec![KoalaBear::ZERO; air.num_periodic_columns()];
    let reading = read(air, &cells, 0, &known);
    assert_eq!(reading.messages.len(), reading.pushed, "each is sent");
    (reading.asserted, reading.messages.into_iter().map(|message| (message.at, message.bus)).collect())
}

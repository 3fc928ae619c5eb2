//! Our own prover of the proof system that the verifier takes from `p3-batch-stark`.
//!
//! What the verifier accepts is the library's to say. A prover is trusted with nothing: whatever it does, bytes that verify
//! are a proof. So this one may leave out what the library's does for tables of any kind, and gives the very same bytes,
//! which a test holds it to. It reads constraints in vectors of rows as they lie in memory, combines a message's fields
//! before they become extension elements, and inverts in vectors.

mod extend;
mod layers;
mod openings;
mod quotient;
mod rows;
mod sums;

use crate::air::TableAir;
use crate::config::{Config, DEGREE_MAX, Extension, Parameters, StarkProof, fri_parameters, lookups, value_mmcs};
use crate::layout::Layout;
use crate::statement::Statement;
use extend::{extend, extend_halves};
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use openings::open;
use p3_air::symbolic::AirLayout;
use p3_air::{AirBuilder, BaseAir};
use p3_batch_stark::proof::OpenedValuesWithLookups;
use p3_batch_stark::{
    BatchCommitments, BatchOpenedValues, BatchProof, BatchProverTranscript, BatchShape, Commitment, OpenedValues,
    StarkGenericConfig,
};
use p3_commit::{Mmcs, OpeningRequest};
use p3_field::{Field, PrimeCharacteristicRing, TwoAdicField};
use p3_lookup::{InteractionBuilder, InteractionSymbolicBuilder, LogUpGadget, Lookup, LookupTerminal, Lookups};
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrix;
use quotient::{Committed, Weights, quotient};
use rayon::prelude::*;
use rows::{Combiner, Heard, Packed, Plan, Reader, Selectors};
use std::sync::LazyLock;
use sums::lookup_columns;

/// A system of constraints that we can prove: its constraints and messages apart, because the lookup columns are filled in
/// from the messages alone.
pub(crate) trait Circuit: BaseAir<KoalaBear> {
    /// What every row asserts.
    fn constraints<AB: AirBuilder<F = KoalaBear>>(&self, builder: &mut AB);

    /// What every row says to other tables, read from the row alone, not from the one behind it.
    fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(&self, builder: &mut AB);
}

/// What is the same for all proofs of a table.
pub(crate) struct Form {
    plan: Plan,
    /// How many things a row asserts.
    assertions: usize,
}

impl Form {
    /// Of all tables.
    pub(crate) fn all(wide: bool) -> &'static [Self] {
        static NARROW: LazyLock<Vec<Form>> = LazyLock::new(|| Form::work_out(false));
        static WIDE: LazyLock<Vec<Form>> = LazyLock::new(|| Form::work_out(true));
        if wide { &WIDE } else { &NARROW }
    }

    fn work_out(wide: bool) -> Vec<Self> {
        let airs = TableAir::all(&Statement::of_nothing(), &Layout::least(wide));
        airs.iter().zip(lookups(wide)).map(|(air, lookups)| Self::new(air, lookups)).collect()
    }

    /// Of any table with these lookups.
    pub(crate) fn new(air: &impl Circuit, lookups: &[Lookup<KoalaBear>]) -> Self {
        let mut builder = InteractionSymbolicBuilder::<KoalaBear, Extension>::new(AirLayout::from_air(air));
        air.messages(&mut builder);
        let buses: Vec<String> = builder.global_interactions().iter().map(|message| message.bus_name.clone()).collect();
        let plan = Plan::new(lookups, &buses);
        let combiner = Combiner::new(&plan, &[]);
        let mut heard = Heard::default();
        let row = vec![Packed::ZERO; air.width()];
        let known = vec![Packed::ZERO; air.num_periodic_columns()];
        air.constraints(&mut Reader {
            row: &row,
            next: &row,
            known: &known,
            selectors: Selectors::default(),
            combiner: &combiner,
            heard: &mut heard,
        });
        Self { plan, assertions: heard.assertions.len() }
    }
}

/// Proves that tables keep their constraints. For tables that do not it gives a proof that does not verify. `parameters` are
/// those of `config`, and either all tables have lookups or none.
pub(crate) fn prove_tables<A: Circuit>(
    config: &Config,
    parameters: Parameters,
    forms: &[Form],
    all_lookups: &[Lookups<KoalaBear>],
    airs: &[A],
    tables: &[RowMajorMatrix<KoalaBear>],
) -> Result<StarkProof, String> {
    let (mmcs, log_blowup) = (value_mmcs(), parameters.log_blowup);
    let has_lookups = all_lookups.iter().any(|lookups| !lookups.is_empty());
    let log_rows: Vec<usize> = tables.iter().map(|table| table.height().ilog2() as usize).collect();
    let mut challenger = config.initialise_challenger();
    let mut transcript = BatchProverTranscript::<_, KoalaBear, Extension, Commitment<Config>>::new(
        &mut challenger,
        BatchShape {
            trace_widths: airs.iter().map(BaseAir::width).collect(),
            public_value_counts: vec![0; airs.len()],
            preprocessed_widths: vec![0; airs.len()],
            has_preprocessed_commitment: false,
            num_lookup_instances: if has_lookups { airs.len() } else { 0 },
            lookup_pow_bits: config.lookup_proof_of_work_bits(),
            has_randomization_commitment: false,
            ood_pow_bits: config.ood_proof_of_work_bits(),
        },
    );
    transcript.instance_bindings(&log_rows);

    let extended = tables.iter().map(|table| extend(table, log_blowup, KoalaBear::GENERATOR)).collect();
    let (main, main_data) = mmcs.commit(extended);
    let nothing: Vec<Vec<KoalaBear>> = vec![Vec::new(); airs.len()];
    transcript.main_phase(main.clone(), &nothing);

    let (challenges, lookup_pow_witness) = transcript.lookup_phase(all_lookups, &LogUpGadget::new());
    let combiners: Vec<Combiner> =
        forms.iter().zip(&challenges).map(|(form, challenges)| Combiner::new(&form.plan, challenges)).collect();
    let mut sums = Vec::new();
    let mut extended = Vec::new();
    if has_lookups {
        for (((air, table), form), combiner) in airs.iter().zip(tables).zip(forms).zip(&combiners) {
            let (columns, sum) = lookup_columns(air, table, &form.plan, combiner);
            extended.push(extend(&columns, log_blowup, KoalaBear::GENERATOR));
            sums.push(sum);
        }
    }
    let (permutation, lookup_data) = has_lookups.then(|| mmcs.commit(extended)).unzip();
    let challenge = transcript.permutation_phase(permutation.clone(), &sums);

    let mut chunks = Vec::with_capacity(CHUNKS * airs.len());
    let columns = mmcs.get_matrices(&main_data);
    let lookup_columns = lookup_data.as_ref().map(|data| mmcs.get_matrices(data));
    for (table, air) in airs.iter().enumerate() {
        let form = &forms[table];
        let committed = Committed {
            air,
            log_rows: log_rows[table],
            columns: columns[table],
            lookups: lookup_columns.as_ref().map(|columns| (columns[table], sums[table])),
            plan: &form.plan,
            combiner: &combiners[table],
        };
        let weights = Weights::new(challenge, form.assertions, form.plan.messages.len());
        chunks.extend(extend_halves(&quotient(&committed, &weights), log_blowup));
    }
    let (quotient_chunks, quotient_data) = mmcs.commit(chunks);
    transcript.quotient_phase(quotient_chunks.clone(), None);

    let (point, ood_pow_witness) = transcript.ood_phase();
    let both = |table: usize| vec![point, point * KoalaBear::two_adic_generator(log_rows[table])];
    let of_tables = (0..airs.len()).map(|table| match airs[table].main_next_row_columns().is_empty() {
        true => vec![point],
        false => both(table),
    });
    let mut requests = vec![
        OpeningRequest { prover_data: &main_data, points: of_tables.collect() },
        OpeningRequest { prover_data: &quotient_data, points: vec![vec![point]; CHUNKS * airs.len()] },
    ];
    if let Some(prover_data) = &lookup_data {
        requests.push(OpeningRequest { prover_data, points: (0..airs.len()).map(both).collect() });
    }
    let fri = fri_parameters(parameters);
    let opened = transcript.delegate(|challenger| open(&fri, &mmcs, &requests, challenger));
    let (opened, opening_proof) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            transcript.abort();
            return Err(error.to_string());
        }
    };
    transcript.finish();

    let (tables, quotients, lookups) = (&opened[0], &opened[1], opened.get(2));
    let of_lookups = |table: usize, row: usize| lookups.map_or_else(Vec::new, |lookups| lookups[table][row].clone());
    let instances = (0..airs.len()).map(|table| OpenedValuesWithLookups {
        base_opened_values: OpenedValues {
            trace_local: tables[table][0].clone(),
            trace_next: tables[table].get(1).cloned(),
            preprocessed: None,
            quotient_chunks: quotients[CHUNKS * table..][..CHUNKS].iter().map(|chunk| chunk[0].clone()).collect(),
            random: None,
        },
        permutation_local: of_lookups(table, 0),
        permutation_next: of_lookups(table, 1),
    });
    Ok(BatchProof {
        commitments: BatchCommitments { main, permutation, quotient_chunks, random: None },
        opened_values: BatchOpenedValues { instances: instances.collect() },
        opening_proof,
        lookup_terminals: (0..airs.len()).map(|table| sums.get(table).copied().map(LookupTerminal)).collect(),
        degree_bits: log_rows,
        lookup_pow_witness,
        ood_pow_witness,
    })
}

/// Quotient chunks of a table.
const CHUNKS: usize = DEGREE_MAX - 1;

/// Room that all threads clear together.
pub(crate) fn zeros(len: usize) -> Vec<KoalaBear> {
    const ROOM: usize = 1 << 10;
    let room: Vec<[KoalaBear; ROOM]> =
        (0..len.div_ceil(ROOM)).into_par_iter().map(|_| [KoalaBear::ZERO; ROOM]).collect();
    let mut cells = room.into_flattened();
    cells.truncate(len);
    cells
}

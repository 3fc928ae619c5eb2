//! A STARK of nothing but Poseidon2 compressions, with the parameters of the proof: the rate that it is measured against.

use crate::air::poseidon;
use crate::config::{Settings, config};
use crate::prove::ProveError;
use crate::stark::{Circuit, Form, prove_tables};
use crate::statement::Statement;
use crate::trace::hash_rows;
use crate::verify::VerifyError;
use ghostplane_ghostcipher::poseidon2::KoalaBear;
use p3_air::{Air, AirBuilder, BaseAir, WindowAccess};
use p3_batch_stark::{CommonData, verify_batch};
use p3_field::PrimeCharacteristicRing;
use p3_lookup::{InteractionBuilder, Lookups};
use p3_matrix::dense::RowMajorMatrix;
use rayon::ThreadPool;

/// Compressions of a row. Few rows are cheaper than many, so that this is the larger limit.
const COMPRESSIONS: usize = 8;
/// Columns of a compression with its input.
const COLUMNS: usize = 16 + poseidon::COLUMNS;

#[derive(Clone, Debug)]
struct BareAir;

impl BaseAir<KoalaBear> for BareAir {
    fn width(&self) -> usize {
        COMPRESSIONS * COLUMNS
    }

    fn main_next_row_columns(&self) -> Vec<usize> {
        Vec::new()
    }
}

impl<AB: AirBuilder<F = KoalaBear>> Air<AB> for BareAir {
    fn eval(&self, builder: &mut AB) {
        self.constraints(builder);
    }
}

impl Circuit for BareAir {
    fn constraints<AB: AirBuilder<F = KoalaBear>>(&self, builder: &mut AB) {
        let main = builder.main();
        let row = main.current_slice();
        for columns in row.chunks_exact(COLUMNS) {
            let (input, columns) = columns.split_at(16);
            let input = std::array::from_fn(|at| input[at].into());
            poseidon::eval(builder, &input, columns);
        }
    }

    fn messages<AB: AirBuilder<F = KoalaBear> + InteractionBuilder>(&self, _: &mut AB) {}
}

/// Proves and verifies 2^`log_rows` rows of bare compressions, and says how many they were. Nothing that hashes so much in a
/// proof with these settings can be faster.
///
/// # Errors
/// [`ProveError`] if the proof system fails, which would be a bug.
pub fn prove_bare(log_rows: u8, settings: Settings, pool: &ThreadPool) -> Result<usize, ProveError> {
    pool.install(|| {
        let rows = 1_usize << log_rows;
        let mut cells = KoalaBear::zero_vec(rows * COMPRESSIONS * COLUMNS);
        for (number, input) in (0..).zip(cells.chunks_exact_mut(COLUMNS)) {
            input[0] = KoalaBear::new(number);
        }
        hash_rows(&mut cells, COLUMNS, 16, |row| *row.first_chunk().expect("a row starts with its input"));
        let trace = RowMajorMatrix::new(cells, COMPRESSIONS * COLUMNS);
        let config = config(&Statement::of_nothing(), settings);
        let (forms, lookups) = ([Form::new(&BareAir, &[])], [Lookups::default()]);
        let proof = prove_tables(&config, settings.parameters(), &forms, &lookups, &[BareAir], &[trace]);
        let proof = proof.map_err(ProveError::System)?;
        let data = CommonData::empty(1);
        verify_batch(&config, &[BareAir], &proof, &[Vec::new()], &data)
            .map_err(|error| ProveError::DoesNotVerify(VerifyError::Invalid { reason: error.to_string() }))?;
        Ok(rows * COMPRESSIONS)
    })
}

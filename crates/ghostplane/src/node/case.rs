//! One batch with all that it takes to look into it alone: its data, and a witness of the state before it.

use ghostplane_engine::replay::explain_posted;
use ghostplane_engine::{Explained, Plane};
use ghostplane_ghostcipher::workers::Serial;
use ghostplane_keystone::Witness;
use ghostplane_types::codec::{Decode, DecodeError, Encode, Reader, put_byte_string, put_list};
use ghostplane_types::limits::{BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, WITNESS_BYTES_MAX};
use ghostplane_types::{Genesis, GenesisError, InboxEntry, PlaneState};
use thiserror::Error;

/// Bytes of a case at most, about.
pub const CASE_BYTES_MAX: usize = WITNESS_BYTES_MAX + 4 * BATCH_BYTES_MAX;
const VERSION: u8 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The plane's terms.
    pub genesis: Genesis,
    /// The state before the batch, as the header before it states it.
    pub prev: PlaneState,
    /// The inbox entries that the batch consumes.
    pub inbox: Vec<InboxEntry>,
    /// The batch's data.
    pub posted: Vec<u8>,
    /// A canonical witness of the state before it.
    pub witness: Vec<u8>,
    /// The record that is asked about, by its place in the batch, inbox entries first.
    pub at: u32,
}

/// Why a case says nothing.
#[derive(Debug, Error)]
pub enum CaseError {
    /// Its genesis founds no plane.
    #[error("the case's genesis founds no plane: {0}")]
    Genesis(#[from] GenesisError),
    /// Its witness is none of the state that it states.
    #[error("the case's witness does not show the state before the batch: {0}")]
    Witness(String),
    /// The batch cannot be executed.
    #[error("the case's batch cannot be executed: {0}")]
    Batch(String),
    /// The batch has no such record.
    #[error("the case's batch has no record {0}")]
    NoRecord(u32),
}

impl Case {
    /// Executes the batch up to the record in question and says what became of that. Believes nothing but that `prev` is the
    /// state it claims to be: compare its digest with a header's.
    ///
    /// # Errors
    /// [`CaseError`], for a case that is none.
    pub fn explain(&self) -> Result<Explained, CaseError> {
        let plane = Plane::new(self.genesis.clone())?;
        let unshown = |error: &dyn std::fmt::Display| CaseError::Witness(error.to_string());
        let witness = Witness::from_bytes(&self.witness).map_err(|error| unshown(&error))?;
        let view = witness.verify(&self.prev.roots).map_err(|error| unshown(&error))?;
        let at = self.at as usize;
        let explained = explain_posted(&plane, &view, &self.prev, &self.inbox, &self.posted, at, &Serial);
        explained.map_err(|stop| CaseError::Batch(stop.to_string()))?.ok_or(CaseError::NoRecord(self.at))
    }
}

impl Encode for Case {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        self.genesis.encode(out);
        self.prev.encode(out);
        put_list(out, &self.inbox);
        put_byte_string(out, &self.posted);
        put_byte_string(out, &self.witness);
        self.at.encode(out);
    }
}

impl Decode for Case {
    const BYTES_MIN: usize = 1 + Genesis::BYTES_MIN + PlaneState::BYTES_MIN + 3 + 4;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != VERSION {
            return Err(reader.unknown("case version", u64::from(version)));
        }
        Ok(Self {
            genesis: reader.read()?,
            prev: reader.read()?,
            inbox: reader.list("inbox entries", BATCH_TRANSACTIONS_MAX)?,
            posted: reader.byte_string("bytes of a batch", BATCH_BYTES_MAX)?.to_vec(),
            witness: reader.byte_string("bytes of a witness", WITNESS_BYTES_MAX)?.to_vec(),
            at: reader.read()?,
        })
    }
}

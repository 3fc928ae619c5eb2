//! The formats that can be inspected.

use clap::ValueEnum;
use ghostplane_keystone::{ObjectProof, SlotProof, Witness};
use ghostplane_settlement::{FinalRecord, Message, Settlement};
use ghostplane_types::limits::TRANSACTION_BYTES_MAX;
use ghostplane_types::{
    AccountRecord, Address, BatchHeader, Commitment, Credential, Decode, Flush, Genesis, Gid, InboxEntry, LogRecord,
    Outcome, PlaneState, SignedFlush, Slot, Transaction, Withdrawal,
};
use serde_json::{Value, json};

use super::input::Input;
use super::sheet::Sheet;
use super::{fields, state};
use crate::screen::{Table, grouped};

/// A format of ours. The order is that of likelihood, should several fit: what checks more of itself comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A key file.
    KeyFile,
    /// A signed transaction.
    Transaction,
    /// A commitment to a run of batches.
    Commitment,
    /// The state of the settlement.
    Settlement,
    /// The terms of a plane.
    Genesis,
    /// A batch header.
    Header,
    /// An account record.
    Account,
    /// A credential.
    Credential,
    /// A message to the settlement.
    Message,
    /// An entry of the L1 inbox.
    InboxEntry,
    /// A signed flush of the log.
    SignedFlush,
    /// A flush of the log.
    Flush,
    /// A withdrawal of the outbox.
    Withdrawal,
    /// A record of the log.
    LogRecord,
    /// The outcome of a transaction.
    Outcome,
    /// The witness of a batch.
    Witness,
    /// A proof of a slot.
    SlotProof,
    /// A proof of an object.
    ObjectProof,
    /// The state of a plane in a few numbers.
    PlaneState,
    /// What the settlement keeps of a final commitment.
    FinalRecord,
    /// A slot of the ledger.
    Slot,
    /// An identity.
    Gid,
    /// The 32 bytes of an address.
    Address,
}

impl Format {
    /// All formats, the likeliest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// The word for it on the command line.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::KeyFile => "key-file",
            Self::Transaction => "transaction",
            Self::Commitment => "commitment",
            Self::Settlement => "settlement",
            Self::Genesis => "genesis",
            Self::Header => "header",
            Self::Account => "account",
            Self::Credential => "credential",
            Self::Message => "message",
            Self::InboxEntry => "inbox-entry",
            Self::SignedFlush => "signed-flush",
            Self::Flush => "flush",
            Self::Withdrawal => "withdrawal",
            Self::LogRecord => "log-record",
            Self::Outcome => "outcome",
            Self::Witness => "witness",
            Self::SlotProof => "slot-proof",
            Self::ObjectProof => "object-proof",
            Self::PlaneState => "plane-state",
            Self::FinalRecord => "final-record",
            Self::Slot => "slot",
            Self::Gid => "gid",
            Self::Address => "address",
        }
    }

    /// Decodes `input`, all of it; digests of what names no chain are those on `chains`.
    pub(super) fn decode(self, input: &Input, chains: &[u64]) -> Result<Decoded, String> {
        let bytes = match (self, input) {
            (Self::KeyFile, Input::Json(json)) => return fields::key_file(json),
            (Self::KeyFile, Input::Bytes(_)) => return Err("not JSON".to_string()),
            (_, Input::Json(_)) => return Err("JSON".to_string()),
            (_, Input::Bytes(bytes)) => bytes.as_slice(),
        };
        let decoded = match self {
            Self::KeyFile => unreachable!("answered above"),
            Self::Transaction => fields::transaction(&transaction(bytes)?),
            Self::Commitment => fields::commitment(&read::<Commitment>(bytes)?, chains),
            Self::Settlement => state::settlement(&read::<Settlement>(bytes)?),
            Self::Genesis => fields::genesis(&read::<Genesis>(bytes)?),
            Self::Header => fields::header(&read::<BatchHeader>(bytes)?, chains),
            Self::Account => fields::account(&read::<AccountRecord>(bytes)?),
            Self::Credential => fields::credential(&read::<Credential>(bytes)?),
            Self::Message => state::message(&read::<Message>(bytes)?, chains),
            Self::InboxEntry => fields::inbox_entry(&read::<InboxEntry>(bytes)?, chains),
            Self::SignedFlush => fields::signed_flush(&read::<SignedFlush>(bytes)?, chains),
            Self::Flush => fields::flush(&read::<Flush>(bytes)?, chains),
            Self::Withdrawal => fields::withdrawal(&read::<Withdrawal>(bytes)?, chains),
            Self::LogRecord => fields::log_record(&read::<LogRecord>(bytes)?),
            Self::Outcome => fields::outcome(&read::<Outcome>(bytes)?),
            Self::Witness => read::<Witness>(bytes).map(|_| state::witness(bytes))?,
            Self::SlotProof => state::slot_proof(&read::<SlotProof>(bytes)?),
            Self::ObjectProof => state::object_proof(&read::<ObjectProof>(bytes)?),
            Self::PlaneState => fields::plane_state(&read::<PlaneState>(bytes)?),
            Self::FinalRecord => state::final_record(&read::<FinalRecord>(bytes)?, chains),
            Self::Slot => fields::slot(&read::<Slot>(bytes)?),
            Self::Gid => fields::gid(&read::<Gid>(bytes)?),
            Self::Address => fields::address(&read::<Address>(bytes)?),
        };
        Ok(decoded.of(self.word(), bytes.len()))
    }
}

fn read<T: Decode>(bytes: &[u8]) -> Result<T, String> {
    T::from_bytes(bytes).map_err(|error| error.to_string())
}

fn transaction(bytes: &[u8]) -> Result<Transaction, String> {
    if bytes.len() > TRANSACTION_BYTES_MAX {
        return Err(format!("longer than the {} bytes a transaction may have", grouped(TRANSACTION_BYTES_MAX as u64)));
    }
    read(bytes)
}

/// What bytes turned out to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded {
    /// The word for the format.
    pub(super) format: &'static str,
    /// How many bytes it takes.
    pub(super) bytes: usize,
    /// What the bytes say.
    pub(super) fields: Sheet,
    /// What follows from that.
    pub(super) derived: Sheet,
    /// What speaks against it being meant as this, or being accepted.
    pub(super) doubts: Vec<String>,
}

impl Decoded {
    pub(super) fn new(fields: Sheet) -> Self {
        Self { fields, ..Self::default() }
    }

    pub(super) fn of(self, format: &'static str, bytes: usize) -> Self {
        Self { format, bytes, ..self }
    }

    pub(super) fn derived(self, derived: Sheet) -> Self {
        Self { derived, ..self }
    }

    pub(super) fn doubt_if(mut self, holds: bool, doubt: impl Into<String>) -> Self {
        if holds {
            self.doubts.push(doubt.into());
        }
        self
    }

    /// The format's name in words.
    pub(super) fn title(&self) -> String {
        self.format.replace('-', " ")
    }

    /// What the bytes say, then what follows from it, in one pair of columns.
    pub(super) fn table(&self) -> Table {
        let all = self.fields.clone();
        let all = if self.derived.is_empty() { all } else { all.group("derived", self.derived.clone()) };
        all.table()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "format": self.format,
            "bytes": self.bytes,
            "fields": self.fields.to_json(),
            "derived": self.derived.to_json(),
            "doubts": self.doubts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_command_line() {
        for format in Format::all() {
            let value = format.to_possible_value().expect("no format is hidden");
            assert_eq!(value.get_name(), format.word());
        }
    }
}

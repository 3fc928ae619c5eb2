//! What can go wrong between a client and a node, by who is wrong.

use crate::check::CheckError;
use crate::wire;
use ghostplane_types::Reject;
use thiserror::Error;
use tonic::{Code, Status};

/// Why a call gave nothing.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("cannot reach {url}: {reason}; see that a node runs and listens there")]
    Unreachable {
        /// Where.
        url: String,
        /// What the transport says.
        reason: String,
    },
    /// The node's answer does not pass its check: it lies, is broken, or is of another plane.
    #[error("the node is not to be believed: {0}")]
    Lied(#[from] CheckError),
    /// The node refuses the transaction. Nothing was charged.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such thing, or no more.
    #[error("{0}")]
    NotFound(String),
    /// The node cannot do this yet.
    #[error("unimplemented: {0}")]
    Unimplemented(String),
    /// It took too long. What was sent may have arrived.
    #[error("{what} took longer than {after_ms} ms")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        after_ms: u64,
    },
    /// The call failed for another reason that the node names.
    #[error("the node says {name} ({code}): {message}")]
    Failed {
        /// The node's stable code; 0 if it gave none.
        code: u16,
        /// Its name, or gRPC's.
        name: String,
        /// What it says.
        message: String,
    },
    /// The caller's transaction cannot be one.
    #[error("the transaction is not well formed: {0}")]
    Transaction(#[from] Reject),
    /// The caller goes beyond a bound of this library.
    #[error("{0}")]
    Misuse(String),
}

/// A refusal of the node, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("refused, {name} ({code}): {message}")]
pub struct Refused {
    /// The stable number.
    pub code: u16,
    /// The stable name.
    pub name: String,
    /// What was found, what was needed, and what to do.
    pub message: String,
    /// When to try again, in milliseconds; 0 if that does not help.
    pub retry_after_ms: u64,
}

impl Refused {
    /// Too much at once.
    pub const BUSY: u16 = 700;
    /// The node's disk has no room.
    pub const DISK_FULL: u16 = 701;
    /// The node has this very transaction.
    pub const KNOWN: u16 = 703;
    /// The node is about to stop.
    pub const STOPPING: u16 = 708;

    /// Whether the same transaction may be taken later.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self.code, Self::BUSY | Self::DISK_FULL | Self::STOPPING)
    }
}

impl From<wire::Refusal> for Refused {
    fn from(refusal: wire::Refusal) -> Self {
        let code = u16::try_from(refusal.code).unwrap_or(u16::MAX);
        Self { code, name: refusal.name, message: refusal.message, retry_after_ms: refusal.retry_after_ms }
    }
}

impl ClientError {
    /// The stable code, where the node gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            Self::NotFound(_) => Some(710),
            Self::Unimplemented(_) => Some(714),
            Self::Transaction(reject) => Some(reject.code()),
            Self::Failed { code, .. } if *code != 0 => Some(*code),
            Self::Failed { .. }
            | Self::Unreachable { .. }
            | Self::Lied(_)
            | Self::TimedOut { .. }
            | Self::Misuse(_) => None,
        }
    }

    pub(crate) fn from_status(url: &str, what: &str, timeout_ms: u64, status: &Status) -> Self {
        let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
        let code = text("ghostplane-code").and_then(|code| code.parse().ok()).unwrap_or(0);
        let message = status.message().to_owned();
        match (code, status.code()) {
            (710, _) | (0, Code::NotFound) => Self::NotFound(message),
            (714, _) | (0, Code::Unimplemented) => Self::Unimplemented(message),
            (0, Code::Cancelled | Code::DeadlineExceeded) => {
                Self::TimedOut { what: what.to_owned(), after_ms: timeout_ms }
            }
            (0, Code::Unavailable) => Self::Unreachable { url: url.to_owned(), reason: message },
            (code, grpc) => {
                let name = text("ghostplane-name").map_or_else(|| format!("{grpc:?}"), str::to_owned);
                Self::Failed { code, name, message }
            }
        }
    }
}

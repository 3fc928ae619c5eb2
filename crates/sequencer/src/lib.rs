//! The sequencer: which transaction is next, when a batch ends, what is durable, and who is told what. Without I/O.
//!
//! ```text
//! Submitted -> pool -> Execute -> Executed -> Append -> Durable -> Acknowledge
//!                        Open .. Cut -> Sealed -> Post -> Committed
//! ```
//!
//! [`Sequencer::step`] takes the time and one [`Event`] and answers with [`Effect`]s. It has no clock, file, socket,
//! random source, thread or log; the same events at the same times give the same effects. The node and the simulator are
//! two drivers of it. Whatever is submitted, nothing in here grows beyond its [`Limits`], and every ticket gets exactly
//! one final answer: a record in an [`Acknowledgement`], or a [`Refusal`].

pub mod effect;
pub mod event;
pub mod fault;
pub mod limits;
pub mod pool;
pub mod refusal;
pub mod sequencer;

pub use effect::{Acknowledgement, Append, Cut, Effect, LogEntry, Opening, Record};
pub use event::{Event, Execution, Standing, Submission, Ticket};
pub use fault::Fault;
pub use limits::{Config, Limits, LimitsError, Start};
pub use pool::Pool;
pub use refusal::Refusal;
pub use sequencer::{Sequencer, Status};

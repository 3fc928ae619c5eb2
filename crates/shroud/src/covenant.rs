//! Rules in Cedar: checked once when they are set, then asked about every action they are attached to.
//!
//! ```text
//! text --PolicySet::set--> PolicySet --Attached--+
//!                                                +--> decide --> Decision --denied--> would_pass
//! facts --------Request::new-------> Request ----+
//! ```
//!
//! Cedar decides what a policy means. Around it stands what a ledger needs: bounds, so that no text and no request costs
//! more than its formula says; a closed schema, so that a rule cannot ask for what nobody can tell it; and no benefit of
//! doubt: where Cedar skips a policy that fails, the answer here is no.
//!
//! `docs/covenant.md` is for those who write rules, `docs/covenant.cedarschema` says what they can see.

mod cache;
mod decide;
mod limits;
mod ready;
mod request;
mod scan;
mod schema;
mod search;
mod set;
mod stack;
mod template;
mod walk;

#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use decide::{Attached, Attachment, Deciding, Decision, Denial, Fact, decide};
pub use limits::{
    APPROVAL_WEIGHT_MAX, BRACKETS_MAX, DELAY_SECONDS_MAX, DEPTH_MAX, ID_BYTES_MAX, NODES_MAX, ROLE_BYTES_MAX,
    STACK_BYTES, TEXT_BYTES_MAX,
};
pub use request::{Approval, Facts, Moving, Party, Request, RequestError, Resource, Spent};
pub use schema::{ActionShape, ResourceKind, SCHEMA_TEXT, SCHEMA_VERSION, action_kind, action_name, action_shape};
pub use search::{Counterfactual, would_pass};
pub use set::{Obligations, PolicySet, SET_ERROR_CODES, SetError};
pub use stack::with_stack;
pub use template::{Parameter, TEMPLATES, Template, TemplateError, TemplateInfo, Window};

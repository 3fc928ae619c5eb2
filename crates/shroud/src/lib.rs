//! The gates of a plane: what an action has to pass besides its signature.
//!
//! [`sigil`] says who may act for an account: its keys, and sessions within their scopes. [`guardian`] says who
//! has to agree, and holds what they have not agreed to yet. [`covenant`] are rules that somebody has written in Cedar and
//! attached to an account, an asset, a contract or the plane. [`credential`] says who may vouch for whom.
//! Everything here is pure: facts come in as arguments, decisions go out as values.

pub mod covenant;
pub mod credential;
pub mod guardian;
pub mod sigil;

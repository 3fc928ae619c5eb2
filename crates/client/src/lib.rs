//! The client library of Ghostplane.

pub mod wire;

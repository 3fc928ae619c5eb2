//! What the client believes, and what it does not.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod checks;
mod plane;
mod server;

//! The crate as its users see it, against a model that hashes every tree from scratch.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed, and the line says where")]
#![allow(clippy::type_complexity, reason = "the model names what it holds in full")]

mod model;
mod proofs;
mod trees;
mod views;
mod witnesses;

//! The crate as its users see it, against a model that hashes every tree from scratch.

mod model;
mod proofs;
mod trees;
mod views;
mod witnesses;

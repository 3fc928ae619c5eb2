//! Ghostplane in one binary: what its commands do, apart from reading the command line.

// This crate is the edge: it prints, measures time, draws random bytes and touches files, and its floats are figures for
// people, never value.
#![allow(clippy::print_stdout, clippy::float_arithmetic, clippy::disallowed_methods)]

pub mod bench;
pub mod claims;
pub mod cli;
pub mod committer;
pub mod config;
pub mod demo;
pub mod did;
pub mod explain;
pub mod gates;
pub mod inspect;
pub mod keys;
pub mod local;
pub mod node;
pub mod payments;
pub mod screen;
pub mod trial;

//! The sequencer from outside: tables for its rules, and a seeded simulation of everything around it.

mod batches;
mod durability;
mod fixture;
mod pool;
mod simulation;
mod simulator;

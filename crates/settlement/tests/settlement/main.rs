//! The settlement from outside: stories, a table of every refusal, and random sequences of messages against a model.

mod fixture;
mod hostile_bytes;
mod plane;
mod random;
mod refusals;
mod stories;

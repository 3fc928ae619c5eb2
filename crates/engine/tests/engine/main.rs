//! The engine as its users see it: stories, a model ledger, every refusal, every lie an operator can tell.

mod against_the_model;
mod assets;
mod books;
mod covenants;
mod credentials;
mod delegation;
mod foresee;
mod forger;
mod fraud;
mod gate_matrix;
mod guardians;
mod invalid_batches;
mod key_ring;
mod mana;
mod model;
mod open_batches;
mod posted_form;
mod random;
mod reach;
mod refusals;
mod schemes;
mod sigil;
mod sponsors;
mod stories;
mod story;
mod witnesses;

//! The bridge to the L1.

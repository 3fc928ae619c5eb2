//! ECDSA over secp256k1 (SEC 2, section 2.4.1) with SHA-256: the keys of Bitcoin's and Ethereum's wallets.
//!
//! What gets signed is always the 32 bytes of [`signing_digest`]. `s` is at most half the order.

crate::ecdsa::scheme!(k256, "secp256k1");

#[cfg(test)]
mod tests;

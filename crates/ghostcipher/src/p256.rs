//! ECDSA over P-256 (FIPS 186-5, also secp256r1) with SHA-256: the keys of secure enclaves, smart cards and passkeys.
//!
//! What gets signed is always the 32 bytes of [`signing_digest`], unless an authenticator signs: [`webauthn`](crate::webauthn).
//! `s` is at most half the order, though most who sign with this curve do not care: [`with_low_s`] makes it so.

crate::ecdsa::scheme!(p256, "P-256");

#[cfg(test)]
mod tests;

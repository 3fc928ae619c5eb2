use super::*;

crate::ecdsa::suite! {
    order: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
    vectors: EcdsaSecp256k1Sha256P1363,
    taken_refused_high: (95, 77, 80)
}

/// The vector that wallets of Bitcoin compare their RFC 6979 with: secret 1, SHA-256 of a name.
#[test]
fn a_known_signature_stays_what_it_was() {
    let mut one = [0; 32];
    one[31] = 1;
    let key = SigningKey::from_secret(one).expect("one is in range");
    // The base point of SEC 2.
    let base = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    assert_eq!(key.verification_key().to_string(), base);
    let signature = key.sign_message(&crate::digest::sha256(&[b"Satoshi Nakamoto"]));
    assert_eq!(
        signature.to_string(),
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8\
         2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
    );
}

use super::*;

crate::ecdsa::suite! {
    order: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    vectors: EcdsaSecp256r1Sha256P1363,
    taken_refused_high: (103, 80, 79)
}

/// RFC 6979, section A.2.5, SHA-256 of "sample". The RFC's `s` is the larger one.
#[test]
fn a_known_signature_is_the_one_of_the_rfc() {
    let secret = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let key = SigningKey::from_secret(hex::decode(secret).expect("32 bytes")).expect("in range");
    let public = "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
    assert_eq!(key.verification_key().to_string(), public);
    let signature = key.sign_message(&crate::digest::sha256(&[b"sample"]));
    let r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
    let s: [u8; 32] =
        hex::decode("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8").expect("32 bytes");
    assert_eq!(hex::encode(&signature.0[..32]), r);
    assert_eq!(signature.0[32..], negated(&s));
}

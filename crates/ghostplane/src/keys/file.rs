//! The key file itself: its JSON, and how the secret is sealed in it.

use std::path::Path;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use ghostplane_ghostcipher::domain::{self, Domain};
use ghostplane_ghostcipher::{VerificationKey, hex, p256, secp256k1};
use ghostplane_types::codec::put_byte_string;
use ghostplane_types::{Encode as _, Gid, PreparedKey, PublicKey, Scheme, Signer as _};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Kept, KeyFileError, Passphrase, SCHEMES, SecretKey, check_name, entity_of, entity_word};

const FORMAT: &str = "ghostplane-key";
/// The version of the key file format.
pub(super) const VERSION: u32 = 1;
const KDF: &str = "argon2id";
const AEAD: &str = "xchacha20poly1305";
const DEV_WARNING: &str = "development key in plain text: anybody who reads this file has it; never hold value with it";
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
/// A seed and the 16 bytes that authenticate it.
const SEALED_BYTES: usize = 32 + 16;

/// The JSON, field by field. An unknown field is refused: nothing would authenticate it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    name: String,
    entity_type: String,
    chain_id: u64,
    gid_version: u16,
    /// Not there for Ed25519, the only one there was once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    public_key: String,
    address: String,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kdf: Option<KdfDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aead: Option<AeadDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KdfDocument {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AeadDocument {
    name: String,
    nonce: String,
    ciphertext: String,
}

/// Text that is wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct SecretText(String);

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Just enough to tell whose file this is, whatever its version.
#[derive(Deserialize)]
struct Probe {
    format: Option<String>,
    version: Option<u64>,
}

/// A key file whose fields are well formed, bounded and agree with each other. The secret is as yet closed.
pub(crate) struct KeyFile {
    name: String,
    gid: Gid,
    kind: Kind,
}

/// How the secret is in the file.
pub(crate) enum Kind {
    /// In plain text.
    Dev {
        /// The seed of the signing key.
        seed: Zeroizing<[u8; 32]>,
    },
    /// Sealed under a passphrase.
    Encrypted(Sealed),
}

/// A sealed seed, and what it was sealed with.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) kdf: KdfParameters,
    pub(crate) salt: [u8; SALT_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    ciphertext: [u8; SEALED_BYTES],
}

/// What deriving a key from a passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KdfParameters {
    /// Memory in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl KdfParameters {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub(super) const RECOMMENDED: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

    /// Refuses what would exhaust the machine, before any of it is spent.
    fn check(self, path: &Path) -> Result<(), KeyFileError> {
        // Argon2 wants eight blocks of 1 KiB for each lane.
        let rules = [
            ("lanes", self.lanes, 1, 4),
            ("passes", self.passes, 1, 16),
            ("memory in KiB", self.memory_kib, 8 * self.lanes.min(4), 1024 * 1024),
        ];
        for (what, value, min, max) in rules {
            if !(min..=max).contains(&value) {
                return Err(KeyFileError::Parameter { path: path.to_path_buf(), what, value, min, max });
            }
        }
        Ok(())
    }
}

impl KeyFile {
    /// A file with the seed in plain text.
    pub(super) fn dev(name: &str, gid: Gid, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self { name: name.to_string(), gid, kind: Kind::Dev { seed: seed.clone() } }
    }

    /// A file with the seed sealed under `passphrase`.
    pub(super) fn encrypted(
        name: &str,
        gid: Gid,
        seed: &Zeroizing<[u8; 32]>,
        passphrase: &Passphrase,
        kdf: KdfParameters,
    ) -> Result<Self, KeyFileError> {
        let mut sealed = Sealed { kdf, salt: [0; SALT_BYTES], nonce: [0; NONCE_BYTES], ciphertext: [0; SEALED_BYTES] };
        getrandom::fill(&mut sealed.salt)?;
        getrandom::fill(&mut sealed.nonce)?;
        let aad = associated_data(name, &gid, &sealed);
        let cipher = sealed.cipher(passphrase, Path::new(name))?;
        let payload = Payload { msg: &seed[..], aad: &aad };
        let ciphertext = cipher.encrypt(&XNonce::from(sealed.nonce), payload).expect("32 bytes are not too many");
        sealed.ciphertext.copy_from_slice(&ciphertext);
        Ok(Self { name: name.to_string(), gid, kind: Kind::Encrypted(sealed) })
    }

    /// Reads a file from bytes of any origin.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, KeyFileError> {
        let malformed = |problem: String| KeyFileError::Malformed { path: path.to_path_buf(), problem };
        let probe: Probe = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if probe.format.as_deref() != Some(FORMAT) {
            return Err(malformed(format!("it has no \"format\": \"{FORMAT}\"")));
        }
        match probe.version {
            Some(version) if version == u64::from(VERSION) => {}
            Some(found) => return Err(KeyFileError::UnknownVersion { path: path.to_path_buf(), found }),
            None => return Err(malformed("it has no version".to_string())),
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        Self::from_document(document, path)
    }

    fn from_document(document: Document, path: &Path) -> Result<Self, KeyFileError> {
        let malformed = |problem: String| KeyFileError::Malformed { path: path.to_path_buf(), problem };
        let inconsistent = |what: &str| KeyFileError::Inconsistent { path: path.to_path_buf(), what: what.to_string() };
        check_name(&document.name).map_err(|error| malformed(error.to_string()))?;
        let entity_type = entity_of(&document.entity_type)
            .ok_or_else(|| malformed(format!("unknown entity type '{}'", document.entity_type)))?;
        let scheme = match document.scheme.as_deref() {
            None => Scheme::Ed25519,
            Some(name) => SCHEMES[1..]
                .iter()
                .copied()
                .find(|scheme| scheme.name() == name)
                .ok_or_else(|| malformed(format!("unknown scheme '{name}'")))?,
        };
        let public_key = public_key_of(scheme, &document.public_key, path)?;
        let gid = Gid { public_key, chain_id: document.chain_id, entity_type, version: document.gid_version };
        if gid.address().to_text(entity_type) != document.address {
            return Err(inconsistent("the address is not that of its public key, chain id, entity type and version"));
        }
        let kind = match (document.kind.as_str(), document.seed, document.kdf, document.aead) {
            ("dev", Some(seed), None, None) => {
                let seed = Zeroizing::new(bytes_of::<32>("seed", &seed.0, path)?);
                if SecretKey::from_seed(scheme, &seed).is_none_or(|key| key.public_key() != public_key) {
                    return Err(inconsistent("the seed is not that of its public key"));
                }
                Kind::Dev { seed }
            }
            ("encrypted", None, Some(kdf), Some(aead)) if document.warning.is_none() => {
                Kind::Encrypted(Sealed::from_documents(&kdf, &aead, path)?)
            }
            ("dev" | "encrypted", ..) => {
                return Err(malformed(format!("kind '{}' does not have these fields", document.kind)));
            }
            (kind, ..) => return Err(malformed(format!("unknown kind '{kind}'"))),
        };
        Ok(Self { name: document.name, gid, kind })
    }

    /// The file's bytes.
    pub(super) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let public_key = self.gid.public_key;
        let (warning, seed, kdf, aead) = match &self.kind {
            Kind::Dev { seed } => (Some(DEV_WARNING.to_string()), Some(SecretText(hex::encode(&seed[..]))), None, None),
            Kind::Encrypted(sealed) => {
                let (kdf, aead) = sealed.to_documents();
                (None, None, Some(kdf), Some(aead))
            }
        };
        let document = Document {
            format: FORMAT.to_string(),
            version: VERSION,
            name: self.name.clone(),
            entity_type: entity_word(self.gid.entity_type).to_string(),
            chain_id: self.gid.chain_id,
            gid_version: self.gid.version,
            scheme: (public_key.scheme() != Scheme::Ed25519).then(|| public_key.scheme().name().to_string()),
            public_key: public_key.to_string(),
            address: self.gid.address().to_text(self.gid.entity_type),
            kind: self.kept().word().to_string(),
            warning,
            seed,
            kdf,
            aead,
        };
        // Room for the whole document, so that no copy of a dev seed is left behind by growing.
        let mut json = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer_pretty(&mut *json, &document).expect("strings and numbers always serialise");
        json.push(b'\n');
        json
    }

    /// The signing key.
    pub(super) fn open(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<SecretKey, KeyFileError> {
        let seed = match &self.kind {
            Kind::Dev { seed } => seed.clone(),
            Kind::Encrypted(sealed) => {
                let required = || KeyFileError::PassphraseRequired { name: self.name.clone() };
                self.unseal(sealed, passphrase.ok_or_else(required)?, path)?
            }
        };
        let key = SecretKey::from_seed(self.gid.public_key.scheme(), &seed);
        key.filter(|key| key.public_key() == self.gid.public_key).ok_or_else(|| {
            let what = "the seed is not that of its public key".to_string();
            KeyFileError::Inconsistent { path: path.to_path_buf(), what }
        })
    }

    fn unseal(&self, sealed: &Sealed, by: &Passphrase, path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        let wrong = || KeyFileError::WrongPassphraseOrAltered { name: self.name.clone(), path: path.to_path_buf() };
        let aad = associated_data(&self.name, &self.gid, sealed);
        let payload = Payload { msg: &sealed.ciphertext, aad: &aad };
        let opened = sealed.cipher(by, path)?.decrypt(&XNonce::from(sealed.nonce), payload).map_err(|_| wrong())?;
        let opened = Zeroizing::new(opened);
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(&opened);
        Ok(seed)
    }

    /// The name the file was made for.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The identity the key is the first key of.
    pub(crate) fn gid(&self) -> &Gid {
        &self.gid
    }

    /// How the secret is in the file.
    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(super) fn kept(&self) -> Kept {
        match self.kind {
            Kind::Dev { .. } => Kept::Dev,
            Kind::Encrypted(_) => Kept::Encrypted,
        }
    }
}

impl Sealed {
    fn from_documents(kdf: &KdfDocument, aead: &AeadDocument, path: &Path) -> Result<Self, KeyFileError> {
        for (what, found, known) in [("key derivation", &kdf.name, KDF), ("cipher", &aead.name, AEAD)] {
            if found != known {
                let (path, found) = (path.to_path_buf(), found.clone());
                return Err(KeyFileError::Unsupported { path, what, found, known });
            }
        }
        let parameters = KdfParameters { memory_kib: kdf.memory_kib, passes: kdf.passes, lanes: kdf.lanes };
        parameters.check(path)?;
        Ok(Self {
            kdf: parameters,
            salt: bytes_of("salt", &kdf.salt, path)?,
            nonce: bytes_of("nonce", &aead.nonce, path)?,
            ciphertext: bytes_of("ciphertext", &aead.ciphertext, path)?,
        })
    }

    fn to_documents(&self) -> (KdfDocument, AeadDocument) {
        let kdf = KdfDocument {
            name: KDF.to_string(),
            memory_kib: self.kdf.memory_kib,
            passes: self.kdf.passes,
            lanes: self.kdf.lanes,
            salt: hex::encode(&self.salt),
        };
        let aead = AeadDocument {
            name: AEAD.to_string(),
            nonce: hex::encode(&self.nonce),
            ciphertext: hex::encode(&self.ciphertext),
        };
        (kdf, aead)
    }

    fn cipher(&self, passphrase: &Passphrase, path: &Path) -> Result<XChaCha20Poly1305, KeyFileError> {
        let KdfParameters { memory_kib, passes, lanes } = self.kdf;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).expect("bounded by KdfParameters::check");
        let mut memory: Zeroizing<Vec<Block>> = Zeroizing::new(Vec::new());
        let short = |_| KeyFileError::Memory { path: path.to_path_buf(), mebibytes: memory_kib.div_ceil(1024) };
        memory.try_reserve_exact(params.block_count()).map_err(short)?;
        memory.resize(params.block_count(), Block::default());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.as_bytes(), &self.salt, &mut *key, memory.as_mut_slice())
            .expect("lengths of salt, output and memory are fixed above");
        let mut derived = Key::from(*key);
        let cipher = XChaCha20Poly1305::new(&derived);
        derived.as_mut_slice().zeroize();
        Ok(cipher)
    }
}

/// Everything but the secret, so that no other header opens with it: the prefix of [`Domain::KeyFile`], then version,
/// name, GID, address, key derivation and cipher, each as in the canonical formats.
fn associated_data(name: &str, gid: &Gid, sealed: &Sealed) -> Vec<u8> {
    let mut out = domain::prefix(Domain::KeyFile, gid.chain_id).to_vec();
    VERSION.encode(&mut out);
    put_byte_string(&mut out, name.as_bytes());
    gid.encode(&mut out);
    gid.address().encode(&mut out);
    put_byte_string(&mut out, KDF.as_bytes());
    sealed.kdf.memory_kib.encode(&mut out);
    sealed.kdf.passes.encode(&mut out);
    sealed.kdf.lanes.encode(&mut out);
    put_byte_string(&mut out, &sealed.salt);
    put_byte_string(&mut out, AEAD.as_bytes());
    put_byte_string(&mut out, &sealed.nonce);
    out
}

/// The key of a file, checked to be one.
fn public_key_of(scheme: Scheme, text: &str, path: &Path) -> Result<PublicKey, KeyFileError> {
    let compressed = || bytes_of::<33>("public_key", text, path);
    let key = match scheme {
        Scheme::Ed25519 => PublicKey::Ed25519(VerificationKey::from_bytes(bytes_of("public_key", text, path)?)),
        Scheme::Secp256k1 => PublicKey::Secp256k1(secp256k1::VerificationKey::from_bytes(compressed()?)),
        Scheme::P256 => PublicKey::P256(p256::VerificationKey::from_bytes(compressed()?)),
        Scheme::Passkey => unreachable!("no key file has a passkey, see SCHEMES"),
    };
    let unusable = |error: ghostplane_types::consent::KeyError| KeyFileError::Malformed {
        path: path.to_path_buf(),
        problem: error.to_string(),
    };
    PreparedKey::parse(&key).map_err(unusable)?;
    Ok(key)
}

/// Fixed-length hexadecimal text; lower case only, so that a file has one form.
fn bytes_of<const N: usize>(field: &str, text: &str, path: &Path) -> Result<[u8; N], KeyFileError> {
    let malformed = |problem: String| KeyFileError::Malformed { path: path.to_path_buf(), problem };
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(malformed(format!("{field}: hexadecimal digits are lower case here")));
    }
    hex::decode(text).map_err(|error| malformed(format!("{field}: {error}")))
}

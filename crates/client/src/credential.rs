//! Credentials of accounts, proven; and whether claims are those of a credential that counts.

use crate::check::{self, CheckError, Plane};
use crate::client::Client;
use crate::error::ClientError;
use crate::wire;
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::ObjectProof;
use ghostplane_types::{Address, BatchHeader, Credential, ObjectKey};
use thiserror::Error;

/// A credential, or that there is none, proven under the header it carries. Only [`Plane::credential`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenCredential {
    header: BatchHeader,
    credential: Option<Credential>,
}

impl ProvenCredential {
    /// The header of the batch whose state this is.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The credential; `None` if it is proven that there is none.
    #[must_use]
    pub const fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// The credential, if it holds at `now`, in milliseconds: a plane at rest has an old batch time, so that the later of both
    /// counts.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn live(&self, now: u64) -> Result<&Credential, CredentialError> {
        let credential = self.credential.as_ref().ok_or(CredentialError::Missing)?;
        let (expires, time) = (credential.terms.expires, self.header.time.max(now));
        if expires < time { Err(CredentialError::Expired { expires, time }) } else { Ok(credential) }
    }
}

/// Why claims are not borne out. Codes from 740 on, stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// No such credential is on the plane.
    #[error("nobody vouches for these claims: they were never issued so, or the credential was revoked or dropped")]
    Missing,
    /// It is over.
    #[error("the credential ended at {expires} ms, it is {time} ms")]
    Expired {
        /// Its last moment.
        expires: u64,
        /// What time it is.
        time: u64,
    },
}

impl CredentialError {
    /// The stable number of this reason.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Missing => 740,
            Self::Expired { .. } => 741,
        }
    }
}

impl Plane {
    /// Checks the answer about a credential, with its proof, against the header that comes with it.
    ///
    /// The header itself is the node's word until [`Plane::anchor`] finds it under a commitment.
    ///
    /// # Errors
    /// [`CheckError`], with both values.
    pub fn credential(
        &self,
        (issuer, subject, claims): (&Address, &Address, &Digest),
        answer: &wire::CredentialOf,
    ) -> Result<ProvenCredential, CheckError> {
        let header = self.header(&answer.header)?;
        check::same("batch of the credential", &header.number, &answer.batch)?;
        check::same("time of the credential's batch", &header.time, &answer.time)?;
        let proof: ObjectProof = check::decode("proof of the credential", &answer.proof)?;
        let key = ObjectKey::credential(issuer, subject, claims);
        check::same("key of the credential's proof", &key.as_bytes(), &proof.key.as_bytes())?;
        let proven = proof.verify(&header.state().roots);
        let proven = proven.map_err(|error| CheckError::Proof { what: "credential", error })?;
        let Some((_, bytes)) = proven.object() else {
            check::same("credential that is not there", &0, &answer.credential.len())?;
            return Ok(ProvenCredential { header, credential: None });
        };
        check::same("bytes of the credential", &bytes, &&answer.credential[..])?;
        let credential: Credential = check::decode("credential", bytes)?;
        check::same("issuer of the credential", issuer, &credential.issuer)?;
        check::same("subject of the credential", subject, &credential.terms.subject)?;
        check::same("claims of the credential", claims, &credential.terms.claims)?;
        Ok(ProvenCredential { header, credential: Some(credential) })
    }
}

/// A page of an account's credentials: the node's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialPage {
    /// The credentials.
    pub credentials: Vec<Credential>,
    /// Where the next page starts.
    pub resume_after: Option<ObjectKey>,
}

impl Client {
    /// What an issuer says of a subject by these claims, or that it does not, proven.
    ///
    /// # Errors
    /// [`ClientError::Lied`] if anything is not proven.
    pub async fn credential(
        &self,
        issuer: &Address,
        subject: &Address,
        claims: &Digest,
    ) -> Result<ProvenCredential, ClientError> {
        let request = wire::GetCredentialRequest {
            issuer: issuer.as_bytes().to_vec().into(),
            subject: subject.as_bytes().to_vec().into(),
            claims: claims.0.to_vec().into(),
            proof: true,
        };
        let answer = self.get_credential(request).await?;
        Ok(self.plane().credential((issuer, subject, claims), &answer)?)
    }

    /// A page of what is said of an account. Which there are is the node's word; [`Client::credential`] proves each.
    ///
    /// # Errors
    /// If the call fails, or lists what is of somebody else.
    pub async fn credentials(
        &self,
        subject: &Address,
        after: Option<&ObjectKey>,
    ) -> Result<CredentialPage, ClientError> {
        let request = wire::ListCredentialsRequest {
            subject: subject.as_bytes().to_vec().into(),
            after: after.map(|after| after.as_bytes().to_vec().into()).unwrap_or_default(),
            count: 0,
        };
        let answer = self.list_credentials(request).await?;
        let mut page = CredentialPage::default();
        for bytes in &answer.credentials {
            let credential: Credential = check::decode("credential", bytes)?;
            check::same("subject of the credential", subject, &credential.terms.subject)?;
            page.credentials.push(credential);
        }
        if !answer.resume_after.is_empty() {
            let key = ObjectKey::from_bytes(check::digest("place of the next page", &answer.resume_after)?.0);
            // A page that does not go on would be asked for for ever.
            if after.is_some_and(|after| key <= *after) {
                return Err(CheckError::Lacks("next page behind this one").into());
            }
            page.resume_after = Some(key);
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::{SigningKey, workers::Serial};
    use ghostplane_keystone::{Changeset, Keystone, ObjectChange, StateView};
    use ghostplane_types::{CredentialTerms, Encode, Genesis, PlaneState};

    const TIME: u64 = 1_700_000_000_000;

    fn address(number: u8) -> Address {
        Address::from_bytes([number; 32])
    }

    fn answer(keystone: &Keystone, key: &ObjectKey, state: &PlaneState) -> wire::CredentialOf {
        let header = BatchHeader::genesis(&PlaneState { roots: keystone.roots(), ..*state });
        let object = keystone.object(key).expect("the whole state");
        wire::CredentialOf {
            credential: object.map(|object| object.value.to_vec()).unwrap_or_default().into(),
            batch: header.number,
            time: header.time,
            header: header.to_bytes().into(),
            proof: keystone.prove_object(key).to_bytes().into(),
            rung: wire::Rung::Attested.into(),
        }
    }

    #[test]
    fn a_credential_is_believed_by_its_proof_alone() {
        let key = SigningKey::from_seed([1; 32]).verification_key();
        let genesis = Genesis::dev(TIME, key, address(1));
        let plane = Plane::new(genesis).expect("a genesis");
        let (issuer, subject, claims) = (address(2), address(3), Digest([4; 32]));
        let terms = CredentialTerms { subject, claims, level: 1, certified: None, expires: TIME + 10 };
        let credential = Credential { issuer, terms, issued: TIME };
        let place = ObjectKey::credential(&issuer, &subject, &claims);
        let mut keystone = Keystone::new(1);
        let change = ObjectChange { key: place, old: None, new: Some(credential.to_bytes().into()) };
        keystone.apply(&Changeset::new(Vec::new(), vec![change]).expect("one"), &Serial).expect("an empty state");
        let state =
            PlaneState { number: 7, time: TIME, roots: keystone.roots(), inbox_upto: 0, log_upto: 0, outbox_upto: 0 };

        let good = answer(&keystone, &place, &state);
        let proven = plane.credential((&issuer, &subject, &claims), &good).expect("proven");
        assert_eq!(proven.live(TIME + 10), Ok(&credential));
        assert_eq!(proven.live(TIME + 11).expect_err("over").code(), 741);
        // By another issuer there is none, and that is proven too.
        let other = ObjectKey::credential(&subject, &issuer, &claims);
        let absent = answer(&keystone, &other, &state);
        let none = plane.credential((&subject, &issuer, &claims), &absent).expect("proven");
        assert_eq!(none.live(0).expect_err("nothing").code(), 740);

        let lies: [(&str, wire::CredentialOf); 6] = [
            ("another's proof", absent.clone()),
            ("hidden", wire::CredentialOf { credential: Vec::new().into(), ..good.clone() }),
            ("time", wire::CredentialOf { time: TIME - 1, ..good.clone() }),
            ("batch", wire::CredentialOf { batch: 8, ..good.clone() }),
            ("no proof", wire::CredentialOf { proof: Vec::new().into(), ..good.clone() }),
            ("level", {
                let raised = Credential { terms: CredentialTerms { level: 2, ..terms }, ..credential };
                wire::CredentialOf { credential: raised.to_bytes().into(), ..good.clone() }
            }),
        ];
        for (what, lie) in lies {
            assert!(plane.credential((&issuer, &subject, &claims), &lie).is_err(), "{what}");
        }
        let made_up = wire::CredentialOf { credential: credential.to_bytes().into(), ..absent };
        assert!(plane.credential((&subject, &issuer, &claims), &made_up).is_err());
    }
}

//! Credentials: what somebody says of an account, and what of it the plane counts.

use crate::address::{Address, EntityType};
use crate::codec::{Decode, DecodeError, Encode, Reader, fields};
use ghostplane_ghostcipher::{Digest, Domain, digest};

/// What an issuer says of an account. The claims themselves stay with those whom they concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialTerms {
    /// Of whom.
    pub subject: Address,
    /// The digest of the claims.
    pub claims: Digest,
    /// The verification level that it raises the subject to; 0 for none. Only an authority states one.
    pub level: u8,
    /// What it certifies the subject to be. Only an authority does.
    pub certified: Option<EntityType>,
    /// The last batch time at which it holds, in milliseconds.
    pub expires: u64,
}

fields!(CredentialTerms {
    subject: Address,
    claims: Digest,
    level: u8,
    certified: Option<EntityType>,
    expires: u64,
});

impl CredentialTerms {
    /// The digest of claims in their canonical bytes, the same on every chain. What the claims are and how they are written is
    /// for those who issue and read them to say.
    pub fn claims_digest(claims: &[u8]) -> Digest {
        digest::hash(Domain::Claims, 0, &[claims])
    }

    /// Whether it states what the plane counts.
    pub const fn counts(&self) -> bool {
        self.level > 0 || self.certified.is_some()
    }
}

/// A credential, as its object says. It is there until its issuer revokes it or its subject drops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Who says it.
    pub issuer: Address,
    /// What.
    pub terms: CredentialTerms,
    /// The batch time at which it was issued, in milliseconds.
    pub issued: u64,
}

const CREDENTIAL_VERSION: u8 = 1;

impl Encode for Credential {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(CREDENTIAL_VERSION);
        self.issuer.encode(out);
        self.terms.encode(out);
        self.issued.encode(out);
    }
}

impl Decode for Credential {
    const BYTES_MIN: usize = 1 + 32 + CredentialTerms::BYTES_MIN + 8;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != CREDENTIAL_VERSION {
            return Err(reader.unknown("credential version", u64::from(version)));
        }
        Ok(Self { issuer: reader.read()?, terms: reader.read()?, issued: reader.read()? })
    }
}

/// What an authority's credential makes of an account, as the account's record keeps it: so policies know it from one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certification {
    /// The authority.
    pub issuer: Address,
    /// The claims of its credential.
    pub claims: Digest,
    /// The level; 0 for none.
    pub level: u8,
    /// The certified type.
    pub certified: Option<EntityType>,
    /// The last batch time at which it counts, in milliseconds.
    pub until: u64,
}

impl Certification {
    /// Whether it counts at `time`.
    pub const fn is_live(&self, time: u64) -> bool {
        time <= self.until
    }

    /// Whether it says anything. One that does not is in no record.
    pub const fn says_something(&self) -> bool {
        self.level > 0 || self.certified.is_some()
    }
}

fields!(Certification { issuer: Address, claims: Digest, level: u8, certified: Option<EntityType>, until: u64 });

/// What an account is worth to rules at some time, by the credentials of the plane's authorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The highest verification level that is certified; 0 without one.
    pub level: u8,
    /// What it is certified to be.
    pub certified: Option<EntityType>,
}

impl Standing {
    /// What certifications come to at `time`. Those that count never certify different types: see
    /// [`crate::Reject::CertifiedOtherwise`].
    pub fn of(certifications: &[Certification], time: u64) -> Self {
        let live = certifications.iter().filter(|certification| certification.is_live(time));
        live.fold(Self::default(), |standing, certification| Self {
            level: standing.level.max(certification.level),
            certified: standing.certified.or(certification.certified),
        })
    }
}

/// A set of entity types: bit k for type k.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EntityTypes(u8);

impl EntityTypes {
    /// Every type.
    pub const ALL: Self = Self((1 << EntityType::ALL.len()) - 1);

    /// These types.
    pub fn of(types: &[EntityType]) -> Self {
        Self(types.iter().fold(0, |bits, entity_type| bits | 1 << (*entity_type as u8)))
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a type is among them.
    pub const fn contains(self, entity_type: EntityType) -> bool {
        self.0 & 1 << (entity_type as u8) != 0
    }

    /// The types, by number.
    pub fn iter(self) -> impl Iterator<Item = EntityType> {
        EntityType::ALL.into_iter().filter(move |entity_type| self.contains(*entity_type))
    }
}

impl Encode for EntityTypes {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
}

impl Decode for EntityTypes {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bits: u8 = reader.read()?;
        if bits & !Self::ALL.0 != 0 {
            return Err(reader.unknown("entity types", u64::from(bits)));
        }
        Ok(Self(bits))
    }
}

/// Somebody whose credentials count on a plane, and how far. Genesis names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Who.
    pub address: Address,
    /// The highest verification level that it gives; 0 if it gives none.
    pub level_max: u8,
    /// The types that it certifies.
    pub certifies: EntityTypes,
}

fields!(Authority { address: Address, level_max: u8, certifies: EntityTypes });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::assert_one_form;

    fn certification(number: u8, level: u8, certified: Option<EntityType>, until: u64) -> Certification {
        Certification {
            issuer: Address::from_bytes([number; 32]),
            claims: Digest([number; 32]),
            level,
            certified,
            until,
        }
    }

    #[test]
    fn what_is_over_does_not_count() {
        let all = [
            certification(1, 2, None, 100),
            certification(2, 1, Some(EntityType::Bridge), 50),
            certification(3, 3, None, 20),
        ];
        let standing = |time| Standing::of(&all, time);
        let bridge = Some(EntityType::Bridge);
        assert_eq!(standing(20), Standing { level: 3, certified: bridge });
        assert_eq!(standing(21), Standing { level: 2, certified: bridge });
        assert_eq!(standing(50), Standing { level: 2, certified: bridge });
        assert_eq!(standing(51), Standing { level: 2, certified: None });
        assert_eq!((standing(100).level, standing(101)), (2, Standing::default()));
        assert_eq!(Standing::of(&[], 0), Standing::default());
    }

    #[test]
    fn credentials_and_authorities_have_one_form() {
        let terms = CredentialTerms {
            subject: Address::from_bytes([1; 32]),
            claims: Digest([2; 32]),
            level: 3,
            certified: Some(EntityType::Oracle),
            expires: 1_000,
        };
        let credential = Credential { issuer: Address::from_bytes([4; 32]), terms, issued: 5 };
        assert_one_form(&credential);
        for bits in 0..=u8::MAX {
            let known = EntityTypes::from_bytes(&[bits]);
            assert_eq!(known.is_ok(), bits < 64, "{bits}");
            if let Ok(types) = known {
                assert_eq!(EntityTypes::of(&types.iter().collect::<Vec<_>>()), types);
            }
        }
    }
}

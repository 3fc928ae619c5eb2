//! What is said of accounts: who may say it, and what of it counts.

use ghostplane_types::limits::CREDENTIAL_MS_MAX;
use ghostplane_types::{AccountRecord, Address, Authority, Certification, Credential, CredentialTerms, Reject};

/// Whether `issuer` may say this, at a batch's time in milliseconds. `authority` is what genesis lets it certify, if anything.
///
/// # Errors
/// [`Reject::CredentialTerms`], [`Reject::NotAuthority`] or [`Reject::AuthorityScope`].
pub fn check_terms(
    issuer: &Address,
    authority: Option<&Authority>,
    terms: &CredentialTerms,
    time: u64,
) -> Result<(), Reject> {
    let rules = [
        (terms.subject != *issuer, "it is of the issuer itself"),
        (terms.expires >= time, "it is over already"),
        (terms.expires <= time.saturating_add(CREDENTIAL_MS_MAX), "it lasts longer than ten years"),
    ];
    if let Some((_, what)) = rules.iter().find(|(holds, _)| !holds) {
        return Err(Reject::CredentialTerms { what });
    }
    if !terms.counts() {
        return Ok(());
    }
    let authority = authority.ok_or(Reject::NotAuthority)?;
    if terms.level > authority.level_max {
        return Err(Reject::AuthorityScope { what: "the level" });
    }
    if terms.certified.is_some_and(|certified| !authority.certifies.contains(certified)) {
        return Err(Reject::AuthorityScope { what: "the type" });
    }
    Ok(())
}

/// Whether a credential can be issued where `known` is, if anything: what is over makes room for its like.
///
/// # Errors
/// [`Reject::CredentialExists`] if it holds.
pub fn check_room(known: Option<&Credential>, time: u64) -> Result<(), Reject> {
    let holds = known.is_some_and(|known| known.terms.expires >= time);
    if holds { Err(Reject::CredentialExists) } else { Ok(()) }
}

/// Notes in the subject's record what an authority certifies. Whatever the subject holds, there is room for one entry of each
/// authority.
///
/// # Errors
/// [`Reject::CertifiedAlready`] if another credential of the authority counts, [`Reject::CertifiedOtherwise`] if the types
/// that count would differ.
pub fn certify(record: &mut AccountRecord, issuer: &Address, terms: &CredentialTerms, time: u64) -> Result<(), Reject> {
    let known = record.gates.as_ref().map_or(&[][..], |gates| &gates.certifications);
    for other in known.iter().filter(|other| other.is_live(time)) {
        if other.issuer == *issuer {
            return Err(Reject::CertifiedAlready { claims: other.claims });
        }
        if let (Some(certified), Some(claimed)) = (other.certified, terms.certified)
            && certified != claimed
        {
            return Err(Reject::CertifiedOtherwise { certified: certified.name() });
        }
    }
    let CredentialTerms { claims, level, certified, expires, .. } = *terms;
    let certification = Certification { issuer: *issuer, claims, level, certified, until: expires };
    record.change_gates(|gates| {
        gates.certifications.retain(|known| known.issuer != *issuer);
        let at = gates.certifications.partition_point(|known| known.issuer < *issuer);
        gates.certifications.insert(at, certification);
    });
    Ok(())
}

/// Whether the subject's record has this credential.
pub fn is_certified(record: &AccountRecord, credential: &Credential) -> bool {
    let known = record.gates.as_ref().map_or(&[][..], |gates| &gates.certifications);
    known.iter().any(|known| is_of(known, credential))
}

/// Takes a credential that is no more out of the subject's record, if it is there.
pub fn lift(record: &mut AccountRecord, credential: &Credential) {
    record.change_gates(|gates| gates.certifications.retain(|known| !is_of(known, credential)));
}

fn is_of(certification: &Certification, credential: &Credential) -> bool {
    certification.issuer == credential.issuer && certification.claims == credential.terms.claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::Digest;
    use ghostplane_types::{EntityType, EntityTypes};

    const TIME: u64 = 1_000;

    fn address(number: u8) -> Address {
        Address::from_bytes([number; 32])
    }

    fn terms(claims: u8, level: u8, certified: Option<EntityType>, expires: u64) -> CredentialTerms {
        CredentialTerms { subject: address(9), claims: Digest([claims; 32]), level, certified, expires }
    }

    #[test]
    fn who_may_say_what() {
        let authority =
            Authority { address: address(1), level_max: 2, certifies: EntityTypes::of(&[EntityType::Bridge]) };
        let bridge = Some(EntityType::Bridge);
        let cases = [
            (terms(1, 0, None, TIME), None, 0),
            (terms(1, 0, None, TIME - 1), None, 290),
            (terms(1, 0, None, TIME + CREDENTIAL_MS_MAX), None, 0),
            (terms(1, 0, None, TIME + CREDENTIAL_MS_MAX + 1), None, 290),
            (CredentialTerms { subject: address(1), ..terms(1, 0, None, TIME) }, None, 290),
            (terms(1, 1, None, TIME), None, 293),
            (terms(1, 0, bridge, TIME), None, 293),
            (terms(1, 2, bridge, TIME), Some(&authority), 0),
            (terms(1, 3, None, TIME), Some(&authority), 294),
            (terms(1, 0, Some(EntityType::Oracle), TIME), Some(&authority), 294),
        ];
        for (at, (terms, authority, code)) in cases.into_iter().enumerate() {
            let found = check_terms(&address(1), authority, &terms, TIME).err().map_or(0, |reject| reject.code());
            assert_eq!(found, code, "case {at}");
        }
    }

    #[test]
    fn what_counts_never_contradicts_itself() {
        let mut record = AccountRecord::new(address(9));
        let certify = |record: &mut AccountRecord, issuer, terms: &CredentialTerms, time| {
            certify(record, &address(issuer), terms, time).err().map_or(0, |reject| reject.code())
        };
        let (bridge, oracle) = (Some(EntityType::Bridge), Some(EntityType::Oracle));
        assert_eq!(certify(&mut record, 3, &terms(1, 1, bridge, 2_000), TIME), 0);
        assert_eq!(certify(&mut record, 3, &terms(2, 2, bridge, 2_000), TIME), 296);
        assert_eq!(certify(&mut record, 2, &terms(1, 2, oracle, 3_000), TIME), 295);
        assert_eq!(certify(&mut record, 2, &terms(1, 2, bridge, 3_000), TIME), 0);
        assert_eq!(certify(&mut record, 1, &terms(1, 3, None, 1_500), TIME), 0);
        assert_eq!((record.standing(TIME).level, record.standing(TIME).certified), (3, bridge));
        // What is over neither counts nor stands in the way.
        assert_eq!(certify(&mut record, 3, &terms(2, 1, oracle, 9_000), 2_001), 295);
        assert_eq!(certify(&mut record, 3, &terms(2, 1, oracle, 9_000), 3_001), 0);
        assert_eq!((record.standing(3_001).level, record.standing(3_001).certified), (1, oracle));
        let gates = record.gates.as_ref().expect("certified");
        assert!(gates.certifications.windows(2).all(|pair| pair[0].issuer < pair[1].issuer));
        assert_eq!(gates.certifications.len(), 3);

        let old = Credential { issuer: address(3), terms: terms(1, 1, bridge, 2_000), issued: TIME };
        let new = Credential { issuer: address(3), terms: terms(2, 1, oracle, 9_000), issued: 3_001 };
        assert!(!is_certified(&record, &old) && is_certified(&record, &new));
        lift(&mut record, &new);
        assert_eq!(record.standing(3_001).certified, None);
    }
}

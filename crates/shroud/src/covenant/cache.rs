//! Sets that were parsed before.

use super::set::{PolicySet, SetError};
use ghostplane_ghostcipher::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parsed sets by the digest of what they are stored as, the least recently used leaving first.
///
/// Setting takes milliseconds, deciding microseconds, so nobody parses for a decision. What a decision is never depends on
/// what is in here.
#[derive(Debug)]
pub struct Cache {
    sets: BTreeMap<Digest, (u64, Arc<PolicySet>)>,
    /// When each was used, in the cache's own count.
    used: BTreeMap<u64, Digest>,
    clock: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    /// A cache of sets that have together at most so many [`PolicySet::bytes`]. The last one set stays in any case.
    pub fn new(bytes_max: usize) -> Self {
        Self { sets: BTreeMap::new(), used: BTreeMap::new(), clock: 0, bytes: 0, bytes_max }
    }

    /// The set stored under `digest`: a parsed one, or `text`, which must be what the digest is of.
    ///
    /// # Errors
    /// As [`PolicySet::set_at`]; nothing is kept then.
    pub fn set_at(&mut self, digest: Digest, text: &str, schema_version: u16) -> Result<Arc<PolicySet>, SetError> {
        if let Some(set) = self.find(&digest) {
            return Ok(set);
        }
        let set = Arc::new(PolicySet::set_at(text, schema_version)?);
        self.bytes += set.bytes();
        self.sets.insert(digest, (self.clock, set.clone()));
        self.used.insert(self.clock, digest);
        self.clock += 1;
        while self.bytes > self.bytes_max && self.sets.len() > 1 {
            let (_, oldest) = self.used.pop_first().expect("every set has its time");
            let (_, gone) = self.sets.remove(&oldest).expect("every time has its set");
            self.bytes -= gone.bytes();
        }
        Ok(set)
    }

    /// The parsed set of that digest.
    pub fn find(&mut self, digest: &Digest) -> Option<Arc<PolicySet>> {
        let (used, set) = self.sets.get_mut(digest)?;
        self.used.remove(used);
        *used = self.clock;
        self.used.insert(self.clock, *digest);
        self.clock += 1;
        Some(set.clone())
    }

    /// Sets in the cache.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::covenant::SCHEMA_VERSION;

    #[test]
    fn what_was_used_least_leaves_first_and_bad_texts_never_enter() {
        let text = "permit (principal, action, resource) when { context.time > 5 };";
        let bytes = PolicySet::set(text).expect("good").bytes();
        let mut cache = Cache::new(3 * bytes);
        let digest = |at: u8| Digest([at; 32]);
        for at in 0..3 {
            cache.set_at(digest(at), text, SCHEMA_VERSION).expect("good");
        }
        assert!(cache.find(&digest(0)).is_some());
        assert!(cache.set_at(digest(9), "permit", SCHEMA_VERSION).is_err());
        cache.set_at(digest(3), text, SCHEMA_VERSION).expect("good");
        let there: Vec<bool> = (0..4).map(|at| cache.sets.contains_key(&digest(at))).collect();
        assert_eq!(there, [true, false, true, true]);
        assert_eq!((cache.bytes, cache.used.len()), (3 * bytes, 3));
        // Found, so not parsed: the text does not matter any more.
        assert!(cache.set_at(digest(3), "permit", SCHEMA_VERSION).is_ok());
        let mut tiny = Cache::new(0);
        tiny.set_at(digest(1), text, SCHEMA_VERSION).expect("good");
        tiny.set_at(digest(2), text, SCHEMA_VERSION).expect("good");
        assert_eq!(tiny.len(), 1);
    }
    #[test]
    fn a_long_comment_counts_as_what_it_takes() {
        let text = format!("permit (principal, action, resource); // {}", "x".repeat(60_000));
        let mut cache = Cache::new(1 << 20);
        for at in 0..100 {
            cache.set_at(Digest([at; 32]), &text, SCHEMA_VERSION).expect("one node, and much to keep");
        }
        assert!(cache.len() < 18 && cache.bytes <= 1 << 20, "{} sets, {} bytes", cache.len(), cache.bytes);
    }
}

//! Credentials of the working set.

use super::{Counted, Reach, Undo, Working, object_reads};
use crate::execute::{ExecuteError, Halt};
use ghostplane_keystone::{ObjectChange, ObjectRef, StateView};
use ghostplane_types::codec::{Decode, Encode};
use ghostplane_types::{Credential, ObjectKey, Reject};
use std::collections::btree_map::Entry;

/// A credential, or that there is none.
pub(super) struct KnownCredential<'a> {
    key: ObjectKey,
    pub(super) before: Option<ObjectRef<'a>>,
    now: Option<Credential>,
    /// Whether the batch includes something that touches it.
    pub(super) counted: bool,
}

impl<'a> Working<'a> {
    /// Reads the credentials that were listed and are not known yet.
    pub(super) fn read_credentials(&mut self, view: &'a impl StateView, reach: &mut Reach) -> Result<(), Halt> {
        for key in reach.credentials.drain(..) {
            if let Entry::Vacant(vacant) = self.credentials.entry(key) {
                let before = view.object(&key)?;
                let now = before.map(|object| Credential::from_bytes(object.value)).transpose();
                let now = now.map_err(|_| ExecuteError::Inconsistent("a credential does not decode"))?;
                let is_at_home = |known: &Credential| {
                    ObjectKey::credential(&known.issuer, &known.terms.subject, &known.terms.claims) == key
                };
                if !now.as_ref().is_none_or(is_at_home) {
                    return Err(ExecuteError::Inconsistent("a credential is under another's key").into());
                }
                vacant.insert(KnownCredential { key, before, now, counted: false });
            }
        }
        Ok(())
    }

    /// Counts a credential as touched.
    pub(crate) fn count_credential(&mut self, key: &ObjectKey) {
        let known = self.credentials.get_mut(key).expect("what is counted was read");
        if !std::mem::replace(&mut known.counted, true) {
            let (objects, value_bytes) = object_reads(known.before);
            self.reads.objects += objects;
            self.reads.value_bytes += value_bytes;
            self.counted.push(Counted::Credential(*key));
        }
    }

    /// Takes back that a credential was counted.
    pub(super) fn uncount_credential(&mut self, key: &ObjectKey) {
        let known = self.credentials.get_mut(key).expect("what was counted was read");
        let (objects, value_bytes) = object_reads(known.before);
        known.counted = false;
        self.reads.objects -= objects;
        self.reads.value_bytes -= value_bytes;
    }

    /// The credential under a key that was listed before, if there is one.
    pub(crate) fn credential(&self, key: &ObjectKey) -> Option<&Credential> {
        self.credentials.get(key).and_then(|known| known.now.as_ref())
    }

    /// Makes, replaces or removes a credential, as part of what [`Working::rollback`] takes back. It was listed before.
    pub(crate) fn set_credential(&mut self, key: &ObjectKey, now: Option<Credential>) -> Result<(), Reject> {
        if now.is_some() && self.credential(key).is_none() {
            self.check_objects()?;
        }
        let was = self.put_credential(key, now);
        self.undo.push(Undo::Credential { key: *key, was });
        Ok(())
    }

    /// Puts a credential in its place and says what was there.
    pub(super) fn put_credential(&mut self, key: &ObjectKey, now: Option<Credential>) -> Option<Credential> {
        let known = self.credentials.get_mut(key).expect("it was listed before");
        let was = std::mem::replace(&mut known.now, now);
        // One that was made and removed in the batch leaves nothing.
        if known.before.is_none() {
            self.objects_made -= u32::from(was.is_some());
            self.objects_made += u32::from(known.now.is_some());
        }
        was
    }

    /// What became of the credentials.
    pub(super) fn credential_changes(&self) -> impl Iterator<Item = ObjectChange> {
        self.credentials.values().filter_map(|known| {
            let old: Option<Box<[u8]>> = known.before.map(|before| Box::from(before.value));
            let new = known.now.map(|now| now.to_bytes().into_boxed_slice());
            (old != new).then_some(ObjectChange { key: known.key, old, new })
        })
    }
}

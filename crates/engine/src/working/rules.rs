//! The rules that a batch may ask: published texts by name, and where the plane has attached them.
//!
//! What is read names what else is read: a record and a registration their rules, the plane's rules theirs. So a text is there
//! whenever something that it is attached to is, whether it will be asked or not.

use super::{Counted, Undo, Working, object_reads};
use crate::execute::{ExecuteError, Halt};
use crate::working::Reach;
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::{ObjectChange, ObjectRef, StateView};
use ghostplane_shroud::covenant::PolicySet;
use ghostplane_types::codec::{Decode, Encode};
use ghostplane_types::{CovenantText, ObjectKey, PlaneRules, Reject};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// A text, published or not yet.
struct Text<'a> {
    key: ObjectKey,
    before: Option<ObjectRef<'a>>,
    now: Option<CovenantText>,
    /// Whether the batch includes something that touches it.
    counted: bool,
    /// The rules in it, once something in the batch has asked them.
    asked: Option<Arc<PolicySet>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct RuleBook<'a> {
    texts: BTreeMap<Digest, Text<'a>>,
    before_plane: Option<ObjectRef<'a>>,
    plane: PlaneRules,
    /// Whether the rules of the plane were read: they are of planes with a governor alone.
    is_governed: bool,
    /// Whether anything that was read has to do with rules.
    matters: bool,
    /// The texts that were asked, in the order in which they were first.
    asked: Vec<Digest>,
}

impl<'a> Working<'a> {
    /// Reads the plane's own rules, if it can have any, and lists what they name.
    pub(crate) fn read_plane_rules(&mut self, view: &'a impl StateView, reach: &mut Reach) -> Result<(), Halt> {
        if self.plane.genesis().governance.governor.is_none() {
            return Ok(());
        }
        let book = &mut self.rules;
        book.is_governed = true;
        book.before_plane = view.object(&ObjectKey::plane_rules())?;
        if let Some(object) = book.before_plane {
            let rules = PlaneRules::from_bytes(object.value);
            book.plane = rules.map_err(|_| ExecuteError::Inconsistent("the plane's rules do not decode"))?;
            book.plane.texts().for_each(|digest| reach.text(digest));
            book.matters |= book.plane != PlaneRules::default();
        }
        Ok(())
    }

    /// Reads the texts that were listed.
    pub(super) fn read_texts(&mut self, view: &'a impl StateView, reach: &mut Reach) -> Result<(), Halt> {
        for digest in reach.texts.drain(..) {
            self.rules.matters = true;
            if let Entry::Vacant(vacant) = self.rules.texts.entry(digest) {
                let key = ObjectKey::covenant(&digest);
                let before = view.object(&key)?;
                let now = before.map(|object| CovenantText::from_bytes(object.value)).transpose();
                let now = now.map_err(|_| ExecuteError::Inconsistent("a covenant does not decode"))?;
                vacant.insert(Text { key, before, now, counted: false, asked: None });
            }
        }
        Ok(())
    }

    /// Notes that something read has to do with rules, though it names none.
    pub(super) fn note_rules(&mut self) {
        self.rules.matters = true;
    }

    /// Whether rules can matter to anything in the batch so far.
    pub(crate) fn has_rules(&self) -> bool {
        self.rules.matters
    }

    /// What a witness needs for all texts and the rules of the plane: see [`super::Reads`].
    pub(super) fn count_all_texts(&mut self) -> (usize, usize) {
        let book = &mut self.rules;
        book.texts.values_mut().for_each(|text| text.counted = true);
        let plane = if book.is_governed { object_reads(book.before_plane) } else { (0, 0) };
        book.texts.values().fold(plane, |sum, text| {
            let (objects, bytes) = object_reads(text.before);
            (sum.0 + objects, sum.1 + bytes)
        })
    }

    /// Counts a text as touched.
    pub(crate) fn count_text(&mut self, digest: Digest) {
        let text = self.rules.texts.get_mut(&digest).expect("what is counted was read");
        if !std::mem::replace(&mut text.counted, true) {
            let (objects, value_bytes) = object_reads(text.before);
            self.reads.objects += objects;
            self.reads.value_bytes += value_bytes;
            self.counted.push(Counted::Text(digest));
        }
    }

    pub(super) fn uncount_text(&mut self, digest: Digest) {
        let text = self.rules.texts.get_mut(&digest).expect("what was counted was read");
        text.counted = false;
        let (objects, value_bytes) = object_reads(text.before);
        self.reads.objects -= objects;
        self.reads.value_bytes -= value_bytes;
    }

    pub(super) fn forget_uncounted_texts(&mut self) {
        self.rules.texts.retain(|_, text| text.counted);
    }

    pub(super) fn texts(&self) -> usize {
        self.rules.texts.len()
    }

    // Reading.

    /// A published text.
    pub(crate) fn text(&self, digest: &Digest) -> Option<&CovenantText> {
        self.rules.texts.get(digest).and_then(|text| text.now.as_ref())
    }

    /// The rules of plane and bridged assets.
    pub(crate) fn plane_rules(&self) -> &PlaneRules {
        &self.rules.plane
    }

    /// Whether something in the batch has asked the rules in a text.
    pub(crate) fn was_asked(&self, digest: &Digest) -> bool {
        self.rules.texts.get(digest).is_some_and(|text| text.asked.is_some())
    }

    /// The rules in a text, if it is published and still understood.
    pub(crate) fn ask_text(&mut self, digest: Digest) -> Option<Arc<PolicySet>> {
        let text = self.rules.texts.get_mut(&digest)?;
        if let Some(set) = &text.asked {
            return Some(set.clone());
        }
        let set = self.plane.policy_set(digest, text.now.as_ref()?)?;
        text.asked = Some(set.clone());
        self.rules.asked.push(digest);
        Some(set)
    }

    /// The rules in a text, without asking them.
    pub(crate) fn policy_set(&self, digest: &Digest) -> Option<Arc<PolicySet>> {
        let text = self.rules.texts.get(digest)?;
        text.asked.clone().or_else(|| self.plane.policy_set(*digest, text.now.as_ref()?))
    }

    /// How many texts were asked.
    pub(crate) fn texts_asked(&self) -> usize {
        self.rules.asked.len()
    }

    /// Takes back that texts were asked, from position `len` on.
    pub(crate) fn unask_texts(&mut self, len: usize) {
        for digest in self.rules.asked.split_off(len) {
            self.rules.texts.get_mut(&digest).expect("what was asked was read").asked = None;
        }
    }

    // Applying.

    /// Publishes a text that was listed before and is not published yet.
    pub(crate) fn publish(&mut self, digest: Digest, text: CovenantText) -> Result<(), Reject> {
        self.check_objects()?;
        self.objects_made += 1;
        self.rules.texts.get_mut(&digest).expect("it was listed before").now = Some(text);
        self.undo.push(Undo::Text(digest));
        Ok(())
    }

    pub(super) fn unpublish(&mut self, digest: Digest) {
        self.objects_made -= 1;
        self.rules.texts.get_mut(&digest).expect("it was published").now = None;
    }

    /// Changes the rules of plane and bridged assets. Says whether they are the first.
    pub(crate) fn set_plane_rules(&mut self, rules: PlaneRules) -> Result<bool, Reject> {
        let is_first = self.rules.before_plane.is_none() && self.rules.plane == PlaneRules::default();
        if is_first {
            self.check_objects()?;
            self.objects_made += 1;
        }
        let was = std::mem::replace(&mut self.rules.plane, rules);
        self.undo.push(Undo::PlaneRules { was: Box::new(was), is_first });
        Ok(is_first)
    }

    pub(super) fn unset_plane_rules(&mut self, was: PlaneRules, is_first: bool) {
        self.objects_made -= u32::from(is_first);
        self.rules.plane = was;
    }

    /// What changed.
    pub(super) fn rule_changes(&self) -> Vec<ObjectChange> {
        let made = self.rules.texts.values().filter(|text| text.before.is_none());
        let made = made.filter_map(|text| {
            let now = text.now.as_ref()?;
            Some(ObjectChange { key: text.key, old: None, new: Some(now.to_bytes().into()) })
        });
        let mut changes: Vec<ObjectChange> = made.collect();
        let before = self.rules.before_plane.map(|object| object.value);
        let now = self.rules.plane.to_bytes();
        if before.unwrap_or(&PlaneRules::default().to_bytes()) != now {
            let old = before.map(Box::from);
            changes.push(ObjectChange { key: ObjectKey::plane_rules(), old, new: Some(now.into()) });
        }
        changes
    }
}

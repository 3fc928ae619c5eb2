//! Lists whose entries are proven one by one. Which there are stays the node's word: a proof shows what is there, or that one thing
//! is not, and never that nothing else is.

use super::show::anchor;
use crate::screen::Screen;
use anyhow::bail;
use ghostplane_client::{Client, Rung};
use ghostplane_types::BatchHeader;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The headers under which entries of a list were proven: several, where batches were sealed meanwhile.
#[derive(Debug, Default)]
pub(super) struct Headers(BTreeMap<u64, BatchHeader>);

/// What all entries of a list rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    /// The first and the last of the batches.
    batches: Option<(u64, u64)>,
    /// How far the one has come that has come least far; none while one has no commitment.
    rung: Option<Rung>,
}

impl Headers {
    /// One more entry was proven under this header.
    ///
    /// # Errors
    /// If the node showed another header of that batch.
    pub(super) fn add(&mut self, header: &BatchHeader) -> anyhow::Result<()> {
        if *self.0.entry(header.number).or_insert(*header) != *header {
            bail!("the node shows two headers of batch {}: one of them is a lie", header.number);
        }
        Ok(())
    }

    /// Looks for the commitments that the headers are under.
    pub(super) async fn basis(&self, client: &Client, screen: &Screen) -> anyhow::Result<Basis> {
        let batches = self.0.first_key_value().zip(self.0.last_key_value()).map(|(first, last)| (*first.0, *last.0));
        let mut rung = None;
        // The newest first: once it has its commitment, those before it have theirs.
        for header in self.0.values().rev() {
            let Some(anchored) = anchor(client, header, screen).await? else {
                return Ok(Basis { batches, rung: None });
            };
            rung = Some(rung.map_or(anchored.rung, |least: Rung| least.min(anchored.rung)));
        }
        Ok(Basis { batches, rung })
    }
}

impl Basis {
    /// Says what was checked, and what cannot be. `what` are the entries.
    pub(super) fn show(&self, what: &str, screen: &Screen) {
        if let Some((first, last)) = self.batches {
            let under = if first == last { format!("batch {last}") } else { format!("batches {first} to {last}") };
            screen.good(&format!("{what}: each proven under the state of {under}"));
            match self.rung {
                Some(rung) => screen.good(&format!("whose headers are under commitments: {}", rung.word())),
                None => screen.bad("no commitment yet: headers are the node's word so far. Ask again later"),
            }
        }
        screen.note("That there are no others is the node's word.");
    }

    pub(super) fn json(&self) -> Value {
        let (first, last) = self.batches.unzip();
        json!({ "first_batch": first, "last_batch": last, "rung": self.rung.map(Rung::word), "complete": "the node's word" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_keystone::{Keystone, StateView as _};
    use ghostplane_types::PlaneState;

    #[test]
    fn one_batch_has_one_header() {
        let roots = Keystone::new(1).roots();
        let state = PlaneState { number: 7, time: 5, roots, inbox_upto: 0, log_upto: 0, outbox_upto: 0 };
        let header = BatchHeader::genesis(&state);
        let mut headers = Headers::default();
        headers.add(&header).expect("the first");
        headers.add(&header).expect("the same");
        let other = BatchHeader { time: 6, ..header };
        assert!(headers.add(&other).expect_err("two of one batch").to_string().contains("two headers"));
        headers.add(&BatchHeader { number: 8, ..other }).expect("another batch");
        assert_eq!(headers.0.len(), 2);
    }
}

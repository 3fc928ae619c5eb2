//! Pays every row once. The rule: a row keeps its sequence number until it is certain that another transaction used that
//! number up, so that of all that was ever signed for the row at most one is executed.

use super::journal::{Past, Record, Seat, Signed, Storage, frame};
use anyhow::{Context as _, bail};
use ghostplane_ghostcipher::Digest;

/// Transactions under way: what a node takes of one sender before the first of them is executed.
pub(super) const WINDOW: usize = 64;
/// Rounds in a row that bring nothing new before the run gives up; the next one takes it up again.
const IDLE_ROUNDS_MAX: u32 = 20;

/// The payer's account, proven, as of the newest sealed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) next: u64,
    pub(super) batch: u64,
    pub(super) time: u64,
}

/// What became of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Executed; 0 if applied.
    Executed(u16),
    /// Not now; the same again later.
    Later,
    /// No longer valid. Signed anew under its number, which is safe whatever became of it.
    Expired,
    /// Its number was used, by whichever transaction.
    Used,
    /// Not executed, for a reason that somebody must see.
    Refused(String),
}

/// The plane as a payout sees it.
pub(super) trait Plane {
    async fn standing(&mut self) -> anyhow::Result<Standing>;
    /// Submits in this order; an answer for each. If nobody knows, the answer is [`Answer::Later`].
    async fn submit(&mut self, transactions: &[&Signed]) -> anyhow::Result<Vec<Answer>>;
    /// The outcome of a transaction, if the node knows it.
    async fn lookup(&mut self, id: &Digest) -> anyhow::Result<Option<u16>>;
    /// Whether the node still has a batch, and so everything since.
    async fn keeps(&mut self, batch: u64) -> anyhow::Result<bool>;
    /// Waits a moment.
    async fn pause(&mut self);
    /// Signs the payment of a row.
    async fn sign(&mut self, row: u64, sequence: u64, standing: &Standing) -> anyhow::Result<Signed>;
    /// Whether a transaction lacks consent that this run could give it.
    fn lacks_consent(&self, signed: &Signed) -> bool;
    /// So many more rows are done.
    fn progress(&mut self, rows: u64);
}

/// Adds records to journal and memory; durable when it returns.
fn note(past: &mut Past, journal: &mut impl Storage, records: Vec<Record>) -> anyhow::Result<()> {
    let written = journal.append(&frame(&records)).and_then(|()| journal.sync());
    written.context("cannot write the journal; see that there is room and run the same command again")?;
    records.into_iter().for_each(|record| past.apply(record));
    Ok(())
}

/// Pays the rows that are not done, in order.
pub(super) async fn run(
    rows: &[u64],
    past: &mut Past,
    journal: &mut impl Storage,
    plane: &mut impl Plane,
) -> anyhow::Result<()> {
    let mut standing = plane.standing().await?;
    let approved = approve(past, plane, &standing).await?;
    if !approved.is_empty() {
        note(past, journal, approved)?;
    }
    let mut idle = 0;
    let mut waiting = rows.iter().filter(|row| !past.done.contains_key(row) && !past.seats.contains_key(row));
    let mut waiting = waiting.by_ref().copied().collect::<Vec<_>>().into_iter().peekable();
    loop {
        let mut fresh = renew(past, plane, &mut standing).await?;
        let taken = fresh.iter().filter_map(|record| match record {
            Record::Signed(signed) => signed.sequence.checked_add(1),
            Record::Head(_) | Record::Done { .. } => None,
        });
        let mut next = past.next.max(standing.next).max(taken.max().unwrap_or(0));
        let mut seated = past.seats.len();
        while seated < WINDOW
            && let Some(row) = waiting.next()
        {
            fresh.push(Record::Signed(plane.sign(row, next, &standing).await?));
            next = next.checked_add(1).context("the payer's sequence numbers are used up")?;
            seated += 1;
        }
        if !fresh.is_empty() {
            note(past, journal, fresh)?;
        }
        if past.seats.is_empty() {
            return Ok(());
        }
        let mut batch: Vec<&Signed> = past.seats.values().filter_map(|seat| seat.signed.last()).collect();
        batch.sort_unstable_by_key(|signed| signed.sequence);
        batch.truncate(WINDOW);
        let answers = plane.submit(&batch).await?;
        let rows: Vec<(u64, u64)> = batch.iter().map(|signed| (signed.row, signed.sequence)).collect();
        let mut done = Vec::new();
        let mut renewed = Vec::new();
        let mut refused = None;
        for ((row, sequence), answer) in rows.iter().zip(answers) {
            match answer {
                Answer::Executed(code) => done.push(Record::Done { row: *row, code }),
                Answer::Later | Answer::Used => {}
                Answer::Expired => renewed.push(Record::Signed(plane.sign(*row, *sequence, &standing).await?)),
                Answer::Refused(reason) => refused = refused.or(Some((*row, reason))),
            }
        }
        let brought = done.len() as u64;
        if brought > 0 {
            note(past, journal, done)?;
            plane.progress(brought);
            idle = 0;
        } else {
            idle += 1;
        }
        if !renewed.is_empty() {
            note(past, journal, renewed)?;
        }
        if let Some((row, reason)) = refused {
            bail!(
                "line {row} is not paid: {reason}. Once that is mended, run the same command again: it goes on from here"
            );
        }
        if past.seats.is_empty() && waiting.peek().is_none() {
            return Ok(());
        }
        if brought == 0 {
            if idle >= IDLE_ROUNDS_MAX {
                bail!("the node takes no more transactions; run the same command again later: it goes on from here");
            }
            plane.pause().await;
        }
        standing = plane.standing().await?;
    }
}

/// Signs anew what an earlier run signed without consent that there is now. Under its number, which is safe whatever became of it.
async fn approve(past: &Past, plane: &mut impl Plane, standing: &Standing) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for (row, seat) in &past.seats {
        let Some(last) = seat.signed.last().filter(|last| last.sequence >= standing.next) else { continue };
        if plane.lacks_consent(last) {
            records.push(Record::Signed(plane.sign(*row, last.sequence, standing).await?));
        }
    }
    Ok(records)
}

/// Looks at the rows whose number is used. What was executed is noted by the records returned; what lost its number to
/// another transaction is signed anew.
async fn renew(past: &Past, plane: &mut impl Plane, standing: &mut Standing) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut next = past.next;
    for (row, seat) in &past.seats {
        let Some(last) = seat.signed.last() else { continue };
        if last.sequence >= standing.next {
            continue;
        }
        // The number is used, by one of the row's own transactions or by somebody else.
        match executed(seat, plane).await? {
            Some(code) => {
                records.push(Record::Done { row: *row, code });
                plane.progress(1);
            }
            None => {
                let since = seat.signed.first().map_or(0, |signed| signed.batch).saturating_add(1);
                if !plane.keeps(since).await? {
                    bail!(
                        "nobody can tell whether line {row} was paid: its number {} is used, and this node has forgotten batch {since}. Ask a node that keeps everything (--url), by  ghostplane tx {}",
                        last.sequence,
                        last.id
                    );
                }
                next = next.max(standing.next);
                records.push(Record::Signed(plane.sign(*row, next, standing).await?));
                next = next.checked_add(1).context("the payer's sequence numbers are used up")?;
            }
        }
        if records.len() >= WINDOW {
            break;
        }
    }
    Ok(records)
}

async fn executed(seat: &Seat, plane: &mut impl Plane) -> anyhow::Result<Option<u16>> {
    for signed in &seat.signed {
        if let Some(code) = plane.lookup(&signed.id).await? {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

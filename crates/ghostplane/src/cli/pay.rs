//! `ghostplane pay`: a file of payments by one payer, each paid once however often the command is run or killed.

mod engine;
mod journal;

use super::connect::{Opening, Target, block_on};
use super::{consent, send, who};
use crate::node::api::code_name;
use crate::payments::{self, Payment};
use crate::screen::{Progress, Screen, duration, grouped, rate};
use anyhow::{Context as _, bail};
use clap::Args;
use engine::{Answer, Plane, Standing, WINDOW};
use ghostplane_client::{Client, ClientError, Consenting, Draft, Gas, Refused, Role, approve, stream};
use ghostplane_ghostcipher::Digest;
use ghostplane_types::{
    AccountRecord, Address, Decode as _, Encode as _, Gid, PlaneRules, PublicKey, Signer, Transaction,
};
use journal::{Head, Record, Signed, Storage};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// A journal repeats each row's transaction, a few times if it has to be signed anew.
const JOURNAL_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
const PAUSE_MS: u64 = 250;

/// `pay` and what follows it.
#[derive(Debug, Args)]
pub struct PayArgs {
    /// The key that pays all rows
    #[arg(long, value_name = "KEY")]
    from: String,
    /// Keys here that approve every row as guardians of the payer
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    approve: Vec<String>,
    /// CSV file with the columns payee, amount, asset, reference; what is done is noted beside it
    #[arg(long, value_name = "FILE.csv")]
    file: PathBuf,
    #[command(flatten)]
    opening: Opening,
}

impl Storage for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

struct Node<'a> {
    client: Client,
    key: crate::keys::SecretKey,
    gid: Gid,
    approvers: Vec<Box<dyn Signer + Send + Sync>>,
    record: Option<AccountRecord>,
    /// Whether rules of the plane or of assets may be asked about the rows.
    has_rules: bool,
    rows: BTreeMap<u64, (Address, &'a Payment)>,
    progress: Progress<'a>,
}

impl Plane for Node<'_> {
    async fn standing(&mut self) -> anyhow::Result<Standing> {
        let account = self.client.account(&self.gid.address()).await?;
        self.record = account.record().cloned();
        let next = self.record.as_ref().map_or(0, |record| record.next_in_lane(0));
        Ok(Standing { next, batch: account.header().number, time: account.header().time })
    }

    async fn submit(&mut self, transactions: &[&Signed]) -> anyhow::Result<Vec<Answer>> {
        let mut answers = vec![Answer::Later; transactions.len()];
        // A stream that breaks leaves its transactions unanswered: they are sent again, which executes them once.
        match self.stream(transactions, &mut answers).await {
            Ok(()) | Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. }) => Ok(answers),
            Err(error) => Err(error.into()),
        }
    }

    async fn lookup(&mut self, id: &Digest) -> anyhow::Result<Option<u16>> {
        match self.client.receipt(id).await {
            Ok(receipt) => Ok(Some(receipt.claimed().code)),
            Err(ClientError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn keeps(&mut self, batch: u64) -> anyhow::Result<bool> {
        match self.client.batch(batch, true, false).await {
            Ok(_) => Ok(true),
            Err(ClientError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }

    async fn sign(&mut self, row: u64, sequence: u64, standing: &Standing) -> anyhow::Result<Signed> {
        let (to, payment) =
            self.rows.get(&row).with_context(|| format!("the journal has line {row}, the file has not"))?;
        let valid_until = send::valid_until(standing.time);
        let role = Role::of(self.record.as_ref(), &self.key.public_key()).unwrap_or(Role::Key(0));
        let draft = Draft::new(self.client.plane(), self.client.info().gas_price)
            .transfer(*to, payment.money.asset, payment.money.amount)
            .memo(payment.reference.clone())
            .valid(0, valid_until)
            .role(role);
        let draft = self.with_room(draft, role, standing).await?;
        let draft = draft.room_for(self.approvers.iter().map(|key| key.public_key().scheme()));
        let mut transaction = draft.sign(&self.key, self.gid, sequence)?;
        self.approvers.iter().try_for_each(|key| approve(&mut transaction, &**key))?;
        let (id, bytes) = (transaction.body.id(), transaction.to_bytes());
        Ok(Signed { row, sequence, batch: standing.batch, valid_until, id, bytes })
    }

    fn lacks_consent(&self, signed: &Signed) -> bool {
        // What cannot be read is not of this program: the node says what is wrong with it.
        let Ok(transaction) = Transaction::from_bytes(&signed.bytes) else { return false };
        let is_there = |key: &PublicKey| transaction.approvals.iter().any(|approval| approval.key == *key);
        !self.approvers.iter().all(|key| is_there(&key.public_key()))
    }

    fn progress(&mut self, rows: u64) {
        self.progress.inc(rows);
    }
}

impl Node<'_> {
    /// The draft with gas for asking the payer's rules and those of plane and assets, where there are any: as much as it would
    /// take first in a batch.
    async fn with_room(&self, draft: Draft, role: Role, standing: &Standing) -> anyhow::Result<Draft> {
        let gates = self.record.as_ref().and_then(|record| record.gates.as_ref());
        if !self.has_rules && gates.is_none_or(|gates| gates.covenants.outgoing.is_none()) {
            return Ok(draft);
        }
        let approvers = self.approvers.iter().map(|key| key.public_key()).collect();
        let account = self.gid.address();
        let by = Consenting { account, identity: self.gid, role, sequence: standing.next, approvers };
        let tried = self.client.simulate_draft(&draft, Gas::Free, &by).await?;
        Ok(match tried.filter(|tried| tried.is_admitted) {
            Some(tried) => draft.gas_seen(tried.gas),
            None => draft,
        })
    }

    async fn stream(&self, transactions: &[&Signed], answers: &mut [Answer]) -> Result<(), ClientError> {
        let mut stream = self.client.submit_stream(stream::Trust::Verified).await?;
        stream.send(0, transactions.iter().map(|signed| signed.bytes.clone().into()).collect()).await?;
        stream.finish();
        while let Some((reference, answer)) = stream.next().await? {
            let place = usize::try_from(reference).ok().and_then(|at| answers.get_mut(at));
            let Some(place) = place else { continue };
            *place = match answer {
                stream::Answer::Verified(receipt) => Answer::Executed(receipt.claimed().code),
                // Not asked for.
                stream::Answer::Unverified { .. } => Answer::Later,
                stream::Answer::Refused(refused) if refused.name == "NonceUsed" => Answer::Used,
                stream::Answer::Refused(refused) if refused.name == "Expired" => Answer::Expired,
                // Known: its receipt is found once its batch is sealed. A gap closes when the ones before are in.
                stream::Answer::Refused(refused)
                    if refused.passes()
                        || refused.code == Refused::KNOWN
                        // One of this payout's own that was signed without approvals waits there, until it is refused.
                        || matches!(refused.name.as_str(), "NonceGap" | "Underpriced") =>
                {
                    Answer::Later
                }
                stream::Answer::Refused(refused) if refused.name == "QuorumMissing" => Answer::Refused(format!(
                    "{refused} ({}); guardians on this machine approve all rows with --approve KEY,…",
                    refused.code
                )),
                stream::Answer::Refused(refused) => Answer::Refused(refused.to_string()),
            };
        }
        Ok(())
    }
}

/// Pays a file.
pub fn run(args: &PayArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    let content = read_bounded(&args.file, FILE_BYTES_MAX)?;
    let payer = who::resolve(&args.from, &dir)?;
    let read = payments::parse_of_payer(&content, &args.from, &[args.from.clone(), payer.text()])
        .with_context(|| format!("cannot use {} as a payment file", args.file.display()))?;
    let mut bad: Vec<(u64, String)> = read.refused.into_iter().map(|row| (row.line, row.problem)).collect();
    let mut rows = BTreeMap::new();
    for payment in &read.payments {
        match who::resolve(&payment.payee, &dir) {
            Ok(payee) => drop(rows.insert(payment.line, (payee, payment))),
            Err(error) => bad.push((payment.line, format!("{error:#}"))),
        }
    }
    if !bad.is_empty() {
        bad.sort();
        bad.iter().take(20).for_each(|(line, problem)| screen.bad(&format!("line {line}: {problem}")));
        bail!("{} rows are no payments, the first in line {}: {}; nothing was paid", bad.len(), bad[0].0, bad[0].1);
    }
    block_on(async {
        let client = target.connect().await?;
        let (info, key) = args.opening.open(target, &args.from)?;
        let approvers = consent::open_all(&args.approve, &args.opening, target)?;
        payer.check_chain(client.plane().chain_id())?;
        for (payee, _) in rows.values() {
            payee.check_chain(client.plane().chain_id())?;
        }
        let file = Digest(*blake3::hash(&content).as_bytes());
        let head = Head { file, plane: client.plane().id(), payer: Digest(*payer.address.as_bytes()) };
        let (mut storage, mut past, path) = open_journal(&args.file, head)?;
        let before = past.done.len() as u64;
        let lines: Vec<u64> = rows.keys().copied().collect();
        let progress = screen.progress("paying", lines.len() as u64);
        progress.inc(before);
        let rows = rows.into_iter().map(|(line, (payee, payment))| (line, (payee.address, payment))).collect();
        let has_rules = client.rules().await?.rules != PlaneRules::default()
            || read.payments.iter().any(|payment| !payment.money.asset.is_bridged());
        let mut node = Node { client, key, gid: info.gid, approvers, record: None, has_rules, rows, progress };
        let begun = Instant::now();
        engine::run(&lines, &mut past, &mut storage, &mut node).await?;
        let (took, paid) = (begun.elapsed(), past.done.len() as u64 - before);
        drop(node);
        let failed: Vec<(u64, u16)> =
            past.done.iter().filter(|(_, code)| **code != 0).map(|(line, code)| (*line, *code)).collect();
        screen.good(&format!(
            "{} rows done, {} of them now in {} ({})",
            grouped(past.done.len() as u64),
            grouped(paid),
            duration(took),
            rate(paid, took)
        ));
        screen.note(&format!("Noted in {}: keep it, it is what stops a second payment.", path.display()));
        for (line, code) in failed.iter().take(20) {
            screen.bad(&format!("line {line} was executed without effect: {} ({code})", code_name(*code)));
        }
        let list = failed.iter().map(|(line, code)| json!({ "line": line, "code": code, "name": code_name(*code) }));
        screen.emit(&json!({
            "rows": lines.len(), "done": past.done.len(), "done_now": paid, "failed": list.collect::<Vec<_>>(),
            "journal": path, "window": WINDOW,
        }));
        if failed.is_empty() {
            return Ok(());
        }
        bail!("{} rows cost their fee and paid nothing; put them into a new file to pay them", failed.len())
    })
}

fn read_bounded(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).with_context(|| format!("cannot read {}", path.display()))?;
    if content.len() as u64 > limit {
        bail!("{} has more than {limit} bytes; split the file", path.display());
    }
    Ok(content)
}

/// Opens the journal beside a file, alone; without its torn end, if it has one.
fn open_journal(file: &Path, head: Head) -> anyhow::Result<(File, journal::Past, PathBuf)> {
    let mut path = file.as_os_str().to_owned();
    path.push(".ghostplane-journal");
    let path = PathBuf::from(path);
    let shown = path.display();
    let mut storage = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    match storage.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("somebody else is paying this file now: {shown} is locked"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {shown}")),
    }
    let mut content = Vec::new();
    (&storage).take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > JOURNAL_BYTES_MAX {
        bail!("{shown} is larger than any journal of a payout");
    }
    let mut past = journal::read(&content).with_context(|| format!("cannot go on from {shown}"))?;
    storage.set_len(past.bytes as u64)?;
    storage.seek(io::SeekFrom::End(0))?;
    match past.head {
        Some(found) if found == head => {}
        Some(found) if found.file != head.file => {
            bail!(
                "the file is not the one that {shown} began with: restore it, or put what is new into a file of another name"
            )
        }
        Some(_) => bail!(
            "{shown} is of another payer or another plane: name those, or take a copy of the file under another name"
        ),
        None => {
            storage.append(&journal::frame(&[Record::Head(head)]))?;
            storage.sync()?;
            // The name has to last as long as what is in the file.
            if let (true, Some(dir)) = (cfg!(unix), path.parent()) {
                let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
                File::open(dir)?.sync_all()?;
            }
            past.head = Some(head);
        }
    }
    Ok((storage, past, path))
}

#[cfg(test)]
mod tests;

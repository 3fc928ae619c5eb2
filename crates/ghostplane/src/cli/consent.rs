//! Who else consents: approvals in a transaction, from keys here or by a file that travels.

use super::coins::{Coins, assets_of};
use super::connect::{Opening, Target, block_on};
use super::send::{Sent, Waiting, pairs};
use super::told::{Told, advise};
use crate::gates;
use crate::inspect::date;
use crate::keys::SecretKey;
use crate::screen::Screen;
use anyhow::{Context as _, bail};
use clap::Args;
use ghostplane_client::{ApproveError, Client, Draft, Role, approve, consent_to_sponsor};
use ghostplane_ghostcipher::{Digest, Domain, hex};
use ghostplane_types::guardian::Guardian;
use ghostplane_types::limits::{APPROVALS_MAX, TRANSACTION_BYTES_MAX};
use ghostplane_types::{
    AccountRecord, Action, Address, Approval, Auth, ConsentForm, Decode as _, Encode as _, Gid, PublicKey, Reader,
    Signer, Transaction, TransactionBody,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bytes of a transaction file: a transaction in hexadecimal digits, and the names around it.
const FILE_BYTES_MAX: u64 = 64 * 1024;
const FILE_VERSION: u64 = 1;
const MINUTE_MS: u64 = 60_000;
/// How long what travels stays valid.
const TRAVEL_MINUTES: u64 = 24 * 60;

/// Who else consents, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct Approving {
    /// Keys here that approve it as guardians
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    approve: Vec<String>,
    /// Hold it as a proposal instead of doing it: it waits for guardians and for its time
    #[arg(long)]
    pub(super) propose: bool,
    /// Sign it and write it to a file instead of sending it, for others to approve: `ghostplane approve FILE`
    #[arg(long, value_name = "FILE", conflicts_with = "unsigned")]
    out: Option<PathBuf>,
    /// The same, but not even the key that sends signs yet; it need not be here
    #[arg(long, value_name = "FILE", conflicts_with = "approve")]
    unsigned: Option<PathBuf>,
    /// Minutes for which it can be included [default: 10; with --out or --unsigned a day]
    #[arg(long = "minutes", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=43_200))]
    minutes: Option<u64>,
}

impl Approving {
    /// Where it is written instead of being sent.
    pub(super) fn file(&self) -> Option<&Path> {
        self.out.as_deref().or(self.unsigned.as_deref())
    }

    /// Whether the sender's key is not to sign it here.
    pub(super) const fn is_unsigned(&self) -> bool {
        self.unsigned.is_some()
    }

    /// Until when it shall be valid, from a batch time on.
    pub(super) fn until(&self, usual: u64, batch_time: u64) -> u64 {
        let minutes = self.minutes.or(self.file().map(|_| TRAVEL_MINUTES));
        minutes.map_or(usual, |minutes| {
            // At most 30 days from the batch's own time, which lags a little behind the clock.
            batch_time
                .max(super::send::now_ms())
                .saturating_add(minutes * MINUTE_MS)
                .min(batch_time.saturating_add(ghostplane_types::limits::VALIDITY_MS_MAX))
        })
    }

    /// The draft as it is to be signed: held as a proposal, if that was asked for.
    pub(super) fn shape(&self, draft: Draft) -> Result<Draft, Told> {
        if !self.propose {
            return Ok(draft);
        }
        // A text is published at once: it binds nobody until it is attached, which is what is held.
        let is_fit = |action: &Action| {
            Action::PROPOSABLE.contains(action.kind()) || matches!(action, Action::PublishCovenant { .. })
        };
        let unfit = draft.actions().iter().find(|action| !is_fit(action));
        match unfit {
            Some(action) => Err(Told::NotProposable { kind: action.kind_name() }),
            None => Ok(draft.propose()),
        }
    }

    /// Opens the keys that approve.
    pub(super) fn open(
        &self,
        opening: &Opening,
        target: &Target,
    ) -> anyhow::Result<Vec<Box<dyn Signer + Send + Sync>>> {
        open_all(&self.approve, opening, target)
    }
}

/// Opens keys that approve something.
pub(super) fn open_all(
    names: &[String],
    opening: &Opening,
    target: &Target,
) -> anyhow::Result<Vec<Box<dyn Signer + Send + Sync>>> {
    let open = |name: &String| Ok(Box::new(opening.open(target, name)?.1) as Box<dyn Signer + Send + Sync>);
    names.iter().map(open).collect()
}

/// A transaction that travels: anybody can read it, those who are asked add their consent, anybody sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Travelling {
    pub(super) body: TransactionBody,
    /// Whose signature it is sent under.
    pub(super) signer: PublicKey,
    /// That signature, once it is there.
    pub(super) auth: Option<Auth>,
    pub(super) approvals: Vec<Approval>,
    /// The consent of whoever pays for it, if it names a sponsor.
    pub(super) sponsorship: Option<Approval>,
}

impl Travelling {
    fn to_json(&self) -> Value {
        let digits = |bytes: Vec<u8>| hex::encode(&bytes);
        json!({
            "ghostplane": "transaction",
            "version": FILE_VERSION,
            "id": self.body.id().to_string(),
            "body": digits(self.body.to_bytes()),
            "signer": digits(self.signer.to_bytes()),
            "auth": self.auth.as_ref().map(|auth| digits(auth.to_bytes())),
            "approvals": self.approvals.iter().map(|approval| digits(approval.to_bytes())).collect::<Vec<_>>(),
            "sponsorship": self.sponsorship.as_ref().map(|by| digits(by.to_bytes())),
        })
    }

    /// Reads a file, and checks that all of it is about one transaction and that whatever consent it carries holds.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::parse(&bytes, path)?)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, Told> {
        let none = |what: &str| Told::NotAFile { path: path.to_owned(), what: what.to_owned() };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(none("it is over 64 KiB"));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|error| none(&format!("it is no JSON, {error}")))?;
        if value["ghostplane"] != json!("transaction") {
            return Err(none("it does not say that it is one"));
        }
        if value["version"] != json!(FILE_VERSION) {
            return Err(none("it is of another version, and this release reads version 1"));
        }
        let digits = |value: &Value, what: &str| {
            let bytes = value.as_str().and_then(hex::decode_vec);
            bytes.ok_or_else(|| none(&format!("its {what} is not in hexadecimal digits")))
        };
        let bad = |what: &str, error: &dyn std::fmt::Display| none(&format!("its {what} does not decode, {error}"));
        let body =
            TransactionBody::from_bytes(&digits(&value["body"], "body")?).map_err(|error| bad("body", &error))?;
        let signer = PublicKey::from_bytes(&digits(&value["signer"], "signer")?);
        let signer = signer.map_err(|error| bad("signer", &error))?;
        let auth = match &value["auth"] {
            Value::Null => None,
            auth => {
                let bytes = digits(auth, "signature")?;
                let mut reader = Reader::new(&bytes);
                let auth = Auth::decode(body.key_ref.consent_form(), &mut reader);
                let auth = auth.map_err(|error| bad("signature", &error))?;
                if reader.remaining() > 0 {
                    return Err(none("its signature has bytes left over"));
                }
                Some(auth)
            }
        };
        let list = value["approvals"].as_array().ok_or_else(|| none("it has no list of approvals"))?;
        if list.len() > APPROVALS_MAX {
            return Err(none(&format!("it has {} approvals, at most {APPROVALS_MAX} fit", list.len())));
        }
        let approval = |value: &Value| {
            let bytes = digits(value, "approval")?;
            Approval::from_bytes(&bytes).map_err(|error| bad("approval", &error))
        };
        let approvals = list.iter().map(approval).collect::<Result<Vec<_>, Told>>()?;
        let sponsorship = match &value["sponsorship"] {
            Value::Null => None,
            by => Some(approval(by)?),
        };
        let read = Self { body, signer, auth, approvals, sponsorship };
        read.check(&value["id"], path)?;
        Ok(read)
    }

    fn check(&self, id: &Value, path: &Path) -> Result<(), Told> {
        let altered = |what: String| Told::Altered { path: path.to_owned(), what };
        let (body, own) = (&self.body, self.body.id());
        if id.as_str() != Some(own.to_string().as_str()) {
            return Err(altered(format!("its body has the id {own}")));
        }
        if body.key_ref.consent_form() != ConsentForm::of(self.signer.scheme()) {
            return Err(altered("its body names a key of another kind than its signer".to_owned()));
        }
        if let Some(auth) = &self.auth {
            let holds = self.signer.verify(Domain::TransactionAuth, body.chain_id, &own, auth);
            holds.map_err(|error| altered(format!("the signature of its sender does not hold: {error}")))?;
        }
        if let Some(Approval { key, auth }) = &self.sponsorship {
            if body.pay.sponsor().is_none() {
                return Err(altered("it has the consent of a sponsor and names none".to_owned()));
            }
            let holds = key.verify(Domain::Sponsor, body.chain_id, &own, auth);
            holds.map_err(|error| altered(format!("the consent of its sponsor does not hold: {error}")))?;
        }
        for (at, Approval { key, auth }) in self.approvals.iter().enumerate() {
            if self.approvals[..at].iter().any(|other| other.key == *key) {
                return Err(altered("a key approves twice".to_owned()));
            }
            let holds = key.verify(Domain::Approval, body.chain_id, &own, auth);
            holds.map_err(|error| altered(format!("the approval by {key} does not hold: {error}")))?;
        }
        Ok(())
    }

    /// Writes it: the whole file, or none.
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let unfinished = path.with_added_extension("unfinished");
        let text = format!("{}\n", serde_json::to_string_pretty(&self.to_json())?);
        let mut file = std::fs::File::create(&unfinished).with_context(cannot)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)?;
        std::fs::rename(&unfinished, path).with_context(cannot)
    }

    /// The transaction, once its sender has signed, and its sponsor if it names one.
    fn transaction(&self, path: &Path) -> Result<Transaction, Told> {
        let unsigned = |who| Told::Unsigned { who, path: path.to_owned() };
        let auth = self.auth.clone().ok_or_else(|| unsigned("sender"))?;
        if self.body.pay.sponsor().is_some() && self.sponsorship.is_none() {
            return Err(unsigned("sponsor"));
        }
        let sponsorship = self.sponsorship.clone().map(Box::new);
        Ok(Transaction { body: self.body.clone(), auth, approvals: self.approvals.clone(), sponsorship })
    }

    fn on_plane(&self, client: &Client) -> Result<(), Told> {
        let (found, expected) = (self.body.plane_id, client.plane().id());
        if found == expected { Ok(()) } else { Err(Told::OtherPlane { found, expected }) }
    }

    /// Adds the consent of a key: the sender's signature, if it is that key; the sponsor's, if it is one of those; else an
    /// approval.
    fn add(&mut self, name: &str, key: &SecretKey, of_sponsor: &[PublicKey]) -> Result<(), Told> {
        let (chain_id, id) = (self.body.chain_id, self.body.id());
        let refused = |error| Told::Approval { key: name.to_owned(), error: Box::new(error) };
        if key.public_key() == self.signer {
            if self.auth.is_some() {
                return Err(refused(ApproveError::Twice));
            }
            self.auth = Some(key.consent(Domain::TransactionAuth, chain_id, &id));
            return Ok(());
        }
        if of_sponsor.contains(&key.public_key()) {
            if self.sponsorship.is_some() {
                return Err(refused(ApproveError::Twice));
            }
            self.sponsorship = Some(consent_to_sponsor(&self.body, key));
            return Ok(());
        }
        // The sender's signature has no part in an approval: any stands in for one that is not there yet.
        let auth = self.auth.clone().unwrap_or_else(|| key.consent(Domain::Approval, chain_id, &id));
        let (body, approvals) = (self.body.clone(), self.approvals.clone());
        let sponsorship = self.sponsorship.clone().map(Box::new);
        let mut whole = Transaction { body, auth, approvals, sponsorship };
        approve(&mut whole, key).map_err(refused)?;
        self.approvals = whole.approvals;
        Ok(())
    }

    fn bytes_len(&self) -> usize {
        let auth = self.auth.as_ref().map_or(0, Auth::encoded_len);
        let others = self.approvals.iter().chain(&self.sponsorship).map(Approval::encoded_len).sum::<usize>();
        self.body.to_bytes().len() + auth + 1 + others
    }
}

/// The records of everybody who could have a say in some actions of a sender.
pub(super) struct Voices {
    records: BTreeMap<Address, Option<AccountRecord>>,
    subjects: Vec<Address>,
    sender: Address,
}

impl Voices {
    pub(super) async fn of(client: &Client, sender: Address, actions: &[Action]) -> anyhow::Result<Self> {
        let subjects: Vec<Address> = actions.iter().filter_map(Action::subject).copied().collect();
        let mut records = BTreeMap::new();
        for address in subjects.iter().chain([&sender]) {
            if !records.contains_key(address) {
                records.insert(*address, client.account(address).await?.record().cloned());
            }
        }
        let members: Vec<Address> = records.values().flatten().flat_map(accounts_of).collect();
        for address in members {
            if let std::collections::btree_map::Entry::Vacant(vacant) = records.entry(address) {
                vacant.insert(client.account(&address).await?.record().cloned());
            }
        }
        Ok(Self { records, subjects, sender })
    }

    fn keys_of(&self, address: &Address) -> &[PublicKey] {
        let record = self.records.get(address).and_then(Option::as_ref);
        record.and_then(|record| record.identity.as_ref()).map_or(&[], |identity| &identity.keys)
    }

    /// Whether an approval by a key counts for anything.
    pub(super) fn has_say(&self, key: &PublicKey) -> bool {
        let is_member = |address: &Address| {
            let record = self.records.get(address).and_then(Option::as_ref);
            let guarded = record.and_then(|record| record.gates.as_ref()).and_then(|gates| gates.guarded.as_ref());
            guarded.is_some_and(|guarded| {
                guarded.set.members.iter().any(|member| match &member.who {
                    Guardian::Key(known) => known == key,
                    Guardian::Account(account) => self.keys_of(account).contains(key),
                })
            })
        };
        self.subjects.iter().any(|subject| self.keys_of(subject).contains(key) || is_member(subject))
            || is_member(&self.sender)
    }

    /// How many could approve at most: every member once, and the owners of accounts that it is about.
    fn count(&self) -> usize {
        let of = |address: &Address| {
            let record = self.records.get(address).and_then(Option::as_ref);
            let guarded = record.and_then(|record| record.gates.as_ref()).and_then(|gates| gates.guarded.as_ref());
            1 + guarded.map_or(0, |guarded| guarded.set.members.len())
        };
        let all: usize = self.subjects.iter().chain([&self.sender]).map(of).sum();
        all.min(APPROVALS_MAX)
    }
}

fn keys_of(record: &AccountRecord) -> Vec<PublicKey> {
    record.identity.as_ref().map_or_else(Vec::new, |identity| identity.keys.iter().copied().collect())
}

fn accounts_of(record: &AccountRecord) -> Vec<Address> {
    let guarded = record.gates.as_ref().and_then(|gates| gates.guarded.as_ref());
    guarded.map_or_else(Vec::new, |guarded| guarded.set.accounts().copied().collect())
}

/// Leaves room for whoever could approve a draft.
pub(super) async fn room_for_voices(client: &Client, account: Address, draft: Draft) -> anyhow::Result<Draft> {
    let count = Voices::of(client, account, draft.actions()).await?.count();
    Ok(draft.room_for_any(count))
}

/// Makes the body that a key elsewhere is to sign.
pub(super) async fn body_for(
    client: &Client,
    account: Address,
    gid: Gid,
    draft: Draft,
) -> anyhow::Result<TransactionBody> {
    let known = client.account(&account).await?;
    let role = Role::of(known.record(), &gid.public_key)
        .context("the key may not act for the account: name one of its keys, or a session's, with --signer KEY")?;
    let next = known.record().map_or(0, |record| record.next_in_lane(role.lane()));
    Ok(draft.role(role).body_for(account, &gid.public_key, gid, next)?)
}

/// What was written instead of sent.
#[derive(Debug)]
pub(super) struct Written {
    path: PathBuf,
    travelling: Travelling,
    words: Vec<String>,
}

impl Written {
    pub(super) async fn new(path: &Path, travelling: Travelling, client: &Client) -> anyhow::Result<Self> {
        travelling.write(path)?;
        let words = words_of(client, &travelling.body.actions).await?;
        Ok(Self { path: path.to_owned(), travelling, words })
    }

    pub(super) fn show(&self, screen: &Screen) {
        screen.good(&format!("written to {}; nothing is sent", self.path.display()));
        show(&self.travelling, &self.words, screen);
        screen.note(&format!(
            "Who is asked:  ghostplane approve {0} --key KEY.  Then anybody:  ghostplane send {0}",
            self.path.display()
        ));
        screen.note("Any other transaction of the account in between takes its number: it has to be made again then.");
    }

    pub(super) fn json(&self) -> Value {
        report(&self.travelling, &self.words, &self.path)
    }
}

fn report(travelling: &Travelling, words: &[String], path: &Path) -> Value {
    json!({
        "file": path.display().to_string(),
        "id": travelling.body.id().to_string(),
        "sender": travelling.body.sender.to_string(),
        "does": words,
        "valid_until": travelling.body.valid_until,
        "signed": travelling.auth.is_some(),
        "sponsor": travelling.body.pay.sponsor().map(|terms| terms.sponsor.to_string()),
        "sponsored": travelling.sponsorship.is_some(),
        "approvals": travelling.approvals.iter().map(|approval| gates::key(&approval.key)).collect::<Vec<_>>(),
        "bytes": travelling.bytes_len(),
        "bytes_max": TRANSACTION_BYTES_MAX,
    })
}

pub(super) async fn words_of(client: &Client, actions: &[Action]) -> anyhow::Result<Vec<String>> {
    let coins = Coins::of(client, assets_of(actions)).await?;
    Ok(actions.iter().map(|action| gates::words(action, &coins.shown())).collect())
}

fn show(travelling: &Travelling, words: &[String], screen: &Screen) {
    let body = &travelling.body;
    let mut table = pairs();
    table.row(["sender", &body.sender.to_string()]);
    words.iter().for_each(|line| {
        table.row(["does", line]);
    });
    if !body.memo.is_empty() {
        table.row(["memo", &String::from_utf8_lossy(&body.memo)]);
    }
    table.row(["valid until", &date(body.valid_until)]);
    table.row(["costs at most", &format!("{} gas at {} each", body.gas_limit, body.gas_price_max)]);
    table.row(["signed by its sender", if travelling.auth.is_some() { "yes" } else { "not yet" }]);
    if let Some(terms) = travelling.body.pay.sponsor() {
        let signed = if travelling.sponsorship.is_some() { "has signed" } else { "has not signed yet" };
        table.row(["sponsor", &format!("{}, who {signed}", terms.sponsor)]);
    }
    for approval in &travelling.approvals {
        table.row(["approved by", &gates::member_text(&Guardian::Key(approval.key))]);
    }
    table.row(["transaction", &body.id().to_string()]);
    screen.table(&table);
}

/// `approve` and what follows it.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The transaction file
    file: PathBuf,
    /// Keys here that consent: guardians approve, the sender's signs [default: none, and the file is only shown]
    #[arg(long = "key", value_name = "KEY,…", value_delimiter = ',')]
    consenting: Vec<String>,
    #[command(flatten)]
    opening: Opening,
}

/// `send` and what follows it.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The transaction file
    file: PathBuf,
    #[command(flatten)]
    waiting: Waiting,
}

/// Shows a transaction that travels, and adds consent to it.
pub fn approve_file(args: &ApproveArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let mut travelling = Travelling::read(&args.file)?;
    block_on(async {
        let client = target.connect().await?;
        travelling.on_plane(&client)?;
        let words = words_of(&client, &travelling.body.actions).await?;
        let sender = travelling.body.sender;
        if !args.consenting.is_empty() {
            let voices = Voices::of(&client, sender, &travelling.body.actions).await?;
            let of_sponsor = match travelling.body.pay.sponsor() {
                Some(terms) => client.account(&terms.sponsor).await?.record().map_or_else(Vec::new, keys_of),
                None => Vec::new(),
            };
            for name in &args.consenting {
                let (_, key) = args.opening.open(target, name)?;
                let public_key = key.public_key();
                let is_asked = public_key == travelling.signer || of_sponsor.contains(&public_key);
                if !is_asked && !voices.has_say(&public_key) {
                    let of = voices.subjects.first().unwrap_or(&sender).to_string();
                    return Err(Told::NoSay { key: name.clone(), of }.into());
                }
                travelling.add(name, &key, &of_sponsor)?;
            }
            travelling.write(&args.file)?;
            screen.good(&format!("{} consent to it; written to {}", args.consenting.join(", "), args.file.display()));
        }
        show(&travelling, &words, screen);
        match args.consenting.is_empty() {
            true => screen.note(&format!("To consent:  ghostplane approve {} --key KEY", args.file.display())),
            false => screen.note(&format!("Once enough have:  ghostplane send {}", args.file.display())),
        }
        screen.emit(&report(&travelling, &words, &args.file));
        Ok(())
    })
}

/// Sends a transaction that travelled.
pub fn send_file(args: &SendArgs, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let travelling = Travelling::read(&args.file)?;
    let transaction = travelling.transaction(&args.file)?;
    block_on(async {
        let client = target.connect().await?;
        travelling.on_plane(&client)?;
        let words = words_of(&client, &travelling.body.actions).await?;
        let begun = Instant::now();
        let receipt = client.submit(&transaction).await.map_err(|error| advise(error.into()))?;
        let sent = Sent::executed(&client, receipt, begun, &args.waiting, screen).await?;
        sent.show(&client, screen, |table| {
            words.iter().for_each(|line| {
                table.row(["did", line]);
            });
        });
        screen.emit(&sent.json(&[("did", json!(words))]));
        Ok(())
    })
}

/// An id in full, or one that begins with some digits.
pub(super) fn is_beginning(text: &str) -> anyhow::Result<()> {
    if (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    bail!("'{text}' is no proposal's id: write its 64 hexadecimal digits, or the first 4 or more")
}

/// A whole id, if it is one.
pub(super) fn whole(text: &str) -> Option<Digest> {
    hex::decode(text).ok().map(Digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghostplane_ghostcipher::SigningKey;
    use ghostplane_types::{Amount, EntityType, KeyRef, Nonce, Pay, SponsorTerms};

    fn secret(seed: u8) -> SecretKey {
        let seed = zeroize::Zeroizing::new([seed; 32]);
        SecretKey::from_seed(ghostplane_types::Scheme::Ed25519, &seed).expect("any seed is one")
    }

    fn travelling() -> Travelling {
        let signer = SigningKey::from_seed([1; 32]).public_key();
        let gid = Gid { public_key: signer, chain_id: 1337, entity_type: EntityType::Wallet, version: 0 };
        let body = TransactionBody {
            chain_id: 1337,
            plane_id: Digest([1; 32]),
            sender: gid.address(),
            nonce: Nonce { lane: 0, seq: 4 },
            valid_after: 0,
            valid_until: 1,
            gas_limit: 1,
            gas_price_max: 1,
            pay: Pay::Gcc,
            key_ref: KeyRef::Registered(0),
            actions: vec![Action::RevokeSession { lane: 1 }],
            memo: Vec::new(),
        };
        Travelling { body, signer, auth: None, approvals: Vec::new(), sponsorship: None }
    }

    fn parse(value: &Value) -> Result<Travelling, u16> {
        Travelling::parse(value.to_string().as_bytes(), Path::new("file")).map_err(|told| told.code())
    }

    #[test]
    fn consent_is_added_in_any_order_and_comes_back() {
        let path = Path::new("file");
        let mut made = travelling();
        assert_eq!(made.transaction(path).map_err(|told| told.code()), Err(744));
        for seed in [2, 1, 3] {
            made.add("somebody", &secret(seed), &[]).expect("new");
            assert_eq!(made.add("somebody", &secret(seed), &[]).map_err(|told| told.code()), Err(743), "{seed}");
            assert_eq!(parse(&made.to_json()).as_ref(), Ok(&made));
        }
        let whole = made.transaction(path).expect("signed");
        assert_eq!(whole.approvals.len(), 2);
        assert_eq!(approve::check(&whole), Ok(()));
        assert_eq!(made.bytes_len(), whole.to_bytes().len());
    }

    #[test]
    fn a_sponsor_elsewhere_signs_as_such() {
        let path = Path::new("file");
        let mut made = travelling();
        made.body.pay = Pay::Sponsor(Box::new(SponsorTerms {
            sponsor: Address::from_bytes([9; 32]),
            fee_max: Amount::MAX,
            valid_until: 1,
        }));
        let of_sponsor = [secret(9).public_key()];
        made.add("sender", &secret(1), &of_sponsor).expect("new");
        assert_eq!(made.transaction(path).map_err(|told| told.code()), Err(744));
        made.add("sponsor", &secret(9), &of_sponsor).expect("new");
        assert_eq!(made.add("sponsor", &secret(9), &of_sponsor).map_err(|told| told.code()), Err(743));
        assert_eq!(parse(&made.to_json()).as_ref(), Ok(&made));
        let whole = made.transaction(path).expect("both have signed");
        assert_eq!((whole.approvals.len(), whole.sponsorship.is_some()), (0, true));
        assert_eq!(made.bytes_len(), whole.to_bytes().len());
        // An approval is no consent to pay.
        let mut forged = made.clone();
        forged.sponsorship = None;
        forged.add("sponsor", &secret(9), &[]).expect("new");
        let mut forged_json = forged.to_json();
        forged_json["sponsorship"] = forged_json["approvals"][0].clone();
        assert_eq!(parse(&forged_json), Err(741));
    }

    #[test]
    fn a_file_that_was_altered_is_found_out() {
        let mut made = travelling();
        [1, 2, 3].iter().for_each(|seed| made.add("somebody", &secret(*seed), &[]).expect("new"));
        let honest = made.to_json();
        let changed = |key: &str, value: Value| {
            let mut changed = honest.clone();
            changed[key] = value;
            parse(&changed)
        };
        assert_eq!(changed("sponsorship", honest["approvals"][0].clone()), Err(741), "it names no sponsor");
        let mut other = travelling();
        other.body.valid_until = 2;
        let mut of_other = other.to_json();
        of_other["approvals"] = honest["approvals"].clone();
        assert_eq!(parse(&of_other), Err(741), "approvals of another transaction");
        assert_eq!(changed("body", other.to_json()["body"].clone()), Err(741));
        assert_eq!(changed("signer", json!(hex::encode(&secret(9).public_key().to_bytes()))), Err(741));
        let twice = json!([honest["approvals"][0], honest["approvals"][0]]);
        assert_eq!(changed("approvals", twice), Err(741));
        assert_eq!(changed("auth", json!("00".repeat(64))), Err(741));
        for (key, value) in [
            ("ghostplane", json!("key")),
            ("version", json!(2)),
            ("body", json!("zz")),
            ("body", json!("00")),
            ("auth", json!("00")),
            ("auth", json!("00".repeat(65))),
            ("approvals", json!(null)),
            ("approvals", json!(["00"])),
            ("approvals", json!(vec!["00"; APPROVALS_MAX + 1])),
        ] {
            assert_eq!(changed(key, value.clone()), Err(740), "{key} {value}");
        }
        let long = vec![b' '; 64 * 1024 + 1];
        assert!(Travelling::parse(&long, Path::new("file")).is_err_and(|told| told.code() == 740));
        assert!(Travelling::parse(b"", Path::new("file")).is_err_and(|told| told.code() == 740));
    }

    #[test]
    fn an_id_may_be_shortened() {
        assert!(is_beginning("00ff").is_ok() && is_beginning("00f").is_err() && is_beginning("00fg").is_err());
        assert!(whole(&"0f".repeat(32)).is_some() && whole("0f").is_none());
    }
}

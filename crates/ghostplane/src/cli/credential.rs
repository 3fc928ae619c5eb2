//! `ghostplane identity credential`: what accounts say of each other, and whether it holds.

use super::connect::{Target, block_on};
use super::listed::Headers;
use super::send::{Signing, now_ms, open_draft, pairs, send};
use super::show::anchor;
use super::who::{self, Who};
use crate::claims::{CLAIMS_BYTES_MAX, Claims};
use crate::keys;
use crate::screen::{Align, Screen, Table};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use ghostplane_client::{Client, CredentialError, ProvenCredential};
use ghostplane_ghostcipher::{Digest, hex};
use ghostplane_types::limits::LEVEL_MAX;
use ghostplane_types::{Action, Address, Credential, CredentialTerms, EntityType};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Pages of a list that are asked for: whoever likes can issue credentials of somebody.
const PAGES_MAX: usize = 64;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What is done with credentials.
#[derive(Debug, Subcommand)]
pub(super) enum CredentialCommand {
    /// Vouch for somebody; the claims stay with you and them, the plane keeps their digest
    Issue {
        /// The claims: a file of JSON, or their digest in 64 hexadecimal digits
        claims: String,
        /// Of whom: a key, an address, a DID or 64 hexadecimal digits
        #[arg(long, value_name = "WHO")]
        to: String,
        /// The verification level that it raises them to; for the plane's authorities
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=i64::from(LEVEL_MAX)))]
        level: u8,
        /// What it certifies them to be: wallet, validator, service, contract, bridge or oracle; for the plane's authorities
        #[arg(long = "type", value_name = "TYPE", value_parser = entity)]
        certified: Option<EntityType>,
        /// Days until it ends
        #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3660))]
        days: u64,
        #[command(flatten)]
        signing: Signing,
    },
    /// What is said of an account; which there are is the node's word, see `show` for one
    List {
        /// Of whom: a key, an address, a DID or 64 hexadecimal digits
        who: String,
    },
    /// A credential, or that there is none, proven
    Show {
        /// The claims: a file of JSON, or their digest in 64 hexadecimal digits
        claims: String,
        /// Of whom: a key, an address, a DID or 64 hexadecimal digits
        #[arg(long, value_name = "WHO")]
        subject: String,
        /// Who said it: a key, an address, a DID or 64 hexadecimal digits
        #[arg(long, value_name = "WHO")]
        issuer: String,
    },
    /// Take back what the account said of somebody, at once
    Revoke {
        /// The claims: a file of JSON, or their digest in 64 hexadecimal digits
        claims: String,
        /// Of whom: a key, an address, a DID or 64 hexadecimal digits
        #[arg(long, value_name = "WHO")]
        subject: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// End what somebody said of the account, at once
    Drop {
        /// The claims: a file of JSON, or their digest in 64 hexadecimal digits
        claims: String,
        /// Who said it: a key, an address, a DID or 64 hexadecimal digits
        #[arg(long, value_name = "WHO")]
        issuer: String,
        #[command(flatten)]
        signing: Signing,
    },
    /// Whether claims are those of a credential that holds, by proof; for who is shown a file
    Check {
        /// The claims: a file of JSON
        claims: PathBuf,
        /// Of whom: a key, an address, a DID or 64 hexadecimal digits
        #[arg(long, value_name = "WHO")]
        subject: String,
        /// Who must have said it: a key, an address, a DID or 64 hexadecimal digits [default: anybody]
        #[arg(long, value_name = "WHO")]
        issuer: Option<String>,
    },
}

/// Claims that nobody vouches for now.
#[derive(Debug, thiserror::Error)]
#[error("not borne out")]
pub(super) struct NotBorneOut(#[from] pub(super) CredentialError);

fn entity(word: &str) -> Result<EntityType, String> {
    keys::entity_of(word)
        .ok_or_else(|| format!("'{word}' is no type: write wallet, validator, service, contract, bridge or oracle"))
}

pub(super) fn run(command: &CredentialCommand, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    let dir = target.keys_dir()?;
    match command {
        CredentialCommand::Issue { claims, to, level, certified, days, signing } => {
            let (claims, subject) = (self::claims(claims, screen)?, who::resolve(to, &dir)?);
            let terms = (claims, *level, *certified, *days);
            issue(terms, &subject, signing, target, screen)
        }
        CredentialCommand::List { who } => list(&who::resolve(who, &dir)?, target, screen),
        CredentialCommand::Show { claims, subject, issuer } => {
            let claims = self::claims(claims, screen)?;
            show(&claims, &who::resolve(subject, &dir)?, &who::resolve(issuer, &dir)?, target, screen)
        }
        CredentialCommand::Revoke { claims, subject, signing } => {
            let (claims, subject) = (self::claims(claims, screen)?, who::resolve(subject, &dir)?);
            let action = Action::RevokeCredential { subject: subject.address, claims };
            end(
                action,
                &subject,
                &format!("what was said of {} is taken back", subject.shown()),
                signing,
                target,
                screen,
            )
        }
        CredentialCommand::Drop { claims, issuer, signing } => {
            let (claims, issuer) = (self::claims(claims, screen)?, who::resolve(issuer, &dir)?);
            let action = Action::DropCredential { issuer: issuer.address, claims };
            end(action, &issuer, &format!("what {} said is dropped", issuer.shown()), signing, target, screen)
        }
        CredentialCommand::Check { claims, subject, issuer } => {
            let claims = read(claims)?;
            let issuer = issuer.as_ref().map(|issuer| who::resolve(issuer, &dir)).transpose()?;
            check(&claims, &who::resolve(subject, &dir)?, issuer.as_ref(), target, screen)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Claims> {
    let len = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if len > CLAIMS_BYTES_MAX as u64 {
        bail!("{} has {len} bytes, claims have at most {CLAIMS_BYTES_MAX}", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Claims::parse(&bytes).with_context(|| format!("{}", path.display()))
}

/// The digest of claims, from their file or its own digits.
fn claims(text: &str, screen: &Screen) -> anyhow::Result<Digest> {
    if let Ok(digest) = hex::decode(text) {
        return Ok(Digest(digest));
    }
    let claims = read(Path::new(text))?;
    if !claims.is_salted() {
        screen.note(
            "These claims have no \"salt\": whoever guesses them can tell from their digest that the guess is right.",
        );
    }
    Ok(claims.digest())
}

fn issue(
    (claims, level, certified, days): (Digest, u8, Option<EntityType>, u64),
    subject: &Who,
    signing: &Signing,
    target: &Target,
    screen: &Screen,
) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        subject.check_chain(client.plane().chain_id())?;
        let now = client.status().await?.batch_time.max(now_ms());
        let expires = now.saturating_add(days * DAY_MS);
        let terms = CredentialTerms { subject: subject.address, claims, level, certified, expires };
        let draft = open_draft(&client).action(Action::IssueCredential(Box::new(terms)));
        let sent = send(signing, target, &client, draft, screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["vouched for", &subject.shown()]);
            table.row(["claims", &claims.to_string()]);
        });
        screen.note("Give the file of the claims to whom they concern: the plane has only their digest.");
        screen.emit(&sent.json(&[
            ("claims", json!(claims.to_string())),
            ("subject", json!(subject.text())),
            ("level", json!(level)),
            ("certified", json!(certified.map(EntityType::name))),
            ("expires", json!(expires)),
        ]));
        Ok(())
    })
}

fn end(
    action: Action,
    other: &Who,
    done: &str,
    signing: &Signing,
    target: &Target,
    screen: &Screen,
) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        other.check_chain(client.plane().chain_id())?;
        let kind = action.kind_name();
        let sent = send(signing, target, &client, open_draft(&client).action(action), screen).await?;
        sent.show(&client, screen, |table| {
            table.row(["done", done]);
        });
        screen.emit(&sent.json(&[("action", json!(kind))]));
        Ok(())
    })
}

/// All that is said of an account, by the node's word.
async fn all(client: &Client, subject: &Address) -> anyhow::Result<Vec<Credential>> {
    let mut all = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let page = client.credentials(subject, after.as_ref()).await?;
        all.extend(page.credentials);
        after = page.resume_after;
        if after.is_none() {
            return Ok(all);
        }
    }
    bail!("more than {PAGES_MAX} pages of credentials: name the issuer")
}

fn ends(credential: &Credential, time: u64) -> String {
    match credential.terms.expires.checked_sub(time) {
        None => "over".to_owned(),
        Some(ms) if ms < DAY_MS => format!("in {} h", ms / 3_600_000),
        Some(ms) => format!("in {} days", ms / DAY_MS),
    }
}

fn credential_json(credential: &Credential, time: u64) -> Value {
    let Credential { issuer, terms, issued } = credential;
    json!({
        "issuer": issuer.to_string(), "subject": terms.subject.to_string(), "claims": terms.claims.to_string(),
        "level": terms.level, "certified": terms.certified.map(EntityType::name), "issued": issued,
        "expires": terms.expires, "live": terms.expires >= time,
    })
}

fn list(subject: &Who, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        subject.check_chain(client.plane().chain_id())?;
        let mut headers = Headers::default();
        let mut found = Vec::new();
        for listed in all(&client, &subject.address).await? {
            let proven = client.credential(&listed.issuer, &subject.address, &listed.terms.claims).await?;
            headers.add(proven.header())?;
            // One that ended since it was listed is not there any more, which is proven as well.
            found.extend(proven.credential().copied());
        }
        let basis = headers.basis(&client, screen).await?;
        let time = client.status().await?.batch_time.max(now_ms());
        if found.is_empty() {
            screen.line(&format!("nobody vouches for {}", subject.shown()));
        }
        let mut table = Table::new(&[
            ("issuer", Align::Left),
            ("claims", Align::Left),
            ("level", Align::Right),
            ("type", Align::Left),
            ("ends", Align::Left),
        ]);
        for credential in &found {
            table.row([
                credential.issuer.to_string(),
                credential.terms.claims.to_string(),
                credential.terms.level.to_string(),
                credential.terms.certified.map_or("", EntityType::name).to_owned(),
                ends(credential, time),
            ]);
        }
        screen.table(&table);
        basis.show("these credentials", screen);
        let listed: Vec<_> = found.iter().map(|credential| credential_json(credential, time)).collect();
        screen.emit(&json!({ "subject": subject.text(), "credentials": listed, "proven": basis.json() }));
        Ok(())
    })
}

/// Shows one that is proven, and under which commitment.
async fn shown(client: &Client, proven: &ProvenCredential, screen: &Screen) -> anyhow::Result<Value> {
    let anchored = anchor(client, proven.header(), screen).await?;
    let time = proven.header().time.max(now_ms());
    if let Some(credential) = proven.credential() {
        let Credential { issuer, terms, .. } = credential;
        let mut table = pairs();
        table.row(["issuer", &issuer.to_string()]);
        table.row(["subject", &terms.subject.to_string()]);
        table.row(["claims", &terms.claims.to_string()]);
        if terms.counts() {
            table.row(["level", &terms.level.to_string()]);
            table.row(["type", terms.certified.map_or("none", EntityType::name)]);
        }
        table.row(["ends", &ends(credential, time)]);
        screen.table(&table);
    }
    screen.good(&format!("proven under the state of batch {}", proven.header().number));
    if anchored.is_none() {
        screen.bad("no commitment to that batch yet: its header is the node's word so far. Ask again later");
    }
    Ok(json!({
        "credential": proven.credential().map(|credential| credential_json(credential, time)),
        "batch": proven.header().number, "rung": anchored.map(|anchored| anchored.rung.word()),
    }))
}

fn show(claims: &Digest, subject: &Who, issuer: &Who, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let proven = client.credential(&issuer.address, &subject.address, claims).await?;
        if proven.credential().is_none() {
            screen.line("there is no such credential");
        }
        let json = shown(&client, &proven, screen).await?;
        screen.emit(&json);
        Ok(())
    })
}

fn check(claims: &Claims, subject: &Who, issuer: Option<&Who>, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    block_on(async {
        let client = target.connect().await?;
        let digest = claims.digest();
        // Who says so is looked up at the node; that it is said, is proven.
        let issuers = match issuer {
            Some(issuer) => vec![issuer.address],
            None => {
                let found = all(&client, &subject.address).await?;
                found.iter().filter(|known| known.terms.claims == digest).map(|known| known.issuer).collect()
            }
        };
        let mut borne_out = Vec::new();
        let mut why_not = CredentialError::Missing;
        for issuer in issuers {
            let proven = client.credential(&issuer, &subject.address, &digest).await?;
            match proven.live(now_ms()) {
                Ok(_) => borne_out.push(proven),
                Err(error) => why_not = error,
            }
        }
        if borne_out.is_empty() {
            return Err(NotBorneOut(why_not).into());
        }
        let mut listed = Vec::new();
        for proven in &borne_out {
            let authority = proven.credential().and_then(|known| client.plane().genesis().authority(&known.issuer));
            screen.good(if authority.is_some() {
                "vouched for by an authority of this plane"
            } else {
                "vouched for, by an account that is no authority of this plane: see whether you trust it"
            });
            let mut json = shown(&client, proven, screen).await?;
            json["authority"] = json!(authority.is_some());
            listed.push(json);
        }
        screen.emit(&json!({ "claims": digest.to_string(), "subject": subject.text(), "vouched_for": listed }));
        Ok(())
    })
}

//! One account's sequence numbers.

use crate::check::Receipt;
use crate::client::Client;
use crate::draft::{Draft, DraftError};
use crate::error::{ClientError, Refused};
use ghostplane_types::{AccountRecord, Gid, Signer, Transaction};
use thiserror::Error;

/// Why nothing was sent, or nothing came of it.
#[derive(Debug, Error)]
pub enum SendError {
    /// The draft is no transaction.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// Node or network.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Keeps the next sequence number of one account and signs with its key. One at a time for an account.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    key: Box<dyn Signer + Send + Sync>,
    identity: Gid,
    record: Option<AccountRecord>,
    next: u64,
}

impl Sender {
    /// Asks for the account, with proof, and begins at its next number.
    ///
    /// # Errors
    /// If the account cannot be had.
    pub async fn new(
        client: Client,
        key: impl Signer + Send + Sync + 'static,
        identity: Gid,
    ) -> Result<Self, ClientError> {
        let mut sender = Self { client, key: Box::new(key), identity, record: None, next: 0 };
        sender.resynchronise().await?;
        Ok(sender)
    }

    /// The number that the next transaction gets.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Asks for the account again and takes its next number. What is on the way and not in a sealed batch is not counted
    /// there: call it when nothing is.
    ///
    /// # Errors
    /// If the account cannot be had.
    pub async fn resynchronise(&mut self) -> Result<(), ClientError> {
        let account = self.client.account(&self.identity.address()).await?;
        self.record = account.record().cloned();
        self.next = self.record.as_ref().map_or(0, |record| record.next_in_lane(0));
        Ok(())
    }

    /// Signs a draft with the next number and uses it up; for pipelines. Until the account is registered each transaction
    /// carries the identity.
    ///
    /// # Errors
    /// If the draft is no transaction; the number is not used then.
    pub fn sign(&mut self, draft: &Draft) -> Result<Transaction, DraftError> {
        let transaction = draft.clone().sender(self.record.as_ref()).sign(&*self.key, self.identity, self.next)?;
        self.next += 1;
        Ok(transaction)
    }

    /// Signs a draft, submits it and checks the receipt. If the very first answer is that the number is wrong, asks for the
    /// right one and signs once more with it. After any doubt whether the node has the transaction, only that same
    /// transaction is sent again, never a second one for the same draft: nothing is paid twice.
    ///
    /// # Errors
    /// [`SendError`]. If the first answer is a refusal the number is free again; otherwise call
    /// [`Sender::resynchronise`] once it is known what became of it.
    pub async fn send(&mut self, draft: &Draft) -> Result<Receipt, SendError> {
        let transaction = self.sign(draft)?;
        let error = match self.client.submit_once(&transaction).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        let refused = match &error {
            ClientError::Refused(refused) if !refused.passes() && refused.code != Refused::KNOWN => refused,
            ClientError::Refused(_) | ClientError::Unreachable { .. } => {
                return Ok(self.client.submit(&transaction).await?);
            }
            _ => return Err(error.into()),
        };
        if !matches!(refused.name.as_str(), "NonceUsed" | "NonceGap") {
            self.next -= 1;
            return Err(error.into());
        }
        let tried = transaction.body.nonce.seq;
        self.resynchronise().await?;
        if self.next == tried {
            return Err(error.into());
        }
        let transaction = self.sign(draft)?;
        Ok(self.client.submit(&transaction).await?)
    }
}

//! One account's sequence numbers.

use crate::approve::approve;
use crate::check::Receipt;
use crate::client::Client;
use crate::draft::{Draft, DraftError, Measured, Role};
use crate::error::{ClientError, Refused};
use crate::simulate::{Consenting, Gas};
use crate::wire;
use ghostplane_types::{AccountRecord, Address, Gid, Signer, Transaction};
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
    account: Address,
    record: Option<AccountRecord>,
    role: Option<Role>,
    next: u64,
    approvers: Vec<Box<dyn Signer + Send + Sync>>,
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
        Self::acting_for(identity.address(), client, key, identity).await
    }

    /// As [`Sender::new`], for an account that may be another than the key's own: as one of its keys, or within a session that the
    /// key holds, or an account that has the key.
    ///
    /// # Errors
    /// If the account cannot be had. Whether the key may act for it, signing tells.
    pub async fn acting_for(
        account: Address,
        client: Client,
        key: impl Signer + Send + Sync + 'static,
        identity: Gid,
    ) -> Result<Self, ClientError> {
        let approvers = Vec::new();
        let mut sender =
            Self { client, key: Box::new(key), identity, account, record: None, role: None, next: 0, approvers };
        sender.resynchronise().await?;
        Ok(sender)
    }

    /// Has these keys approve whatever is signed from now on.
    #[must_use]
    pub fn approved_by(mut self, keys: Vec<Box<dyn Signer + Send + Sync>>) -> Self {
        self.approvers = keys;
        self
    }

    /// The account's record, as it was when it was asked for last.
    #[must_use]
    pub const fn record(&self) -> Option<&AccountRecord> {
        self.record.as_ref()
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
        let account = self.client.account(&self.account).await?;
        self.record = account.record().cloned();
        self.role = self.client.role_of(&account, &self.key.public_key(), self.identity.address()).await?;
        let lane = self.role.map_or(0, Role::lane);
        self.next = self.record.as_ref().map_or(0, |record| record.next_in_lane(lane));
        Ok(())
    }

    /// Signs a draft with the next number and uses it up; for pipelines. Until the account is registered each transaction
    /// carries the identity.
    ///
    /// # Errors
    /// If the draft is no transaction; the number is not used then.
    pub fn sign(&mut self, draft: &Draft) -> Result<Transaction, DraftError> {
        let role = self.role.ok_or(DraftError::Key)?;
        let schemes = self.approvers.iter().map(|key| key.public_key().scheme());
        let draft = draft.clone().role(role).room_for(schemes);
        let mut transaction = draft.sign_for(self.account, &*self.key, self.identity, self.next)?;
        self.approvers.iter().try_for_each(|key| approve(&mut transaction, &**key))?;
        self.next += 1;
        Ok(transaction)
    }

    /// How large a draft is going to be and what gas it may use, signed by this key.
    ///
    /// # Errors
    /// If the draft is no transaction.
    pub fn measure(&self, draft: &Draft) -> Result<Measured, DraftError> {
        let role = self.role.ok_or(DraftError::Key)?;
        let schemes = self.approvers.iter().map(|key| key.public_key().scheme());
        draft.clone().role(role).room_for(schemes).measure(self.account, self.key.public_key(), self.identity)
    }

    /// Signs a draft, submits it and checks the receipt. If the very first answer is that the number is wrong, asks for the
    /// right one and signs once more with it. After any doubt whether the node has the transaction, only that same
    /// transaction is sent again, never a second one for the same draft: nothing is paid twice.
    ///
    /// # Errors
    /// [`SendError`]. If the first answer is a refusal the number is free again; otherwise call
    /// [`Sender::resynchronise`] once it is known what became of it.
    pub async fn send(&mut self, draft: &Draft) -> Result<Receipt, SendError> {
        if draft.waits_for_sponsor() {
            return Err(DraftError::Unsponsored.into());
        }
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

impl Sender {
    /// What would become of a draft now, by the node's word; `None` for a key that signs by assertions, which are as long as
    /// a browser makes them.
    ///
    /// # Errors
    /// If the draft is no transaction, or the node does not answer.
    pub async fn simulate(&self, draft: &Draft) -> Result<Option<wire::Simulation>, SendError> {
        // The identity of a key that acts for another account is the key's own.
        let identity = Gid { public_key: self.key.public_key(), ..self.identity };
        let by = Consenting {
            account: self.account,
            identity,
            role: self.role.ok_or(DraftError::Key)?,
            sequence: self.next,
            approvers: self.approvers.iter().map(|key| key.public_key()).collect(),
        };
        self.client.simulate_draft(draft, Gas::Free, &by).await
    }

    /// The draft with a limit of gas that has room for what covenants on its way cost. What the actions themselves can need is
    /// in the usual limit; what it takes to ask covenants, only the node knows.
    ///
    /// # Errors
    /// As [`Sender::simulate`].
    pub async fn with_room(&self, draft: Draft) -> Result<Draft, SendError> {
        let Some(simulation) = self.simulate(&draft).await?.filter(|simulation| simulation.is_admitted) else {
            return Ok(draft);
        };
        Ok(draft.gas_seen(simulation.gas))
    }
}

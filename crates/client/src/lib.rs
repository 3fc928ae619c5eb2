//! The client library of Ghostplane: speaks to a node, checks what it answers, and trusts nothing that can be checked.
//!
//! ```no_run
//! use ghostplane_client::{Client, Draft, Options};
//! use ghostplane_ghostcipher::SigningKey;
//! use ghostplane_types::{Address, Amount, AssetId, EntityType, Gid, PublicKey};
//!
//! # async fn pay(key: SigningKey, to: Address) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:9090", Options::default()).await?;
//! let identity = Gid {
//!     public_key: PublicKey::Ed25519(key.verification_key()),
//!     chain_id: client.plane().chain_id(),
//!     entity_type: EntityType::Wallet,
//!     version: 1,
//! };
//! let account = client.account(&identity.address()).await?;
//! let sequence = account.record().map_or(0, |record| record.next_in_lane(0));
//! let until = account.header().time + 60_000;
//! let transaction = Draft::new(client.plane(), client.info().gas_price)
//!     .transfer(to, AssetId::GCC, Amount::new(1_000).ok_or("too much")?)
//!     .valid(0, until)
//!     .sender(account.record())
//!     .sign(&key, identity, sequence)?;
//! let receipt = client.submit(&transaction).await?;
//! assert!(receipt.claimed().is_applied());
//! # Ok(())
//! # }
//! ```

pub mod approve;
pub mod check;
pub mod client;
pub mod credential;
pub mod draft;
pub mod error;
pub mod gates;
pub mod rules;
pub mod sender;
pub mod sign_in;
pub mod simulate;
pub mod stream;
pub mod wire;

pub use approve::{ApproveError, approve};
pub use check::{Anchored, CheckError, Plane, ProvenAccount, ProvenAsset, Receipt, Rung};
pub use client::{Client, Options};
pub use credential::{CredentialError, CredentialPage, ProvenCredential};
pub use draft::{Draft, DraftError, Measured, Payment, Role, Sponsor, consent_to_sponsor};
pub use error::{ClientError, Refused};
pub use sender::{SendError, Sender};
pub use simulate::{Consenting, Gas};
pub use stream::{Answer, Submissions, Trust};

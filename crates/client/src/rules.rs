//! Covenants, and why something was refused.

use crate::check::{self, CheckError, Plane};
use crate::client::Client;
use crate::error::ClientError;
use crate::wire;
use ghostplane_ghostcipher::Digest;
use ghostplane_keystone::ObjectProof;
use ghostplane_types::{BatchHeader, CovenantText, ObjectKey, PlaneRules};

/// The rules of the plane and of the assets that the L1 holds, proven under a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenRules {
    /// They; none where it is proven that there have never been any.
    pub rules: PlaneRules,
    /// The header of the batch whose state this is.
    pub header: BatchHeader,
}

impl Plane {
    /// Checks an answer about the rules of the plane.
    ///
    /// # Errors
    /// [`CheckError`] if anything is not proven.
    pub fn rules(&self, answer: &wire::PlaneRules) -> Result<ProvenRules, CheckError> {
        let header = self.header(&answer.header)?;
        check::same("batch of the rules", &header.number, &answer.batch)?;
        let proof: ObjectProof = check::decode("proof of the rules", &answer.proof)?;
        check::same("key of the rules' proof", &ObjectKey::plane_rules().as_bytes(), &proof.key.as_bytes())?;
        let proven = proof.verify(&header.state().roots);
        let proven = proven.map_err(|error| CheckError::Proof { what: "rules", error })?;
        let Some((_, bytes)) = proven.object() else {
            check::same("rules where there are none", &0, &answer.rules.len())?;
            return Ok(ProvenRules { rules: PlaneRules::default(), header });
        };
        check::same("rules", &bytes, &&answer.rules[..])?;
        Ok(ProvenRules { rules: check::decode("rules", bytes)?, header })
    }
}

impl Client {
    /// A published covenant: its text is the one that the digest names. What it costs and counts is the node's word.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if nobody has published it, [`ClientError::Lied`] if the text is another.
    pub async fn covenant(&self, digest: &Digest) -> Result<wire::Covenant, ClientError> {
        let mut service = wire::state_client::StateClient::new(self.channel());
        let request = wire::GetCovenantRequest { digest: digest.0.to_vec().into() };
        let answer = self.within("get_covenant", service.get_covenant(request)).await?;
        let version =
            u16::try_from(answer.schema_version).map_err(|_| CheckError::Lacks("schema version below 2^16"))?;
        check::same("covenant", digest, &CovenantText::digest_of(version, &answer.text))?;
        Ok(answer)
    }

    /// The rules of the plane and of bridged assets, proven.
    ///
    /// # Errors
    /// [`ClientError::Lied`] if they are not.
    pub async fn rules(&self) -> Result<ProvenRules, ClientError> {
        let mut service = wire::state_client::StateClient::new(self.channel());
        let answer = self.within("get_plane_rules", service.get_plane_rules(wire::GetPlaneRulesRequest {})).await?;
        Ok(self.plane().rules(&answer)?)
    }

    /// Why a transaction was not applied; the node's word. `ghostplane explain` finds the same in a batch and its witness.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it was applied, or is too old for the node to know.
    pub async fn explain(&self, id: &Digest) -> Result<wire::Explanation, ClientError> {
        let mut service = wire::transactions_client::TransactionsClient::new(self.channel());
        let request = wire::ExplainRequest { id: id.0.to_vec().into() };
        self.within("explain", service.explain(request)).await
    }
}

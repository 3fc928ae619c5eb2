//! Why a transaction is refused: the sender's mistake, by a stable number.
//!
//! Codes below 200 are found before a transaction costs anything; a batch that contains one is itself invalid.
//! Codes from 200 on are found while it is applied; they land in a receipt and cost fee and nonce, nothing else.

use crate::address::{Address, PublicKey};
use crate::asset::AssetId;
use crate::codec::DecodeError;
use ghostplane_ghostcipher::Digest;
use thiserror::Error;

macro_rules! rejects {
    ($($(#[$doc:meta])* $code:literal $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),+ $(,)? })? => $message:literal),+ $(,)?) => {
        /// Why a transaction is refused. [`Reject::code`] is stable; the fields carry what was found and what was needed.
        #[derive(Clone, Debug, PartialEq, Eq, Error)]
        pub enum Reject {
            $($(#[$doc])* #[error($message)] $name $({ $($(#[$field_doc])* $field: $kind),+ })?,)+
        }

        impl Reject {
            /// The stable number of this reason.
            pub fn code(&self) -> u16 {
                match self { $(Self::$name { .. } => $code,)+ }
            }
        }

        /// The code and name of every reason, ascending by code.
        pub const REJECT_CODES: &[(u16, &str)] = &[$(($code, stringify!($name))),+];
    };
}

rejects! {
    /// The bytes are not a transaction.
    100 Malformed {
        /// What is wrong with them.
        error: DecodeError,
    } => "malformed: {error}",
    /// More bytes than a transaction may have.
    101 Oversized {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    } => "{bytes} bytes, a transaction has at most {limit}",
    /// Made for another chain.
    102 WrongChain {
        /// The transaction's chain.
        found: u64,
        /// The plane's chain.
        expected: u64,
    } => "for chain {found}, this plane is on chain {expected}",
    /// Made for another plane.
    103 WrongPlane {
        /// The transaction's plane.
        found: Digest,
        /// This plane.
        expected: Digest,
    } => "for plane {found}, this is plane {expected}",
    /// The signature does not verify.
    104 BadSignature => "the signature does not verify under the key the transaction names",
    /// The account has no key of that reference, or another key than the one that signed.
    105 UnknownKey {
        /// The key reference.
        key_ref: u8,
    } => "the account has no such key {key_ref}",
    /// The key does not decode to a point, or is of small order.
    106 BadKey => "the key is not usable: it is no curve point or of small order",
    /// The carried identity belongs to another address.
    107 AddressMismatch {
        /// The address of the carried identity.
        found: Address,
    } => "the carried identity is that of {found}, not of the sender",
    /// The account has no key yet and the transaction carries none.
    108 KeyRequired => "the account is not registered: its first transaction carries its identity",
    /// Too early.
    109 NotYetValid {
        /// From when on, in milliseconds.
        valid_after: u64,
        /// The batch's time.
        time: u64,
    } => "valid after {valid_after} ms, the batch is of {time} ms",
    /// Too late.
    110 Expired {
        /// Until when, in milliseconds.
        valid_until: u64,
        /// The batch's time.
        time: u64,
    } => "valid until {valid_until} ms, the batch is of {time} ms",
    /// Valid for longer than anybody may be asked to remember.
    111 ValidTooLong {
        /// Until when, in milliseconds.
        valid_until: u64,
        /// The latest that is allowed now.
        limit: u64,
    } => "valid until {valid_until} ms, at most {limit} ms is allowed now",
    /// The sequence number was used before.
    112 NonceUsed {
        /// The transaction's.
        found: u64,
        /// The lane's next.
        next: u64,
    } => "sequence number {found} is used up, the lane continues at {next}",
    /// Sequence numbers before this one are missing.
    113 NonceGap {
        /// The transaction's.
        found: u64,
        /// The lane's next.
        next: u64,
    } => "sequence number {found} is ahead of its lane, which continues at {next}",
    /// The lane belongs to a session that does not exist, or is not for this use.
    114 LaneClosed {
        /// The lane.
        lane: u8,
    } => "lane {lane} is not open to this key here",
    /// The price is below the plane's.
    115 GasPriceTooLow {
        /// The most the sender pays, in base units a gas.
        found: u64,
        /// The plane's price.
        needed: u64,
    } => "pays at most {found} a gas, the plane takes {needed}",
    /// The limit does not cover what the transaction needs in any case.
    116 GasLimitTooLow {
        /// The sender's limit.
        found: u64,
        /// The least it needs.
        needed: u64,
    } => "gas limit {found}, at least {needed} is needed",
    /// The limit is more than a batch has.
    117 GasLimitTooHigh {
        /// The sender's limit.
        found: u64,
        /// A batch's limit.
        limit: u64,
    } => "gas limit {found}, a batch has {limit}",
    /// The account cannot pay the most this transaction may cost.
    118 FeeUnpayable {
        /// What it holds, in base units of GCC.
        balance: u64,
        /// The most the fee can be.
        needed: u64,
    } => "the fee may be {needed}, the account holds {balance}",
    /// Part of the format that this protocol does not run yet.
    119 Unimplemented {
        /// Which part.
        what: &'static str,
    } => "unimplemented: {what}",
    /// No session has that lane: there never was one, or it was revoked.
    120 SessionUnknown {
        /// The lane.
        lane: u8,
    } => "the account has no session on lane {lane}",
    /// The session is over.
    121 SessionExpired {
        /// Its last moment, in milliseconds.
        expires: u64,
        /// The batch's time.
        time: u64,
    } => "the session ended at {expires} ms, the batch is of {time} ms",
    /// Outside of what the session may do.
    122 SessionScope {
        /// What is outside.
        what: &'static str,
    } => "outside of the session's scope: {what}",
    /// More of an asset, the most the fee can be included, than the session may move in one transaction.
    123 SessionLimit {
        /// The asset.
        asset: AssetId,
        /// What the transaction may take.
        needed: u64,
        /// What a transaction of the session may take.
        limit: u64,
    } => "may take {needed} of asset {asset}, the session moves at most {limit} in one transaction",
    /// More of an asset, the most the fee can be included, than is left to the session in this window.
    124 SessionWindow {
        /// The asset.
        asset: AssetId,
        /// What the transaction may take.
        needed: u64,
        /// What is left in the window.
        left: u64,
    } => "may take {needed} of asset {asset}, {left} is left to the session in this window",
    /// The key was set in this batch: what it signs can be checked from the next one on.
    125 KeyTooNew => "the key was set in this batch: it signs from the next one on",
    /// The account's guardians stopped whatever leaves it.
    126 Frozen => "the account is frozen",
    /// Too few of the account's guardians agree.
    127 QuorumMissing {
        /// In which role.
        role: &'static str,
        /// The weight of those who do.
        found: u32,
        /// The weight that it takes.
        needed: u32,
    } => "guardians of weight {needed} have to agree in the role {role}, {found} do",
    /// A change of a gate that has to wait: it can only be proposed.
    128 NeedsProposal {
        /// How long it has to wait, in milliseconds.
        delay_ms: u64,
    } => "a change of a gate waits {delay_ms} ms: propose it",
    /// An approval by somebody who has no say in this.
    129 ApprovalUnknown {
        /// Whose.
        key: PublicKey,
    } => "an approval by {key:?}, which has no say in this",
    /// Two approvals by one key.
    130 ApprovalTwice => "a key approves twice",
    /// An approval that does not verify: for another transaction, another plane, or by another key.
    131 BadApproval {
        /// Whose it should be.
        key: PublicKey,
    } => "the approval by {key:?} is not one of this transaction",
    /// Mana does not pay the most this transaction may use.
    140 ManaShort {
        /// Gas that base grant and mana pay now.
        found: u64,
        /// The transaction's limit.
        needed: u64,
    } => "its gas limit is {needed}, the account has mana for {found}",
    /// Nobody has paid the sender yet, and neither mana nor a sponsor makes the account that would hold its number.
    141 NoAccount => "the sender has no account yet: somebody has to pay or register it first",
    /// The sponsor's consent does not verify, or is not there where a sponsor pays, or is where none does; or the sender
    /// sponsors itself.
    142 BadSponsorship => "a transaction carries the consent of the sponsor who pays, who is not its sender, and of no other",
    /// The sponsor is no registered account.
    143 SponsorUnknown {
        /// Which.
        sponsor: Address,
    } => "{sponsor} is no registered account, so it cannot sponsor",
    /// The key that consented is none of the sponsor's own.
    144 SponsorKey {
        /// Which.
        key: PublicKey,
    } => "{key:?} is none of the sponsor's own keys",
    /// The sponsor does not pay any more.
    145 SponsorshipOver {
        /// Until when it does, in milliseconds.
        valid_until: u64,
        /// The batch's time.
        time: u64,
    } => "the sponsor pays until {valid_until} ms, the batch is of {time} ms",
    /// More than the sponsor pays.
    146 SponsorBound {
        /// The most the fee can be.
        needed: u64,
        /// What the sponsor consented to.
        limit: u64,
    } => "the fee may be {needed}, the sponsor pays at most {limit}",
    /// The sponsor's guardians stopped whatever leaves it.
    147 SponsorFrozen => "the sponsor is frozen",
    /// Too few of the sponsor's guardians agree, and it is more than leaves without them.
    148 SponsorQuorum {
        /// The weight of those who do.
        found: u32,
        /// The weight that it takes.
        needed: u32,
    } => "the sponsor's guardians of weight {needed} have to agree, {found} do",
    /// The sponsor cannot pay the most this transaction may cost.
    149 SponsorUnpayable {
        /// What it holds, in base units of GCC.
        balance: u64,
        /// The most the fee can be.
        needed: u64,
    } => "the fee may be {needed}, the sponsor holds {balance}",
    /// The account that acts for the sender is frozen.
    150 DelegateFrozen {
        /// Which account.
        delegate: Address,
    } => "{delegate}, which acts for the account, is frozen",
    /// The session of the lane is another's.
    151 NotDelegate {
        /// Who signs.
        delegate: Address,
        /// The lane.
        lane: u8,
    } => "the session on lane {lane} is not held by {delegate}",
    /// Names more of the state than one transaction may: a judge would need more of it than a witness holds.
    152 ReachTooWide {
        /// What a witness of it may take, in bytes.
        bytes: usize,
        /// What it may take.
        limit: usize,
    } => "may read {bytes} bytes of state, {limit} are allowed: name fewer accounts and assets in one transaction",
    /// The account does not hold enough.
    200 Overdrawn {
        /// What it holds.
        balance: u64,
        /// What is needed; where the asset is GCC, the fee's reserve is out of the balance already.
        needed: u64,
    } => "needs {needed}, the account holds {balance}",
    /// The receiver would hold more than 2^63 - 1.
    201 BalanceOverflow {
        /// What the receiver holds.
        balance: u64,
        /// What would be added.
        amount: u64,
    } => "the receiver holds {balance} and cannot take {amount} more",
    /// Sender and receiver are the same.
    202 SelfPayment => "a payment to oneself moves nothing",
    /// Nothing would move.
    203 ZeroAmount => "an amount of zero moves nothing",
    /// The plane has no such asset.
    204 UnknownAsset {
        /// The asset.
        asset: AssetId,
    } => "the plane has no asset {asset}",
    /// The asset is not held by the L1.
    205 NotBridged {
        /// The asset.
        asset: AssetId,
    } => "asset {asset} is not bridged and cannot leave for the L1",
    /// The sender cannot pay for the new slot or record.
    206 StorageUnpayable {
        /// What the sender holds in base units of GCC.
        balance: u64,
        /// What is needed.
        needed: u64,
    } => "the new account costs {needed} of storage, the sender holds {balance}",
    /// More gas than the sender's limit.
    207 OutOfGas {
        /// The sender's limit.
        limit: u64,
        /// What the transaction needs.
        needed: u64,
    } => "needs {needed} gas, its limit is {limit}",
    /// The plane has handed out all the slots or objects that genesis allows.
    208 StateFull => "the plane has handed out all the slots or objects that genesis allows",
    /// The receiver's account lists as many assets as it may.
    209 DirectoryFull {
        /// How many that is.
        limit: usize,
    } => "the receiver's account already lists {limit} assets",
    /// The L1 counts this asset in coarser units, so the amount could never be claimed there.
    210 InexactOnL1 {
        /// The smallest amount the L1 can pay, in the plane's base units; withdrawals are multiples of it.
        unit: u64,
    } => "the L1 pays only multiples of {unit}",
    /// The key to be set does not decode to a point, or is of small order.
    220 UnusableKey => "the key to be set is not usable: it is no curve point or of small order",
    /// The account has as many keys as it may.
    221 KeysFull {
        /// How many that is.
        limit: usize,
    } => "the account already has {limit} keys",
    /// The account has this key: as its own, as a session's or as a guardian's.
    222 KeyTwice => "the account has this key already",
    /// No key has that position.
    223 NoSuchKey {
        /// The position.
        position: u8,
    } => "the account has no key {position}",
    /// An account keeps at least one key.
    224 LastKey => "an account keeps at least one key",
    /// The identity is registered already.
    225 RegisteredAlready => "the identity is registered already",
    /// The identity is made for another chain.
    226 ForeignIdentity {
        /// Its chain.
        found: u64,
        /// The plane's.
        expected: u64,
    } => "the identity is of chain {found}, this plane is on chain {expected}",
    /// The terms are no session's.
    227 SessionTerms {
        /// What is wrong with them.
        what: &'static str,
    } => "no session can have these terms: {what}",
    /// The lane has a session that is not over.
    228 SessionExists {
        /// The lane.
        lane: u8,
    } => "lane {lane} has a session already: revoke it first",
    /// The account has as many sessions as it may.
    229 SessionsFull {
        /// How many that is.
        limit: usize,
    } => "the account already has {limit} sessions",
    /// No session has that lane.
    230 NoSuchSession {
        /// The lane.
        lane: u8,
    } => "the account has no session on lane {lane}",
    /// The account's gates would take more room in its record than they may.
    231 GatesFull {
        /// Bytes needed.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    } => "the account's gates would take {bytes} bytes, at most {limit} are allowed",
    /// A price of storage is more than the key that signed may still move.
    232 StorageOverLimit {
        /// The price.
        needed: u64,
        /// What may still be moved.
        left: u64,
    } => "storage costs {needed}, {left} is left of what the key that signed may move",
    /// The account has no guardians.
    240 Unguarded => "the account has no guardians",
    /// A guardian twice in a set.
    241 GuardianTwice => "the set has a guardian twice",
    /// The account would be its own guardian.
    242 GuardianSelf => "an account is not its own guardian, nor is a key of its own",
    /// A guardian that is no registered account.
    243 GuardianUnknown {
        /// Which.
        address: Address,
    } => "{address} is no registered account, so it cannot be a guardian",
    /// A guardian whose own guardian the account is.
    244 GuardianCycle {
        /// Which.
        address: Address,
    } => "the account is a guardian of {address}: they would wait for each other",
    /// A guardian whose own guardians are accounts.
    245 GuardianDepth {
        /// Which.
        address: Address,
    } => "the guardians of {address} are accounts themselves: that is one step too many",
    /// The terms are no set's.
    246 GuardianTerms {
        /// What is wrong with them.
        what: &'static str,
    } => "no set of guardians can have these terms: {what}",
    /// A quorum that all members together do not reach.
    247 QuorumUnreachable {
        /// In which role.
        role: &'static str,
        /// The weight of all members.
        found: u32,
        /// The weight that it takes.
        needed: u32,
    } => "the role {role} takes weight {needed}, all its members have {found}",
    /// The account holds as many proposals as it may.
    250 ProposalsFull {
        /// How many that is.
        limit: usize,
    } => "the account already holds {limit} proposals",
    /// A second proposal in one transaction.
    251 ProposalTwice => "a transaction proposes once",
    /// The account holds no such proposal: it was done, declined, dropped, or never made.
    252 NoSuchProposal => "the account holds no such proposal",
    /// The proposal is over.
    253 ProposalExpired {
        /// Its last moment, in milliseconds.
        expires: u64,
        /// The batch's time.
        time: u64,
    } => "the proposal ended at {expires} ms, the batch is of {time} ms",
    /// The sender is no guardian of the account.
    254 NotGuardian => "the sender is no guardian of the account",
    /// The sender has voted so already.
    255 VotedAlready => "the sender has voted so already",
    /// Too few agree to the proposal.
    256 ProposalQuorum {
        /// In which role.
        role: &'static str,
        /// The weight of those who do.
        found: u32,
        /// The weight that it takes.
        needed: u32,
    } => "guardians of weight {needed} have to agree in the role {role}, {found} do",
    /// Not before its time.
    257 Waits {
        /// When that is, in milliseconds.
        until: u64,
        /// The batch's time.
        time: u64,
    } => "not before {until} ms, the batch is of {time} ms",
    /// Whose proposal it is has been frozen.
    258 SubjectFrozen => "the account is frozen",
    /// Too few guardians stand behind the transaction.
    259 SubjectQuorum {
        /// In which role.
        role: &'static str,
        /// The weight of those who do.
        found: u32,
        /// The weight that it takes; 0 if nobody may.
        needed: u32,
    } => "guardians of weight {needed} have to agree in the role {role}, {found} do",
    /// The account is frozen for good already.
    260 FrozenAlready => "the account is frozen already",
    /// The account is not frozen.
    261 NotFrozen => "the account is not frozen",
    /// A recovery is under way.
    262 RecoveryPending => "a recovery is under way already",
    /// No recovery is under way.
    263 NoRecovery => "no recovery is under way",
    /// The account's key has cancelled a recovery before.
    264 CancelledBefore => "the account's key has cancelled a recovery before: now a guardian has to agree",
    /// Somebody has registered an asset of this number.
    270 AssetTaken => "somebody has registered an asset of this number",
    /// The terms are no asset's of the plane's own.
    271 AssetTerms {
        /// What is wrong with them.
        what: &'static str,
    } => "no asset of the plane's own can have these terms: {what}",
    /// The account has not registered the asset.
    272 NotIssuer => "the account is not the issuer of the asset",
    /// There would be more of the asset than its cap.
    273 CapExceeded {
        /// The most there may be.
        cap: u64,
        /// How much there is.
        supply: u64,
    } => "there may be {cap} of the asset, there are {supply} already",
    /// The asset's issuer has stopped whatever moves of it.
    274 AssetFrozen => "the asset is frozen",
    /// More crosses between the plane and the outside, or is made and ended, than a batch can hold.
    275 CrossesTooMuch {
        /// What is too much.
        what: &'static str,
    } => "more is made, ended or withdrawn than a batch can hold: {what}",
    /// A policy forbids it.
    280 CovenantForbids {
        /// Whose covenant.
        at: &'static str,
    } => "the covenant of {at} forbids it",
    /// No policy permits it.
    281 CovenantSilent {
        /// Whose covenant.
        at: &'static str,
    } => "nothing in the covenant of {at} permits it",
    /// A policy cannot be evaluated, and what cannot be evaluated is denied.
    282 CovenantFails {
        /// Whose covenant.
        at: &'static str,
    } => "the covenant of {at} cannot be evaluated for it",
    /// The covenant is older than this kind of action.
    283 CovenantOutdated {
        /// Whose covenant.
        at: &'static str,
    } => "the covenant of {at} was made before there was such an action",
    /// It is permitted with the word of guardians.
    284 CovenantNeedsGuardians => "a covenant permits it only with a quorum of the account's guardians for spending",
    /// It is permitted after a while, as a proposal.
    285 CovenantDelays {
        /// How long, in seconds.
        seconds: u32,
    } => "a covenant permits it only as a proposal that has been held for {seconds} seconds",
    /// Spending of as many assets is counted as may be.
    286 SpendingFull {
        /// How many that is.
        limit: usize,
    } => "a covenant asks what was spent, and spending of {limit} assets is counted already",
    /// The text is no covenant.
    287 BadCovenant {
        /// Why not: the number of `SetError` in `docs/covenant.md`.
        reason: u16,
    } => "the text is no covenant: reason {reason} of docs/covenant.md",
    /// Nobody has published such a covenant.
    288 NoSuchCovenant => "nobody has published that covenant",
    /// The account may not attach a covenant there.
    289 CovenantPlace => "the account may not attach a covenant there",
    /// The terms are no credential's.
    290 CredentialTerms {
        /// What is wrong with them.
        what: &'static str,
    } => "no credential can have these terms: {what}",
    /// The issuer has said so of the subject already, and it holds.
    291 CredentialExists => "the issuer has issued this credential already: revoke it first",
    /// There is no such credential: it was never issued, or revoked, or dropped.
    292 NoSuchCredential => "there is no such credential: it was never issued, or it was revoked or dropped",
    /// Levels and types are certified by the plane's authorities alone.
    293 NotAuthority => "the account is no authority of this plane: it certifies no level and no type",
    /// More than the authority may certify.
    294 AuthorityScope {
        /// What is more.
        what: &'static str,
    } => "more than genesis lets the authority certify: {what}",
    /// Another authority certifies another type.
    295 CertifiedOtherwise {
        /// The name of that type.
        certified: &'static str,
    } => "the subject is certified to be a {certified} already, by another authority",
    /// Another credential of the authority counts for the subject.
    296 CertifiedAlready {
        /// Its claims.
        claims: Digest,
    } => "the authority's credential {claims} counts for the subject already: revoke it first",
    /// Nobody speaks for the subject yet.
    297 SubjectUnregistered => "the subject is not registered: nobody could drop the credential",
    /// Each would act for the other.
    298 DelegationCycle {
        /// Who.
        delegate: Address,
    } => "{delegate} cannot act for the account, which acts for it, or is itself",
    /// A delegate that is no registered account.
    299 DelegateUnknown {
        /// Which.
        delegate: Address,
    } => "{delegate} is no registered account, so it cannot act for another",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_unique() {
        assert!(REJECT_CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(Reject::SelfPayment.code(), 202);
        assert_eq!(Reject::Overdrawn { balance: 1, needed: 2 }.to_string(), "needs 2, the account holds 1");
    }
}

//! Who may act: a treasury whose guardians and rules have a say, a key with a daily cap, a passkey, a thief with one guardian's key, and a lost
//! key that is replaced. On a small plane of its own, where time passes as the scene needs it; a watcher executes all of it again.

use super::cast;
use crate::local::{LocalL1, Operator, Threads, Watcher};
use crate::screen::{self, Screen};
use anyhow::{Context as _, bail, ensure};
use ghostplane_client::{Draft, Plane as Known, Role, approve};
use ghostplane_engine::{OpenBatch, Plane, Pushed, Refusal};
use ghostplane_ghostcipher::SigningKey;
use ghostplane_ghostcipher::webauthn::Authenticator;
use ghostplane_keystone::StateView as _;
use ghostplane_settlement::Message;
use ghostplane_shroud::covenant::{SCHEMA_VERSION, Template};
use ghostplane_types::amount::DECIMALS_NATIVE;
use ghostplane_types::guardian::{Guardian, Member, Roles, Thresholds};
use ghostplane_types::{
    AccountRecord, Action, Address, Amount, AssetId, CovenantAt, CovenantText, Decode as _, EntityType, Genesis, Gid,
    GuardianSet, Holder, KindSet, Limit, Money, Outcome, PublicKey, Reject, Scope, Session, Signer, Window,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z, so that every run gives the same bytes.
const GENESIS_MS: u64 = 1_767_225_600_000;
/// One L1 block a minute.
const BLOCK_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// How long a recovery waits.
const RECOVERY_HOURS: u64 = 2;
/// How long a signed transaction may wait.
const VALID_MS: u64 = HOUR_MS;
/// Gas that a transaction may use: room for rules, whose text whoever asks first in a batch pays for.
const GAS_LIMIT: u64 = 1_000_000;
/// What the treasury's rules let leave it within an hour.
const RULED_MAX: &str = "400gcc";
const LANE: u8 = 1;
const PEOPLE: [&str; 6] = ["treasury", "gina", "gus", "bob", "vera", "erin"];

/// What the scene showed. Nothing is in it that was not so.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The code of a payment that too few guardians stood behind; nothing was charged.
    pub refused_below_quorum: u16,
    /// Base units that left with two of three guardians.
    pub paid_with_quorum: u64,
    /// Base units that left without them, within the allowance.
    pub paid_alone: u64,
    /// The code of a payment that had its quorum and that the treasury's rules forbid.
    pub refused_by_covenant: u16,
    /// The policy that forbade it.
    pub forbidden_by: String,
    /// What was found to make it pass; it was tried, and passed.
    pub would_pass: String,
    /// Payments of the session before its cap.
    pub session_payments: usize,
    /// The code of the one that went over it.
    pub session_refused: u16,
    /// Gas of a payment signed by a passkey.
    pub passkey_gas: u64,
    /// What a thief with one guardian's key tried.
    pub thief_attempts: usize,
    /// What the treasury lost by it, in base units.
    pub thief_moved: u64,
    /// How long the lost key's account waited for its new one.
    pub recovered_after_hours: u64,
    /// The code that the lost key gets since.
    pub lost_key_refused: u16,
    /// Batches that a watcher executed again, to the same roots.
    pub batches_watched: u64,
}

/// Plays the scene.
pub fn play(seed: u64, threads: usize, screen: &Screen) -> anyhow::Result<Shown> {
    screen.heading("Keys and guardians");
    let mut stage = Stage::found(seed, threads)?;
    let (paid_alone, refused_below_quorum, paid_with_quorum) = treasury(&mut stage, screen)?;
    let ruled = rules(&mut stage, screen)?;
    let (session_payments, session_refused) = session(&mut stage, screen)?;
    let passkey_gas = passkey(&mut stage, screen)?;
    let (thief_attempts, thief_moved) = thief(&mut stage, screen)?;
    let lost_key_refused = recovery(&mut stage, screen)?;
    let batches_watched = stage.watched()?;
    screen.good(&format!(
        "a watcher executed {} batches again from what the L1 has: the same gates, the same roots",
        screen::grouped(batches_watched)
    ));
    Ok(Shown {
        refused_below_quorum,
        paid_with_quorum,
        paid_alone,
        refused_by_covenant: ruled.code,
        forbidden_by: ruled.policy,
        would_pass: ruled.would_pass,
        session_payments,
        session_refused,
        passkey_gas,
        thief_attempts,
        thief_moved,
        recovered_after_hours: RECOVERY_HOURS,
        lost_key_refused,
        batches_watched,
    })
}

fn gcc(text: &str) -> Money {
    Money { amount: Amount::parse_decimal(text, DECIMALS_NATIVE).expect("written here"), asset: AssetId::GCC }
}

fn at(name: &str) -> Address {
    cast::gid(name).address()
}

fn pay(to: &str, money: Money) -> Action {
    Action::Transfer { to: at(to), asset: money.asset, amount: money.amount }
}

fn limit(per_transaction: Money, per_window: Money) -> Limit {
    let (per_transaction, per_window) = (per_transaction.amount, per_window.amount);
    Limit { asset: AssetId::GCC, per_transaction, window: Window::Day, per_window }
}

/// A plane, its L1 and who watches.
struct Stage {
    plane: Known,
    workers: Threads,
    operator: Operator,
    watcher: Watcher,
    l1: LocalL1,
    /// Why the last transaction of a batch was not applied, if it was not.
    refusal: Option<Refusal>,
}

impl Stage {
    /// A plane on which everybody has money.
    fn found(seed: u64, threads: usize) -> anyhow::Result<Self> {
        let workers = Threads::new(threads);
        let key = cast::signing_key("operator");
        let genesis = Genesis::dev(GENESIS_MS, key.verification_key(), at("operator's wallet"));
        let engine = Plane::new(genesis.clone())?;
        let operator = Operator::found(engine.clone(), key, seed, &workers)?;
        let mut l1 = LocalL1::new(&engine, operator.state(), BLOCK_MS)?;
        let watcher = Watcher::new(engine, cast::l1_address("watcher"), seed ^ 2, &workers)?;
        operator.bond(&mut l1)?;
        for name in PEOPLE {
            let money = gcc(if name == "treasury" { "1000" } else { "100" });
            let l1_amount = u128::from(money.amount.units());
            l1.send(cast::l1_address(name), Message::Deposit { asset: money.asset, l1_amount, to: at(name) })?;
        }
        l1.mine(engine_depth(&genesis))?;
        let inbox: Vec<_> = l1.settlement().inbox_entries(0, l1.settlement().inbox_ripe_upto()).cloned().collect();
        ensure!(inbox.len() == PEOPLE.len(), "{} deposits are ripe", inbox.len());
        let mut stage = Self { plane: Known::new(genesis)?, workers, operator, watcher, l1, refusal: None };
        let time = stage.l1.block().time;
        stage.operator.produce(time, &inbox, Vec::new(), &stage.workers)?;
        stage.commit()?;
        Ok(stage)
    }

    fn time(&self) -> u64 {
        self.l1.block().time
    }

    fn record(&self, address: &Address) -> anyhow::Result<Option<AccountRecord>> {
        let key = ghostplane_types::ObjectKey::account(address);
        let object = self.operator.keystone().object(&key).map_err(|_| anyhow::anyhow!("the whole state is here"))?;
        Ok(object.map(|object| AccountRecord::from_bytes(object.value)).transpose()?)
    }

    fn balance(&self, name: &str) -> u64 {
        self.operator.balance(&at(name), AssetId::GCC).units()
    }

    /// Lets an account do something by a key of its own or of a session, with approvals. What is refused changes nothing.
    fn act(
        &mut self,
        account: Address,
        by: &dyn Signer,
        actions: &[Action],
        approvers: &[&SigningKey],
    ) -> anyhow::Result<Result<Outcome, Reject>> {
        let gid = gid_of(by);
        let record = self.record(&account)?;
        // A key that is none of the account's tries as if it were its first.
        let role = Role::of(record.as_ref(), &by.public_key()).unwrap_or(Role::Key(0));
        let next = record.as_ref().map_or(0, |record| record.next_in_lane(role.lane()));
        let draft = Draft::new(&self.plane, 1).valid(0, self.time() + VALID_MS).role(role);
        let draft = draft.room_for(approvers.iter().map(|key| key.public_key().scheme()));
        let draft = actions.iter().cloned().fold(draft.gas_limit(GAS_LIMIT), Draft::action);
        let mut transaction = draft.sign_for(account, by, gid, next)?;
        for key in approvers {
            approve(&mut transaction, *key)?;
        }
        let checked = self.operator.verify(vec![transaction], &self.workers)?;
        let verified = match checked.into_iter().next().context("one answer for one transaction")? {
            Ok(verified) => verified,
            Err(reject) => return Ok(Err(reject)),
        };
        // Whether it may be in a batch at all, before there is one.
        let (operator, time) = (&self.operator, self.l1.block().time);
        let (state, generation) = (*operator.state(), operator.generation());
        let mut open = OpenBatch::open(operator.plane(), operator.keystone(), state, generation, time)
            .map_err(|halt| anyhow::anyhow!("no batch opens: {halt}"))?;
        let pushed =
            open.push(&[Arc::new(verified.clone())]).map_err(|halt| anyhow::anyhow!("nothing is executed: {halt}"))?;
        match pushed.into_iter().next().context("one answer for one transaction")? {
            Pushed::Rejected(reject) => return Ok(Err(reject)),
            Pushed::Full => bail!("an empty batch is full"),
            Pushed::Included { refused, .. } => self.refusal = refused.map(|refused| refused.explain()),
        }
        let kept = self.operator.produce(time, &[], vec![verified], &self.workers)?;
        let outcome = kept.records.first().context("a record of the transaction")?.2;
        self.commit()?;
        Ok(Ok(outcome))
    }

    /// The same, of a person by the key of that name; it has to apply.
    fn done(&mut self, who: &str, actions: &[Action], approvers: &[&str]) -> anyhow::Result<Outcome> {
        let keys: Vec<SigningKey> = approvers.iter().map(|name| cast::signing_key(name)).collect();
        let came = self.act(at(who), &cast::signing_key(who), actions, &keys.iter().collect::<Vec<_>>())?;
        let outcome = came.with_context(|| format!("{who} does {}", actions[0].kind_name()))?;
        ensure!(outcome.is_applied(), "{who} does {}: code {}", actions[0].kind_name(), outcome.code);
        Ok(outcome)
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        self.l1.mine(1)?;
        self.operator.commit(&mut self.l1)?;
        Ok(())
    }

    /// Has the watcher execute whatever the L1 shows, to the same roots.
    fn watched(&mut self) -> anyhow::Result<u64> {
        let caught = self.watcher.follow(&self.l1, &self.workers)?;
        ensure!(caught.is_none(), "an honest batch was called false: {caught:?}");
        ensure!(self.watcher.state() == self.operator.state(), "the watcher stands where the operator stands");
        Ok(self.watcher.state().number)
    }
}

fn engine_depth(genesis: &Genesis) -> u64 {
    genesis.settlement.reorg_depth + 1
}

fn gid_of(by: &dyn Signer) -> Gid {
    let chain_id = ghostplane_types::genesis::CHAIN_DEV;
    Gid { public_key: by.public_key(), chain_id, entity_type: EntityType::Wallet, version: 0 }
}

/// That something was refused before it cost anything, and with which code.
fn refused(came: Result<Outcome, Reject>, what: &str) -> anyhow::Result<Reject> {
    match came {
        Err(reject) => Ok(reject),
        Ok(outcome) => bail!("{what} was executed, with code {}", outcome.code),
    }
}

/// A little alone, much with two of three.
fn treasury(stage: &mut Stage, screen: &Screen) -> anyhow::Result<(u64, u16, u64)> {
    stage.done("bob", &[pay("erin", gcc("0.01"))], &[])?;
    let key = |name: &str| Guardian::Key(PublicKey::Ed25519(cast::signing_key(name).verification_key()));
    let member = |who| Member { who, weight: 1, roles: Roles::ALL };
    let set = GuardianSet {
        members: vec![member(key("gina")), member(key("gus")), member(Guardian::Account(at("bob")))],
        thresholds: Thresholds { spend: 2, gates: 2, freeze: 2, recover: 2 },
        allowances: vec![limit(gcc("2"), gcc("5"))],
        gate_delay_ms: HOUR_MS,
        recovery_delay_ms: RECOVERY_HOURS * HOUR_MS,
    };
    // Rules first: once there are guardians, a change of rules takes them and their time.
    let rules = Template::parse("spending-limit", &parameters(&[("limit", RULED_MAX), ("window", "hour")]))?;
    let text = rules.text()?;
    let digest = Some(CovenantText::digest_of(SCHEMA_VERSION, &text));
    let publish = Action::PublishCovenant { schema_version: SCHEMA_VERSION, text };
    stage.done("treasury", &[publish, Action::SetCovenant { at: CovenantAt::Outgoing, digest }], &[])?;
    stage.done("treasury", &[Action::SetGuardians(Some(Box::new(set)))], &[])?;
    let (alone, much) = (gcc("1.5"), gcc("300"));
    stage.done("treasury", &[pay("erin", alone)], &[])?;
    screen.good(&format!("a treasury with three guardians pays {alone} alone: it may move 5gcc a day, 2gcc at once"));
    let before = stage.balance("treasury");
    let owner = cast::signing_key("treasury");
    let below = stage.act(at("treasury"), &owner, &[pay("erin", much)], &[&cast::signing_key("gina")])?;
    let reject = refused(below, "a payment below the quorum")?;
    ensure!(matches!(reject, Reject::QuorumMissing { .. }), "refused for another reason: {reject}");
    ensure!(stage.balance("treasury") == before, "a refused payment costs nothing");
    screen.good(&format!("{much} with one of them: refused, code {}, and no fee: {reject}", reject.code()));
    stage.done("treasury", &[pay("erin", much)], &["gina", "bob"])?;
    let paid = before - stage.balance("treasury");
    ensure!(paid > much.amount.units(), "it left, and a fee");
    screen.good(&format!("{much} with two of three: paid"));
    Ok((alone.amount.units(), reject.code(), much.amount.units()))
}

fn parameters(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What rules forbade, and why.
struct Ruled {
    code: u16,
    policy: String,
    would_pass: String,
}

/// More than the treasury's rules allow, with its quorum: denied, explained, and what the explanation says to pass passes.
fn rules(stage: &mut Stage, screen: &Screen) -> anyhow::Result<Ruled> {
    let owner = cast::signing_key("treasury");
    let approvers = ["gina", "bob"].map(cast::signing_key);
    let pays = |stage: &mut Stage, amount: Money| {
        let before = stage.balance("treasury");
        let outcome = stage.act(at("treasury"), &owner, &[pay("erin", amount)], &approvers.each_ref())??;
        anyhow::Ok((outcome, before - stage.balance("treasury")))
    };
    let much = gcc("150");
    let (outcome, left) = pays(stage, much)?;
    ensure!(!outcome.is_applied() && left == outcome.fee, "rules let through what they forbid");
    let refusal = stage.refusal.take().context("why it was refused")?;
    let because = refusal.because.context("it was rules that refused it")?;
    let (place, policy) = because.policies.first().context("a policy forbade it")?.clone();
    let would_pass = because.would_pass.first().context("something would pass")?.clone();
    screen.good(&format!(
        "its covenant lets {RULED_MAX} go an hour: {much} more, with two of three, comes to code {}",
        outcome.code
    ));
    screen.good(&format!("explained: policy {policy} of {place} forbids it; it {would_pass}"));
    // What is said is tried: a unit more than that is refused, and that much is paid.
    let most = would_pass.strip_prefix("passes with amount <= ").context("it is about the amount")?;
    let most: Money = most.parse()?;
    let more = most.amount.checked_add(Amount::new(1).expect("small")).context("there is more")?;
    let (over, _) = pays(stage, Money { amount: more, ..most })?;
    ensure!(over.code == outcome.code, "a unit more comes to code {}", over.code);
    let (paid, left) = pays(stage, most)?;
    ensure!(paid.is_applied() && left == most.amount.units() + paid.fee, "{most} comes to code {}", paid.code);
    screen.good(&format!("{most} is paid, a unit more is not"));
    Ok(Ruled { code: outcome.code, policy, would_pass })
}

/// A key in somebody's phone pays until its day's money is spent.
fn session(stage: &mut Stage, screen: &Screen) -> anyhow::Result<(usize, u16)> {
    let phone = cast::signing_key("vera's phone");
    let session = Session {
        lane: LANE,
        holder: Holder::Key(phone.public_key()),
        expires: stage.time() + 30 * 24 * HOUR_MS,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER]),
            recipients: Some(vec![at("erin")]),
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![limit(gcc("0.4"), gcc("1"))],
        },
    };
    stage.done("vera", &[Action::AddSession(Box::new(session))], &[])?;
    let mut payments = 0;
    loop {
        match stage.act(at("vera"), &phone, &[pay("erin", gcc("0.3"))], &[])? {
            Ok(outcome) if outcome.is_applied() && payments < 10 => payments += 1,
            Ok(outcome) => bail!("payment {payments} of the session came to code {}", outcome.code),
            Err(reject) => {
                ensure!(payments == 3, "three times 0.3gcc fit a cap of 1gcc, and {payments} did");
                ensure!(matches!(reject, Reject::SessionWindow { .. }), "refused for another reason: {reject}");
                screen.good(&format!(
                    "a session key pays 0.3gcc {payments} times and runs into its cap of 1gcc a day: code {}",
                    reject.code()
                ));
                return Ok((payments, reject.code()));
            }
        }
    }
}

/// A passkey, which signs what a browser shows it, pays.
fn passkey(stage: &mut Stage, screen: &Screen) -> anyhow::Result<u64> {
    let authenticator = Authenticator::new([5; 32], "wallet.example", true)?;
    let account = gid_of(&authenticator).address();
    let money = gcc("5");
    let give = Action::Transfer { to: account, asset: money.asset, amount: money.amount };
    stage.done("erin", &[give], &[])?;
    let before = stage.balance("erin");
    let outcome = stage.act(account, &authenticator, &[pay("erin", gcc("1"))], &[])??;
    ensure!(outcome.is_applied(), "the passkey's payment came to code {}", outcome.code);
    ensure!(stage.balance("erin") - before == gcc("1").amount.units(), "exactly that has arrived");
    screen.good(&format!(
        "a passkey of wallet.example pays 1gcc by an assertion over P-256: {} gas",
        screen::grouped(outcome.gas)
    ));
    Ok(outcome.gas)
}

/// Somebody with one guardian's key tries whatever there is.
fn thief(stage: &mut Stage, screen: &Screen) -> anyhow::Result<(usize, u64)> {
    let before = stage.balance("treasury");
    let record = stage.record(&at("treasury"))?;
    let (stolen, own) = (cast::signing_key("gus"), cast::signing_key(cast::THIEF));
    let treasury = at("treasury");
    // In the treasury's own name nothing even verifies; as its guardian alone nothing applies.
    let as_treasury = [
        vec![pay(cast::THIEF, gcc("500"))],
        vec![Action::SetGuardians(None)],
        vec![Action::Propose { actions: vec![pay(cast::THIEF, gcc("500"))] }],
    ];
    let as_guardian = [
        Action::Freeze { account: treasury },
        Action::Recover { account: treasury, key: Box::new(own.public_key()) },
        Action::CancelRecovery { account: treasury },
    ];
    let attempts = as_treasury.len() + as_guardian.len();
    for actions in &as_treasury {
        let came = stage.act(treasury, &stolen, actions, &[&stolen])?;
        let reject = refused(came, "the thief's transaction")?;
        ensure!(matches!(reject, Reject::BadSignature), "refused for another reason: {reject}");
    }
    for action in as_guardian {
        let kind = action.kind_name();
        let outcome = stage.act(at("gus"), &stolen, &[action], &[])??;
        ensure!(!outcome.is_applied(), "the thief alone did {kind}");
    }
    let moved = before - stage.balance("treasury");
    ensure!(moved == 0 && stage.record(&treasury)? == record, "the treasury is as it was");
    screen.good(&format!("a thief with one guardian's key tries {attempts} ways: the treasury is as it was"));
    Ok((attempts, moved))
}

/// A lost key is replaced after its delay.
fn recovery(stage: &mut Stage, screen: &Screen) -> anyhow::Result<u16> {
    let (account, newer) = (at("treasury"), cast::signing_key("the treasury's new key"));
    let recover = Action::Recover { account, key: Box::new(newer.public_key()) };
    stage.done("gina", &[recover], &["gus"])?;
    let finish = [Action::FinishRecovery { account }];
    let early = stage.act(at("erin"), &cast::signing_key("erin"), &finish, &[])??;
    ensure!(!early.is_applied(), "a recovery was finished before its time");
    stage.l1.mine(RECOVERY_HOURS * HOUR_MS / BLOCK_MS)?;
    stage.done("erin", &finish, &[])?;
    let lost = stage.act(account, &cast::signing_key("treasury"), &[pay("erin", gcc("0.01"))], &[])?;
    let reject = refused(lost, "a payment by the lost key")?;
    let outcome = stage.act(account, &newer, &[pay("erin", gcc("0.01"))], &[])??;
    ensure!(outcome.is_applied(), "the new key's payment came to code {}", outcome.code);
    screen.good(&format!(
        "its lost key is replaced by two guardians after {RECOVERY_HOURS} hours: the old one gets code {}, the new one pays",
        reject.code()
    ));
    Ok(reject.code())
}

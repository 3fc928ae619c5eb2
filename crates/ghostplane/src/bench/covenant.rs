//! Rules: decisions beside Cedar alone.

use super::Row;
use super::fixture::{Fixture, Traffic};
use super::measure::{Samples, rate, seconds};
use crate::local::Threads;
use crate::screen::Screen;
use anyhow::ensure;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, PolicySet as CedarSet, Request as CedarRequest,
    RestrictedExpression as Value, Schema,
};
use ghostplane_engine::{OpenBatch, Pushed, Verified};
use ghostplane_ghostcipher::workers::{Serial, Workers};
use ghostplane_shroud::covenant::{
    Attached, Attachment, Facts, Moving, Party, PolicySet, Request, Resource, SCHEMA_TEXT, Spent, decide, with_stack,
    would_pass,
};
use ghostplane_types::{Address, Amount, AssetId};
use std::hint::black_box;
use std::sync::Arc;

const ROUNDS: u64 = 15;
/// Policies asked in each row.
const COUNTS: [usize; 4] = [1, 10, 100, 1_000];
/// Policies of one set: more would be past its nodes.
const SET: usize = 50;
/// Policies that the engine asks about each: they fit one text.
const RULES: usize = 32;
/// Transactions of one batch.
const BATCH: usize = 1_024;
/// Policies evaluated in one sample, about.
const PASS: usize = 4_000;

const NAMES: [&str; 4] =
    ["covenant/decision-1", "covenant/decision-10", "covenant/decision-100", "covenant/decision-1000"];
const BARE: [&str; 4] = ["covenant/bare-1", "covenant/bare-10", "covenant/bare-100", "covenant/bare-1000"];
const BARE_NAME: &str = "Cedar's is_authorized on the same policies, request and entities ready";

pub(super) fn measure(screen: &Screen) -> anyhow::Result<Vec<Row>> {
    let bar = screen.progress("rules", ROUNDS);
    let cases = COUNTS.iter().map(|count| Case::new(*count)).collect::<anyhow::Result<Vec<_>>>()?;
    let limit = limit();
    let over = request(Amount::new(30_000_000_000).expect("small"))?;
    let mut figures: Vec<(Samples, Samples)> = cases.iter().map(|_| Default::default()).collect();
    let (mut setting, mut explaining) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        for (case, (ours, bare)) in cases.iter().zip(&mut figures) {
            ours.push(case.ours()?);
            bare.push(case.bare()?);
        }
        let (time, set) = seconds(|| PolicySet::set(&cases[2].texts[0]));
        setting.push(time * 1e6);
        set?;
        let (time, changes) = seconds(|| would_pass(&[attached(&limit)], &over));
        ensure!(changes.len() == 1, "the limit is known to pass with less");
        explaining.push(time * 1e6);
        bar.inc(1);
    }
    bar.finish("");
    let mut rows = Vec::new();
    for (at, (ours, bare)) in figures.iter().enumerate() {
        rows.push(Row::rate(NAMES[at], ours.median(), "decisions/s", bare.median(), BARE_NAME));
        rows.push(Row::plain(BARE[at], bare.median(), "decisions/s"));
    }
    rows.extend(ahead_rows(screen)?);
    rows.push(Row::plain("covenant/set", setting.median(), "us"));
    rows.push(Row::plain("covenant/would-pass", explaining.median(), "us"));
    Ok(rows)
}

/// Transactions that the engine executes under so many policies, on one thread, and with their decisions made ahead on all.
fn ahead_rows(screen: &Screen) -> anyhow::Result<Vec<Row>> {
    const NAME: &str = "the same on one thread";
    let traffic = Traffic::Among { transfers: BATCH, actors: 1_700 };
    let mut fixture = Fixture::new(1_700)?;
    fixture.rule(&texts(RULES)[0], 3_000_000)?;
    let bar = screen.progress("rules in the engine", ROUNDS);
    let (mut alone, mut ahead) = (Samples::default(), Samples::default());
    let all = Threads::new(0);
    for round in 0..=ROUNDS {
        let transactions = fixture.transactions(traffic);
        let verified: Vec<Arc<Verified>> = fixture.verified(transactions)?.into_iter().map(Arc::new).collect();
        let workers: [(&dyn Workers, &mut Samples); 2] = [(&Serial, &mut alone), (&all, &mut ahead)];
        for (workers, samples) in workers {
            let (spent, pushed) = seconds(|| {
                let (plane, view) = (&fixture.plane, &fixture.keystone);
                OpenBatch::open(plane, view, fixture.state, 0, fixture.next_time())?.push_with(workers, &verified)
            });
            let is_applied =
                |pushed: &Pushed| matches!(pushed, Pushed::Included { outcome, .. } if outcome.is_applied());
            let refused = pushed?.into_iter().find(|pushed| !is_applied(pushed));
            ensure!(refused.is_none(), "a transaction of the benchmark was refused: {refused:?}");
            if round > 0 {
                samples.push(BATCH as f64 / spent);
            }
        }
        fixture.forget();
        bar.inc(1);
    }
    bar.finish("");
    let alone = alone.median();
    let ahead = Row::rate("covenant/engine-32-ahead", ahead.median(), "transfers/s", alone, NAME);
    Ok(vec![Row::plain("covenant/engine-32", alone, "transfers/s"), ahead])
}

fn attached(set: &PolicySet) -> Attached<'_> {
    Attached { at: Attachment::AccountOutgoing, set }
}

fn address(at: usize) -> Address {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(at as u64).to_le_bytes());
    Address::from_bytes(bytes)
}

const LIMIT: &str = "permit (principal, action in Action::\"moves_value\", resource) when {
    context.asset == Asset::\"gcc\" && context.spent.day + context.amount <= 25000000000 };\n";

fn limit() -> PolicySet {
    PolicySet::set(LIMIT).expect("a good text")
}

/// A limit, and caps for payees: each policy concerns the action, and is evaluated to its end or to its payee.
fn texts(count: usize) -> Vec<String> {
    let set = |first: usize| {
        let caps = (first + 1..count.min(first + SET)).map(|at| {
            format!(
                "forbid (principal, action in Action::\"moves_value\", resource) when {{ context has counterparty && \
                 context.counterparty == Account::\"{}\" && context.asset == Asset::\"gcc\" && context.amount > {at} }};\n",
                address(at)
            )
        });
        std::iter::once(LIMIT.to_owned()).chain(caps).collect()
    };
    (0..count).step_by(SET).map(set).collect()
}

fn request(amount: Amount) -> anyhow::Result<Request> {
    let payee = Party::unknown(address(999_999));
    let moving =
        Moving { amount, asset: AssetId::GCC, issuer: None, counterparty: Some(payee), spent: Spent::default() };
    Ok(Request::new(Facts {
        principal: Party::unknown(address(888_888)),
        action: 1,
        resource: Resource::Account(payee),
        moving: Some(moving),
        time: 1_795_514_400_000,
        approvals: Vec::new(),
        session: None,
    })?)
}

/// So many policies, in as many sets as they take.
struct Case {
    count: usize,
    texts: Vec<String>,
    sets: Vec<PolicySet>,
    request: Request,
    cedar: Vec<CedarSet>,
    cedar_request: CedarRequest,
    entities: Entities,
}

impl Case {
    fn new(count: usize) -> anyhow::Result<Self> {
        let texts = texts(count);
        let sets = texts.iter().map(|text| PolicySet::set(text)).collect::<Result<_, _>>()?;
        let cedar = texts.iter().map(|text| Ok(text.parse()?)).collect::<anyhow::Result<_>>()?;
        let (cedar_request, entities) = bare_request()?;
        let request = request(Amount::new(5_000_000_000).expect("small"))?;
        Ok(Self { count, texts, sets, request, cedar, cedar_request, entities })
    }

    fn passes(&self) -> usize {
        PASS.div_ceil(self.count + 9)
    }

    fn ours(&self) -> anyhow::Result<f64> {
        let attached: Vec<Attached<'_>> = self.sets.iter().map(attached).collect();
        let mut allowed = true;
        let decisions = with_stack(|| {
            rate(self.passes(), || {
                for _ in 0..self.passes() {
                    allowed &= decide(black_box(&attached), black_box(&self.request)).is_allowed();
                }
            })
        });
        ensure!(allowed, "the payment is within its limits");
        Ok(decisions)
    }

    fn bare(&self) -> anyhow::Result<f64> {
        let authorizer = Authorizer::new();
        let mut allowed = true;
        let decisions = rate(self.passes(), || {
            for _ in 0..self.passes() {
                for set in &self.cedar {
                    let response = authorizer.is_authorized(black_box(&self.cedar_request), set, &self.entities);
                    allowed &= response.decision() == cedar_policy::Decision::Allow;
                }
            }
        });
        ensure!(allowed, "the payment is within its limits");
        Ok(decisions)
    }
}

/// The same facts as somebody would hand them to Cedar who does not know what the policies ask for.
fn bare_request() -> anyhow::Result<(CedarRequest, Entities)> {
    let account = |at: usize| anyhow::Ok(format!("Account::\"{}\"", address(at)).parse::<EntityUid>()?);
    let (payer, payee, gcc) = (account(888_888)?, account(999_999)?, "Asset::\"gcc\"".parse::<EntityUid>()?);
    let approvals: EntityUid = "Approvals::\"\"".parse()?;
    let named = |name: &str, value: Value| (name.to_owned(), value);
    let zero = || Value::new_long(0);
    let spent = Value::new_record(["hour", "day", "month"].map(|name| named(name, zero())))?;
    let context = Context::from_pairs([
        named("time", Value::new_long(1_795_514_400_000)),
        named("minute", Value::new_long(600)),
        named("weekday", Value::new_long(2)),
        named("approvals", Value::new_entity_uid(approvals.clone())),
        named("amount", Value::new_long(5_000_000_000)),
        named("asset", Value::new_entity_uid(gcc.clone())),
        named("counterparty", Value::new_entity_uid(payee.clone())),
        named("spent", spent),
    ])?;
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA_TEXT)?;
    let entities = [
        Entity::new_with_tags(payer.clone(), [named("level", zero())], [], [])?,
        Entity::new_with_tags(payee.clone(), [named("level", zero())], [], [])?,
        Entity::new_with_tags(gcc, [named("bridged", Value::new_bool(true))], [], [])?,
        Entity::new_with_tags(approvals, [named("count", zero()), named("weight", zero())], [], [])?,
    ];
    let entities = Entities::from_entities(entities, Some(&schema))?;
    let request = CedarRequest::new(payer, "Action::\"transfer\"".parse()?, payee, context, Some(&schema))?;
    Ok((request, entities))
}

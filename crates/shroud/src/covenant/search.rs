//! What would make a denied action pass: tried out, not argued.

use super::decide::{Attached, decide};
use super::limits::{APPROVAL_WEIGHT_MAX, SEARCH_STEPS_MAX};
use super::request::{Approval, Request, Spent, is_role};
use super::set::Rule;
use super::stack;
use ghostplane_types::limits::APPROVALS_MAX;
use ghostplane_types::{Amount, Money};
use std::collections::BTreeSet;
use std::fmt;

/// A change with which the action passes. Each was decided before it was given, and so was the next smaller one or the next
/// unit, which does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counterfactual {
    /// With this amount, and not with one base unit more.
    Amount {
        /// The amount.
        money: Money,
        /// Whether every smaller amount passes as well, as far as the rules follow the amount plainly. Otherwise nothing is
        /// said of other amounts.
        and_less: bool,
    },
    /// With so many more approvals of weight 1 of that role, and not with one fewer.
    Approvals {
        /// The guardians' role.
        role: String,
        /// How many more.
        more: usize,
    },
    /// At this time, and not a millisecond before it; what was spent in windows that have ended by then is forgotten.
    At {
        /// In milliseconds.
        time: u64,
    },
}

impl fmt::Display for Counterfactual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount { money, and_less: true } => write!(f, "passes with amount <= {money}"),
            Self::Amount { money, and_less: false } => write!(f, "passes with amount = {money}"),
            Self::Approvals { role, more: 1 } => write!(f, "passes with 1 more approval of guardians:{role}"),
            Self::Approvals { role, more } => write!(f, "passes with {more} more approvals of guardians:{role}"),
            Self::At { time } => write!(f, "passes at {time} ms"),
        }
    }
}

/// Looks for what would make a denied action pass: one change of amount, one of approvals, one of time, in this order.
/// Empty if the action passes, or if no single change that is looked for helps.
///
/// Takes up to some hundred decisions, so it is for whoever explains a denial, not for whoever executes a batch.
pub fn would_pass(sets: &[Attached<'_>], request: &Request) -> Vec<Counterfactual> {
    stack::with_stack(|| {
        if decide(sets, request).is_allowed() {
            return Vec::new();
        }
        let rules: Vec<&Rule> = sets
            .iter()
            .filter_map(|attached| Some((attached.set, attached.set.subset(request.facts().action)?)))
            .flat_map(|(set, subset)| subset.rules.iter().map(|rule| &set.rules()[*rule]))
            .collect();
        let search = Search { sets, request, rules };
        [search.amount(), search.approvals(), search.time()].into_iter().flatten().collect()
    })
}

struct Search<'a> {
    sets: &'a [Attached<'a>],
    request: &'a Request,
    /// The policies of all sets that can concern the action.
    rules: Vec<&'a Rule>,
}

impl Search<'_> {
    fn passes(&self, request: &Request) -> bool {
        decide(self.sets, request).is_allowed()
    }

    fn amount(&self) -> Option<Counterfactual> {
        let moving = self.request.facts().moving?;
        let money = |units| Money { amount: Amount::new(units).expect("below the request's own"), asset: moving.asset };
        let with = |units: u64| {
            self.request.with(|facts| {
                if let Some(moving) = &mut facts.moving {
                    moving.amount = money(units).amount;
                }
            })
        };
        let (mut passing, mut failing) = (1, moving.amount.units());
        if failing <= passing || !self.passes(&with(passing)) {
            return None;
        }
        // Whatever lies between, this ends at a unit that passes beside one that does not.
        while failing - passing > 1 {
            let middle = passing + (failing - passing) / 2;
            if self.passes(&with(middle)) {
                passing = middle;
            } else {
                failing = middle;
            }
        }
        let and_less = self.amount_is_monotone(moving.amount.units(), &moving.spent);
        Some(Counterfactual::Amount { money: money(passing), and_less })
    }

    /// Whether less passes wherever more does: every policy follows the amount plainly, and no sum in one can overflow, so
    /// that none can fail either.
    fn amount_is_monotone(&self, amount: u64, spent: &Spent) -> bool {
        let facts = [amount, spent.hour.units(), spent.day.units(), spent.month.units(), self.request.facts().time];
        let approvals = APPROVALS_MAX as u64 * u64::from(APPROVAL_WEIGHT_MAX);
        let largest = facts.into_iter().fold(approvals, u64::max);
        self.rules.iter().all(|rule| {
            let literal = rule.numbers.last().map_or(0, |number| u64::try_from(*number).unwrap_or(0));
            let terms = u128::from(rule.additions as u64) + 1;
            rule.monotone && terms * u128::from(largest.max(literal)) <= u128::from(i64::MAX.unsigned_abs())
        })
    }

    fn approvals(&self) -> Option<Counterfactual> {
        let there = self.request.facts().approvals.len();
        let roles: BTreeSet<&String> =
            self.rules.iter().flat_map(|rule| &rule.words).filter(|word| is_role(word)).collect();
        let mut steps = SEARCH_STEPS_MAX;
        // The fewest approvals first, whosever they are.
        for more in 1..=APPROVALS_MAX.saturating_sub(there) {
            for role in &roles {
                steps = steps.checked_sub(1)?;
                let approval = Approval::of(role, 1);
                let with = self.request.with(|facts| facts.approvals.extend(vec![approval; more]));
                if self.passes(&with) {
                    return Some(Counterfactual::Approvals { role: (*role).clone(), more });
                }
            }
        }
        None
    }

    fn time(&self) -> Option<Counterfactual> {
        for time in self.times().into_iter().take(SEARCH_STEPS_MAX / 2) {
            if self.passes(&self.at(time)) {
                return (!self.passes(&self.at(time - 1))).then_some(Counterfactual::At { time });
            }
        }
        None
    }

    fn at(&self, time: u64) -> Request {
        self.request.with(|facts| {
            if let Some(moving) = &mut facts.moving {
                moving.spent = moving.spent.at(time, facts.time);
            }
            facts.time = time;
        })
    }

    /// Times after the request's at which rules can change their mind, earliest first: numbers that they may compare the
    /// time with, ends of windows, and minutes of the days of a week ahead.
    fn times(&self) -> BTreeSet<u64> {
        const MINUTE_MS: u64 = 60_000;
        const DAY_MINUTES: u64 = 1_440;
        let now = self.request.facts().time;
        let numbers: BTreeSet<u64> =
            self.rules.iter().flat_map(|rule| &rule.numbers).filter_map(|number| u64::try_from(*number).ok()).collect();
        let mut times: BTreeSet<u64> = Spent::ends(now).into_iter().collect();
        let midnight = now / (DAY_MINUTES * MINUTE_MS) * DAY_MINUTES * MINUTE_MS;
        for day in 0..=7 {
            let start = midnight + day * DAY_MINUTES * MINUTE_MS;
            times.insert(start);
            let minutes = numbers.range(..DAY_MINUTES).flat_map(|minute| [*minute, minute + 1]);
            times.extend(minutes.map(|minute| start + minute * MINUTE_MS));
        }
        times.extend(numbers.iter().flat_map(|number| [*number, number.saturating_add(1)]));
        times.retain(|time| *time > now && i64::try_from(*time).is_ok());
        times
    }
}

//! Mana: gas that a balance of ZMAN regenerates, exact to the unit.
//!
//! Everything is an integer. One gas is [`ManaTerms::gas_unit`] units of mana, and a balance of `b` base units regenerates
//! `b x rate` units in each millisecond, so that nothing is ever rounded while it regenerates. Gas goes into units without a
//! rest; only what a transfer of ZMAN takes along is rounded, down, and what is rounded off stays where it was.

use crate::amount::{Amount, SUPPLY_MAX};
use crate::codec::{Decode, DecodeError, Encode, Reader, put_list, put_varint};
use crate::limits::{BATCH_GAS_MAX, MANA_GRANTS_MAX, MANA_SPAN_MS_MAX, PLANE_GAS_PER_SECOND};
use crate::session::Spent;

/// Base units of a whole ZMAN, which [`ManaTerms::rate`] is of.
pub const ZMAN_UNITS: u64 = 1_000_000_000;

/// What an account's record says of its mana. What it is at some time, the balance of ZMAN and the time tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mana {
    /// The batch time up to which `units` count what was regenerated, in milliseconds; 0 without a balance of ZMAN.
    pub touched: u64,
    /// Mana at that time, in units.
    pub units: u128,
    /// How much gas of the base grant was used, in which window.
    pub granted: Spent,
}

/// How mana regenerates, as genesis says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManaTerms {
    /// Gas that a whole ZMAN regenerates in a window.
    pub rate: u64,
    /// How long a window is, in milliseconds; windows start at its multiples since the Unix epoch.
    pub window_ms: u64,
    /// Mana is saved up to what the balance regenerates in so many milliseconds, and no further.
    pub cap_ms: u64,
    /// The most ZMAN that the L1 holds for the plane, in base units: what `rate` is reckoned for.
    pub supply_max: Amount,
    /// The base grant: gas for free in a window by level of verification, the first for level 1. A level over the last has
    /// the last one's. Level 0 has none: anybody makes as many of those as he likes.
    pub grants: Vec<u64>,
}

/// What an account could pay with, at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManaNow {
    /// Gas that is left of the base grant in this window.
    pub granted: u64,
    /// Gas that mana pays.
    pub regenerated: u64,
}

impl ManaNow {
    /// Gas that both pay together. The grant goes first, for it does not last.
    pub const fn gas(&self) -> u64 {
        self.granted.saturating_add(self.regenerated)
    }
}

/// What was taken out of reach for one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManaReserve {
    /// Gas of the base grant.
    pub granted: u64,
    /// Gas of mana.
    pub regenerated: u64,
}

impl ManaTerms {
    /// Units of mana that one gas costs.
    pub const fn gas_unit(&self) -> u128 {
        ZMAN_UNITS as u128 * self.window_ms as u128
    }

    /// The most units that a balance saves up.
    pub const fn cap(&self, balance: Amount) -> u128 {
        balance.units() as u128 * (self.rate as u128 * self.cap_ms as u128)
    }

    /// Units that a balance regenerates in a millisecond.
    pub const fn income(&self, balance: Amount) -> u128 {
        balance.units() as u128 * self.rate as u128
    }

    /// Whole gas that a balance regenerates in a window.
    pub fn gas_per_window(&self, balance: Amount) -> u64 {
        let units = self.income(balance).saturating_mul(u128::from(self.window_ms));
        u64::try_from(units / self.gas_unit()).unwrap_or(u64::MAX)
    }

    /// The most whole gas that a balance saves up.
    pub fn gas_cap(&self, balance: Amount) -> u64 {
        u64::try_from(self.cap(balance) / self.gas_unit()).unwrap_or(u64::MAX)
    }

    /// Gas of the base grant in each window.
    pub fn grant(&self, level: u8) -> u64 {
        let at = usize::from(level).checked_sub(1).map(|at| at.min(self.grants.len().saturating_sub(1)));
        at.and_then(|at| self.grants.get(at)).copied().unwrap_or(0)
    }

    /// The number of the window that `time` is in.
    pub const fn window_at(&self, time: u64) -> u64 {
        time / self.window_ms
    }

    /// Brings mana up to `time`: what the balance, which is the same since it was touched, has regenerated is in. Any number
    /// of touches on the way comes to the same.
    pub fn touch(&self, mana: Mana, balance: Amount, time: u64) -> Mana {
        // States that no rule could have made may have been touched in the future.
        let elapsed = time.saturating_sub(mana.touched).min(self.cap_ms);
        let gained = self.income(balance) * u128::from(elapsed);
        let granted = if mana.granted.window == self.window_at(time) { mana.granted } else { Spent::default() };
        self.settled(Mana { granted, ..mana }, mana.units.saturating_add(gained), balance, time)
    }

    /// Mana that was touched at `time` and has so many units, on this balance from now on.
    pub fn settled(&self, mana: Mana, units: u128, balance: Amount, time: u64) -> Mana {
        let touched = if balance.is_zero() { 0 } else { time };
        let granted = if mana.granted.units == 0 { Spent::default() } else { mana.granted };
        Mana { touched, units: units.min(self.cap(balance)), granted }
    }

    /// What part of `units`, which are at most the cap of `balance`, a transfer of `amount` takes along:
    /// `floor(units x amount / balance)`, and nothing of no balance.
    pub fn part(units: u128, amount: Amount, balance: Amount) -> u128 {
        let (amount, balance) = (u128::from(amount.units()), u128::from(balance.units()));
        if balance == 0 {
            return 0;
        }
        // The product may have more than 128 bits, its two parts have not.
        let (whole, rest) = (units / balance, units % balance);
        (whole.saturating_mul(amount)).saturating_add(rest * amount / balance)
    }

    /// What an account of some level could pay with at `time`.
    pub fn now(&self, mana: Mana, balance: Amount, level: u8, time: u64) -> ManaNow {
        let mana = self.touch(mana, balance, time);
        let regenerated = u64::try_from(mana.units / self.gas_unit()).unwrap_or(u64::MAX);
        ManaNow { granted: self.grant(level).saturating_sub(mana.granted.units), regenerated }
    }

    /// Takes so much gas out of reach, of the grant first; nothing if there is less.
    pub fn reserve(
        &self,
        mana: Mana,
        balance: Amount,
        level: u8,
        time: u64,
        gas: u64,
    ) -> Result<(Mana, ManaReserve), ManaNow> {
        let now = self.now(mana, balance, level, time);
        if now.gas() < gas {
            return Err(now);
        }
        let granted = now.granted.min(gas);
        let reserve = ManaReserve { granted, regenerated: gas - granted };
        let mut mana = self.touch(mana, balance, time);
        if granted > 0 {
            mana.granted = Spent { window: self.window_at(time), units: mana.granted.units + granted };
        }
        mana.units -= u128::from(reserve.regenerated) * self.gas_unit();
        Ok((mana, reserve))
    }

    /// Gives back what was not used of a reserve, at the same time: mana first. What a smaller balance cannot hold is lost.
    pub fn release(&self, mana: Mana, reserve: ManaReserve, used: u64, balance: Amount, time: u64) -> Mana {
        let back = (reserve.granted + reserve.regenerated).saturating_sub(used);
        let regenerated = back.min(reserve.regenerated);
        let mut mana = self.touch(mana, balance, time);
        mana.granted.units = mana.granted.units.saturating_sub(back - regenerated);
        let units = mana.units.saturating_add(u128::from(regenerated) * self.gas_unit());
        self.settled(mana, units, balance, time)
    }

    /// The earliest time, from `time` on, at which an account that does nothing else could pay so much gas; `None` if it
    /// never could.
    pub fn ready_at(&self, mana: Mana, balance: Amount, level: u8, time: u64, gas: u64) -> Option<u64> {
        let grant = self.grant(level);
        let later = |granted: u64, from: u64| {
            let needed = u128::from(gas.saturating_sub(granted)) * self.gas_unit();
            if needed > self.cap(balance) {
                return None;
            }
            let missing = needed.saturating_sub(self.touch(mana, balance, from).units);
            let wait = if missing == 0 { 0 } else { missing.div_ceil(self.income(balance)) };
            u64::try_from(wait).ok().and_then(|wait| from.checked_add(wait))
        };
        let first = later(self.now(mana, balance, level, time).granted, time);
        let next_window = self.window_at(time).checked_add(1).and_then(|next| next.checked_mul(self.window_ms));
        match (first, next_window) {
            // From the next window on the whole grant is there again.
            (first, Some(next)) if grant > 0 && first.is_none_or(|first| first >= next) => later(grant, next).or(first),
            (first, _) => first,
        }
    }

    /// The rule that the terms break, if they do.
    pub fn broken_rule(&self) -> Option<&'static str> {
        let (rate, window, cap) = (u128::from(self.rate), u128::from(self.window_ms), u128::from(self.cap_ms));
        let supply = u128::from(self.supply_max.units());
        let spans = 1..=MANA_SPAN_MS_MAX;
        if !spans.contains(&self.window_ms) || !spans.contains(&self.cap_ms) {
            return Some("window_ms and cap_ms are 1 to 2592000000, 30 days");
        }
        if self.supply_max.units() > SUPPLY_MAX {
            return Some("supply_max is at most 2^62");
        }
        // What all holders together can spend in a window, all that they saved up before it included.
        let spent = supply.checked_mul(rate).and_then(|income| income.checked_mul(window + cap));
        let plane = u128::from(PLANE_GAS_PER_SECOND) * window / 1_000;
        if spent.is_none_or(|spent| spent > plane / 2 * self.gas_unit()) {
            return Some("supply_max x rate, with what is saved up, is over half of the plane's gas");
        }
        // What one balance of any size can save up is counted in 128 bits.
        if rate * cap > u128::from(u64::MAX) {
            return Some("rate x cap_ms is over 2^64 - 1");
        }
        if self.grants.len() > MANA_GRANTS_MAX || self.grants.iter().any(|grant| *grant > BATCH_GAS_MAX) {
            return Some("there are at most 8 grants, and each is at most the gas of a batch");
        }
        if self.grants.is_sorted() { None } else { Some("a higher level is not granted less") }
    }
}

impl Encode for Mana {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.touched);
        self.units.encode(out);
        self.granted.encode(out);
    }
}

impl Decode for Mana {
    const BYTES_MIN: usize = 1 + 16 + Spent::BYTES_MIN;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { touched: reader.varint()?, units: reader.read()?, granted: reader.read()? })
    }
}

impl Encode for ManaTerms {
    fn encode(&self, out: &mut Vec<u8>) {
        self.rate.encode(out);
        self.window_ms.encode(out);
        self.cap_ms.encode(out);
        self.supply_max.encode(out);
        put_list(out, &self.grants);
    }
}

impl Decode for ManaTerms {
    const BYTES_MIN: usize = 8 * 4 + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            rate: reader.read()?,
            window_ms: reader.read()?,
            cap_ms: reader.read()?,
            supply_max: reader.read()?,
            grants: reader.list("grants of mana", MANA_GRANTS_MAX)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::AMOUNT_MAX;

    const DAY_MS: u64 = 24 * 3600 * 1000;

    fn amount(units: u64) -> Amount {
        Amount::new(units).expect("below 2^63")
    }

    /// A whole ZMAN regenerates 1,000 gas in 10 seconds, and saves up 20.
    fn terms() -> ManaTerms {
        ManaTerms {
            rate: 1_000,
            window_ms: 10_000,
            cap_ms: 20_000,
            supply_max: amount(1_000 * ZMAN_UNITS),
            grants: vec![50, 70],
        }
    }

    fn zman(coins: u64) -> Amount {
        amount(coins * ZMAN_UNITS)
    }

    #[test]
    fn a_balance_regenerates_to_its_cap_and_no_further() {
        let terms = terms();
        assert_eq!(terms.broken_rule(), None);
        let table = [(0, 0), (1, 0), (9, 0), (10, 1), (9_999, 999), (10_000, 1_000), (20_000, 2_000), (20_001, 2_000)];
        let new = Mana { touched: 500, ..Mana::default() };
        for (elapsed, gas) in table {
            assert_eq!(terms.now(new, zman(1), 0, 500 + elapsed).gas(), gas, "after {elapsed} ms");
            assert!(terms.now(new, zman(7), 0, 500 + elapsed).gas() >= 7 * gas, "after {elapsed} ms");
        }
        // The smallest balance regenerates as well; it takes its time for a whole gas.
        assert_eq!(terms.touch(new, amount(1), 501).units, 1_000);
        // No balance has no mana, whatever its record says.
        assert_eq!(terms.touch(Mana { units: 5, ..new }, Amount::ZERO, 600), Mana::default());
        // Nothing regenerates backwards.
        assert_eq!(terms.touch(new, zman(1), 3).units, 0);
    }

    #[test]
    fn how_often_it_is_touched_makes_no_difference() {
        let terms = terms();
        let (mut often, new) = (Mana { touched: 1, ..Mana::default() }, Mana { touched: 1, ..Mana::default() });
        for step in 0..3_000 {
            let time = 1 + step * 7;
            often = terms.touch(often, amount(12_345_678_901), time);
            assert_eq!(often, terms.touch(new, amount(12_345_678_901), time), "at {time}");
        }
    }

    #[test]
    fn a_transfer_takes_its_part_and_the_rest_stays() {
        assert_eq!(ManaTerms::part(10, amount(1), amount(3)), 3);
        assert_eq!(ManaTerms::part(10, amount(3), amount(3)), 10);
        assert_eq!(ManaTerms::part(0, amount(1), amount(3)), 0);
        assert_eq!(ManaTerms::part(10, amount(1), Amount::ZERO), 0);
        // Compared with long division in parts of 32 bits, where 128 bits do not hold the product.
        let (units, x, b) = (u128::from(u64::MAX) * 999, amount(AMOUNT_MAX - 5), amount(AMOUNT_MAX));
        let mut rest: u128 = 0;
        let mut quotient: u128 = 0;
        for bit in (0..128).rev() {
            // (units x) / b, one bit of units at a time, highest first.
            let step = if units >> bit & 1 == 1 { u128::from(x.units()) } else { 0 };
            let sum = 2 * rest + step;
            quotient = 2 * quotient + sum / u128::from(b.units());
            rest = sum % u128::from(b.units());
        }
        assert_eq!(ManaTerms::part(units, x, b), quotient);
    }

    #[test]
    fn splitting_and_merging_gains_nothing() {
        let terms = terms();
        for (balance, x) in [(3, 1), (1_000_000_007, 999), (2 * ZMAN_UNITS, ZMAN_UNITS), (5, 5)] {
            let (balance, x) = (amount(balance), amount(x));
            let rest = balance.checked_sub(x).expect("a part");
            let new = Mana { touched: 1, ..Mana::default() };
            for time in [1, 2, 777, 20_001, 50_000] {
                let whole = terms.touch(new, balance, time);
                let moved = ManaTerms::part(whole.units, x, balance);
                let kept = terms.settled(whole, whole.units - moved, rest, time);
                let taken = terms.settled(new, moved, x, time);
                // The cap cuts nothing off, and both together have what was there, then and later.
                assert_eq!(kept.units + taken.units, whole.units);
                for later in [time, time + 1, time + 3_000, time + 100_000] {
                    let parts = terms.touch(kept, rest, later).units + terms.touch(taken, x, later).units;
                    assert!(parts <= terms.touch(whole, balance, later).units, "{balance:?} {x:?} {time} {later}");
                }
            }
        }
    }

    #[test]
    fn the_grant_goes_first_and_comes_again_with_each_window() {
        let terms = terms();
        let grants: Vec<u64> = (0..=4).map(|level| terms.grant(level)).chain([terms.grant(255)]).collect();
        assert_eq!(grants, [0, 50, 70, 70, 70, 70]);
        assert_eq!(ManaTerms { grants: Vec::new(), ..terms.clone() }.grant(3), 0);

        let time = 10_000 + 500;
        let new = Mana { touched: 10_000, ..Mana::default() };
        assert_eq!(terms.now(new, zman(1), 1, time), ManaNow { granted: 50, regenerated: 50 });
        let (mana, reserve) = terms.reserve(new, zman(1), 1, time, 80).expect("enough");
        assert_eq!(reserve, ManaReserve { granted: 50, regenerated: 30 });
        assert_eq!(terms.now(mana, zman(1), 1, time), ManaNow { granted: 0, regenerated: 20 });
        assert_eq!(terms.reserve(mana, zman(1), 1, time, 21), Err(ManaNow { granted: 0, regenerated: 20 }));
        // Mana comes back before the grant does.
        let back = |used| terms.now(terms.release(mana, reserve, used, zman(1), time), zman(1), 1, time);
        assert_eq!(back(80), ManaNow { granted: 0, regenerated: 20 });
        assert_eq!(back(60), ManaNow { granted: 0, regenerated: 40 });
        assert_eq!(back(20), ManaNow { granted: 30, regenerated: 50 });
        assert_eq!(terms.release(mana, reserve, 0, zman(1), time), terms.touch(new, zman(1), time));
        // What was left of the last window does not add to the next.
        assert_eq!(terms.now(mana, Amount::ZERO, 1, 19_999).granted, 0);
        assert_eq!(terms.now(mana, Amount::ZERO, 1, 20_000).granted, 50);
        // Who loses his level has no grant; who rises has the difference.
        assert_eq!(terms.now(mana, Amount::ZERO, 0, time).granted, 0);
        assert_eq!(terms.now(mana, Amount::ZERO, 2, time).granted, 20);
    }

    #[test]
    fn what_goes_away_with_the_balance_is_not_given_back() {
        let terms = terms();
        let new = Mana { touched: 0, units: terms.cap(zman(2)), granted: Spent::default() };
        let (mana, reserve) = terms.reserve(new, zman(2), 0, 9, 4_000).expect("all of it");
        assert_eq!(terms.release(mana, reserve, 0, zman(1), 9).units, terms.cap(zman(1)));
        assert_eq!(terms.release(mana, reserve, 0, Amount::ZERO, 9), Mana::default());
    }

    #[test]
    fn when_it_suffices_is_said_to_the_millisecond() {
        let terms = terms();
        let states = [
            (Mana { touched: 10_000, ..Mana::default() }, zman(1)),
            (Mana { touched: 10_000, units: 7, granted: Spent { window: 1, units: 50 } }, amount(777_777_777)),
            (Mana { granted: Spent { window: 1, units: 30 }, ..Mana::default() }, Amount::ZERO),
        ];
        for (mana, balance) in states {
            for level in [0, 1, 2] {
                for gas in [0, 1, 20, 49, 50, 51, 70, 71, 300, 1_999, 2_000, 2_001, 2_050, 5_000] {
                    for time in [10_000, 14_321, 19_999] {
                        let enough = |at| terms.now(mana, balance, level, at).gas() >= gas;
                        match terms.ready_at(mana, balance, level, time, gas) {
                            Some(at) => {
                                assert!(at >= time && enough(at), "{gas} at {at}");
                                assert!(at == time || !enough(at - 1), "{gas} before {at}");
                            }
                            None => assert!(!enough(time) && !enough(20_000) && !enough(10 * DAY_MS), "{gas}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn terms_that_give_too_much_found_no_plane() {
        let dev = |change: fn(&mut ManaTerms)| {
            let mut terms = terms();
            change(&mut terms);
            terms.broken_rule().is_some()
        };
        // Half of the plane's gas in 10 seconds is 5 x 10^8: 1,000 ZMAN may regenerate that in 30.
        let most = PLANE_GAS_PER_SECOND * 10 / 2 / 1_000 / 3;
        assert!(!dev(|terms| terms.rate = PLANE_GAS_PER_SECOND * 10 / 2 / 1_000 / 3), "{most}");
        assert!(dev(|terms| terms.rate = PLANE_GAS_PER_SECOND * 10 / 2 / 1_000 / 3 + 1));
        assert!(dev(|terms| terms.window_ms = 0));
        assert!(dev(|terms| terms.cap_ms = 0));
        assert!(dev(|terms| terms.window_ms = MANA_SPAN_MS_MAX + 1));
        assert!(dev(|terms| terms.supply_max = amount(SUPPLY_MAX + 1)));
        assert!(dev(|terms| terms.rate = u64::MAX));
        assert!(dev(|terms| (terms.supply_max, terms.rate) = (Amount::ZERO, u64::MAX)));
        assert!(dev(|terms| terms.grants = vec![2, 1]));
        assert!(dev(|terms| terms.grants = vec![BATCH_GAS_MAX + 1]));
        assert!(dev(|terms| terms.grants = vec![1; MANA_GRANTS_MAX + 1]));
        assert!(!dev(|terms| (terms.rate, terms.grants) = (0, Vec::new())));
    }

    #[test]
    fn nothing_overflows_whatever_a_state_says() {
        let terms = ManaTerms {
            supply_max: Amount::ZERO,
            rate: u64::MAX / MANA_SPAN_MS_MAX,
            cap_ms: MANA_SPAN_MS_MAX,
            window_ms: MANA_SPAN_MS_MAX,
            grants: vec![1],
        };
        assert_eq!(terms.broken_rule(), None);
        for units in [0, 1, u128::MAX] {
            for touched in [0, 5, u64::MAX] {
                for spent in [Spent::default(), Spent { window: 0, units: u64::MAX }] {
                    let mana = Mana { touched, units, granted: spent };
                    for balance in [Amount::ZERO, amount(1), Amount::MAX] {
                        for time in [0, 7, u64::MAX] {
                            let touched = terms.touch(mana, balance, time);
                            assert!(touched.units <= terms.cap(balance));
                            assert!(ManaTerms::part(touched.units, balance, balance) == touched.units);
                            terms.ready_at(mana, balance, 1, time, u64::MAX);
                            if let Ok((mana, reserve)) = terms.reserve(mana, balance, 1, time, 10) {
                                terms.release(mana, reserve, 3, balance, time);
                            }
                        }
                    }
                }
            }
        }
    }
}

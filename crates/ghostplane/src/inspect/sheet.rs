//! Fields and their values, for the eye and for programs at once.

use std::fmt::Display;

use ghostplane_types::{Amount, AssetId, Money};
use serde_json::{Map, Value, json};

use crate::screen::{Align, Table, grouped};

/// Items of a list that are shown to people; JSON has all of them.
const ITEMS_SHOWN: usize = 12;

/// Named values in order, some of them sheets themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheet(Vec<(String, Cell)>);

#[derive(Clone, Debug)]
enum Cell {
    /// For the eye, and for programs.
    Leaf(String, Value),
    Group(Sheet),
    List(Vec<Sheet>),
    /// Values that need no name each.
    Items(Vec<String>),
}

impl Sheet {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A value whose text is all there is to it.
    pub(super) fn text(self, name: &str, value: impl Display) -> Self {
        let text = value.to_string();
        self.leaf(name, text.clone(), Value::from(text))
    }

    /// A value that people and programs see differently.
    pub(super) fn leaf(mut self, name: &str, text: impl Into<String>, json: Value) -> Self {
        self.0.push((name.to_string(), Cell::Leaf(text.into(), json)));
        self
    }

    pub(super) fn number(self, name: &str, value: impl Into<u64>) -> Self {
        let value = value.into();
        let text = if value < 10_000 { value.to_string() } else { grouped(value) };
        self.leaf(name, text, json!(value))
    }

    /// A number that names something: never grouped.
    pub(super) fn id(self, name: &str, value: impl Into<u64>) -> Self {
        let value = value.into();
        self.leaf(name, value.to_string(), json!(value))
    }

    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.leaf(name, if value { "yes" } else { "no" }, json!(value))
    }

    /// An amount of an asset.
    pub(super) fn money(self, name: &str, amount: Amount, asset: AssetId) -> Self {
        let text = Money { amount, asset }.to_string();
        let json = json!({ "text": text, "units": amount.units(), "asset": asset.number() });
        self.leaf(name, text, json)
    }

    /// A time in milliseconds since the Unix epoch; what 0 and the largest number mean is said by the caller.
    pub(super) fn time(self, name: &str, milliseconds: u64) -> Self {
        self.leaf(name, format!("{} ({milliseconds} ms)", utc(milliseconds)), json!(milliseconds))
    }

    pub(super) fn group(mut self, name: &str, group: Sheet) -> Self {
        self.0.push((name.to_string(), Cell::Group(group)));
        self
    }

    pub(super) fn list(mut self, name: &str, items: impl IntoIterator<Item = Sheet>) -> Self {
        self.0.push((name.to_string(), Cell::List(items.into_iter().collect())));
        self
    }

    pub(super) fn items(mut self, name: &str, items: impl IntoIterator<Item = impl Display>) -> Self {
        let items = items.into_iter().map(|item| item.to_string()).collect();
        self.0.push((name.to_string(), Cell::Items(items)));
        self
    }

    /// Two columns, what belongs to something indented below it.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
        self.fill(&mut table, 0);
        table
    }

    fn fill(&self, table: &mut Table, depth: usize) {
        let indent = "  ".repeat(depth);
        for (name, cell) in &self.0 {
            match cell {
                Cell::Leaf(text, _) => {
                    table.row([format!("{indent}{name}"), text.clone()]);
                }
                Cell::Group(group) => {
                    table.row([format!("{indent}{name}")]);
                    group.fill(table, depth + 1);
                }
                Cell::List(items) => {
                    table.row([format!("{indent}{name}"), counted(items.len())]);
                    for (position, item) in items.iter().take(ITEMS_SHOWN).enumerate() {
                        table.row([format!("{indent}  {position}")]);
                        item.fill(table, depth + 2);
                    }
                    more(table, &indent, items.len());
                }
                Cell::Items(items) => {
                    table.row([format!("{indent}{name}"), counted(items.len())]);
                    for (position, item) in items.iter().take(ITEMS_SHOWN).enumerate() {
                        table.row([format!("{indent}  {position}"), item.clone()]);
                    }
                    more(table, &indent, items.len());
                }
            }
        }
    }

    /// The same as an object; names become keys with underscores.
    pub(super) fn to_json(&self) -> Value {
        let entry = |(name, cell): &(String, Cell)| {
            let value = match cell {
                Cell::Leaf(_, json) => json.clone(),
                Cell::Group(group) => group.to_json(),
                Cell::List(items) => items.iter().map(Sheet::to_json).collect(),
                Cell::Items(items) => json!(items),
            };
            (key(name), value)
        };
        Value::Object(self.0.iter().map(entry).collect::<Map<_, _>>())
    }
}

/// Says what of a list is left out.
fn more(table: &mut Table, indent: &str, items: usize) {
    if items > ITEMS_SHOWN {
        table.row([format!("{indent}  …"), format!("{} more, all with --json", items - ITEMS_SHOWN)]);
    }
}

fn counted(items: usize) -> String {
    if items == 0 { "none".to_string() } else { items.to_string() }
}

fn key(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(word).collect()
}

/// Milliseconds since the Unix epoch as a date and time in UTC, by the days-to-civil algorithm for the proleptic
/// Gregorian calendar; just the number beyond the year 9999.
pub(super) fn utc(milliseconds: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if milliseconds >= YEAR_10000_MS {
        return "after the year 9999".to_string();
    }
    let (seconds, ms) = (milliseconds / 1000, milliseconds % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years of this calendar start in March, eras of 400 years on 0000-03-01, 719,468 days before the epoch.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_in_utc() {
        let table = [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_399_999, "2000-02-28 23:59:59.999 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
            (1_767_225_600_000, "2026-01-01 00:00:00.000 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
            (253_402_300_799_999, "9999-12-31 23:59:59.999 UTC"),
            (u64::MAX, "after the year 9999"),
        ];
        for (milliseconds, text) in table {
            assert_eq!(utc(milliseconds), text);
        }
    }

    #[test]
    fn long_lists_are_cut_for_people_only() {
        let items = (0..40_u64).map(|n| Sheet::new().number("value", n));
        let sheet = Sheet::new().list("Some items", items);
        assert_eq!(sheet.to_json()["some_items"].as_array().map(Vec::len), Some(40));
        let lines = sheet.table().lines();
        assert_eq!(lines.len(), 2 + 2 * ITEMS_SHOWN + 1);
        assert!(lines.last().is_some_and(|line| line.contains("28 more")), "{lines:?}");
    }
}

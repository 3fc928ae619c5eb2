//! Amounts of any asset: with symbol and decimals of those whose registration is known.

use super::told::Told;
use super::who;
use ghostplane_client::{Client, ClientError, Plane};
use ghostplane_types::{Action, Amount, AmountError, AssetId, Money};
use std::collections::BTreeMap;

/// Symbols and decimals of assets of the plane's own, as their proven registrations say.
#[derive(Debug)]
pub(super) struct Coins {
    plane: Plane,
    own: BTreeMap<AssetId, (String, u8)>,
}

impl Coins {
    /// Asks for the registrations of those assets that genesis does not know.
    pub(super) async fn of(client: &Client, assets: impl IntoIterator<Item = AssetId>) -> Result<Self, ClientError> {
        let mut own = BTreeMap::new();
        for asset in assets {
            if asset.is_bridged() || own.contains_key(&asset) {
                continue;
            }
            if let Some(record) = client.asset(asset).await?.record() {
                own.insert(asset, (String::from_utf8_lossy(&record.symbol).into_owned(), record.decimals));
            }
        }
        Ok(Self { plane: client.plane().clone(), own })
    }

    /// An amount as people write it. Symbols are not unique, so the number stands behind them: `0.05tea#65536`.
    pub(super) fn show(&self, asset: AssetId, amount: Amount) -> String {
        match self.own.get(&asset) {
            Some((symbol, decimals)) => format!("{}{symbol}{asset}", amount.to_decimal(*decimals)),
            None => who::show(&self.plane, asset, amount),
        }
    }

    /// [`Coins::show`], for what asks for a function.
    pub(super) fn shown(&self) -> impl Fn(AssetId, Amount) -> String + '_ {
        |asset, amount| self.show(asset, amount)
    }

    fn decimals(&self, asset: AssetId) -> Option<u8> {
        let of_genesis = self.plane.genesis().asset(asset).map(|known| known.decimals);
        of_genesis.or_else(|| self.own.get(&asset).map(|(_, decimals)| *decimals))
    }
}

/// The assets that actions name.
pub(super) fn assets_of(actions: &[Action]) -> Vec<AssetId> {
    let mut assets = Vec::new();
    for action in actions {
        match action {
            Action::Propose { actions } => assets.extend(assets_of(actions)),
            Action::AddSession(session) => assets.extend(session.scope.limits.iter().map(|limit| limit.asset)),
            Action::SetGuardians(Some(set)) => assets.extend(set.allowances.iter().map(|limit| limit.asset)),
            other => assets.extend(other.moves().map(|(asset, _)| asset)),
        }
    }
    assets
}

/// How much, before it is known of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    /// `1.5gcc`, or base units of an asset: `5#65536`.
    Money(Money),
    /// `0.05tea#65536`: by the asset's decimals, and its symbol has to be that.
    Named { number: String, symbol: String, asset: AssetId },
    /// `0.05`, of the asset that an option names.
    Plain(String),
}

/// Reads an amount of any asset.
pub(super) fn sum(text: &str) -> Result<Sum, String> {
    let text = text.trim();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_number(text) {
        return Ok(Sum::Plain(text.to_owned()));
    }
    let Some((front, number)) = text.split_once('#') else { return who::money(text).map(Sum::Money) };
    if is_number(front) {
        return who::money(text).map(Sum::Money);
    }
    let at = front.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(front.len());
    let (amount, symbol) = front.split_at(at);
    let asset = number.parse().ok().and_then(AssetId::new);
    match asset {
        Some(asset) if is_number(amount) => {
            Ok(Sum::Named { number: amount.to_owned(), symbol: symbol.trim().to_owned(), asset })
        }
        _ => Err(format!("'{text}' is no amount: write it like 1.5gcc, 5#65536 or 0.05tea#65536")),
    }
}

/// Reads one more payee: `carol=0.2gcc`.
pub(super) fn also(text: &str) -> Result<(String, Sum), String> {
    let (payee, amount) = text.split_once('=').ok_or("write it like carol=0.2gcc")?;
    Ok((payee.to_owned(), sum(amount)?))
}

impl Sum {
    /// What it comes to. `only` is what an option names.
    pub(super) async fn of(&self, client: &Client, only: Option<AssetId>) -> anyhow::Result<Money> {
        let named = match self {
            Self::Money(money) => Some(money.asset),
            Self::Named { asset, .. } => Some(*asset),
            Self::Plain(_) => None,
        };
        if let (Some(named), Some(only)) = (named, only)
            && named != only
        {
            return Err(amount(format!("the amount is of {named}, and --asset says {only}")));
        }
        let asset = named.or(only);
        let asset = asset
            .ok_or_else(|| amount("write the asset behind the number, like 1.5gcc, or name it with --asset #NUMBER"))?;
        let coins = Coins::of(client, [asset]).await?;
        let decimals = coins.decimals(asset).ok_or(Told::NoAsset { asset })?;
        let (number, symbol) = match self {
            Self::Money(money) => return Ok(*money),
            Self::Plain(number) => (number, None),
            Self::Named { number, symbol, .. } => (number, Some(symbol)),
        };
        let known = coins.own.get(&asset).map(|(symbol, _)| symbol);
        if let Some(symbol) = symbol.filter(|symbol| known != Some(*symbol)) {
            let known = known.map_or_else(|| asset.to_string(), Clone::clone);
            return Err(amount(format!("asset {asset} has the symbol {known}, not {symbol}")));
        }
        let parsed = Amount::parse_decimal(number, decimals).map_err(|error: AmountError| amount(error.to_string()))?;
        if parsed.is_zero() { Err(amount("the amount is zero")) } else { Ok(Money { amount: parsed, asset }) }
    }
}

fn amount(what: impl Into<String>) -> anyhow::Error {
    Told::Amount { what: what.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_any_asset_are_read() {
        let tea = AssetId::new(65_536).expect("small");
        let units = |units| Amount::new(units).expect("small");
        assert_eq!(sum("1.5gcc"), Ok(Sum::Money(Money { amount: units(1_500_000_000), asset: AssetId::GCC })));
        assert_eq!(sum("5#65536"), Ok(Sum::Money(Money { amount: units(5), asset: tea })));
        let named = Sum::Named { number: "0.05".into(), symbol: "tea".into(), asset: tea };
        assert_eq!((sum("0.05tea#65536"), sum(" 0.05 tea#65536")), (Ok(named.clone()), Ok(named)));
        assert_eq!(sum("12.5"), Ok(Sum::Plain("12.5".into())));
        for bad in ["", "tea", "tea#65536", "5tea", "5#", "5tea#", "5tea#1073741824", "0gcc", "0#65536", "-1", "1,5"] {
            assert!(sum(bad).is_err(), "{bad}");
        }
        assert!(also("carol=0.2gcc").is_ok() && also("carol").is_err() && also("carol=").is_err());
    }
}

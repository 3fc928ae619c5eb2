//! Covenants in the state: rules as they are published, where they are attached, and what is counted for them.

use crate::action::Action;
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_byte_string, put_list, put_varint};
use crate::limits::{COVENANT_BYTES_MAX, GENESIS_ASSETS_MAX, SPENDING_MAX};
use crate::session::{Window, read_ascending};
use ghostplane_ghostcipher::{Digest, Domain, digest};

/// Published rules: a text in Cedar, and what has been found out about it. Its digest names it, wherever it is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CovenantText {
    /// The version of the schema that it was checked against.
    pub schema_version: u16,
    /// Whether a policy in it looks at what was spent.
    pub counts: bool,
    /// Whether a policy in it obliges who acts to wait, or to ask guardians.
    pub obliges: bool,
    /// What a decision costs at most, approvals aside; in the units of `shroud::covenant`.
    pub cost: u64,
    /// The text, in UTF-8.
    pub text: String,
}

const TEXT_VERSION: u8 = 1;
const TEXT_COUNTS: u8 = 1;
const TEXT_OBLIGES: u8 = 2;

impl CovenantText {
    /// The name of a text that was checked against a schema version, on every plane.
    pub fn digest_of(schema_version: u16, text: &str) -> Digest {
        digest::hash(Domain::Covenant, 0, &[&schema_version.to_le_bytes(), text.as_bytes()])
    }

    /// Its name.
    pub fn digest(&self) -> Digest {
        Self::digest_of(self.schema_version, &self.text)
    }
}

impl Encode for CovenantText {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(TEXT_VERSION);
        self.schema_version.encode(out);
        out.push(if self.counts { TEXT_COUNTS } else { 0 } | if self.obliges { TEXT_OBLIGES } else { 0 });
        put_varint(out, self.cost);
        put_byte_string(out, self.text.as_bytes());
    }
}

impl Decode for CovenantText {
    const BYTES_MIN: usize = 6;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != TEXT_VERSION {
            return Err(reader.unknown("covenant version", u64::from(version)));
        }
        let schema_version = reader.read()?;
        let flags: u8 = reader.read()?;
        if flags & !(TEXT_COUNTS | TEXT_OBLIGES) != 0 {
            return Err(reader.unknown("covenant flags", u64::from(flags)));
        }
        let cost = reader.varint()?;
        let text = read_text(reader)?;
        Ok(Self { schema_version, counts: flags & TEXT_COUNTS != 0, obliges: flags & TEXT_OBLIGES != 0, cost, text })
    }
}

/// Reads a text of rules.
pub(crate) fn read_text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let bytes = reader.byte_string("bytes of a covenant", COVENANT_BYTES_MAX)?;
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| reader.non_canonical("text of a covenant, which is UTF-8"))
}

/// Where rules are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CovenantAt {
    /// To the account that acts: what leaves it, and whatever else it does.
    Outgoing,
    /// To the account that acts: what comes to it.
    Incoming,
    /// To an asset, as its issuer; to a bridged one as the plane's governor.
    Asset(AssetId),
    /// To the plane, as its governor.
    Plane,
}

impl CovenantAt {
    /// Whether a change waits for the plane's notice, so that whoever dislikes it can leave.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Asset(_) | Self::Plane)
    }
}

impl Encode for CovenantAt {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Outgoing => out.push(1),
            Self::Incoming => out.push(2),
            Self::Asset(asset) => {
                out.push(3);
                asset.encode(out);
            }
            Self::Plane => out.push(5),
        }
    }
}

impl Decode for CovenantAt {
    const BYTES_MIN: usize = 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            1 => Ok(Self::Outgoing),
            2 => Ok(Self::Incoming),
            3 => Ok(Self::Asset(reader.read()?)),
            4 => Err(reader.unimplemented("covenant of a contract", 4)),
            5 => Ok(Self::Plane),
            unknown => Err(reader.unknown("place of a covenant", u64::from(unknown))),
        }
    }
}

/// What an account keeps of covenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covenants {
    /// The rules for what it does.
    pub outgoing: Option<Digest>,
    /// The rules for what it is paid.
    pub incoming: Option<Digest>,
    /// What it spent lately, ascending by asset, for rules that look at that: its own, or those of others that it met.
    pub spending: Vec<Spending>,
}

impl Covenants {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of the rules.
    pub fn texts(&self) -> impl Iterator<Item = Digest> {
        self.outgoing.into_iter().chain(self.incoming)
    }

    /// What is counted of an asset.
    pub fn spending(&self, asset: AssetId) -> Option<&Spending> {
        self.spending.iter().find(|known| known.asset == asset)
    }

    /// What was spent of an asset in windows that are not over, if anything was.
    pub fn spending_at(&self, asset: AssetId, time: u64) -> Option<Spending> {
        self.spending(asset).filter(|known| !known.is_over(time)).map(|known| known.at(time))
    }
}

/// What an account spent of an asset, in the windows that a time lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// Of what.
    pub asset: AssetId,
    /// The time of the last batch that counted, in milliseconds.
    pub time: u64,
    /// In its hour, day and 30 days, in base units; each stops at the most that an amount can be.
    pub units: [u64; 3],
}

impl Spending {
    /// Nothing spent.
    pub const fn new(asset: AssetId, time: u64) -> Self {
        Self { asset, time, units: [0; 3] }
    }

    /// What of it counts at another time: a window that has passed starts from nothing. What comes late, forced through the
    /// inbox, counts as if it came with what was counted last.
    #[must_use]
    pub fn at(mut self, time: u64) -> Self {
        let time = time.max(self.time);
        for (units, window) in self.units.iter_mut().zip(Window::ALL) {
            if window.at(self.time) != window.at(time) {
                *units = 0;
            }
        }
        Self { time, ..self }
    }

    /// Whether it says no more than that nothing was spent.
    pub fn is_over(&self, time: u64) -> bool {
        self.at(time).units == [0; 3]
    }
}

impl Encode for Spending {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.asset.number()));
        put_varint(out, self.time);
        self.units.iter().for_each(|units| put_varint(out, *units));
    }
}

impl Decode for Spending {
    const BYTES_MIN: usize = 5;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let asset = reader.varint_at_most("asset id", u64::from(AssetId::LIMIT - 1))?;
        let asset = u32::try_from(asset).ok().and_then(AssetId::new).expect("bounded above");
        Ok(Self { asset, time: reader.varint()?, units: [reader.varint()?, reader.varint()?, reader.varint()?] })
    }
}

const HAS_OUTGOING: u8 = 1;
const HAS_INCOMING: u8 = 2;

impl Encode for Covenants {
    fn encode(&self, out: &mut Vec<u8>) {
        let bit = |digest: Option<Digest>, bit| if digest.is_some() { bit } else { 0 };
        out.push(bit(self.outgoing, HAS_OUTGOING) | bit(self.incoming, HAS_INCOMING));
        self.texts().for_each(|digest| digest.encode(out));
        put_list(out, &self.spending);
    }
}

impl Decode for Covenants {
    const BYTES_MIN: usize = 2;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags: u8 = reader.read()?;
        if flags & !(HAS_OUTGOING | HAS_INCOMING) != 0 {
            return Err(reader.unknown("covenants of an account", u64::from(flags)));
        }
        let mut digest = |bit| if flags & bit != 0 { reader.read().map(Some) } else { Ok(None) };
        let (outgoing, incoming) = (digest(HAS_OUTGOING)?, digest(HAS_INCOMING)?);
        let spending =
            read_ascending(reader, "assets that spending is counted of", SPENDING_MAX, |of: &Spending| of.asset)?;
        Ok(Self { outgoing, incoming, spending })
    }
}

/// Rules that change only after a notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// The rules until the change, if there is one.
    pub now: Option<Digest>,
    /// The change that has been announced.
    pub next: Option<Change>,
}

/// An announced change of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The rules from then on.
    pub to: Option<Digest>,
    /// The first batch time at which they hold, in milliseconds.
    pub from: u64,
}

fields!(Change { to: Option<Digest>, from: u64 });
fields!(Scheduled { now: Option<Digest>, next: Option<Change> });

impl Scheduled {
    /// Whether there have never been rules.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rules that hold at `time`.
    pub fn at(&self, time: u64) -> Option<Digest> {
        match self.next {
            Some(change) if change.from <= time => change.to,
            _ => self.now,
        }
    }

    /// Announces a change, in the place of one that has not come yet.
    #[must_use]
    pub fn announce(&self, change: Change, time: u64) -> Self {
        Self { now: self.at(time), next: Some(change) }
    }

    /// The names of the rules that hold, or will.
    pub fn texts(&self) -> impl Iterator<Item = Digest> {
        self.now.into_iter().chain(self.next.and_then(|change| change.to))
    }
}

/// The rules of the plane and of the assets that the L1 holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneRules {
    /// For whatever happens on the plane.
    pub plane: Scheduled,
    /// For bridged assets, ascending.
    pub assets: Vec<AssetRules>,
}

/// The rules of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetRules {
    /// Which.
    pub asset: AssetId,
    /// Its rules.
    pub rules: Scheduled,
}

fields!(AssetRules { asset: AssetId, rules: Scheduled });

impl PlaneRules {
    /// The rules of a bridged asset.
    pub fn asset(&self, asset: AssetId) -> Option<&Scheduled> {
        self.assets.iter().find(|known| known.asset == asset).map(|known| &known.rules)
    }

    /// The rules of a bridged asset, to change them.
    pub fn asset_mut(&mut self, asset: AssetId) -> &mut Scheduled {
        let at = self.assets.partition_point(|known| known.asset < asset);
        if self.assets.get(at).is_none_or(|known| known.asset != asset) {
            self.assets.insert(at, AssetRules { asset, rules: Scheduled::default() });
        }
        &mut self.assets[at].rules
    }

    /// The names of the rules that hold, or will.
    pub fn texts(&self) -> impl Iterator<Item = Digest> {
        self.plane.texts().chain(self.assets.iter().flat_map(|known| known.rules.texts()))
    }
}

impl Encode for PlaneRules {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(TEXT_VERSION);
        self.plane.encode(out);
        put_list(out, &self.assets);
    }
}

impl Decode for PlaneRules {
    const BYTES_MIN: usize = 4;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != TEXT_VERSION {
            return Err(reader.unknown("rules version", u64::from(version)));
        }
        let plane = reader.read()?;
        let assets = read_ascending(reader, "assets with rules", GENESIS_ASSETS_MAX, |of: &AssetRules| of.asset)?;
        Ok(Self { plane, assets })
    }
}

impl Action {
    /// The texts that it publishes or attaches, by name.
    pub fn covenant(&self) -> Option<Digest> {
        match self {
            Self::PublishCovenant { schema_version, text } => Some(CovenantText::digest_of(*schema_version, text)),
            Self::SetCovenant { digest, .. } => *digest,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::assert_one_form;

    fn spending(units: [u64; 3]) -> Spending {
        Spending { asset: AssetId::GCC, time: 3_600_000 * 25, units }
    }

    #[test]
    fn windows_start_from_nothing() {
        let hour = 3_600_000;
        let spent = spending([5, 6, 7]);
        for (time, left) in [
            (24 * hour, [5, 6, 7]),
            (25 * hour, [5, 6, 7]),
            (26 * hour - 1, [5, 6, 7]),
            (26 * hour, [0, 6, 7]),
            (48 * hour, [0, 0, 7]),
            (30 * 24 * hour, [0, 0, 0]),
        ] {
            assert_eq!(spent.at(time).units, left, "{time}");
            assert_eq!(spent.is_over(time), left == [0; 3], "{time}");
        }
    }

    #[test]
    fn covenants_have_one_form() {
        let text = CovenantText {
            schema_version: 1,
            counts: true,
            obliges: false,
            cost: 300,
            text: "permit (principal, action, resource);".into(),
        };
        let digest = text.digest();
        let account = Covenants { outgoing: None, incoming: Some(digest), spending: vec![spending([1, 2, u64::MAX])] };
        let change = Change { to: Some(digest), from: 70_000 };
        let mut rules = PlaneRules { plane: Scheduled::default().announce(change, 5), assets: Vec::new() };
        for asset in [7, 0, 3] {
            *rules.asset_mut(AssetId::new(asset).expect("small")) = Scheduled { now: Some(digest), next: None };
        }
        assert_eq!(rules.assets.iter().map(|known| known.asset.number()).collect::<Vec<_>>(), [0, 3, 7]);
        assert_one_form(&text);
        assert_one_form(&account);
        assert_one_form(&rules);
        for at in [CovenantAt::Outgoing, CovenantAt::Incoming, CovenantAt::Asset(AssetId::ZMAN), CovenantAt::Plane] {
            assert_one_form(&at);
        }
    }

    #[test]
    fn changes_come_when_they_were_announced_for() {
        let names = [1, 2, 3].map(|byte| Some(Digest([byte; 32])));
        let first = Scheduled::default().announce(Change { to: names[0], from: 100 }, 50);
        assert_eq!([first.at(99), first.at(100)], [None, names[0]]);
        // What has come by then stays until the next one does; what has not is dropped.
        let second = first.announce(Change { to: names[1], from: 200 }, 150);
        assert_eq!([second.at(199), second.at(200)], [names[0], names[1]]);
        let third = second.announce(Change { to: None, from: 260 }, 160);
        assert_eq!([third.at(200), third.at(260)], [names[0], None]);
    }
}

//! The account record: who may act for an address, and the directory of its slots.

use crate::address::{Address, EntityType, Gid, PublicKey};
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, put_list, put_varint};
use crate::covenant::Covenants;
use crate::credential::{Certification, Standing};
use crate::few::Few;
use crate::guardian::{Guarded, Safety};
use crate::limits::{
    ACCOUNT_KEYS_MAX, ACCOUNT_LANES_MAX, ACCOUNT_SLOTS_MAX, CERTIFICATIONS_MAX, SESSIONS_MAX, SPENT_BYTES_MAX,
};
use crate::mana::Mana;
use crate::session::{Session, Spent, read_ascending};
use crate::slot::SlotIndex;

/// Everything a plane keeps about an address, made by its first credit.
///
/// The list of slots makes "this account has exactly these balances" provable with one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Whose record it is. Kept whole, so that an account number leads back to the address.
    pub address: Address,
    /// Set by the first transaction from the address.
    pub identity: Option<Identity>,
    /// The next sequence number of every lane in use, ascending by lane.
    pub lanes: Few<Lane, 1>,
    /// The account's slot of every asset it ever held, ascending by asset.
    pub slots: Few<SlotOf, 1>,
    /// What an action of the account has to pass besides a signature; `None` for most accounts, and never without content.
    pub gates: Option<Box<Gates>>,
    /// Mana, as of the last time that it was touched; `None` for who holds no ZMAN and uses no grant.
    pub mana: Option<Box<Mana>>,
}

/// The gates of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    /// The sessions, ascending by lane.
    pub sessions: Vec<LiveSession>,
    /// Who has to agree.
    pub guarded: Option<Guarded>,
    /// Freeze and recovery.
    pub safety: Safety,
    /// Rules, and what is counted for them.
    pub covenants: Covenants,
    /// What the plane's authorities certify, ascending by issuer, one of each.
    pub certifications: Vec<Certification>,
}

/// A session, and what it has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// Its terms.
    pub session: Session,
    /// What left so far, one for each of its limits.
    pub spent: Vec<Spent>,
}

impl Gates {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.guarded.is_none()
            && self.safety == Safety::default()
            && self.covenants.is_empty()
            && self.certifications.is_empty()
    }

    /// The session of a lane.
    pub fn session(&self, lane: u8) -> Option<&LiveSession> {
        self.sessions.iter().find(|live| live.session.lane == lane)
    }

    /// How many bytes they take in the record at most, whatever they count up to. What others certify has room of its own,
    /// so that nobody takes an account's.
    pub fn bytes_max(&self) -> usize {
        let mut out = Vec::new();
        // What is counted for rules has a bound of its own: it comes without the account's doing.
        let covenants = Covenants { spending: Vec::new(), ..self.covenants.clone() };
        Self { covenants, certifications: Vec::new(), ..self.clone() }.encode(&mut out);
        let counters = self.sessions.iter().map(|live| live.spent.len()).sum::<usize>()
            + self.guarded.as_ref().map_or(0, |guarded| guarded.spent.len());
        out.len() + counters * (SPENT_BYTES_MAX - Spent::BYTES_MIN)
    }

    fn sections(&self) -> u8 {
        let sections = [
            (!self.sessions.is_empty(), SECTION_SESSIONS),
            (self.guarded.is_some(), SECTION_GUARDIANS),
            (self.safety != Safety::default(), SECTION_SAFETY),
            (!self.covenants.is_empty(), SECTION_COVENANTS),
            (!self.certifications.is_empty(), SECTION_CERTIFICATIONS),
        ];
        sections.iter().filter(|(is_there, _)| *is_there).fold(0, |bits, (_, section)| bits | section)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if !self.sessions.is_empty() {
            put_varint(out, self.sessions.len() as u64);
            for LiveSession { session, spent } in &self.sessions {
                session.encode(out);
                spent.iter().for_each(|spent| spent.encode(out));
            }
        }
        if let Some(guarded) = &self.guarded {
            guarded.encode(out);
        }
        if self.safety != Safety::default() {
            self.safety.encode(out);
        }
        if !self.covenants.is_empty() {
            self.covenants.encode(out);
        }
        if !self.certifications.is_empty() {
            put_list(out, &self.certifications);
        }
    }

    fn decode(sections: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut gates = Self::default();
        if sections & SECTION_SESSIONS != 0 {
            let count = reader.count("sessions of an account", SESSIONS_MAX, Session::BYTES_MIN)?;
            for _ in 0..count {
                let session: Session = reader.read()?;
                if gates.sessions.last().is_some_and(|last| last.session.lane >= session.lane) {
                    return Err(reader.non_canonical("sessions of an account"));
                }
                let spent = session.scope.limits.iter().map(|_| reader.read()).collect::<Result<_, _>>()?;
                gates.sessions.push(LiveSession { session, spent });
            }
            if count == 0 {
                return Err(reader.non_canonical("section of no sessions"));
            }
        }
        if sections & SECTION_GUARDIANS != 0 {
            gates.guarded = Some(reader.read()?);
        }
        if sections & SECTION_SAFETY != 0 {
            gates.safety = reader.read()?;
            if gates.safety == Safety::default() {
                return Err(reader.non_canonical("section of no freeze or recovery"));
            }
        }
        if sections & SECTION_COVENANTS != 0 {
            gates.covenants = reader.read()?;
            if gates.covenants.is_empty() {
                return Err(reader.non_canonical("section of no covenants"));
            }
        }
        if sections & SECTION_CERTIFICATIONS != 0 {
            let what = "certifications of an account";
            gates.certifications =
                read_ascending(reader, what, CERTIFICATIONS_MAX, |known: &Certification| known.issuer)?;
            if gates.certifications.is_empty() || !gates.certifications.iter().all(Certification::says_something) {
                return Err(reader.non_canonical(what));
            }
        }
        Ok(gates)
    }
}

/// What registration adds to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the GID claims to be.
    pub entity_type: EntityType,
    /// The GID's version.
    pub version: u16,
    /// Keys that may sign, by key reference.
    pub keys: Few<PublicKey, 1>,
}

impl Identity {
    /// What a GID registers: its own key, and nothing certified.
    pub fn of(gid: &Gid) -> Self {
        let keys = [gid.public_key].into_iter().collect();
        Self { entity_type: gid.entity_type, version: gid.version, keys }
    }
}

/// The next sequence number that a lane accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// 0 the root keys', 1..=254 session keys', 255 forced inclusion.
    pub lane: u8,
    /// The sequence number of the next transaction.
    pub next: u64,
}

/// Where an account's balance of an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotOf {
    /// Which asset.
    pub asset: AssetId,
    /// Where in the ledger tree.
    pub slot: SlotIndex,
}

impl AccountRecord {
    /// The record of an address that has not acted yet and holds nothing.
    pub fn new(address: Address) -> Self {
        Self { address, identity: None, lanes: Few::new(), slots: Few::new(), gates: None, mana: None }
    }

    /// What the account is worth to rules at `time`, a batch's time in milliseconds: the level that it is verified to, and
    /// the type that it is certified to be. A credential that is over, revoked or dropped does not count.
    pub fn standing(&self, time: u64) -> Standing {
        self.gates.as_ref().map_or_else(Standing::default, |gates| Standing::of(&gates.certifications, time))
    }

    /// Changes the gates, and keeps none that are empty.
    pub fn change_gates<T>(&mut self, change: impl FnOnce(&mut Gates) -> T) -> T {
        let mut gates = self.gates.take().unwrap_or_default();
        let changed = change(&mut gates);
        self.gates = Some(gates).filter(|gates| !gates.is_empty());
        changed
    }

    /// Mana as of the last time that it was touched.
    pub fn mana(&self) -> Mana {
        self.mana.as_deref().copied().unwrap_or_default()
    }

    /// Notes how much mana there is now.
    pub fn set_mana(&mut self, mana: Mana) {
        match &mut self.mana {
            Some(known) if mana != Mana::default() => **known = mana,
            known => *known = (mana != Mana::default()).then(|| Box::new(mana)),
        }
    }

    /// The level of verification at `time`: see [`AccountRecord::standing`].
    pub fn level(&self, time: u64) -> u8 {
        self.standing(time).level
    }

    /// The slot of `asset`, if the account has ever held it.
    pub fn slot_of(&self, asset: AssetId) -> Option<SlotIndex> {
        self.slots.iter().find(|of| of.asset == asset).map(|of| of.slot)
    }

    /// Notes that `asset` lives in `slot`. The asset must be new to the account and the directory not full.
    pub fn insert_slot(&mut self, asset: AssetId, slot: SlotIndex) {
        let at = self.slots.partition_point(|of| of.asset < asset);
        debug_assert!(self.slots.get(at).is_none_or(|of| of.asset != asset) && self.slots.len() < ACCOUNT_SLOTS_MAX);
        self.slots.insert(at, SlotOf { asset, slot });
    }

    /// The sequence number that `lane` accepts next; 0 for a lane that was never used.
    pub fn next_in_lane(&self, lane: u8) -> u64 {
        self.lanes.iter().find(|entry| entry.lane == lane).map_or(0, |entry| entry.next)
    }

    /// Uses up one sequence number of `lane`.
    pub fn advance_lane(&mut self, lane: u8) {
        let at = self.lanes.partition_point(|entry| entry.lane < lane);
        match self.lanes.get_mut(at) {
            Some(entry) if entry.lane == lane => entry.next += 1,
            _ => self.lanes.insert(at, Lane { lane, next: 1 }),
        }
    }
}

const RECORD_VERSION: u8 = 1;
const SECTION_IDENTITY: u8 = 1;
const SECTION_SESSIONS: u8 = 2;
const SECTION_GUARDIANS: u8 = 4;
const SECTION_COVENANTS: u8 = 8;
/// Freeze and recovery.
const SECTION_SAFETY: u8 = 16;
const SECTION_MANA: u8 = 32;
/// What authorities certify.
const SECTION_CERTIFICATIONS: u8 = 128;
/// The exit address has its bit in the section byte.
const SECTIONS_RESERVED: u8 = 0b0100_0000;
const SECTIONS: u8 = SECTION_IDENTITY
    | SECTION_SESSIONS
    | SECTION_GUARDIANS
    | SECTION_COVENANTS
    | SECTION_SAFETY
    | SECTION_MANA
    | SECTION_CERTIFICATIONS;
/// Stands where a verification level once did, which is a matter of time: see [`AccountRecord::standing`].
const IDENTITY_RESERVED: u8 = 0;

impl Encode for AccountRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(RECORD_VERSION);
        let identity = if self.identity.is_some() { SECTION_IDENTITY } else { 0 };
        let mana = if self.mana.is_some() { SECTION_MANA } else { 0 };
        out.push(identity | mana | self.gates.as_ref().map_or(0, |gates| gates.sections()));
        self.address.encode(out);
        if let Some(identity) = &self.identity {
            identity.entity_type.encode(out);
            put_varint(out, u64::from(identity.version));
            IDENTITY_RESERVED.encode(out);
            put_varint(out, identity.keys.len() as u64);
            identity.keys.iter().for_each(|key| key.encode(out));
        }
        put_varint(out, self.lanes.len() as u64);
        for entry in &self.lanes {
            entry.lane.encode(out);
            put_varint(out, entry.next);
        }
        put_varint(out, self.slots.len() as u64);
        for of in &self.slots {
            put_varint(out, u64::from(of.asset.number()));
            put_varint(out, u64::from(of.slot.index()));
        }
        if let Some(gates) = &self.gates {
            gates.encode(out);
        }
        if let Some(mana) = &self.mana {
            mana.encode(out);
        }
    }
}

impl Decode for AccountRecord {
    const BYTES_MIN: usize = 36;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version: u8 = reader.read()?;
        if version != RECORD_VERSION {
            return Err(reader.unknown("account record version", u64::from(version)));
        }
        let sections: u8 = reader.read()?;
        if sections & SECTIONS_RESERVED != 0 {
            return Err(reader.unimplemented("account record section", u64::from(sections & SECTIONS_RESERVED)));
        }
        if sections & !SECTIONS != 0 {
            return Err(reader.unknown("account record section", u64::from(sections)));
        }
        let address = reader.read()?;
        let identity = if sections & SECTION_IDENTITY == 0 { None } else { Some(decode_identity(reader)?) };
        let (lanes, slots) = (decode_lanes(reader)?, decode_slots(reader)?);
        let gates = match sections & !(SECTION_IDENTITY | SECTION_MANA) {
            0 => None,
            // Only who has keys has gates.
            _ if identity.is_none() => return Err(reader.non_canonical("gates without an identity")),
            sections => Some(Box::new(Gates::decode(sections, reader)?)),
        };
        let mana = if sections & SECTION_MANA == 0 { None } else { Some(Box::new(decode_mana(reader)?)) };
        Ok(Self { address, identity, lanes, slots, gates, mana })
    }
}

fn decode_mana(reader: &mut Reader<'_>) -> Result<Mana, DecodeError> {
    let mana: Mana = reader.read()?;
    if mana == Mana::default() { Err(reader.non_canonical("section of no mana")) } else { Ok(mana) }
}

fn decode_identity(reader: &mut Reader<'_>) -> Result<Identity, DecodeError> {
    let entity_type = reader.read()?;
    let version = reader.varint_at_most("identity version", u64::from(u16::MAX))?;
    if reader.read::<u8>()? != IDENTITY_RESERVED {
        return Err(reader.non_canonical("reserved byte of an identity"));
    }
    let count = reader.count("keys of an account", ACCOUNT_KEYS_MAX, PublicKey::BYTES_MIN)?;
    let keys = (0..count).map(|_| reader.read()).collect::<Result<Few<PublicKey, 1>, DecodeError>>()?;
    if keys.is_empty() {
        return Err(reader.non_canonical("identity without a key"));
    }
    Ok(Identity { entity_type, version: u16::try_from(version).expect("bounded above"), keys })
}

fn decode_lanes(reader: &mut Reader<'_>) -> Result<Few<Lane, 1>, DecodeError> {
    let count = reader.count("lanes of an account", ACCOUNT_LANES_MAX, 2)?;
    let mut lanes = Few::<Lane, 1>::new();
    for _ in 0..count {
        let entry = Lane { lane: reader.read()?, next: reader.varint()? };
        if entry.next == 0 || lanes.last().is_some_and(|last| last.lane >= entry.lane) {
            return Err(reader.non_canonical("lanes of an account"));
        }
        lanes.push(entry);
    }
    Ok(lanes)
}

fn decode_slots(reader: &mut Reader<'_>) -> Result<Few<SlotOf, 1>, DecodeError> {
    let count = reader.count("slots of an account", ACCOUNT_SLOTS_MAX, 2)?;
    let mut slots = Few::<SlotOf, 1>::new();
    for _ in 0..count {
        let asset = reader.varint_at_most("asset id", u64::from(AssetId::LIMIT - 1))?;
        let asset = u32::try_from(asset).ok().and_then(AssetId::new).expect("bounded above");
        let slot = reader.varint_at_most("slot index", u64::from(u32::MAX))?;
        let slot = u32::try_from(slot).ok().and_then(SlotIndex::new).filter(|slot| !slot.is_outside());
        let slot = slot.ok_or_else(|| reader.non_canonical("slot index"))?;
        if slots.last().is_some_and(|last| last.asset >= asset) {
            return Err(reader.non_canonical("slots of an account"));
        }
        slots.push(SlotOf { asset, slot });
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::assert_one_form;
    use ghostplane_ghostcipher::{Digest, VerificationKey};

    fn record() -> AccountRecord {
        let mut record = AccountRecord::new(Address::from_bytes([3; 32]));
        record.identity = Some(Identity {
            entity_type: EntityType::Service,
            version: 2,
            keys: [PublicKey::Ed25519(VerificationKey::from_bytes([9; 32]))].into_iter().collect(),
        });
        for lane in [7, 0, 0, 255] {
            record.advance_lane(lane);
        }
        for (asset, slot) in [(1, 5), (0, 9), (70_000, 1 << 20)] {
            record.insert_slot(AssetId::new(asset).expect("small"), SlotIndex::new(slot).expect("small"));
        }
        record
    }

    #[test]
    fn records_keep_their_order_and_come_back() {
        let record = record();
        assert_eq!(
            record.lanes.iter().map(|lane| (lane.lane, lane.next)).collect::<Vec<_>>(),
            [(0, 2), (7, 1), (255, 1)]
        );
        assert_eq!(record.slot_of(AssetId::ZMAN), SlotIndex::new(5));
        assert_eq!((record.next_in_lane(0), record.next_in_lane(1)), (2, 0));
        assert_eq!(AccountRecord::from_bytes(&record.to_bytes()), Ok(record));
    }

    #[test]
    fn gates_come_back() {
        let mut record = record();
        let session = crate::session::tests::session();
        record.change_gates(|gates| {
            for lane in [7, 254] {
                let spent = vec![Spent { window: 3, units: u64::from(lane) }, Spent::default()];
                gates.sessions.push(LiveSession { session: Session { lane, ..session.clone() }, spent });
            }
        });
        assert_one_form(&record);
        record.change_gates(|gates| gates.sessions.clear());
        assert_eq!((record.gates.is_none(), record.to_bytes()), (true, self::record().to_bytes()));
    }

    #[test]
    fn mana_comes_back() {
        let mut record = record();
        let granted = Spent { window: 19_000, units: 3_300 };
        record.set_mana(Mana { touched: 1_700_000_000_000, units: u128::MAX, granted });
        assert_one_form(&record);
        // Who nobody has registered may have mana.
        let mut stranger = AccountRecord::new(Address::from_bytes([3; 32]));
        stranger.set_mana(Mana { touched: 5, ..Mana::default() });
        assert_eq!(AccountRecord::from_bytes(&stranger.to_bytes()).as_ref(), Ok(&stranger));
        let mut none = stranger.to_bytes();
        let at = none.len() - Mana::BYTES_MIN;
        none[at] = 0;
        assert!(AccountRecord::from_bytes(&none).is_err());
        record.set_mana(Mana::default());
        assert_eq!(record, self::record());
    }

    #[test]
    fn certifications_come_back_and_count_while_they_hold() {
        let certification = |number: u8, level, certified, until| Certification {
            issuer: Address::from_bytes([number; 32]),
            claims: Digest([number; 32]),
            level,
            certified,
            until,
        };
        let mut record = record();
        let own = record.gates.as_ref().map_or(0, |gates| gates.bytes_max());
        record.change_gates(|gates| {
            gates.certifications =
                vec![certification(1, 2, None, 50), certification(2, 0, Some(EntityType::Oracle), 70)];
        });
        assert_eq!(
            record.gates.as_ref().map_or(0, |gates| gates.bytes_max()),
            own,
            "they take no room of the account's"
        );
        assert_one_form(&record);
        let certified = Some(EntityType::Oracle);
        assert_eq!(record.standing(50), Standing { level: 2, certified });
        assert_eq!(record.standing(51), Standing { level: 0, certified });
        assert_eq!(record.standing(71), Standing::default());
        for broken in [
            vec![certification(2, 1, None, 1), certification(1, 1, None, 1)],
            vec![certification(1, 1, None, 1), certification(1, 2, None, 1)],
            vec![certification(1, 0, None, 1)],
        ] {
            record.change_gates(|gates| gates.certifications = broken);
            assert!(AccountRecord::from_bytes(&record.to_bytes()).is_err());
        }
        record.change_gates(|gates| gates.certifications.clear());
        assert_eq!((record.gates.is_none(), record.standing(0)), (true, Standing::default()));
    }

    #[test]
    fn a_usual_record_fits_the_inline_cell_of_the_object_store() {
        let mut usual = record();
        usual.lanes.retain(|entry| entry.lane == 0);
        usual.slots.retain(|of| of.asset == AssetId::ZMAN);
        assert!(usual.to_bytes().len() <= 80, "{}", usual.to_bytes().len());
    }

    #[test]
    fn every_single_bit_matters() {
        assert_one_form(&record());
    }
}

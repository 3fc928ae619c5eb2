//! Genesis: everything a plane is founded on. Its digest is the plane's id.

use crate::address::Address;
use crate::amount::{Amount, DECIMALS_MAX, DECIMALS_NATIVE, SUPPLY_MAX};
use crate::asset::AssetId;
use crate::codec::{Decode, DecodeError, Encode, Reader, fields, put_byte_string, put_list};
use crate::committers::{Committers, CommittersError};
use crate::credential::{Authority, EntityTypes};
use crate::limits::{AUTHORITIES_MAX, FEE_SHARES_MAX, GENESIS_ASSETS_MAX, LEVEL_MAX, SYMBOL_BYTES_MAX};
use crate::mana::ManaTerms;
use crate::slot::TREE_DEPTH;
use ghostplane_ghostcipher::{Digest, Domain, VerificationKey, digest};
use thiserror::Error;

/// The chain id of a plane.
pub const CHAIN_PLANE: u64 = 10_000;
/// The chain id of a development plane.
pub const CHAIN_DEV: u64 = 1_337;
/// The chain id of Ghostchain.
pub const CHAIN_GHOSTCHAIN: u64 = 9_999;

/// What a plane is founded on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The plane's own chain id.
    pub chain_id: u64,
    /// The chain id of the L1 it settles on.
    pub l1_chain_id: u64,
    /// The protocol it starts with.
    pub protocol: u32,
    /// Its time in milliseconds since the Unix epoch.
    pub time: u64,
    /// The bridged assets, ascending by id; GCC is always the first.
    pub assets: Vec<GenesisAsset>,
    /// Base units of GCC for one unit of gas.
    pub gas_price: u64,
    /// Base units of GCC for a new slot; not returned.
    pub slot_price: Amount,
    /// Base units of GCC held for a new object while it exists.
    pub object_price: Amount,
    /// The most slots the plane hands out.
    pub slots_max: u32,
    /// The most objects the plane hands out.
    pub objects_max: u32,
    /// Who gets the fees, in basis points that add up to 10,000; the first gets what division leaves.
    pub fee_shares: Vec<FeeShare>,
    /// Who orders the log and attests commitments.
    pub sequencer: VerificationKey,
    /// What the L1 enforces.
    pub settlement: SettlementTerms,
    /// Who may set rules for all.
    pub governance: Governance,
    /// How mana regenerates.
    pub mana: ManaTerms,
    /// Who has to vouch for commitments besides the sequencer.
    pub committers: Committers,
    /// Whose credentials count, ascending by address.
    pub authorities: Vec<Authority>,
}

/// Who may set rules for the plane and for the assets that the L1 holds, and how long they are announced ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Governance {
    /// The account; with none, nobody ever may.
    pub governor: Option<Address>,
    /// How long a change waits, those of assets of the plane's own included, in milliseconds.
    pub notice_ms: u64,
}

fields!(Governance { governor: Option<Address>, notice_ms: u64 });

/// An asset that exists from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisAsset {
    /// Its id, below 2^16.
    pub asset: AssetId,
    /// Its symbol, lower-case ASCII letters and digits.
    pub symbol: Vec<u8>,
    /// Its decimals on the plane.
    pub decimals: u8,
    /// Its decimals on the L1; deposits that do not convert exactly are refused there.
    pub l1_decimals: u8,
    /// The smallest deposit, in the plane's base units: what keeps free slots from being taken for nothing.
    pub deposit_min: Amount,
}

/// One receiver of fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeShare {
    /// Who.
    pub address: Address,
    /// How much, in hundredths of a percent.
    pub basis_points: u16,
}

fields!(FeeShare { address: Address, basis_points: u16 });

/// What the settlement contract on the L1 is set up with. Spans are in L1 blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementTerms {
    /// How long a batch can be challenged when its conservation proof is in.
    pub window_blocks: u64,
    /// How long a batch can be challenged when no proof has come.
    pub window_unproven_blocks: u64,
    /// An inbox entry this old must be consumed by the next commitment.
    pub inbox_deadline_blocks: u64,
    /// An inbox entry must be this old before it may be consumed.
    pub reorg_depth: u64,
    /// Bytes of batch data that one L1 block takes.
    pub data_per_block_max: u64,
    /// What a sequencer has at stake, in base units of GCC.
    pub sequencer_bond: Amount,
    /// What a challenger has at stake, in base units of GCC.
    pub challenge_bond: Amount,
    /// How long a challenger may take to bring the witness.
    pub challenge_blocks: u64,
    /// How far ahead a new protocol must be announced.
    pub upgrade_notice_blocks: u64,
}

fields!(SettlementTerms {
    window_blocks: u64,
    window_unproven_blocks: u64,
    inbox_deadline_blocks: u64,
    reorg_depth: u64,
    data_per_block_max: u64,
    sequencer_bond: Amount,
    challenge_bond: Amount,
    challenge_blocks: u64,
    upgrade_notice_blocks: u64,
});

/// Why terms are no genesis.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GenesisError {
    /// Not the protocol this release runs.
    #[error("protocol {found}, this release runs {}", crate::batch::PROTOCOL)]
    Protocol {
        /// The protocol asked for.
        found: u32,
    },
    /// GCC is not the first asset with nine decimals.
    #[error("the first asset is GCC with 9 decimals")]
    FirstAsset,
    /// Assets out of order, doubled, not bridged, or with bad decimals or symbol.
    #[error("asset {asset} is out of order, not bridged, or has a bad symbol or decimals")]
    Asset {
        /// Which.
        asset: AssetId,
    },
    /// More of something than a genesis may list.
    #[error("genesis lists {found} {what}, at most {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Shares that do not add up to everything, or repeat an address.
    #[error(
        "fee shares are for distinct addresses, none of them the plane's own, and add up to 10000 basis points, not {sum}"
    )]
    FeeShares {
        /// What they add up to.
        sum: u32,
    },
    /// An authority twice, out of order, nobody's, or one that certifies nothing or too much.
    #[error(
        "authority {address} is out of order, an account of the plane's own, or certifies nothing, or a level over {LEVEL_MAX}"
    )]
    Authority {
        /// Which.
        address: Address,
    },
    /// More state than the trees hold.
    #[error("slots_max and objects_max are between 256 and 2^30")]
    StateBounds,
    /// Settlement terms that contradict each other.
    #[error("settlement terms: {0}")]
    Terms(&'static str),
    /// Terms of mana that give away more than there is, or cannot be reckoned with.
    #[error("terms of mana: {0}")]
    Mana(&'static str),
    /// Committers that no commitment could pass by, or not by them alone.
    #[error(transparent)]
    Committers(#[from] CommittersError),
}

/// The account that collects fees until a batch's end; nobody's.
pub const SYSTEM_FEES: &str = "fees";
/// The account that holds the price of objects while they exist; nobody's.
pub const SYSTEM_STORAGE: &str = "storage";
/// The account through which refused deposits return; nobody's.
pub const SYSTEM_RETURNS: &str = "returns";

impl Genesis {
    /// The id of the plane.
    pub fn plane_id(&self) -> Digest {
        digest::hash(Domain::Genesis, self.chain_id, &[&self.to_bytes()])
    }

    /// Whether the terms can found a plane.
    pub fn check(&self) -> Result<(), GenesisError> {
        if self.protocol != crate::batch::PROTOCOL {
            return Err(GenesisError::Protocol { found: self.protocol });
        }
        let lists = [
            ("assets", self.assets.len(), GENESIS_ASSETS_MAX),
            ("fee shares", self.fee_shares.len(), FEE_SHARES_MAX),
            ("authorities", self.authorities.len(), AUTHORITIES_MAX),
        ];
        if let Some(&(what, found, limit)) = lists.iter().find(|(_, found, limit)| found > limit) {
            return Err(GenesisError::TooMany { what, found, limit });
        }
        self.check_assets()?;
        let sum = self.fee_shares.iter().map(|share| u32::from(share.basis_points)).sum();
        let mut addresses: Vec<Address> = self.fee_shares.iter().map(|share| share.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let system = self.system();
        let is_nobodys = addresses.iter().any(|address| system.contains(address));
        if sum != 10_000 || addresses.len() != self.fee_shares.len() || is_nobodys {
            return Err(GenesisError::FeeShares { sum });
        }
        self.check_authorities()?;
        let bounds = 256..=1 << TREE_DEPTH;
        if !bounds.contains(&self.slots_max) || !bounds.contains(&self.objects_max) {
            return Err(GenesisError::StateBounds);
        }
        self.check_terms()?;
        self.mana.broken_rule().map_or(Ok(()), |rule| Err(GenesisError::Mana(rule)))?;
        Ok(self.committers.check(&self.sequencer)?)
    }

    /// The asset's registration.
    pub fn asset(&self, asset: AssetId) -> Option<&GenesisAsset> {
        self.assets.iter().find(|known| known.asset == asset)
    }

    /// The most of a bridged asset, in base units, that the L1 holds for the plane. What ZMAN regenerates is reckoned for no more.
    pub fn supply_max(&self, asset: AssetId) -> u64 {
        let zman = if asset == AssetId::ZMAN { self.mana.supply_max.units() } else { SUPPLY_MAX };
        zman.min(SUPPLY_MAX)
    }

    /// What an account may certify.
    pub fn authority(&self, address: &Address) -> Option<&Authority> {
        self.authorities.iter().find(|known| known.address == *address)
    }

    fn system(&self) -> [Address; 3] {
        [SYSTEM_FEES, SYSTEM_STORAGE, SYSTEM_RETURNS].map(|name| Address::system(self.chain_id, name))
    }

    fn check_authorities(&self) -> Result<(), GenesisError> {
        let system = self.system();
        let mut last = None;
        for Authority { address, level_max, certifies } in &self.authorities {
            let is_within = (*level_max > 0 || !certifies.is_empty()) && *level_max <= LEVEL_MAX;
            if !is_within || last.is_some_and(|last| last >= *address) || system.contains(address) {
                return Err(GenesisError::Authority { address: *address });
            }
            last = Some(*address);
        }
        Ok(())
    }

    fn check_assets(&self) -> Result<(), GenesisError> {
        match self.assets.first() {
            Some(first) if first.asset == AssetId::GCC && first.decimals == DECIMALS_NATIVE => {}
            _ => return Err(GenesisError::FirstAsset),
        }
        let mut last = None;
        for known in &self.assets {
            let symbol_ok = (1..=SYMBOL_BYTES_MAX).contains(&known.symbol.len())
                && known.symbol.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            let ascends = last.is_none_or(|last| last < known.asset);
            let decimals_ok = known.decimals <= DECIMALS_MAX && known.l1_decimals <= DECIMALS_MAX;
            if !(symbol_ok && ascends && decimals_ok && known.asset.is_bridged() && !known.deposit_min.is_zero()) {
                return Err(GenesisError::Asset { asset: known.asset });
            }
            last = Some(known.asset);
        }
        Ok(())
    }

    fn check_terms(&self) -> Result<(), GenesisError> {
        let terms = &self.settlement;
        let rules = [
            (terms.window_blocks > 0, "window_blocks is at least 1"),
            (terms.window_unproven_blocks >= terms.window_blocks, "window_unproven_blocks is at least window_blocks"),
            (terms.challenge_blocks > 0, "challenge_blocks is at least 1"),
            (!terms.challenge_bond.is_zero() && !terms.sequencer_bond.is_zero(), "bonds are not zero"),
            (terms.inbox_deadline_blocks > terms.reorg_depth, "inbox_deadline_blocks is more than reorg_depth"),
            (terms.data_per_block_max >= crate::limits::BATCH_BYTES_MAX as u64, "a batch fits one L1 block"),
            (terms.window_unproven_blocks <= 1 << 32 && terms.inbox_deadline_blocks <= 1 << 32, "spans are below 2^32"),
            (terms.challenge_blocks <= 1 << 32 && terms.upgrade_notice_blocks <= 1 << 32, "spans are below 2^32"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(GenesisError::Terms(rule)))
    }
}

impl Encode for GenesisAsset {
    fn encode(&self, out: &mut Vec<u8>) {
        self.asset.encode(out);
        put_byte_string(out, &self.symbol);
        self.decimals.encode(out);
        self.l1_decimals.encode(out);
        self.deposit_min.encode(out);
    }
}

impl Decode for GenesisAsset {
    const BYTES_MIN: usize = 15;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            asset: reader.read()?,
            symbol: reader.byte_string("symbol bytes", SYMBOL_BYTES_MAX)?.to_vec(),
            decimals: reader.read()?,
            l1_decimals: reader.read()?,
            deposit_min: reader.read()?,
        })
    }
}

impl Encode for Genesis {
    fn encode(&self, out: &mut Vec<u8>) {
        self.chain_id.encode(out);
        self.l1_chain_id.encode(out);
        self.protocol.encode(out);
        self.time.encode(out);
        put_list(out, &self.assets);
        self.gas_price.encode(out);
        self.slot_price.encode(out);
        self.object_price.encode(out);
        self.slots_max.encode(out);
        self.objects_max.encode(out);
        put_list(out, &self.fee_shares);
        self.sequencer.encode(out);
        self.settlement.encode(out);
        self.governance.encode(out);
        self.mana.encode(out);
        self.committers.encode(out);
        put_list(out, &self.authorities);
    }
}

impl Decode for Genesis {
    const BYTES_MIN: usize = 8
        + 8
        + 4
        + 8
        + 1
        + 8
        + 8
        + 8
        + 4
        + 4
        + 1
        + 32
        + SettlementTerms::BYTES_MIN
        + Governance::BYTES_MIN
        + ManaTerms::BYTES_MIN
        + Committers::BYTES_MIN
        + 1;
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            chain_id: reader.read()?,
            l1_chain_id: reader.read()?,
            protocol: reader.read()?,
            time: reader.read()?,
            assets: reader.list("assets", GENESIS_ASSETS_MAX)?,
            gas_price: reader.read()?,
            slot_price: reader.read()?,
            object_price: reader.read()?,
            slots_max: reader.read()?,
            objects_max: reader.read()?,
            fee_shares: reader.list("fee shares", FEE_SHARES_MAX)?,
            sequencer: reader.read()?,
            settlement: reader.read()?,
            governance: reader.read()?,
            mana: reader.read()?,
            committers: reader.read()?,
            authorities: reader.list("authorities", AUTHORITIES_MAX)?,
        })
    }
}

impl Genesis {
    /// A development plane with GCC and ZMAN, fees to `operator`, who also certifies whatever there is, and short spans.
    pub fn dev(time: u64, sequencer: VerificationKey, operator: Address) -> Self {
        let amount = |units| Amount::new(units).expect("a small constant");
        let asset = |asset, symbol: &str| GenesisAsset {
            asset,
            symbol: symbol.into(),
            decimals: DECIMALS_NATIVE,
            l1_decimals: DECIMALS_NATIVE,
            deposit_min: amount(10_000_000),
        };
        Self {
            chain_id: CHAIN_DEV,
            l1_chain_id: CHAIN_GHOSTCHAIN,
            protocol: crate::batch::PROTOCOL,
            time,
            assets: vec![asset(AssetId::GCC, "gcc"), asset(AssetId::ZMAN, "zman")],
            gas_price: 1,
            slot_price: amount(100_000),
            object_price: amount(400_000),
            slots_max: 1 << 26,
            objects_max: 1 << 26,
            fee_shares: vec![FeeShare { address: operator, basis_points: 10_000 }],
            sequencer,
            settlement: SettlementTerms {
                window_blocks: 10,
                window_unproven_blocks: 20,
                inbox_deadline_blocks: 50,
                reorg_depth: 2,
                data_per_block_max: 4 * 1024 * 1024,
                sequencer_bond: amount(1_000_000_000_000),
                challenge_bond: amount(10_000_000_000),
                challenge_blocks: 10,
                upgrade_notice_blocks: 100,
            },
            governance: Governance { governor: Some(operator), notice_ms: 10_000 },
            // A thousand ZMAN pay a payment about every second and a half, and save up a day of them.
            mana: ManaTerms {
                rate: 200_000,
                window_ms: 24 * 3_600_000,
                cap_ms: 24 * 3_600_000,
                supply_max: amount(10_000_000 * 1_000_000_000),
                grants: vec![50_000, 500_000, 5_000_000],
            },
            committers: Committers::default(),
            authorities: vec![Authority { address: operator, level_max: LEVEL_MAX, certifies: EntityTypes::ALL }],
        }
    }
}

//! What one transaction may make a judge read: whatever the L1 takes into the inbox fits an empty batch, whatever the state is.

use crate::guardians::two_of_three;
use crate::sigil::public;
use crate::story::{Story, address, amount, gcc, genesis, key, pay, pay_to, sign, units};
use ghostplane_engine::{Pushed, check_inbox};
use ghostplane_ghostcipher::{Digest, Domain, hash};
use ghostplane_keystone::{Changeset, ObjectChange, StateView};
use ghostplane_shroud::covenant::SCHEMA_VERSION;
use ghostplane_types::account::Lane;
use ghostplane_types::amount::SUPPLY_MAX;
use ghostplane_types::covenant::{AssetRules, Change};
use ghostplane_types::genesis::{FeeShare, GenesisAsset};
use ghostplane_types::guardian::{Guarded, Guardian, Member, Proposal, Roles};
use ghostplane_types::limits::{
    ACCOUNT_KEYS_MAX, ACCOUNT_RECORD_BYTES_MAX, ACCOUNT_SLOTS_MAX, ACTIONS_MAX, BATCH_FLOWS_MAX, BATCH_GAS_MAX,
    CERTIFICATIONS_MAX, COVENANT_BYTES_MAX, COVENANT_TEXT_BYTES_MAX, FEE_SHARES_MAX, GENESIS_ASSETS_MAX, GUARDIANS_MAX,
    PROPOSAL_BYTES_MAX, SPENDING_MAX, WITNESS_BYTES_MAX,
};
use ghostplane_types::{
    AccountRecord, Action, Address, Approval, AssetId, AssetRecord, Certification, CovenantAt, CovenantText,
    CredentialTerms, Encode, Genesis, GuardianSet, Identity, InboxEntry, InboxPayload, Nonce, ObjectKey, PlaneRules,
    Scheduled, SlotIndex, Spending, Transaction, TransactionBody,
};
use std::collections::BTreeMap;

fn few(count: usize) -> u32 {
    u32::try_from(count).expect("a small limit")
}

// What a batch can hold of assets.

fn own(number: u32) -> AssetId {
    AssetId::new(70_000 + number).expect("below 2^30")
}

fn register(number: u32) -> Action {
    Action::RegisterAsset { asset: own(number), symbol: b"tea".to_vec(), decimals: 0, cap: amount(SUPPLY_MAX) }
}

fn mint(number: u32, units: u64) -> Action {
    Action::Mint { asset: own(number), to: address("alice"), amount: amount(units) }
}

fn burn(number: u32, units: u64) -> Action {
    Action::Burn { asset: own(number), amount: amount(units) }
}

/// Alice, who has registered so many assets.
fn issuer(assets: u32) -> Story {
    let mut story = Story::new();
    story.deposit("alice", gcc(10)).seal();
    let all: Vec<Action> = (0..assets).map(register).collect();
    story.act("alice", &all).seal();
    assert_eq!(story.codes(), [0]);
    story
}

#[test]
fn one_transaction_crosses_no_more_than_a_batch_can_say() {
    let most = few(BATCH_FLOWS_MAX);
    let too_many: Vec<Action> = (0..=most).map(|number| mint(number, 1)).collect();
    let round = |times: usize| vec![[mint(0, SUPPLY_MAX), burn(0, SUPPLY_MAX)]; times].concat();
    // 2^62 twice is one more than an amount says; less than that once more is not.
    let nearly = [round(1), vec![mint(0, SUPPLY_MAX - 1)]].concat();
    let cases: [(u16, &[Action]); 5] = [
        (275, &round(2)),
        (275, &[round(1), vec![mint(0, SUPPLY_MAX)]].concat()),
        (0, &nearly),
        (275, &too_many),
        (0, &too_many[1..]),
    ];
    for (code, actions) in cases {
        for is_forced in [false, true] {
            let mut story = issuer(most + 1);
            let (held, supplied) = (story.balance_of(address("alice"), own(0)), story.balance("alice"));
            if is_forced {
                story.force("alice", actions)
            } else {
                story.act("alice", actions)
            };
            // Whether an open batch takes it as well is looked at whenever a batch is sealed.
            story.seal();
            assert_eq!(story.codes(), [code], "{} actions, forced: {is_forced}", actions.len());
            if code != 0 {
                assert_eq!(usize::from(story.receipt(0).action), actions.len() - 1);
                assert!(story.last().sealed.flows().is_empty());
                assert_eq!(story.balance_of(address("alice"), own(0)), held);
                // It is paid for, but from the inbox, where gas has no price.
                assert_eq!(story.balance("alice") < supplied, !is_forced);
            }
        }
    }
}

// What a witness can hold of the state.

/// People whose accounts are as large as they can be.
fn fat(number: u32) -> Address {
    let mut bytes = [0xfa; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Address::from_bytes(bytes)
}

/// What nobody could make in fewer than thousands of transactions, written into the state at once.
#[derive(Default)]
struct Fat {
    objects: BTreeMap<ObjectKey, Vec<u8>>,
}

impl Fat {
    fn text(&mut self) -> Digest {
        let padding = format!("// {}\n", self.objects.len());
        let rule = "permit (principal, action, resource);";
        let text = format!("{padding}{}{rule}", " ".repeat(COVENANT_BYTES_MAX - padding.len() - rule.len()));
        let text = CovenantText { schema_version: SCHEMA_VERSION, counts: true, obliges: true, cost: 1 << 20, text };
        assert!(text.to_bytes().len() <= COVENANT_TEXT_BYTES_MAX);
        self.objects.insert(ObjectKey::covenant(&text.digest()), text.to_bytes());
        text.digest()
    }

    fn rules(&mut self) -> Scheduled {
        Scheduled { now: Some(self.text()), next: Some(Change { to: Some(self.text()), from: u64::MAX }) }
    }

    /// An account with all that a record holds but for guardians and sessions, who share the room of gates.
    fn account(&mut self, story: &Story, address: Address, guarded: Option<Guarded>) {
        let mut record = match crate::story::record_of(&story.keystone, &address) {
            Some(record) => record,
            None => AccountRecord::new(address),
        };
        let mut identity = Identity::of(&crate::story::gid("heidi@p256"));
        identity.keys = (0..ACCOUNT_KEYS_MAX).map(|at| public(&format!("{at}@p256"))).collect();
        record.identity.get_or_insert(identity);
        let lanes = (0..=u8::MAX).map(|lane| Lane { lane, next: u64::MAX });
        record.lanes = lanes.collect();
        for number in (0..).take(ACCOUNT_SLOTS_MAX - record.slots.len()) {
            let asset = AssetId::new((1 << 29) + number).expect("below 2^30");
            record.insert_slot(asset, SlotIndex::new((1 << 29) + number).expect("below 2^30"));
        }
        let (outgoing, incoming) = (self.text(), self.text());
        record.change_gates(|gates| {
            gates.guarded = guarded;
            gates.covenants.outgoing = Some(outgoing);
            gates.covenants.incoming = Some(incoming);
            let spending = (0..).take(SPENDING_MAX).map(|number| {
                let asset = AssetId::new((1 << 29) + number).expect("below 2^30");
                Spending { units: [SUPPLY_MAX; 3], ..Spending::new(asset, story.time) }
            });
            gates.covenants.spending = spending.collect();
            let certifications = (0..).take(CERTIFICATIONS_MAX).map(|number| Certification {
                issuer: Address::from_bytes([number; 32]),
                claims: Digest([1; 32]),
                level: 1,
                certified: None,
                until: u64::MAX,
            });
            gates.certifications = certifications.collect();
        });
        let bytes = record.to_bytes();
        assert!(bytes.len() <= ACCOUNT_RECORD_BYTES_MAX, "{} bytes", bytes.len());
        self.objects.insert(ObjectKey::account(&address), bytes);
    }

    fn asset(&mut self, number: u32, issuer: Address) {
        let record = AssetRecord {
            asset: own(number),
            issuer,
            symbol: b"twelvecharac".to_vec(),
            decimals: 0,
            cap: amount(SUPPLY_MAX),
            supply: amount(SUPPLY_MAX),
            is_frozen: false,
            rules: self.rules(),
        };
        self.objects.insert(ObjectKey::asset(own(number)), record.to_bytes());
    }

    fn write(self, story: &mut Story) {
        let changes = self.objects.into_iter().map(|(key, new)| {
            let old = story.keystone.object(&key).expect("the whole state").map(|object| object.value.into());
            ObjectChange { key, old, new: Some(new.into()) }
        });
        let changes = Changeset::new(Vec::new(), changes.collect()).expect("ascending");
        story.make_up(&changes);
    }
}

/// Sixteen guardians by their accounts, from this one on.
fn guardians(first: u32) -> GuardianSet {
    let members = (first..).take(GUARDIANS_MAX);
    let members = members.map(|number| Member { who: Guardian::Account(fat(number)), weight: 1, roles: Roles::ALL });
    GuardianSet { members: members.collect(), ..two_of_three() }
}

const ACCOUNTS: u32 = 300;
const ASSETS: u32 = 150;
/// The first of the accounts that others are guardians of, sixteen to each.
const GUARDED: u32 = 60;

/// A proposal that names as much as fits it: 54 accounts, and assets for the rest of the actions.
fn proposal(first_asset: u32) -> Proposal {
    let sets = [100, 116, 132].map(|first| Action::SetGuardians(Some(Box::new(guardians(first)))));
    let burns = (first_asset..).take(13).map(|number| burn(number, 1));
    let actions: Vec<Action> = sets.into_iter().chain(burns).collect();
    assert!(actions.iter().map(|action| action.to_bytes().len()).sum::<usize>() <= PROPOSAL_BYTES_MAX);
    Proposal {
        id: hash(Domain::Test, 0, &[&first_asset.to_le_bytes()]),
        actions,
        expires: u64::MAX,
        approvals: 0xffff,
        rejections: 0,
        ready_at: Some(0),
    }
}

/// A plane with these terms that is as heavy as one can be.
fn heavy(genesis: Genesis) -> Story {
    let shares: Vec<Address> = genesis.fee_shares.iter().map(|share| share.address).collect();
    let assets: Vec<AssetId> = genesis.assets.iter().map(|known| known.asset).collect();
    let mut story = Story::of(genesis);
    story.deposit("alice", gcc(100)).deposit("bob", gcc(100)).seal();
    story.transfer("alice", "bob", units(1)).transfer("bob", "alice", units(1)).seal();
    let mut fat_ones = Fat::default();
    for number in 0..ACCOUNTS {
        let guarded = (number < GUARDED).then(|| Guarded {
            set: guardians(GUARDED + number * few(GUARDIANS_MAX) % 200),
            spent: Vec::new(),
            proposals: vec![proposal(13 * (number % 8))],
        });
        fat_ones.account(&story, fat(number), guarded);
    }
    for number in 0..ASSETS {
        fat_ones.asset(number, fat(150 + number));
    }
    shares.iter().for_each(|share| fat_ones.account(&story, *share, None));
    let assets = assets.into_iter().map(|asset| AssetRules { asset, rules: fat_ones.rules() });
    let rules = PlaneRules { assets: assets.collect(), plane: fat_ones.rules() };
    fat_ones.objects.insert(ObjectKey::plane_rules(), rules.to_bytes());
    fat_ones.write(&mut story);
    story
}

/// A forced transaction of Alice's, with an approval or none.
fn forced(story: &Story, actions: Vec<Action>, has_approval: bool) -> Transaction {
    let body = story.body("alice", Nonce::LANE_FORCED, &actions);
    let body = TransactionBody { gas_limit: BATCH_GAS_MAX, ..body };
    let mut transaction = sign("alice", body);
    if has_approval {
        let signature = key("gina").sign(Domain::Approval, story.plane.chain_id(), &transaction.body.id());
        transaction.approvals = vec![Approval { key: public("gina"), auth: signature.into() }];
    }
    transaction
}

/// Whether a forced transaction is refused for what it names.
fn is_too_wide(story: &Story, transaction: &Transaction) -> bool {
    let payload = InboxPayload::Forced { transaction: transaction.to_bytes() };
    let entry = InboxEntry { index: story.state.inbox_upto, l1_height: 1, l1_time: story.time, payload };
    let checked = check_inbox(&story.plane, &story.keystone, &[entry]).expect("the whole state");
    match checked[0].forced().expect("a forced transaction") {
        Ok(_) => false,
        Err(reject) => {
            assert_eq!(reject.code(), 152, "{reject}");
            true
        }
    }
}

type Kind = (&'static str, bool, fn(u32) -> Action);

/// What names most, by the number of the action.
const KINDS: &[Kind] = &[
    ("payments", false, |at| pay_to(fat(at), units(1))),
    ("payments in own assets", false, |at| Action::Transfer {
        to: fat(at % 150),
        asset: own(at % ASSETS),
        amount: amount(1),
    }),
    ("mints", false, |at| Action::Mint { to: fat(at % 150), asset: own(at % ASSETS), amount: amount(1) }),
    ("burns", false, |at| burn(at % ASSETS, 1)),
    ("freezes of assets", false, |at| Action::FreezeAsset { asset: own(at % ASSETS), is_frozen: true }),
    ("rules for assets", false, |at| Action::SetCovenant {
        at: CovenantAt::Asset(own(at % ASSETS)),
        digest: Some(hash(Domain::Test, 0, &[&at.to_le_bytes()])),
    }),
    ("credentials", false, |at| {
        Action::IssueCredential(Box::new(CredentialTerms {
            subject: fat(at),
            claims: Digest([7; 32]),
            level: 0,
            certified: None,
            expires: u64::MAX,
        }))
    }),
    ("votes", false, |at| Action::Approve { account: fat(at), proposal: Digest([0; 32]) }),
    ("votes with approvals", true, |at| Action::Approve { account: fat(at), proposal: Digest([0; 32]) }),
    ("freezes", true, |at| Action::Freeze { account: fat(at) }),
    ("proposals done", false, |at| Action::Execute {
        account: fat(at % GUARDED),
        proposal: proposal(13 * (at % GUARDED % 8)).id,
    }),
    ("proposals done with approvals", true, |at| Action::Execute {
        account: fat(at % GUARDED),
        proposal: proposal(13 * (at % GUARDED % 8)).id,
    }),
    ("sets of guardians", false, |at| Action::SetGuardians(Some(Box::new(guardians(16 * (at % 18)))))),
];

/// How many actions of a kind a forced transaction has at most; each fits a batch of its own, the witness included.
fn most(story: &Story, (name, has_approval, action): &Kind) -> u32 {
    let of = |count: u32| forced(story, (0..count).map(action).collect(), *has_approval);
    let fits_form = |count: u32| of(count).to_bytes().len() <= ghostplane_types::limits::TRANSACTION_BYTES_MAX;
    let counts: Vec<u32> = (1..=few(ACTIONS_MAX)).take_while(|count| fits_form(*count)).collect();
    let most = few(counts.partition_point(|count| !is_too_wide(story, &of(*count))));
    assert!(most > 0, "{name}: not even one");
    let mut alone = story.clone();
    alone.force_bytes(&of(most).to_bytes()).seal();
    assert_ne!(alone.codes(), [152], "{name}");
    assert_eq!(alone.header().inbox_upto, story.state.inbox_upto + 1);
    if most < few(counts.len()) {
        // What is too much is consumed all the same, and its judge reads little.
        let mut wide = story.clone();
        wide.force_bytes(&of(most + 1).to_bytes()).deposit("bob", gcc(1)).seal();
        assert_eq!(wide.codes()[0], 152, "{name}");
        assert!(wide.watcher().witness(&wide.last().posted).len() < WITNESS_BYTES_MAX / 4);
    }
    most
}

#[test]
fn a_forced_transaction_fits_an_empty_batch_however_heavy_the_accounts_are() {
    let story = heavy(genesis());
    for kind in KINDS {
        let most = most(&story, kind);
        // Enough for anybody's own affairs.
        assert!(most >= 1 && (kind.1 || kind.0.contains("proposals") || most > 8), "{}: {most}", kind.0);
    }
    // On a plane as heavy as genesis allows, guardians still get done what they agreed on.
    let mut genesis = genesis();
    let spare = genesis.assets[1].clone();
    for number in 2..few(GENESIS_ASSETS_MAX) {
        let (asset, symbol) = (AssetId::new(number).expect("small"), format!("asset{number}").into_bytes());
        genesis.assets.push(GenesisAsset { asset, symbol, ..spare.clone() });
    }
    let shares = (0..few(FEE_SHARES_MAX)).map(|number| FeeShare { address: fat(1_000 + number), basis_points: 625 });
    genesis.fee_shares = shares.collect();
    let story = heavy(genesis);
    for kind in KINDS.iter().filter(|(name, ..)| name.contains("approvals")) {
        most(&story, kind);
    }
}

#[test]
fn payments_to_a_hundred_people_can_be_forced() {
    let mut story = Story::new();
    story.deposit("alice", gcc(100)).seal();
    let pay_all = |count: u32| (0..count).map(|number| pay_to(fat(number), units(1))).collect::<Vec<_>>();
    let transaction = forced(&story, pay_all(100), false);
    // Nobody has such an account yet: the identity that opens it is carried.
    story.count("alice", &transaction.body);
    story.force_bytes(&transaction.to_bytes()).seal();
    assert_eq!(story.codes(), [0]);
    let transaction = forced(&story, pay_all(200), false);
    story.force_bytes(&transaction.to_bytes()).seal();
    assert_eq!(story.codes(), [152]);
}

#[test]
fn what_is_too_wide_for_any_batch_closes_none() {
    let mut story = heavy(genesis());
    let wide: Vec<Action> = (0..few(ACTIONS_MAX))
        .map(|at| Action::Transfer { to: fat(at % 150), asset: own(at % ASSETS), amount: amount(1) })
        .collect();
    let body = TransactionBody { gas_limit: BATCH_GAS_MAX, ..story.body("alice", Nonce::LANE_ROOT, &wide) };
    let wide = sign("alice", body);
    story.transfer("bob", "alice", units(1));
    story.pool.push(wide);
    story.act("bob", &[pay("alice", units(2))]);
    let given: Vec<_> = story.verify(story.pool.clone()).into_iter().map(|one| one.expect("signed").into()).collect();
    let watcher = story.watcher();
    let mut open = ghostplane_engine::OpenBatch::open(&watcher.plane, &watcher.keystone, watcher.prev, 0, story.time)
        .expect("a time that follows");
    let pushed = open.push(&given).expect("an honest state");
    assert!(matches!(&pushed[0], Pushed::Included { .. }), "{:?}", pushed[0]);
    assert!(matches!(&pushed[1], Pushed::Rejected(reject) if reject.code() == 152), "{:?}", pushed[1]);
    assert!(matches!(&pushed[2], Pushed::Included { .. }), "{:?}", pushed[2]);
    assert!(!open.is_full());
}

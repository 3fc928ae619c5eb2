//! Commitments that need committers: a plane that waits for them, and a committer who is shown something false.

use crate::process::{Home, Process, gcc, standing, told};
use ghostplane::local::{LocalL1, Operator, Threads};
use ghostplane_client::{Client, Rung, wire};
use ghostplane_engine::Plane;
use ghostplane_ghostbridge::run::{self, Committed};
use ghostplane_ghostcipher::VerificationKey;
use ghostplane_settlement::Message;
use ghostplane_types::{
    AssetId, Attestation, BatchHeader, Commitment, Committer, Committers, Decode as _, Encode as _, EntityType,
    Genesis, InboxEntry, L1Address,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

/// How long commitments may wait for committers on these planes.
const WAIT_MS: u64 = 1_500;

/// The settings of a plane whose commitments need two of three; its keys are made if they are not there.
struct Settings {
    home: Home,
    committers: Vec<VerificationKey>,
}

impl Settings {
    fn new(name: &str) -> Self {
        let home = Home::new(name);
        let sequencer = home.key("sequencer", EntityType::Service);
        home.key("alice", EntityType::Wallet);
        home.key("bob", EntityType::Wallet);
        let committers: Vec<_> = ["one", "two", "three"].map(|name| home.key(name, EntityType::Service)).to_vec();
        let members = committers.iter().map(|key| format!("[[committers.members]]\nkey = \"{key}\"\nweight = 1\n"));
        let operator = home.person("bob").address.to_text(EntityType::Wallet);
        let genesis = format!(
            r#"
chain_id = 1337
l1_chain_id = 9999
protocol = 1
time = 1760000000000
gas_price = 1
slot_price = 100000
object_price = 400000
slots_max = 65536
objects_max = 65536
sequencer = "{sequencer}"
assets = [{{ asset = 0, symbol = "gcc", decimals = 9, l1_decimals = 9, deposit_min = 10000000 }}]
fee_shares = [{{ address = "{operator}", basis_points = 10000 }}]

[settlement]
window_blocks = 2
window_unproven_blocks = 4
inbox_deadline_blocks = 1000000
reorg_depth = 1
data_per_block_max = 4194304
sequencer_bond = 1000000000
challenge_bond = 1000000000
challenge_blocks = 10
upgrade_notice_blocks = 10

[committers]
quorum = 2
{}"#,
            members.collect::<String>()
        );
        home.write("genesis.toml", &genesis);
        Self { home, committers }
    }

    /// The file for a node that listens there.
    fn at(&self, grpc: &str) -> PathBuf {
        let key = |name| self.home.signing_key(name).verification_key();
        let text = format!(
            r#"
dir = "plane"
genesis = "genesis.toml"
sequencer_key = "sequencer"
keys = "keys"
[serve]
grpc = "{grpc}"
http = "127.0.0.1:0"
[l1]
block_ms = 100
[[l1.balances]]
address = "{}"
asset = 0
amount = "5000000000"
[[l1.balances]]
address = "{}"
asset = 0
amount = "1000000000000"
[limits]
attestation_wait_ms = {WAIT_MS}
[prover]
mode = "off"
"#,
            key("sequencer"),
            key("alice")
        );
        self.home.write("node.toml", &text)
    }
}

/// Asks for the status until it is as wanted.
async fn status_with(client: &Client, is_wanted: impl Fn(&wire::Status) -> bool) -> wire::Status {
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        let status = client.status().await.expect("an answer");
        if is_wanted(&status) {
            return status;
        }
        pause.tick().await;
    }
}

fn attesting(status: &wire::Status) -> &wire::AttestingStatus {
    status.attesting.as_ref().expect("genesis names committers")
}

#[test]
fn a_plane_settles_with_two_of_three_committers_and_waits_with_one() {
    let settings = Settings::new("quorum");
    let home = &settings.home;
    let mut node = home.node(&settings.at("127.0.0.1:0"));
    let url = node.grpc.clone();
    let stranger = home.run_at(&url, &["committer", "--key", "alice"]).error();
    assert!(stranger["error"].as_str().is_some_and(|why| why.contains("no committer's")), "{stranger}");

    let one = home.begin_at(&url, &["committer", "--key", "one", "--threads", "1"]);
    home.run(&node, &["deposit", "--to", "alice", "100gcc"]).json();
    told(waits_for_the_others(&settings, &node));

    // Nothing of it is lost with a node that is killed, nor with a committer.
    node.kill();
    drop(one);
    let node = home.node(&settings.at(url.strip_prefix("http://").expect("an address")));
    let _one = home.begin_at(&url, &["committer", "--key", "one", "--threads", "1"]);
    told(waits_for_the_others(&settings, &node));

    let _three = home.begin_at(&url, &["committer", "--key", "three", "--threads", "1"]);
    told(settles(home, &node));
    assert!(node.interrupt().success());
}

/// With one committer alone nothing is committed, the node says whom it waits for, and after a while takes nothing more.
async fn waits_for_the_others(settings: &Settings, node: &Process) {
    let client = node.client().await;
    let status = status_with(&client, |status| attesting(status).weight == 1).await;
    let Settings { home, committers } = settings;
    let missing: Vec<&[u8]> = attesting(&status).missing.iter().map(AsRef::as_ref).collect();
    assert_eq!((attesting(&status).quorum, attesting(&status).first_batch, missing.len()), (2, 1, 2), "{status:?}");
    assert!(committers[1..].iter().all(|key| missing.contains(&&key.as_bytes()[..])), "{status:?}");

    let late = status_with(&client, |status| attesting(status).waited_ms > WAIT_MS + 1_000).await;
    assert_eq!((late.committed_batch, attesting(&late).weight), (0, 1), "{late:?}");
    assert!(late.l1_height > 5 && late.batch >= 1, "blocks come and nothing is committed: {late:?}");
    let alice = home.person("alice");
    let (_, next) = standing(&client, &alice.address).await;
    let payment = alice.pay(&client, None, next, home.person("bob").address, 1);
    let refused = client.submit_once(&payment).await.expect_err("too much waits already");
    assert_eq!(refused.code(), Some(700), "{refused:?}");

    // A word from somebody else, or about something else, changes nothing.
    let proposal = client.proposal().await.expect("an answer").expect("something is proposed");
    let plane = Plane::new(client.plane().genesis().clone()).expect("sound terms");
    let digest = proposal.digest(plane.chain_id());
    let by_alice = run::attest(&plane, &home.signing_key("alice"), &proposal);
    let stranger = client.attest(&digest, &by_alice).await.expect_err("no committer");
    assert_eq!(stranger.code(), Some(394), "{stranger:?}");
    let mut bent = run::attest(&plane, &home.signing_key("two"), &proposal);
    bent.signature.0[7] ^= 1;
    let forged = client.attest(&digest, &bent).await.expect_err("no signature");
    assert_eq!(forged.code(), Some(393), "{forged:?}");
    let other = client.attest(&proposal.headers_root, &bent).await.expect_err("not proposed");
    assert_eq!(other.code(), Some(710), "{other:?}");
}

/// With two of them the plane goes on by itself.
async fn settles(home: &Home, node: &Process) {
    let client = node.client().await;
    status_with(&client, |status| status.committed_batch >= 1).await;
    let (header, _) = client.batch(1, false, false).await.expect("the first batch");
    let anchored = client.anchor(&header).await.expect("a commitment that a quorum vouches for");
    assert_eq!(anchored.commitment().attestations.len(), 3);
    assert_eq!(anchored.commitment().attestations[0].key, client.plane().genesis().sequencer);
    let (alice, bob) = (home.person("alice"), home.person("bob"));
    let (_, next) = standing(&client, &alice.address).await;
    let payment = alice.pay(&client, None, next, bob.address, 1_000_000_000);
    client.submit(&payment).await.expect("there is room again");
    client.wait_for(&payment.body.id(), Rung::Final, 120_000).await.expect("it settles");
    let status = client.status().await.expect("an answer");
    assert_eq!(attesting(&status).wait_max_ms, WAIT_MS);
    home.run(node, &["status"]).json();
}

/// What a lying node shows, and what it is told.
struct Shown {
    plane: Plane,
    batches: Vec<(BatchHeader, Vec<u8>)>,
    inbox: Vec<InboxEntry>,
    /// What is proposed next, as soon as the one before is vouched for.
    proposals: Vec<Commitment>,
    vouched: Vec<(Commitment, Attestation)>,
}

/// A node of whom only that is there which a committer asks.
#[derive(Clone)]
struct Liar(Arc<Mutex<Shown>>);

impl Liar {
    /// One true batch of deposits, and a second in which the operator takes from alice what she had.
    fn new(home: &Home, committer: VerificationKey) -> Self {
        let sequencer = home.signing_key("sequencer");
        let workers = Threads::new(1);
        let alice = home.key("alice", EntityType::Wallet);
        home.key("mallory", EntityType::Wallet);
        let (victim, thief) = (home.person("alice").address, home.person("mallory").address);
        let mut genesis = Genesis::dev(1_767_225_600_000, sequencer.verification_key(), thief);
        genesis.committers = Committers { members: vec![Committer { key: committer, weight: 1 }], quorum: 1 };
        let plane = Plane::new(genesis).expect("sound terms");
        let mut operator = Operator::found(plane.clone(), home.signing_key("sequencer"), 1, &workers).expect("founded");
        let before = BatchHeader::genesis(operator.state());
        let mut l1 = LocalL1::new(&plane, operator.state(), 1_000).expect("set up");
        l1.mine(1).expect("time passes");
        for to in [victim, victim, thief] {
            let deposit = Message::Deposit { asset: AssetId::GCC, l1_amount: 1_000_000_000, to };
            l1.send(L1Address(*alice.as_bytes()), deposit).expect("the L1 takes it");
        }
        l1.mine(5).expect("time passes");
        let inbox = l1.inbox().to_vec();
        let time = l1.block().time;
        operator.produce(time, &inbox[..1], Vec::new(), &workers).expect("a batch");
        operator.produce(time, &inbox[1..], Vec::new(), &workers).expect("a batch");
        operator.forge_theft(&victim, &thief, gcc(1_000_000), &workers).expect("a theft");
        let batches: Vec<_> = operator.batches().iter().map(|kept| (kept.header, kept.posted.clone())).collect();
        let committed: Vec<_> = batches.iter().map(|(header, posted)| Committed::new(&plane, header, posted)).collect();
        let propose = |prev: &BatchHeader, batches: &[Committed]| {
            let mut commitment = run::claim(&plane, 0, prev, batches).expect("in order");
            commitment.attestations.push(run::attest(&plane, &sequencer, &commitment));
            commitment
        };
        // Taken from the end.
        let proposals = vec![propose(&committed[0].header, &committed[1..]), propose(&before, &committed[..1])];
        Self(Arc::new(Mutex::new(Shown { plane, batches, inbox, proposals, vouched: Vec::new() })))
    }

    fn shown<T>(&self, look: impl FnOnce(&mut Shown) -> T) -> T {
        look(&mut self.0.lock().expect("nobody panics with it"))
    }
}

/// What a committer asks nobody.
fn not_asked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("a committer does not ask this"))
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl wire::node_server::Node for Liar {
    async fn get_info(&self, _: Request<wire::GetInfoRequest>) -> Answer<wire::Info> {
        Ok(Response::new(self.shown(|shown| {
            let genesis = shown.plane.genesis();
            wire::Info {
                genesis: genesis.to_bytes().into(),
                plane_id: shown.plane.plane_id().0.to_vec().into(),
                chain_id: genesis.chain_id,
                l1_chain_id: genesis.l1_chain_id,
                protocol: genesis.protocol,
                sequencer: genesis.sequencer.as_bytes().to_vec().into(),
                ..wire::Info::default()
            }
        })))
    }

    async fn get_status(&self, _: Request<wire::GetStatusRequest>) -> Answer<wire::Status> {
        not_asked()
    }
}

#[tonic::async_trait]
impl wire::batches_server::Batches for Liar {
    async fn get(&self, request: Request<wire::GetBatchRequest>) -> Answer<wire::Batch> {
        let number = request.into_inner().number;
        self.shown(|shown| {
            // The second is shown once the first is vouched for, as on a plane that goes on.
            let visible = &shown.batches[..=usize::from(!shown.vouched.is_empty())];
            let at = usize::try_from(number).ok().and_then(|number| visible.get(number.checked_sub(1)?));
            let (header, posted) = at.ok_or_else(|| Status::not_found("no such batch"))?;
            let state_root = header.state().digest(shown.plane.chain_id(), &shown.plane.plane_id());
            Ok(Response::new(wire::Batch {
                number,
                header: header.to_bytes().into(),
                generation: header.generation,
                time: header.time,
                gas: header.gas,
                entries: header.entries,
                state_root: state_root.0.to_vec().into(),
                posted: posted.clone().into(),
                ..wire::Batch::default()
            }))
        })
    }

    async fn list(&self, _: Request<wire::ListBatchesRequest>) -> Answer<wire::ListBatchesResponse> {
        not_asked()
    }
}

#[tonic::async_trait]
impl wire::bridge_server::Bridge for Liar {
    async fn get_inbox(&self, request: Request<wire::GetInboxRequest>) -> Answer<wire::InboxEntries> {
        let wire::GetInboxRequest { from, upto } = request.into_inner();
        let entries = self.shown(|shown| {
            let asked = shown.inbox.iter().filter(|entry| (from..upto).contains(&entry.index));
            asked.map(|entry| entry.to_bytes().into()).collect()
        });
        Ok(Response::new(wire::InboxEntries { entries }))
    }

    async fn get_status(&self, _: Request<wire::GetBridgeStatusRequest>) -> Answer<wire::BridgeStatus> {
        not_asked()
    }

    async fn send_to_l1(&self, _: Request<wire::SendToL1Request>) -> Answer<wire::SendToL1Response> {
        not_asked()
    }

    async fn get_l1_account(&self, _: Request<wire::GetL1AccountRequest>) -> Answer<wire::L1Account> {
        not_asked()
    }

    async fn get_withdrawal(&self, _: Request<wire::GetWithdrawalRequest>) -> Answer<wire::Withdrawal> {
        not_asked()
    }

    async fn get_commitment(&self, _: Request<wire::GetCommitmentRequest>) -> Answer<wire::CommitmentOf> {
        not_asked()
    }
}

#[tonic::async_trait]
impl wire::committers_server::Committers for Liar {
    async fn get_proposal(&self, _: Request<wire::GetCommitmentProposalRequest>) -> Answer<wire::CommitmentProposal> {
        let commitment = self.shown(|shown| shown.proposals.last().map(Commitment::to_bytes));
        let present = commitment.is_some();
        Ok(Response::new(wire::CommitmentProposal { present, commitment: commitment.unwrap_or_default().into() }))
    }

    async fn attest(&self, request: Request<wire::AttestRequest>) -> Answer<wire::AttestResponse> {
        let attestation = Attestation::from_bytes(&request.into_inner().attestation);
        let attestation = attestation.map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.shown(|shown| {
            let commitment = shown.proposals.pop().expect("only what is proposed is vouched for");
            shown.vouched.push((commitment, attestation));
        });
        Ok(Response::new(wire::AttestResponse { weight: 1, quorum: 1 }))
    }
}

#[test]
fn a_committer_signs_what_is_true_and_never_what_is_not() {
    let home = Home::new("forged");
    home.key("sequencer", EntityType::Service);
    let committer = home.key("one", EntityType::Service);
    let liar = Liar::new(&home, committer);
    told(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let served = tonic::transport::Server::builder()
            .add_service(wire::node_server::NodeServer::new(liar.clone()))
            .add_service(wire::batches_server::BatchesServer::new(liar.clone()))
            .add_service(wire::bridge_server::BridgeServer::new(liar.clone()))
            .add_service(wire::committers_server::CommittersServer::new(liar.clone()))
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
        let serving = tokio::spawn(served);
        let ended = tokio::task::spawn_blocking(move || home.run_at(&url, &["committer", "--key", "one"]));
        let error = ended.await.expect("it ends").error();
        assert!(error["error"].as_str().is_some_and(|why| why.contains("batch 2 is false")), "{error}");
        assert_eq!(error["code"], 506, "as the L1 would judge: {error}");
        serving.abort();
    });
    liar.shown(|shown| {
        let [(commitment, by)] = &shown.vouched[..] else { panic!("{} were signed", shown.vouched.len()) };
        assert_eq!((commitment.last_header.number, by.key), (1, committer), "the true one");
        commitment.verify_attestation(shown.plane.chain_id(), by).expect("his signature");
        assert_eq!(shown.proposals.len(), 1, "the false one waits for ever");
    });
}

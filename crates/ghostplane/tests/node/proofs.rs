//! Batches that are proved: by the node itself, by a worker that nobody trusts, and after a kill in the middle of it.

use crate::process::{Home, Process, funded, told};
use ghostplane_client::{Client, Rung, wire};
use ghostplane_proof::{Statement, verify};
use ghostplane_settlement::ProofBundle;
use ghostplane_types::Decode as _;

/// Long enough that a machine which is busy with other things proves within the window.
const BLOCK_MS: u64 = 500;
/// What genesis says, in blocks.
const WINDOW: u64 = 10;
const WINDOW_UNPROVEN: u64 = 20;

/// Alice pays Bob; returns the batch.
async fn pay(home: &Home, client: &Client, sequence: u64) -> (ghostplane_ghostcipher::Digest, u64) {
    let (alice, bob) = (home.person("alice"), home.person("bob"));
    let payment = alice.pay(client, None, sequence, bob.address, 1_000_000_000);
    let receipt = client.submit(&payment).await.expect("executed");
    (receipt.id(), receipt.claimed().batch)
}

/// That the kept proof over a batch proves the batch that the node shows.
async fn check_proof(client: &Client, batch: u64) -> Vec<u8> {
    let kept = client.proof(batch).await.expect("a kept proof");
    assert!((kept.first_batch..=kept.last_batch).contains(&batch));
    let bundle = ProofBundle::from_bytes(&kept.bundle).expect("a bundle");
    let claims: Vec<_> = bundle.batches.iter().map(|shown| (shown.header, shown.flows.clone())).collect();
    let plane = client.plane();
    let statement = Statement::new(plane.genesis().chain_id, plane.id(), &bundle.previous, &claims).expect("in order");
    assert!(verify(&statement, &bundle.proof).is_ok());
    let (header, _) = client.batch(batch, false, false).await.expect("sealed");
    assert!(claims.iter().any(|(shown, _)| *shown == header));
    bundle.proof
}

async fn is_proven(client: &Client, id: &ghostplane_ghostcipher::Digest) {
    let status = client.wait_for(id, Rung::Proven, 120_000).await.expect("it gets there");
    assert!(Rung::from_wire(status.rung).expect("a rung") >= Rung::Proven);
}

#[test]
fn a_proven_batch_is_final_before_the_longer_window_is_over() {
    let home = Home::new("proven");
    let node = home.dev_with(BLOCK_MS);
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let kinds = [wire::EventKind::Committed, wire::EventKind::Proven, wire::EventKind::Final];
        let mut events = client.events(&kinds).await.expect("events");
        let (id, batch) = pay(&home, &client, 0).await;
        is_proven(&client, &id).await;
        check_proof(&client, batch).await;
        let (mut committed, mut proven, mut finished) = (None, None, None);
        while finished.is_none() {
            let event = events.message().await.expect("events go on").expect("events go on");
            match event.event {
                Some(wire::event::Event::Committed(event)) if event.last_batch >= batch && committed.is_none() => {
                    committed = Some(event.l1_height);
                }
                Some(wire::event::Event::Proven(event)) if (event.first_batch..=event.last_batch).contains(&batch) => {
                    proven = Some(event.l1_height);
                }
                Some(wire::event::Event::Final(event)) if event.batch >= batch => finished = Some(event.l1_height),
                _ => {}
            }
        }
        assert!(committed < proven && proven < finished, "{committed:?}, {proven:?}, {finished:?}");
        let age = finished.expect("final") - committed.expect("committed before");
        assert!((WINDOW..WINDOW_UNPROVEN).contains(&age), "final {age} blocks after its commitment");
        let status = client.status().await.expect("a status");
        assert_eq!((status.prover.as_str(), status.unproven_batches), ("in-process", 0));
        assert!(status.proven_batch >= batch && status.unproven_bytes == 0, "{status:?}");
        let shown = home.run(&node, &["proof", "show", &batch.to_string()]).json();
        assert!(shown["bits"].as_f64().is_some_and(|bits| bits >= 100.0), "{shown}");
    });
    assert!(node.interrupt().success());
}

#[test]
fn what_was_being_proved_when_the_node_was_killed_is_proved_by_the_next_start() {
    let home = Home::new("proof-kill");
    let mut node = home.dev_proved_by("external", BLOCK_MS);
    let (id, batch) = told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let (id, batch) = pay(&home, &client, 0).await;
        client.wait_for(&id, Rung::Challengeable, 60_000).await.expect("the L1 hears of it");
        let job = job(&client).await;
        assert!(!job.batches.is_empty());
        (id, batch)
    });
    node.kill();
    let node = home.dev_proved_by("in-process", BLOCK_MS);
    told(async {
        let client = node.client().await;
        is_proven(&client, &id).await;
        check_proof(&client, batch).await;
    });
    assert!(node.interrupt().success());
    home.verify();
}

#[test]
fn a_worker_elsewhere_proves_and_is_not_trusted() {
    let home = Home::new("worker");
    let node = home.dev_proved_by("external", BLOCK_MS);
    told(async {
        let client = node.client().await;
        funded(&client, &home.people()).await;
        let job = job(&client).await;
        let forged = client.submit_proof(job.id, b"GPCP and no more".to_vec()).await.expect_err("no proof");
        let refused = format!("job {} is refused", job.id);
        assert!(forged.to_string().contains(&refused) && forged.code() == Some(711), "{forged:?}");
        let unknown = client.submit_proof(1 << 40, Vec::new()).await.expect_err("no job");
        assert!(unknown.to_string().contains("ask for another") && unknown.code() == Some(711), "{unknown:?}");
        // What is too large for him is given back, once, and is nobody's then.
        assert_eq!(client.decline_proof(job.id).await.expect("his job"), (job.batches.len() / 2).max(1) as u64);
        let again = client.decline_proof(job.id).await.expect_err("given back already");
        assert_eq!(again.code(), Some(711), "{again:?}");
        prove_elsewhere(&home, &node, &client).await;
    });
    assert!(node.interrupt().success());
}

/// A worker proves the next payment. The first job is still somebody else's.
async fn prove_elsewhere(home: &Home, node: &Process, client: &Client) {
    let (_, batch) = pay(home, client, 0).await;
    let told = home.run(node, &["prover", "--jobs", "1", "--threads", "1"]).json();
    assert_eq!(told["proofs"], 1, "{told}");
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(100));
    while client.proof(batch).await.is_err() {
        pause.tick().await;
    }
    check_proof(client, batch).await;
}

async fn job(client: &Client) -> wire::ProofJob {
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(100));
    loop {
        if let Some(job) = client.proof_job().await.expect("the node hands work out") {
            return job;
        }
        pause.tick().await;
    }
}

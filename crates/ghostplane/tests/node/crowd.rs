//! Clients that do not behave disturb nobody else.

use crate::process::{Home, funded, standing, told};
use ghostplane_client::wire::transactions_client::TransactionsClient;
use ghostplane_client::{Client, Trust, wire};
use ghostplane_types::Encode as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What the silent client sends: more than a node reads from who does not read.
const MESSAGES: u64 = 50;
const TOGETHER: u64 = 400;

#[test]
fn who_never_reads_and_who_goes_away_disturb_nobody() {
    let home = Home::new("crowd");
    let node = home.dev();
    told(async {
        let client = node.client().await;
        let people = home.people();
        let before = funded(&client, &people).await;
        assert_eq!(before.len(), people.len());

        // One says much and never listens: the same payment again and again, each of which is answered.
        let silent = node.client().await;
        let payment = people[2].pay(&silent, None, 0, people[3].address, 5).to_bytes();
        let (requests, receiver) = mpsc::unbounded_channel();
        for message in 0..MESSAGES {
            let transactions = vec![payment.clone().into(); usize::try_from(TOGETHER).expect("small")];
            let first_reference = message * TOGETHER;
            let request = wire::SubmitStreamRequest { first_reference, transactions, without_paths: false };
            requests.send(request).expect("a queue without bound");
        }
        let mut service = TransactionsClient::new(silent.channel());
        let unread = service.submit_stream(UnboundedReceiverStream::new(receiver)).await.expect("a stream");

        // Another goes away while its payments are on the way.
        let gone = Client::connect(&node.grpc, Default::default()).await.expect("the node serves");
        let mut stream = gone.submit_stream(Trust::Verified).await.expect("a stream");
        let payments = (0..32).map(|number| people[4].pay(&gone, None, number, people[5].address, 1).to_bytes().into());
        stream.send(0, payments.collect()).await.expect("sent");
        drop((stream, gone));

        // A third one pays in the meantime.
        let had = standing(&client, &people[1].address).await.0;
        for number in 0..50 {
            let receipt = client.submit(&people[0].pay(&client, None, number, people[1].address, 3)).await;
            assert!(receipt.expect("executed").claimed().is_applied());
        }
        assert_eq!(standing(&client, &people[1].address).await.0, had + 150);
        assert_eq!(node.call("GET", "/healthz", b"").0, 200);

        // What the silent one sent was done once, and what the other left behind from its beginning on.
        let once = people[3].address;
        let (dave, _) = standing(&client, &once).await;
        let dave_before = before[3].balance(ghostplane_types::AssetId::GCC).expect("funded").units();
        assert!(dave == dave_before || dave == dave_before + 5, "{dave}");
        let (_, next) = standing(&client, &people[4].address).await;
        assert!(next <= 32, "{next}");
        drop((unread, requests));
    });
    assert!(node.interrupt().success(), "open streams do not keep a node from stopping");
    home.verify();
}

/// As many raw connections as a process may usually have beside its own files.
const CONNECTIONS: usize = 500;

#[test]
fn crowds_of_connections_and_subscribers_find_a_bound_and_leave_room_for_the_rest() {
    let home = Home::new("flood");
    let node = home.dev();
    told(async {
        let client = node.client().await;
        let people = home.people();
        funded(&client, &people).await;

        // Some hundred connect and never say a word.
        let address = node.grpc.strip_prefix("http://").expect("an address");
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(tokio::net::TcpStream::connect(address).await.expect("the system's queue has room"));
        }
        let receipt = client.submit(&people[0].pay(&client, None, 0, people[1].address, 3)).await;
        assert!(receipt.expect("executed").claimed().is_applied());
        assert_eq!(node.call("GET", "/healthz", b"").0, 200);
        drop(silent);

        // One subscribes as often as he is let, over connections of his own.
        let mut greedy = Vec::new();
        let refused = loop {
            let another = node.client().await;
            let mut subscriptions = Vec::new();
            let ended = loop {
                match another.events(&[]).await {
                    Ok(_) if subscriptions.len() == 100 => break None,
                    Ok(events) => subscriptions.push(events),
                    Err(error) => break Some(error),
                }
            };
            greedy.push((another, subscriptions));
            if let Some(error) = ended {
                break error;
            }
            assert!(greedy.len() < 10, "there is no bound");
        };
        assert_eq!(refused.code(), Some(700), "{refused}");
        let receipt = client.submit(&people[0].pay(&client, None, 1, people[1].address, 3)).await;
        assert!(receipt.expect("executed").claimed().is_applied());

        // He goes, and there is room again.
        drop(greedy);
        while client.events(&[]).await.is_err() {}
    });
    assert!(node.interrupt().success());
    home.verify();
}

//! A node's process, its directory, and the people with money.

use ghostplane::keys;
use ghostplane_client::{Client, Draft, Options, ProvenAccount, wire};
use ghostplane_ghostcipher::{SigningKey, VerificationKey};
use ghostplane_types::genesis::CHAIN_DEV;
use ghostplane_types::{AccountRecord, Address, Amount, AssetId, EntityType, Gid, Transaction};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// No story takes longer, whatever else the machine does. It is no measure of anything.
pub const AT_MOST: Duration = Duration::from_secs(300);
pub const NAMES: [&str; 10] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"];

/// A directory of one test, removed at its end.
pub struct Home(PathBuf);

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Somebody with a key.
pub struct Person {
    pub gid: Gid,
    pub address: Address,
    key: SigningKey,
}

/// A node that runs. Dropping it kills it.
pub struct Process {
    child: Child,
    pub said: Value,
    pub grpc: String,
    pub http: String,
}

impl Home {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ghostplane-node-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    pub fn dir(&self) -> PathBuf {
        self.0.join("plane")
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ghostplane"));
        for variable in ["GHOSTPLANE_KEYS", "GHOSTPLANE_URL", "GHOSTPLANE_GRPC", "GHOSTPLANE_HTTP", "XDG_DATA_HOME"] {
            command.env_remove(variable);
        }
        command.env("HOME", &self.0).args(arguments).stdin(Stdio::null());
        command
    }

    fn dev_command(&self, block_ms: u64) -> Command {
        let (dir, keys, block_ms) = (self.dir(), self.keys(), block_ms.to_string());
        let mut command = self.command(&["dev", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.arg("--dir").arg(dir).arg("--keys").arg(keys).args(["--l1-block-ms", &block_ms]);
        command
    }

    /// Starts the node and waits until it serves.
    pub fn dev(&self) -> Process {
        self.dev_with(50)
    }

    /// The same, with that many milliseconds between the L1's blocks.
    pub fn dev_with(&self, block_ms: u64) -> Process {
        self.started(self.dev_command(block_ms))
    }

    /// The same, with a checkpoint after every batch, so that there is hardly a moment in which none is being written.
    pub fn dev_that_checkpoints(&self) -> Process {
        let mut command = self.dev_command(50);
        command.args(["--checkpoint-batches", "1"]);
        self.started(command)
    }

    /// The same, with somebody else who proves.
    pub fn dev_proved_by(&self, prover: &str, block_ms: u64) -> Process {
        let mut command = self.dev_command(block_ms);
        command.args(["--prover", prover]);
        self.started(command)
    }

    /// Starts the node with a file system of its own of that many MiB under its directory, which is gone with the process.
    /// `None` where the system lets nobody make one.
    pub fn dev_on_small_disk(&self, mib: u32) -> Option<Process> {
        const MOUNT: &str = r#"mount -t tmpfs -o "size=$0m" none "$1" || exit 77; shift; exec "$@""#;
        std::fs::create_dir_all(self.dir()).expect("a scratch directory");
        let wrapped = |namespaces: &str, inner: &Command| {
            let mut command = Command::new("unshare");
            command.args([namespaces, "--propagation", "private", "sh", "-c", MOUNT, &mib.to_string()]);
            command.arg(self.dir()).arg(inner.get_program()).args(inner.get_args());
            for (name, value) in inner.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command.stdin(Stdio::null());
            command
        };
        let is_permitted = |namespaces: &&str| {
            let mut probe = wrapped(namespaces, &Command::new("true"));
            probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let namespaces = ["-Urm", "-m"].into_iter().find(is_permitted)?;
        Some(self.started(wrapped(namespaces, &self.dev_command(50))))
    }

    fn started(&self, mut command: Command) -> Process {
        let complaints = self.0.join("stderr");
        let stderr = File::create(&complaints).expect("a scratch file");
        let child = command.stdout(Stdio::piped()).stderr(stderr).spawn();
        let mut child = child.expect("the binary starts");
        let out = child.stdout.take().expect("piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(document(out)));
        let said = match receiver.recv_timeout(AT_MOST) {
            Ok(Some(said)) => said,
            other => {
                let _ = child.kill();
                panic!(
                    "the node did not start, {other:?}: {}",
                    std::fs::read_to_string(complaints).unwrap_or_default()
                );
            }
        };
        let text = |name: &str| said[name].as_str().expect("an address").to_owned();
        Process { child, grpc: text("grpc"), http: text("http"), said }
    }

    /// A command that looks at the directory and asks no node.
    pub fn offline(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.arg("--json").arg("--dir").arg(self.dir());
        Ended::of(command)
    }

    /// A command that looks at nothing but what it is told.
    pub fn alone(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.arg("--json");
        Ended::of(command)
    }

    /// Runs a command against a node with the plane's own keys.
    pub fn run_as_operator(&self, node: &Process, arguments: &[&str]) -> Ended {
        let mut command = self.command(&["--json", "--url", &node.grpc, "--keys"]);
        command.arg(self.dir().join("keys")).args(arguments);
        Ended::of(command)
    }

    /// Starts the node where it must not start.
    pub fn dev_fails(&self) -> Ended {
        Ended::of(self.dev_command(50))
    }

    /// Runs another command against a node.
    pub fn run(&self, node: &Process, arguments: &[&str]) -> Ended {
        self.run_at(&node.grpc, arguments)
    }

    /// Writes a file into the scratch directory.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a scratch file");
        path.into_os_string().into_string().expect("a plain path")
    }

    /// Executes the log again.
    pub fn verify(&self) -> Value {
        let mut command = self.command(&["verify", "--json", "--dir"]);
        command.arg(self.dir());
        let said = Ended::of(command).json();
        assert_eq!(said["ok"], true, "{said}");
        said
    }

    /// A key for development.
    pub fn key(&self, name: &str, entity_type: EntityType) -> VerificationKey {
        let new = keys::NewKey::ed25519(name, entity_type, CHAIN_DEV);
        keys::create(&self.keys(), &new, None).expect("a new key");
        self.signing_key(name).verification_key()
    }

    pub fn signing_key(&self, name: &str) -> SigningKey {
        keys::load_ed25519(&self.keys(), name, None).expect("a key for development")
    }

    /// Writes a file of this test.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a scratch file");
        path
    }

    /// Starts a node by its settings and waits until it serves.
    pub fn node(&self, config: &Path) -> Process {
        let mut command = self.command(&["node", "--json", "--config"]);
        command.arg(config);
        self.started(command)
    }

    /// Runs a command against whoever serves at `url`, until it ends.
    pub fn run_at(&self, url: &str, arguments: &[&str]) -> Ended {
        Ended::of(self.command_at(url, arguments))
    }

    /// Starts a command that goes on until it is killed.
    pub fn begin_at(&self, url: &str, arguments: &[&str]) -> Begun {
        let mut command = self.command_at(url, arguments);
        Begun(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts"))
    }

    fn command_at(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&["--json", "--url", url, "--keys"]);
        command.arg(self.keys()).args(arguments);
        command
    }

    pub fn person(&self, name: &str) -> Person {
        let info = keys::describe(&self.keys(), name).expect("a key");
        let key = keys::load_ed25519(&self.keys(), name, None).expect("a key for development");
        Person { gid: info.gid, address: info.address, key }
    }

    pub fn people(&self) -> Vec<Person> {
        NAMES.iter().map(|name| self.person(name)).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ended {
    fn of(mut command: Command) -> Self {
        let output = command.output().expect("the binary starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it printed, if it went well.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).expect("one document")
    }

    /// What it complained of, if it failed as it should.
    pub fn error(&self) -> Value {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        serde_json::from_str(&self.err).expect("one document")
    }
}

impl Process {
    pub async fn client(&self) -> Client {
        Client::connect(&self.grpc, Options::default()).await.expect("the node serves")
    }

    /// SIGKILL: no destructor runs, nothing is written any more.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Where a path is as the process sees it.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// What the health service says of a service; of all if the name is empty.
    pub async fn health(&self, service: &str) -> ServingStatus {
        let client = self.client().await;
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(client.channel()).check(request).await.expect("an answer");
        answer.into_inner().status()
    }

    /// SIGINT, as by Ctrl-C.
    pub fn interrupt(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill is there");
        assert!(sent.success());
        self.child.wait().expect("it is ours")
    }

    /// One call over HTTP: status and body.
    pub fn call(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let address = self.http.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).expect("the node serves");
        stream.set_read_timeout(Some(AT_MOST)).expect("a time");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the node reads");
        stream.write_all(body).expect("the node reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the node answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }
}

/// A command that goes on. Dropping it kills it.
pub struct Begun(Child);

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The document that ends with the line `}`; `None` if the output ends before.
fn document(out: ChildStdout) -> Option<Value> {
    let mut text = String::new();
    for line in BufReader::new(out).lines() {
        let line = line.ok()?;
        text.push_str(&line);
        text.push('\n');
        if line == "}" {
            return serde_json::from_str(&text).ok();
        }
    }
    None
}

impl Person {
    /// A signed transfer of GCC.
    pub fn pay(
        &self,
        client: &Client,
        record: Option<&AccountRecord>,
        sequence: u64,
        to: Address,
        units: u64,
    ) -> Transaction {
        let draft = Draft::new(client.plane(), client.info().gas_price).transfer(to, AssetId::GCC, gcc(units));
        let signed = draft.valid(0, until()).sender(record).sign(&self.key, self.gid, sequence);
        signed.expect("a good draft")
    }
}

pub fn gcc(units: u64) -> Amount {
    Amount::new(units).expect("a small amount")
}

/// Until when what is signed now is valid.
fn until() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the sun goes out") + 600_000
}

/// Waits until everybody has the money that the L1 gives at the beginning. Every L1 block is a reason to look again.
pub async fn funded(client: &Client, people: &[Person]) -> Vec<ProvenAccount> {
    let kinds = [wire::EventKind::BatchSealed, wire::EventKind::L1Block];
    let mut events = client.events(&kinds).await.expect("events");
    let mut accounts = Vec::new();
    for person in people {
        loop {
            let account = client.account(&person.address).await.expect("an answer");
            if account.balance(AssetId::GCC).is_some() {
                accounts.push(account);
                break;
            }
            events.message().await.expect("events go on").expect("events go on");
        }
    }
    accounts
}

/// GCC of an account by a proven answer, and the next number.
pub async fn standing(client: &Client, address: &Address) -> (u64, u64) {
    let account = client.account(address).await.expect("an answer");
    let next = account.record().map_or(0, |record| record.next_in_lane(0));
    (account.balance(AssetId::GCC).map_or(0, Amount::units), next)
}

/// Runs a story, on more threads than one, within the time.
pub fn told<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let within = async { tokio::time::timeout(AT_MOST, story).await.expect("the story ends in time") };
    runtime.expect("threads").block_on(within)
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("below a usize")
    }
}

/// The newest segment of the log.
pub fn newest_segment(dir: &Path) -> PathBuf {
    segments(dir).pop().expect("a log has a segment")
}

/// The segments of the log, oldest first.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("log")).expect("a log");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.is_file() && std::fs::metadata(path).is_ok_and(|data| data.len() > 0));
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "lock"));
    paths.sort();
    paths
}

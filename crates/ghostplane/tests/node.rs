//! The node as others meet it: the built binary in a process of its own, spoken to over gRPC, HTTP and the command line,
//! killed and started again, with its log damaged, and among clients that do not behave.

#[path = "node/committers.rs"]
mod committers;
#[path = "node/covenants.rs"]
mod covenants;
#[path = "node/credentials.rs"]
mod credentials;
#[path = "node/crowd.rs"]
mod crowd;
#[path = "node/damage.rs"]
mod damage;
#[path = "node/fees.rs"]
mod fees;
#[path = "node/full.rs"]
mod full;
#[path = "node/gates.rs"]
mod gates;
#[path = "node/identities.rs"]
mod identities;
#[path = "node/kill.rs"]
mod kill;
#[path = "node/process.rs"]
mod process;
#[path = "node/proofs.rs"]
mod proofs;
#[path = "node/python.rs"]
mod python;
#[path = "node/schemes.rs"]
mod schemes;
#[path = "node/story.rs"]
mod story;

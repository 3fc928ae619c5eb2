//! The command line: what can be asked, and who answers.

mod asset;
mod coins;
mod committer;
mod connect;
mod consent;
mod covenant;
mod credential;
mod explain;
mod fee;
mod guardian;
mod identity;
mod key;
mod listed;
mod node;
mod pay;
pub mod proof;
mod proposal;
mod prover;
mod repair;
mod rules;
mod send;
mod session;
mod show;
mod told;
mod traffic;
mod watch;
mod who;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use connect::Target;
use ghostplane_client::{ClientError, SendError};
use ghostplane_ghostcipher::Digest;
use ghostplane_shroud::covenant::SetError;
use serde_json::json;

pub use node::{GRPC, HTTP};

use crate::committer::NotVouched;
use crate::screen::{Screen, clean};
use crate::{bench, demo, inspect};

/// Which vector instructions this build may use, because it decides which figures to expect.
const VERSION: &str = if cfg!(target_feature = "avx512f") {
    concat!(env!("CARGO_PKG_VERSION"), " (AVX-512 build)")
} else if cfg!(target_feature = "avx2") {
    concat!(env!("CARGO_PKG_VERSION"), " (AVX2 build)")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (baseline build)")
};

/// Ghostplane: a zero-trust Layer 2 for Ghostchain, in one binary.
#[derive(Debug, Parser)]
#[command(name = "ghostplane", version = VERSION, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// Print one JSON document on standard output instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Which node, whose keys.
    #[command(flatten)]
    pub target: Target,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole plane in this process: deposits, payments, a theft that gets caught, withdrawals; then kill a node
    Demo(DemoArgs),
    /// Run a development plane: embedded L1, ten funded accounts alice … judy
    Dev(node::DevArgs),
    /// Run a plane as its configuration says
    Node(node::NodeArgs),
    /// Execute the log of a directory again and compare every root
    Verify(node::VerifyArgs),
    /// Give up what is behind the damage in a stopped node's log; says first what that is, and asks
    Repair(repair::RepairArgs),
    /// Check a node's configuration
    Config(crate::config::ConfigArgs),
    /// Measure this build on this machine, each figure beside its limit
    Bench {
        /// What to measure
        #[arg(value_enum, default_value_t = bench::Suite::All)]
        suite: bench::Suite,
        /// How long each run against a node lasts, about
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Prove runs of a million transfers, too: many minutes, and up to 6 GiB
        #[arg(long)]
        large: bool,
    },
    /// Proofs of conservation: what they are worth, and a trial of making one
    Proof(proof::ProofArgs),
    /// Prove batches for a node that has them proved elsewhere
    Prover(prover::ProverArgs),
    /// Execute a plane's batches and vouch for its commitments, as one of its committers
    Committer(committer::CommitterArgs),
    /// Make and show signing keys
    Key(key::KeyArgs),
    /// Who speaks for an address: DID documents, signing in
    Identity(identity::IdentityArgs),
    /// Keys that act for an account within limits
    Session(session::SessionArgs),
    /// Those who stand behind an account: quorums, allowances, freeze and recovery
    Guardian(guardian::GuardianArgs),
    /// What waits for an account's guardians
    Proposal(proposal::ProposalArgs),
    /// Assets of the plane's own
    Asset(asset::AssetArgs),
    /// Look at a transaction in a file, and consent to it with keys of this machine
    Approve(consent::ApproveArgs),
    /// Send a transaction from a file, once enough have consented
    Send(consent::SendArgs),
    /// Watch a plane as it goes
    Watch(watch::WatchArgs),
    /// Pay somebody on the plane
    Transfer(send::TransferArgs),
    /// Pay a whole file of payments, each once, however often this is run
    Pay(pay::PayArgs),
    /// Move money from the L1 to the plane
    Deposit(send::DepositArgs),
    /// Move money from the plane to the L1, where it is claimed
    Withdraw(send::WithdrawArgs),
    /// Have the L1 pay a withdrawal out
    Claim(send::ClaimArgs),
    /// What a transaction would cost, and what would pay for it
    Fee(fee::FeeArgs),
    /// What somebody has
    Balance(show::BalanceArgs),
    /// What became of a transaction
    Tx {
        /// Its id, 64 hexadecimal digits
        id: Digest,
    },
    /// Why a transaction was not applied, and what would have made it pass
    Explain(explain::ExplainArgs),
    /// The sequencer's promise about a transaction, checked
    Receipt {
        /// Its id, 64 hexadecimal digits
        id: Digest,
    },
    /// One batch
    Batch {
        /// Its number
        number: u64,
        /// List what became of its entries and transactions
        #[arg(long)]
        records: bool,
    },
    /// The newest batches
    Batches {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=256))]
        count: u32,
    },
    /// How the node does
    Status,
    /// What plane this is
    Info,
    /// What the L1 knows
    L1 {
        /// What to ask
        #[command(subcommand)]
        command: show::L1Command,
    },
    /// What happens, a line each, until Ctrl-C
    Events {
        /// Only these
        #[arg(long, value_enum, value_delimiter = ',')]
        kinds: Vec<show::Kind>,
    },
    /// Rules for accounts, assets and contracts: templates, checks, trials
    Covenant(covenant::CovenantArgs),
    /// Decode a file in any of Ghostplane's formats, or an address, DID or amount
    Inspect(inspect::InspectArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "For bash:  ghostplane completions bash > ~/.local/share/bash-completion/completions/ghostplane"
    )]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// What the demo can be told.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Payments to make: a CSV file with the columns payer, payee, amount, asset, reference [default: made-up ones]
    #[arg(long, value_name = "FILE.csv")]
    payments: Option<PathBuf>,
    /// Stop before anything is paid if a row of the file is bad; otherwise bad rows are named and left out
    #[arg(long)]
    strict: bool,
    /// What made-up payments and keys are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads to use; 0 for as many as the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

/// Does what was asked.
///
/// # Errors
/// Whatever stood in the way, in words that say what to do next.
pub fn run(command: Command, target: &Target, screen: &Screen) -> anyhow::Result<()> {
    match command {
        Command::Demo(DemoArgs { payments, strict, seed, threads }) => {
            demo::run(&demo::Options { payments, strict, seed, threads }, screen)
        }
        Command::Dev(args) => node::dev(args, target, screen),
        Command::Node(args) => node::node(&args, screen),
        Command::Verify(args) => node::verify(&args, screen),
        Command::Repair(args) => repair::run(&args, screen),
        Command::Config(args) => crate::config::run(&args, screen),
        Command::Bench { suite, seconds, large } => bench::run(suite, seconds, large, screen),
        Command::Prover(args) => prover::run(&args, target, screen),
        Command::Committer(args) => committer::run(&args, target, screen),
        Command::Proof(args) => proof::run(&args, target, screen),
        Command::Key(args) => key::run(args, target, screen),
        Command::Identity(args) => identity::run(&args, target, screen),
        Command::Session(args) => session::run(&args, target, screen),
        Command::Guardian(args) => guardian::run(&args, target, screen),
        Command::Proposal(args) => proposal::run(args, target, screen),
        Command::Asset(args) => asset::run(&args, target, screen),
        Command::Approve(args) => consent::approve_file(&args, target, screen),
        Command::Send(args) => consent::send_file(&args, target, screen),
        Command::Transfer(args) => send::transfer(&args, target, screen),
        Command::Pay(args) => pay::run(&args, target, screen),
        Command::Watch(args) => watch::run(&args, target, screen),
        Command::Deposit(args) => send::deposit(&args, target, screen),
        Command::Withdraw(args) => send::withdraw(&args, target, screen),
        Command::Claim(args) => send::claim(&args, target, screen),
        Command::Fee(args) => fee::run(&args, target, screen),
        Command::Balance(args) => show::balance(&args, target, screen),
        Command::Tx { id } => show::transaction(&id, target, screen),
        Command::Explain(args) => explain::run(&args, target, screen),
        Command::Receipt { id } => show::receipt(&id, target, screen),
        Command::Batch { number, records } => show::batch(number, records, target, screen),
        Command::Batches { count } => show::batches(count, target, screen),
        Command::Status => show::status(target, screen),
        Command::Info => show::info(target, screen),
        Command::L1 { command } => show::l1(&command, target, screen),
        Command::Events { kinds } => show::events(&kinds, target, screen),
        Command::Covenant(args) => covenant::run(&args, target, screen),
        Command::Inspect(args) => inspect::run(&args, screen),
        Command::Completions { shell } => {
            completions(shell, screen);
            Ok(())
        }
    }
}

fn completions(shell: Shell, screen: &Screen) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ghostplane", &mut script);
    let script = String::from_utf8(script).expect("completion scripts are text");
    if screen.is_json() {
        screen.emit(&json!({ "shell": shell.to_string(), "script": script }));
    } else {
        screen.raw(&script);
    }
}

/// Shows on stderr why a command failed: a line for people, a document for programs.
pub fn show_error(error: &anyhow::Error, json: bool) {
    let code = code_of(error);
    let mut message = format!("{error:#}");
    if let Some(code) = code.filter(|code| !message.contains(&format!("({code})"))) {
        message = format!("{message} ({code})");
    }
    let mut out = io::stderr().lock();
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let plain = !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // Nobody is left to tell if standard error is gone as well.
    let _ = match (json, plain) {
        (true, _) => writeln!(out, "{}", json!({ "error": message, "code": code })),
        (false, true) => writeln!(out, "error: {}", clean(&message)),
        (false, false) => writeln!(out, "{style}error:{style:#} {}", clean(&message)),
    };
}

/// The stable code of what a node or a rule turned down, if that is what went wrong.
fn code_of(error: &anyhow::Error) -> Option<u16> {
    if let Some(NotVouched::False { difference, .. }) = error.downcast_ref() {
        return Some(difference.code());
    }
    error.chain().find_map(|cause| match cause.downcast_ref::<SendError>() {
        Some(SendError::Client(error)) => error.code(),
        _ if cause.is::<credential::NotBorneOut>() => {
            cause.downcast_ref::<credential::NotBorneOut>().map(|why| why.0.code())
        }
        _ if cause.is::<identity::NotSignedIn>() => {
            cause.downcast_ref::<identity::NotSignedIn>().map(|why| why.0.code())
        }
        _ if cause.is::<told::Told>() => cause.downcast_ref::<told::Told>().map(told::Told::code),
        _ if cause.is::<told::Advised>() => cause.downcast_ref::<told::Advised>().map(|advised| advised.code),
        _ => match cause.downcast_ref::<send::WithoutEffect>() {
            Some(failed) => Some(failed.code),
            None => match cause.downcast_ref::<SetError>() {
                Some(error) => Some(error.code()),
                None => cause.downcast_ref::<ClientError>().and_then(ClientError::code),
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    /// An argument that every command knows shares its id with none of theirs: it would take their value.
    #[test]
    fn no_argument_of_a_command_hides_one_of_all() {
        fn look(command: &clap::Command, global: &[clap::Id], path: &str) {
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                assert!(!global.contains(argument.get_id()), "{path}: {}", argument.get_id());
            }
            command.get_subcommands().for_each(|one| look(one, global, &format!("{path} {}", one.get_name())));
        }
        let root = Cli::command();
        let global: Vec<_> = root.get_arguments().filter(|argument| argument.is_global_set()).collect();
        let global: Vec<_> = global.into_iter().map(|argument| argument.get_id().clone()).collect();
        assert!(global.len() >= 3);
        look(&root, &global, "ghostplane");
    }
}

//! The `ghostplane` command.

use std::process::ExitCode;

use clap::Parser as _;
use ghostplane::cli::{self, Cli};
use ghostplane::screen::Screen;

/// Memory is given back by other threads than took it: with the system's allocator those wait for each other.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit codes: 0 done, 1 failed, 2 not understood (by the parser itself).
fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new(cli.json);
    let result = cli::run(cli.command, &cli.target, &screen);
    let failed = match &result {
        Ok(()) => screen.close().map_err(|error| anyhow::anyhow!("cannot write to standard output: {error}")),
        Err(_) => result,
    };
    match failed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::show_error(&error, cli.json);
            ExitCode::FAILURE
        }
    }
}

//! Compiles the API's definition with a compiler that is itself Rust, so that nothing needs to be installed.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script where it is by its environment")]

use prost::Message as _;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let proto = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    let files = protox::compile(["ghostplane/v1/ghostplane.proto"], [&proto])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("ghostplane.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}

//! The example in another language speaks to a real node.

use crate::process::Home;
use std::path::Path;
use std::process::Command;

/// Needs a Python with grpcio and grpcio-tools, which `.ci/run` makes and names; without one there is nothing to run.
#[test]
fn the_python_example_checks_every_service() {
    let Some(python) = std::env::var_os("GHOSTPLANE_PYTHON") else {
        println!("left out: GHOSTPLANE_PYTHON names no Python; .ci/run makes one");
        return;
    };
    let home = Home::new("python");
    let node = home.dev();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/submit.py");
    let ran = Command::new(python).arg(script).args(["--self-check", "--url", &node.grpc]).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    assert!(out.contains("refused as it must be, 100 Malformed"), "{out}");
    assert!(node.interrupt().success());
}

//! Compiles the protocol files; needs no `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, certificates) = ("../ir/proto", "proto");
    for directory in [discovery, certificates] {
        println!("cargo:rerun-if-changed={directory}");
    }
    let files = protox::compile(["discovery.proto", "ca.proto", "replica.proto"], [discovery, certificates])?;
    tonic_prost_build::configure().bytes(".sluice.discovery.v1.Resource.body").compile_fds(files)?;
    Ok(())
}

//! Compiles the protocol files; needs no `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (discovery, certificates) = ("../ir/proto", "proto");
    for directory in [discovery, certificates] {
        println!("cargo:rerun-if-changed={directory}");
    }
    let files = protox::compile(["discovery.proto"], [discovery])?;
    tonic_prost_build::configure()
        .bytes(".sluice.discovery.v1.Resource.body")
        .codec_path("crate::bounded::BoundedCodec")
        .compile_fds(files)?;
    let files = protox::compile(["ca.proto", "replica.proto"], [certificates])?;
    tonic_prost_build::compile_fds(files)?;
    Ok(())
}

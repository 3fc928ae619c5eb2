//! The API as it travels, made from `proto/ghostplane/v1/ghostplane.proto` when the crate is built.

#![allow(missing_docs, unused_qualifications, clippy::all, reason = "generated; the .proto file is the documentation")]

tonic::include_proto!("ghostplane.v1");

/// The API's definition in the form that gRPC reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ghostplane.bin"));

//! The messages and services of the wire, generated from `proto/`.
//!
//! Servers and clients are tonic's, over [`crate::wire::Codec`]. Some messages
//! have hand-written JSON: two carry the bulk, one has an open enum. Write and read JSON with
//! [`crate::wire::json`]: other serde_json serializers would write the bytes of
//! those as arrays of numbers.

mod bulk;
mod signal;
mod timestamp;

pub use timestamp::Timestamp;

/// Every method of our services, for [`crate::wire::Methods`].
pub static METHODS: &[crate::wire::Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The encoded `google.protobuf.FileDescriptorSet` of `proto/`, for reflection.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Running programs: start, attach, feed, signal.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
pub mod process {
    include!(concat!(env!("OUT_DIR"), "/process.rs"));
    include!(concat!(env!("OUT_DIR"), "/process.serde.rs"));
}

/// Files, directories and watches.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
pub mod filesystem {
    include!(concat!(env!("OUT_DIR"), "/filesystem.rs"));
    include!(concat!(env!("OUT_DIR"), "/filesystem.serde.rs"));
}

/// Our own services.
pub mod thawd {
    /// Freeze and thaw.
    #[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/thawd.v1.rs"));
        include!(concat!(env!("OUT_DIR"), "/thawd.v1.serde.rs"));
    }
}

//! Connect, gRPC and gRPC-Web in front of tonic services.
//!
//! Clients of three protocols and two formats meet on one port, over HTTP/1.1
//! and h2c. Behind this room there is only gRPC: it knows no service, and the
//! services know nothing of it but their codec.
//!
//! # Theory of operation
//!
//! Connect streams, gRPC and gRPC-Web put the same five-byte envelope around
//! each message. They differ in the content type, in where the outcome goes
//! (trailers, a frame of header lines, a frame of JSON), and in the names of
//! the headers for compression and time. So a message is never decoded here:
//! its envelope is checked and it passes. A unary Connect call is the one
//! message without its envelope, with an HTTP status.
//!
//! A call goes through these files in this order:
//!
//! 1. `service`: the tower layer. It wraps the body (`linger`) so that an early
//!    answer reaches a client that still sends.
//! 2. `call`: the request head is checked (`method`, `dialect`, `timeout`,
//!    `gzip`) and turned into gRPC's, or refused (`refusal`).
//! 3. `request`: the body becomes uncompressed gRPC envelopes (`check`,
//!    `envelope`, `text`). A breach of the rules reaches the handler as the error of its
//!    stream, or ends a call of one message before the handler runs.
//! 4. `codec`: tonic reads and writes messages, binary or JSON (`json`).
//! 5. `reply` or `unary`: the answer gets the head and the ending of the
//!    dialect (`status`, `code`), within the deadline. A unary answer without
//!    bounds comes in pieces (`flow`).
//!
//! # Use
//!
//! Generate services with `codec_path("thawd::wire::Codec")`, lift tonic's own
//! limits (its error has the wrong code) with
//! `max_decoding_message_size(usize::MAX)`, and put [`layer`] around the router:
//!
//! ```
//! use thawd::{proto, wire};
//! use tower::Layer as _;
//!
//! # #[derive(Default)]
//! # struct Files;
//! # #[tonic::async_trait]
//! # impl proto::filesystem::filesystem_server::Filesystem for Files {}
//! use proto::filesystem::filesystem_server::FilesystemServer;
//!
//! let files = FilesystemServer::new(Files).max_decoding_message_size(usize::MAX);
//! let routes = tonic::service::Routes::new(files).prepare();
//! let methods = wire::Methods::new(proto::METHODS.iter().cloned());
//! let rpc = wire::layer(methods, wire::Settings::default()).layer(routes);
//! let app = axum::Router::<()>::new().fallback_service(rpc);
//! ```
//!
//! Services with another codec (gRPC health, reflection) go into the table with
//! [`Methods::from_descriptor_set`] and [`Methods::binary_only`]. A layer in
//! front that turns a request away does so with [`refuse`], and wraps the body
//! with [`Lingering`] first.
//!
//! Handlers see ordinary tonic requests. The time a client gave is in the
//! metadata and, parsed, in the extension [`Timeout`]; trailing metadata of a
//! success goes into the extension [`Trailers`].

mod call;
mod check;
mod code;
mod codec;
mod deadline;
mod dialect;
mod envelope;
mod flow;
mod gzip;
pub mod json;
mod linger;
mod method;
mod refusal;
mod reply;
mod request;
mod service;
mod settings;
mod status;
mod text;
mod timeout;
mod unary;

pub use codec::{Codec, Format, Messages};
pub use flow::{Flow, Flowing, Pieces};
pub use linger::Lingering;
pub use method::{Method, Methods};
pub use refusal::refuse;
pub use reply::Trailers;
pub use service::{Wire, WireLayer, layer};
pub use settings::{Linger, Settings};
pub use status::with_details;
pub use timeout::Timeout;

//! Keeps the control plane: the HTTP API that SDKs make, find, pause, resume and kill sandboxes with.
//!
//! It speaks E2B's API as the published E2B and Novita SDKs use it, of the first and the second version. Everything is
//! checked here, once; below it [`Sandboxes`](crate::sandbox::Sandboxes) does the work. No answer tells a browser that
//! other sites may read it (CORS), and every call but `/health` needs a key in a header of its own, so that a page from
//! elsewhere can do nothing here; see [`Door`].
//!
//! | file | keeps |
//! |---|---|
//! | `routes` | paths and what stands in front of them |
//! | `door` | who may come in |
//! | `refusal` | errors: the one table from [`SandboxError`](crate::sandbox::SandboxError) to a status |
//! | `fields`, `query` | reading what clients send |
//! | `wish`, `network`, `filter` | what it means |
//! | `shape`, `time` | writing what clients read |
//! | `life`, `look`, `copies`, `templates` | the calls |
//! | `repeat` | a creation that is asked for twice |

mod copies;
mod door;
mod fields;
mod filter;
mod life;
mod look;
mod network;
mod query;
mod refusal;
mod repeat;
mod routes;
mod shape;
mod templates;
mod time;
mod wish;

pub use door::Door;
pub use routes::router;

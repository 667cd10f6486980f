//! Leads requests to ports of sandboxes: what stands at `E2B_SANDBOX_URL` and at `PORT-ID.domain`.
//!
//! A request is led by its head alone (`route`), is let in or refused there, and is then carried to the port that
//! [`Sandboxes::reach`](crate::sandbox::Sandboxes::reach) names, which may wake the sandbox first. Nothing is buffered:
//! bodies of any size go both ways at once, and whoever stalls holds up only himself.
//!
//! **One connection to the VM for each request.** A pool would save the guest a handshake (a call of the agent took
//! 5 ms and not 1 ms on a busy machine), and cost certainty: a kept connection that parts leaves open whether the
//! request was seen, a server with one thread is blocked by a connection that idles, and QEMU accepts connections for
//! the guest, so that a dead one looks alive. With a new connection the rules are short. What was not sent may be sent
//! again. What was sent is sent again only where it asks and changes nothing (GET, HEAD, OPTIONS without body), and the
//! other side parted without having read it, or its VM was taken away. The agent marks what it refused because of a
//! pause: that was not executed, and may be sent again too.
//!
//! **Ends tell the truth.** When a sandbox goes, its clients' connections break: a framed body is left without its
//! end, anything else (HTTP/1.0, tunnels) is reset, for an end of the connection would say that all is well there.
//!
//! **One task owns a client's connection**, the answers on it and the tunnel that it may become. It ends when the
//! client goes, when the VM goes and somebody stalls, when a request head takes too long, or when icebox ends; the
//! connection to the VM ends with it.
//!
//! Why a server of its own and no `axum::Router`: who gets a connection from `axum::serve` can't break it.

mod cors;
mod directory;
mod download;
mod forward;
mod guard;
mod heads;
mod line;
mod refusal;
mod route;
mod serve;
mod signature;
mod socket;
mod tunnel;
mod upload;
mod upstream;

#[cfg(test)]
mod tests;

pub use serve::serve;

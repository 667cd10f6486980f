//! Attaching the two programs.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::layout::Place;
use super::maps::Maps;
use super::{Relay, Settings, notice, present, steer};
use crate::sys::bpf::{ProgramKind, attach, load};
use crate::sys::namespace::network_cookie;

/// The network namespace of the caller.
const NETWORK: &str = "/proc/thread-self/ns/net";

/// Says what the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// It cannot tell network namespaces apart (Linux 5.14).
    #[error("cannot name the network namespace")]
    Namespace(#[source] io::Error),
    /// It has no such maps, or we may not make them.
    #[error("cannot make maps of sockets")]
    Maps(#[source] io::Error),
    /// It lacks a kind of program, or what one of them uses.
    #[error("cannot load the program '{program}'")]
    Load {
        /// Which.
        program: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// There is no cgroup of version 2.
    #[error("cannot attach to the cgroup {}", path.display())]
    Cgroup {
        /// Where it should be.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No socket can be had for what cannot be handed over.
    #[error("cannot open a relay")]
    Relay(#[source] io::Error),
    /// The network namespace takes no program.
    #[error("cannot attach to the network namespace")]
    Network(#[source] io::Error),
}

/// Keeps loopback servers reachable from outside for as long as it lives.
#[derive(Debug)]
pub struct Ports {
    /// The kernel detaches a program when its link is closed.
    _links: [OwnedFd; 2],
}

impl Ports {
    /// Attaches the programs, and takes up the servers that listen already. Connections to `own` ports are left alone.
    ///
    /// # Errors
    /// What the kernel refused: nothing is attached then. Needs Linux 5.15 and the rights of root.
    pub fn open(settings: &Settings, own: &[u16]) -> Result<(Self, Relay), PortsError> {
        let cookie = network_cookie().map_err(PortsError::Namespace)?;
        let maps = prepared(own).map_err(PortsError::Maps)?;
        let relay = Relay::open(maps).map_err(PortsError::Relay)?;
        let maps = relay.maps();
        let notice = load(ProgramKind::SockOps, &notice::program(maps, cookie))
            .map_err(|source| PortsError::Load { program: "notice", source })?;
        let steer = load(ProgramKind::SkLookup, &steer::program(maps))
            .map_err(|source| PortsError::Load { program: "steer", source })?;
        let below = File::open(&settings.cgroup)
            .and_then(|cgroup| attach(ProgramKind::SockOps, notice.as_fd(), cgroup.as_fd()))
            .map_err(|source| PortsError::Cgroup { path: settings.cgroup.clone(), source })?;
        let network = File::open(NETWORK)
            .and_then(|network| attach(ProgramKind::SkLookup, steer.as_fd(), network.as_fd()))
            .map_err(PortsError::Network)?;
        // After the attaching, so that no server is missed. One that is noticed twice is there twice, and leaves so.
        match present::adopt(maps) {
            Ok(0) => {}
            Ok(left) => tracing::debug!(left, "servers that listened before the agent are relayed"),
            Err(error) => tracing::debug!(%error, "cannot look for servers that listened before the agent"),
        }
        Ok((Self { _links: [below, network] }, relay))
    }
}

/// Makes the maps, with who listens already counted while nobody else counts.
///
/// A server that ends between this and the attaching stays counted, and one that begins is not: the first means that
/// the relay is asked in vain, the second that it is not asked, or that another server with the same port comes first.
fn prepared(own: &[u16]) -> io::Result<Maps> {
    let maps = Maps::new()?;
    for socket in present::listening() {
        maps.count(&Place::of(socket.address))?;
    }
    for &port in own {
        maps.spare(port)?;
    }
    Ok(maps)
}

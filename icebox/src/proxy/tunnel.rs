//! A connection that changed its protocol: bytes both ways, until one side goes.

use std::io;
use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::line::{Claim, GRACE, Line, is_gone};
use super::upstream::{Driver, Ear};

/// Bytes on their way, each direction: as much as a read from a socket gives at once.
const BUFFER: usize = 32 << 10;

/// Two ends that are to become one connection.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) server: OnUpgrade,
    pub(super) line: Arc<Line>,
    pub(super) ear: Arc<Ear>,
    pub(super) gone: CancellationToken,
    pub(super) claim: Claim,
    pub(super) driver: Driver,
}

impl Tunnel {
    /// Carries bytes until both sides are done. A side that ends its half ends the other's, and may still listen. When
    /// one breaks, or the VM goes, both are reset: an end would say that all is well. Giving it up ends both.
    pub(super) async fn run(self) {
        let Self { client, server, line, ear, gone, claim, driver } = self;
        let (Ok(client), Ok(server)) = tokio::join!(client, server) else { return };
        // The connection is ours now.
        drop(driver);
        let (mut client, mut server) = (split(TokioIo::new(client)), split(TokioIo::new(server)));
        let both = async {
            let inward = carry(&mut client.0, &mut server.1, None);
            tokio::try_join!(inward, carry(&mut server.0, &mut client.1, Some(&gone)))
        };
        let lost = async {
            gone.cancelled().await;
            sleep(GRACE).await;
        };
        let whole = tokio::select! {
            carried = both => carried.is_ok(),
            () = lost => false,
        };
        if !whole {
            line.cut();
            ear.cut();
        }
        drop(claim);
    }
}

/// Carries one direction to its end. Where `gone` is given, an end may be that of the VM.
async fn carry(
    from: &mut ReadHalf<TokioIo<Upgraded>>,
    to: &mut WriteHalf<TokioIo<Upgraded>>,
    gone: Option<&CancellationToken>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).await?;
    }
    if let Some(gone) = gone
        && is_gone(gone).await
    {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    to.shutdown().await
}

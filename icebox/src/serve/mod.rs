//! Keeps `icebox serve`: the control plane and the proxy in front of real VMs, for as long as nobody says stop.
//!
//! On the way up nothing is promised before it is so: first the folder and the ports are ours, then the template is
//! there, then both servers run, then the shell is told. On the way down no new connection is taken, then the sandboxes
//! are closed (which ends their streams), then answers that are on their way get some time.

mod claim;
mod error;
mod exports;
mod flags;
mod signals;

use std::io::stdout;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use icebox::api::{self, Door};
use icebox::sandbox::Sandboxes;
use icebox::{image, page, proxy};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use claim::Claim;
pub(crate) use error::ServeError;
pub(crate) use flags::Flags;
use signals::Signals;

/// How long answers may still take when all sandboxes are closed.
const PARTING: Duration = Duration::from_secs(5);

/// Does what takes long and blocks: the image is built where it is missing. Signals end that as they end any program.
pub(crate) fn prepare(flags: &Flags) -> Result<(), ServeError> {
    let level = if flags.verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let ours = Targets::new().with_target("icebox", level).with_default(LevelFilter::WARN);
    tracing_subscriber::registry().with(lines).with(ours).init();
    if flags.api_key.as_ref().is_some_and(String::is_empty) {
        return Err(ServeError::EmptyKey);
    }
    if flags.image.is_none() && image::find(&flags.flavour)?.is_none() {
        tracing::info!(flavour = flags.flavour, "building the image; the first time takes some minutes");
        image::build(&flags.flavour)?;
    }
    Ok(())
}

/// Serves until a signal says stop. Afterwards nothing runs, and what could be paused is kept.
pub(crate) async fn run(flags: Flags) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    let data = flags.data()?;
    let _claim = Claim::take(&data)?;
    let (api_listener, api_address) = bind(flags.api).await?;
    let (proxy_listener, proxy_address) = bind(flags.proxy).await?;
    warn_of_others(&flags, api_address, proxy_address);
    let domain = flags.domain.clone().unwrap_or_else(|| format!("localhost:{}", proxy_address.port()));
    let sandboxes = tokio::select! {
        opened = Sandboxes::open(flags.settings(data)) => opened?,
        () = signals.next() => return Err(ServeError::Interrupted),
    };
    let local = api_address.ip().is_loopback();
    let door = Door { key: flags.api_key.clone(), domain: Some(domain), local };
    let closing = CancellationToken::new();
    let page = page::router(sandboxes.clone(), closing.clone(), Arc::new(door.clone()));
    let mut servers = JoinSet::new();
    servers.spawn(serve(api_listener, api::router(sandboxes.clone(), door).merge(page), closing.clone()));
    servers.spawn(proxy::serve(proxy_listener, sandboxes.clone(), closing.clone()));
    exports::tell(stdout(), api_address, proxy_address, flags.api_key.as_deref()).map_err(ServeError::Tell)?;
    tracing::info!(%api_address, %proxy_address, "ready; the status page is at the API's address");
    signals.next().await;
    tracing::info!("closing: running sandboxes are paused or killed; a second signal ends at once");
    closing.cancel();
    let closed = async {
        sandboxes.close().await;
        let answered = async { while servers.join_next().await.is_some() {} };
        if tokio::time::timeout(PARTING, answered).await.is_err() {
            tracing::warn!("some clients did not read their answers");
        }
    };
    tokio::select! {
        () = closed => Ok(()),
        () = signals.next() => Err(ServeError::Cut),
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn warn_of_others(flags: &Flags, api: SocketAddr, proxy: SocketAddr) {
    if !api.ip().is_loopback() && flags.api_key.is_none() {
        tracing::warn!(%api, "anybody who reaches this address can run programs in sandboxes: any key will do");
    } else if !api.ip().is_loopback() {
        tracing::warn!(%api, "other machines may reach this address, and the key is sent without TLS");
    }
    if !proxy.ip().is_loopback() {
        tracing::warn!(%proxy, "other machines may reach this address, and ports of sandboxes through it");
    }
}

async fn serve(listener: TcpListener, routes: Router, closing: CancellationToken) {
    // Answers are small, and streams are told byte by byte.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(closing.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "a server ended");
    }
}

//! Events to a stream, with keepalives.

use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;

use super::convert::Client;
use crate::base::Lives;
use crate::fs::watch::Subscription;
use crate::proto::filesystem as pb;
use crate::proto::filesystem::watch_dir_response::{Event, KeepAlive, StartEvent};
use crate::rpc::keepalive::keep_alive;
use crate::rpc::{parting, status};

/// Says where a stream stands.
enum State {
    Start(Subscription, Lives),
    Following(Subscription, Lives),
    Over,
}

/// Makes the stream of an armed watch: `start`, then events until the guest is about to be paused. Dropping it ends
/// the watch.
pub(super) fn stream(
    armed: Subscription,
    client: Client,
    interval: Duration,
    lives: Lives,
) -> impl Stream<Item = Result<pb::WatchDirResponse, Status>> + Send {
    let events = futures_util::stream::unfold(State::Start(armed, lives), move |state| step(state, client));
    keep_alive(Box::pin(events), interval, || wrap(Event::Keepalive(KeepAlive {})))
}

async fn step(state: State, client: Client) -> Option<(Result<pb::WatchDirResponse, Status>, State)> {
    let (mut armed, mut lives) = match state {
        State::Start(armed, lives) => {
            return Some((Ok(wrap(Event::Start(StartEvent {}))), State::Following(armed, lives)));
        }
        State::Following(armed, lives) => (armed, lives),
        State::Over => return None,
    };
    let next = tokio::select! {
        biased;
        next = armed.next() => next?.map_err(|error| status::from_failure(&error)),
        status = parting(&mut lives) => Err(status),
    };
    Some(match next {
        Ok(event) => (Ok(wrap(Event::Filesystem(client.event(event)))), State::Following(armed, lives)),
        Err(status) => (Err(status), State::Over),
    })
}

fn wrap(event: Event) -> pb::WatchDirResponse {
    pb::WatchDirResponse { event: Some(event) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_stream::StreamExt;
    use tonic::codegen::BoxStream;
    use tonic::{Code, Request};

    use super::*;
    use crate::fs::{Access, Files};
    use crate::identity::{Accounts, Defaults};
    use crate::proto::filesystem::filesystem_server::Filesystem as _;
    use crate::rpc::filesystem::Filesystem;

    fn service() -> Filesystem {
        let accounts = Arc::new(Accounts::default());
        let files = Files::new(Access::Root, Arc::clone(&accounts));
        Filesystem::new(files, accounts, Arc::new(Defaults::default()), Lives::always())
    }

    async fn watch(path: &str) -> Result<BoxStream<pb::WatchDirResponse>, Status> {
        let mut request = Request::new(pb::WatchDirRequest { path: path.into(), ..Default::default() });
        request.metadata_mut().insert("keepalive-ping-interval", tonic::metadata::MetadataValue::from_static("0"));
        service().watch_dir(request).await.map(tonic::Response::into_inner)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_says_start_first_and_fills_silence() {
        let mut stream = watch("/proc/self/task").await.unwrap();
        let begin = tokio::time::Instant::now();
        for want in [Event::Start(StartEvent {}), Event::Keepalive(KeepAlive {}), Event::Keepalive(KeepAlive {})] {
            assert_eq!(stream.next().await.unwrap().unwrap(), wrap(want));
        }
        assert_eq!(begin.elapsed().as_secs(), 180);
    }

    #[tokio::test]
    async fn a_watch_that_cannot_be_is_refused_before_any_message() {
        for (path, code) in
            [("/none", Code::NotFound), ("/etc/passwd", Code::InvalidArgument), ("~x", Code::InvalidArgument)]
        {
            assert_eq!(watch(path).await.map(|_| ()).unwrap_err().code(), code, "{path}");
        }
    }
}

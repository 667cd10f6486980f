//! The page's news: the fragment again whenever something has changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::render::fragment;
use crate::agent::unix_time;
use crate::sandbox::Sandboxes;

/// Between two pieces of news: a person sees no more, and a busy host does more than this in a second.
const GAP: Duration = Duration::from_millis(250);
/// After so long the page is renewed though nothing has changed: times go on, and a client that is gone is noticed.
const RENEWED: Duration = Duration::from_secs(5);

/// Writes the fragment as it is now.
pub(super) fn now(sandboxes: &Sandboxes) -> String {
    let now_ms = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
    fragment(sandboxes.views(), now_ms)
}

/// Tells the fragment, and again when it is another one; ends when icebox does.
pub(super) fn news(
    sandboxes: Sandboxes,
    closing: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    unfold((sandboxes, closing, true), |(sandboxes, closing, first)| async move {
        if !first {
            let changed = async {
                sleep(GAP).await;
                let _ = tokio::time::timeout(RENEWED, sandboxes.changed()).await;
            };
            closing.run_until_cancelled(changed).await?;
        }
        let event = Event::default().data(now(&sandboxes));
        Some((Ok(event), (sandboxes, closing, false)))
    })
}

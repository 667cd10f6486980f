//! Output as a stream of events: `start`, data and keepalives, exactly one `end`.

use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;

use super::convert;
use crate::process::{Event, Subscription};
use crate::proto::process as pb;
use crate::rpc::keepalive::keep_alive;

/// Says where a stream stands.
enum State {
    Start(u32, Subscription),
    Following(Subscription),
    Over,
}

/// Makes the stream; `wrap` puts an event into the answer's message. Dropping it stops reading and nothing else.
pub(super) fn events<M: Send + 'static>(
    pid: u32,
    output: Subscription,
    interval: Duration,
    wrap: fn(pb::ProcessEvent) -> M,
    beat: fn() -> M,
) -> impl Stream<Item = Result<M, Status>> + Send {
    let events = futures_util::stream::unfold(State::Start(pid, output), move |state| async move {
        let (event, next) = step(state).await?;
        Some((event.map(wrap), next))
    });
    keep_alive(Box::pin(events), interval, beat)
}

async fn step(state: State) -> Option<(Result<pb::ProcessEvent, Status>, State)> {
    let mut output = match state {
        State::Start(pid, output) => return Some((Ok(convert::start_event(pid)), State::Following(output))),
        State::Following(output) => output,
        State::Over => return None,
    };
    Some(match output.next().await {
        Event::Data(chunk) => (Ok(convert::data_event(chunk.channel, chunk.bytes)), State::Following(output)),
        Event::End(exit) => (Ok(convert::end_event(exit)), State::Over),
        Event::Lagged(offset) => (Err(lagged(offset)), State::Over),
    })
}

fn lagged(offset: u64) -> Status {
    Status::resource_exhausted(format!(
        "the client read too slowly and was cut off at output offset {offset}; Connect with the header {}: {offset} \
         to go on where the output is still kept",
        convert::OFFSET
    ))
}

//! Output as a stream of events: `start`, data and keepalives, exactly one `end`.

use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;
use tonic::metadata::MetadataValue;

use super::convert;
use crate::process::{Event, Subscription};
use crate::proto::process as pb;
use crate::rpc::keepalive::keep_alive;

/// Names the life of the guest that ended with a stream.
const GENERATION: &str = "thawd-generation";

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
    let events = futures_util::stream::unfold(State::Start(pid, output), move |mut state| async move {
        let event = state.step().await?;
        Some((event.map(wrap), state))
    });
    keep_alive(Box::pin(events), interval, beat)
}

impl State {
    /// Waits in place: a step that took the state and gave the next one would hold it three times.
    async fn step(&mut self) -> Option<Result<pb::ProcessEvent, Status>> {
        let event = match self {
            Self::Start(..) => return self.start(),
            Self::Following(output) => output.next().await,
            Self::Over => return None,
        };
        if !matches!(event, Event::Data(_)) {
            *self = Self::Over;
        }
        Some(match event {
            Event::Data(chunk) => Ok(convert::data_event(chunk.channel, chunk.bytes)),
            Event::End(exit) => Ok(convert::end_event(exit)),
            Event::Lagged(offset) => Err(lagged(offset)),
            Event::Parted { offset, generation } => Err(parted(offset, generation)),
        })
    }

    fn start(&mut self) -> Option<Result<pb::ProcessEvent, Status>> {
        let Self::Start(pid, output) = std::mem::replace(self, Self::Over) else { return None };
        *self = Self::Following(output);
        Some(Ok(convert::start_event(pid)))
    }
}

/// Says how to go on, for people and in metadata for clients that know it.
fn parted(offset: u64, generation: u64) -> Status {
    let message = format!("the sandbox is being paused; connect again and go on at output offset {offset}");
    let mut status = Status::unavailable(message);
    status.metadata_mut().insert(convert::OFFSET, MetadataValue::from(offset));
    status.metadata_mut().insert(GENERATION, MetadataValue::from(generation));
    status
}

fn lagged(offset: u64) -> Status {
    Status::resource_exhausted(format!(
        "the client read too slowly and was cut off at output offset {offset}; Connect with the header {}: {offset} \
         to go on where the output is still kept",
        convert::OFFSET
    ))
}

//! Messages that keep an idle stream alive through proxies.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// Names the interval in whole seconds.
const HEADER: &str = "keepalive-ping-interval";
/// For clients that name none, or nothing usable: envd's value, below the idle limits of common proxies.
const DEFAULT: Duration = Duration::from_secs(90);
/// A longer interval is as good as this one, and does not overflow the clock.
const LONGEST: u64 = 365 * 24 * 3600;

/// Reads the interval that the client wishes; nonsense, zero and negative numbers count as absent.
#[must_use]
pub fn interval(metadata: &MetadataMap) -> Duration {
    let wished = metadata.get(HEADER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<i64>().ok());
    match wished.and_then(|seconds| u64::try_from(seconds).ok()) {
        None | Some(0) => DEFAULT,
        Some(seconds) => Duration::from_secs(seconds.min(LONGEST)),
    }
}

/// Passes a stream on and puts `beat()` into each silence of `interval`.
///
/// One timer a stream, and it is not touched by messages: when it fires early it is set to the rest.
pub fn keep_alive<S, M>(stream: S, interval: Duration, beat: fn() -> M) -> KeepAlive<S, M>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
{
    KeepAlive { stream, interval, beat, last: Instant::now(), timer: Box::pin(tokio::time::sleep(interval)) }
}

/// Holds a stream with its timer; see [`keep_alive`].
#[derive(Debug)]
pub struct KeepAlive<S, M> {
    stream: S,
    interval: Duration,
    beat: fn() -> M,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S, M> Stream for KeepAlive<S, M>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
{
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(item) = Pin::new(&mut this.stream).poll_next(context) {
            this.last = Instant::now();
            return Poll::Ready(item);
        }
        while this.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let due = this.last + this.interval;
            if now < due {
                this.timer.as_mut().reset(due);
                continue;
            }
            this.last = now;
            this.timer.as_mut().reset(now + this.interval);
            return Poll::Ready(Some(Ok((this.beat)())));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[test]
    fn a_keepalive_interval_of_zero_or_less_counts_as_absent() {
        let of = |text: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(HEADER, tonic::metadata::MetadataValue::from_static(text));
            interval(&metadata)
        };
        assert_eq!(interval(&MetadataMap::new()), DEFAULT);
        for text in ["0", "-1", "-9223372036854775808", "x", "", "1.5", "99999999999999999999"] {
            assert_eq!(of(text), DEFAULT, "{text:?}");
        }
        assert_eq!(of("50"), Duration::from_secs(50));
        assert_eq!(of("9223372036854775807"), Duration::from_secs(LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_filled_and_a_message_restarts_it() {
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|item| (item, receiver))
        });
        let mut stream = keep_alive(Box::pin(stream), Duration::from_secs(10), || 0);
        let start = Instant::now();
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        assert_eq!(start.elapsed().as_secs(), 10);
        tokio::time::sleep(Duration::from_secs(6)).await;
        sender.send(Ok(7)).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), 7);
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        assert_eq!(start.elapsed().as_secs(), 26);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_over_many_beats_makes_one() {
        let silence = tokio_stream::pending::<Result<i32, Status>>();
        let mut stream = keep_alive(silence, Duration::from_secs(10), || 0);
        tokio::time::advance(Duration::from_secs(1000)).await;
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        let begin = Instant::now();
        assert_eq!(stream.next().await.unwrap().unwrap(), 0);
        assert_eq!(begin.elapsed().as_secs(), 10);
    }
}

//! The policy of the output log, in paused time.

mod parting;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::Exit;
use super::output::{Channel, Event, Log, Settings, Subscription};
use crate::activity::Pulse;
use crate::base::Lives;
use crate::sys::wait::Ended;

const SETTINGS: Settings =
    Settings { ring: 64 << 10, stall_alone: Duration::from_secs(120), stall_shared: Duration::from_secs(5) };
const CHUNK: usize = 16 << 10;

async fn push(log: &Log, count: usize) {
    for _ in 0..count {
        log.push(Channel::Stdout, Bytes::from(vec![0; CHUNK])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_readers_nothing_waits_and_the_oldest_goes() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    timeout(Duration::from_millis(1), push(&log, 100)).await.unwrap();
    let first = log.subscribe(Some(0)).start();
    assert!(first > 0 && first < (100 * CHUNK) as u64);
}

#[tokio::test(start_paused = true)]
async fn the_only_reader_is_waited_for_and_then_cut_off_where_it_stood() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    let mut reader = log.subscribe(None);
    let start = Instant::now();
    push(&log, 10).await;
    assert_eq!(start.elapsed().as_secs(), 120);
    assert_eq!(reader.next().await, Event::Lagged(0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_holds_up_others_is_cut_off_sooner_and_they_lose_nothing() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    let mut slow = log.subscribe(None);
    let mut fast = log.subscribe(None);
    let writer = Arc::clone(&log);
    let start = Instant::now();
    tokio::spawn(async move {
        push(&writer, 50).await;
        writer.finish(Exit::new(Ended::Code(0)));
    });
    let mut read = 0;
    while let Event::Data(chunk) = fast.next().await {
        read += chunk.bytes.len();
    }
    assert_eq!((read, start.elapsed().as_secs()), (50 * CHUNK, 5));
    assert_eq!(slow.next().await, Event::Lagged(0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_moves_is_never_cut_off() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    let mut reader = log.subscribe(None);
    let writer = Arc::clone(&log);
    tokio::spawn(async move {
        push(&writer, 20).await;
        writer.finish(Exit::new(Ended::Code(0)));
    });
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(matches!(reader.next().await, Event::Data(_)));
    }
    assert!(matches!(reader.next().await, Event::End(_)));
}

#[tokio::test(start_paused = true)]
async fn last_words_wait_for_nobody_and_reach_everybody() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    let mut reader = log.subscribe(None);
    for _ in 0..20 {
        log.push_last(Channel::Stdout, Bytes::from(vec![1; CHUNK]));
    }
    log.finish(Exit::new(Ended::Code(3)));
    let mut read = 0;
    while let Event::Data(chunk) = reader.next().await {
        read += chunk.bytes.len();
    }
    assert_eq!(read, 20 * CHUNK);
}

#[tokio::test(start_paused = true)]
async fn output_after_the_end_is_kept_from_readers_of_the_program() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    let mut reader = log.subscribe(Some(0));
    push(&log, 1).await;
    log.finish(Exit::new(Ended::Code(0)));
    push(&log, 2).await;
    assert!(matches!(reader.next().await, Event::Data(_)));
    assert!(matches!(reader.next().await, Event::End(_)));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_given_up_when_the_last_reader_leaves() {
    let log = Log::new(SETTINGS, Lives::always(), Pulse::default());
    let reader = log.subscribe(Some(0));
    push(&log, 3).await;
    log.finish(Exit::new(Ended::Code(0)));
    log.fade(0);
    assert_eq!(log.subscribe(Some(0)).start(), 0);
    drop(reader);
    assert_eq!(log.subscribe(Some(0)).start(), 3 * CHUNK as u64);
}

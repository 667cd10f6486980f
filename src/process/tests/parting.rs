//! What a pause does to readers and time limits, in paused time.

use tokio::sync::watch;

use super::*;
use crate::activity::Pulse;
use crate::base::{Life, Phase};

/// A guest with one program.
struct Guest {
    life: watch::Sender<Life>,
    log: Arc<Log>,
}

impl Guest {
    fn new() -> Self {
        let life = watch::Sender::new(Life::default());
        let log = Log::new(SETTINGS, Lives::new(life.subscribe()), Pulse::default());
        Self { life, log }
    }

    fn freeze(&self) {
        self.life.send_modify(|life| {
            life.phase = Phase::Freezing;
            life.partings += 1;
        });
    }

    /// Stands still for so many seconds and runs again.
    async fn pause(&self, seconds: u64) {
        self.life.send_modify(|life| life.phase = Phase::Frozen);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.life.send_modify(|life| {
            life.phase = Phase::Running;
            life.generation += 1;
        });
    }

    /// Writes so many chunks in the background and ends.
    fn write(&self, chunks: usize) -> tokio::task::JoinHandle<()> {
        let log = Arc::clone(&self.log);
        tokio::spawn(async move {
            push(&log, chunks).await;
            log.finish(Exit::new(Ended::Code(0)));
        })
    }
}

/// Reads to the end, or to the point where it is parted.
async fn read_on(reader: &mut Subscription, at: &mut u64) -> Event {
    loop {
        match reader.next().await {
            Event::Data(chunk) => {
                assert_eq!(chunk.start, *at);
                *at += chunk.bytes.len() as u64;
            }
            last => return last,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_byte_crosses_every_pause_once() {
    for round in 0..50u64 {
        let guest = Guest::new();
        let mut readers = vec![(guest.log.subscribe(None), 0), (guest.log.subscribe(None), 0)];
        let program = guest.write(40);
        for pause in 0..5 {
            for (reader, at) in &mut readers {
                for _ in 0..(round * 7 + pause * 3) % 11 {
                    if let Ok(Event::Data(chunk)) = timeout(Duration::from_millis(1), reader.next()).await {
                        assert_eq!(chunk.start, *at);
                        *at += chunk.bytes.len() as u64;
                    }
                }
            }
            guest.freeze();
            let mut ended = 0;
            for (reader, at) in &mut readers {
                match read_on(reader, at).await {
                    Event::Parted { offset, generation } => assert_eq!((offset, generation), (*at, pause)),
                    other => {
                        assert!(matches!(other, Event::End(_)), "{other:?}");
                        ended += 1;
                    }
                }
            }
            if ended == 2 {
                break;
            }
            readers.clear();
            guest.pause(1000).await;
            // Who comes back first does not matter.
            for _ in 0..2 {
                let reader = guest.log.subscribe(None);
                let at = reader.start();
                readers.push((reader, at));
            }
            assert_eq!(readers[0].1, readers[1].1);
        }
        guest.life.send_modify(|life| life.phase = Phase::Running);
        // Both at once: they hold each other up.
        let whole = readers.into_iter().map(|(mut reader, mut at)| async move {
            assert!(matches!(read_on(&mut reader, &mut at).await, Event::End(_)));
            at
        });
        assert_eq!(futures_util::future::join_all(whole).await, [40 * CHUNK as u64; 2], "round {round}");
        program.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_dropped_for_a_pause_keeps_its_place_and_one_that_leaves_does_not() {
    let guest = Guest::new();
    let (stays, leaves) = (guest.log.subscribe(None), guest.log.subscribe(None));
    push(&guest.log, 1).await;
    drop(leaves);
    guest.freeze();
    drop(stays);
    push(&guest.log, 1).await;
    guest.pause(1).await;
    assert_eq!(guest.log.subscribe(None).start(), 0);
    assert_eq!(guest.log.subscribe(None).start(), 2 * CHUNK as u64);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ended_meanwhile_is_told_to_its_end() {
    let guest = Guest::new();
    let mut reader = guest.log.subscribe(None);
    push(&guest.log, 1).await;
    guest.freeze();
    let mut at = 0;
    assert!(matches!(read_on(&mut reader, &mut at).await, Event::Parted { .. }));
    drop(reader);
    guest.write(2).await.unwrap();
    guest.log.fade(0);
    assert!(guest.log.is_wanted() && guest.log.owed() > 2 * CHUNK);
    guest.pause(1).await;
    let mut reader = guest.log.subscribe(None);
    assert!(matches!(read_on(&mut reader, &mut at).await, Event::End(_)));
    assert_eq!(at, 3 * CHUNK as u64);
    drop(reader);
    assert!(!guest.log.is_wanted());
    assert_eq!(guest.log.subscribe(Some(0)).start(), 3 * CHUNK as u64);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_can_be_given_up() {
    let guest = Guest::new();
    let reader = guest.log.subscribe(None);
    guest.freeze();
    drop(reader);
    guest.write(3).await.unwrap();
    guest.log.fade(0);
    guest.log.give_up();
    assert_eq!((guest.log.owed(), guest.log.is_wanted()), (0, false));
    assert_eq!(guest.log.subscribe(Some(0)).start(), 3 * CHUNK as u64);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_comes_back_holds_the_program_up_for_the_policys_running_time() {
    let guest = Guest::new();
    let reader = guest.log.subscribe(None);
    let begin = Instant::now();
    let program = guest.write(10);
    tokio::time::sleep(Duration::from_secs(100)).await;
    guest.freeze();
    drop(reader);
    guest.pause(1000).await;
    program.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 100 + 1000 + 120);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_comes_back_holds_one_that_did_up_for_less() {
    let guest = Guest::new();
    let gone = [guest.log.subscribe(None), guest.log.subscribe(None)];
    guest.freeze();
    drop(gone);
    guest.pause(1000).await;
    let mut back = guest.log.subscribe(None);
    let begin = Instant::now();
    let program = guest.write(50);
    let mut at = 0;
    assert!(matches!(read_on(&mut back, &mut at).await, Event::End(_)));
    assert_eq!((at, begin.elapsed().as_secs()), (50 * CHUNK as u64, 5));
    program.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_says_where_it_stands_takes_no_other_ones_place() {
    let guest = Guest::new();
    let mut readers = [guest.log.subscribe(None), guest.log.subscribe(None)];
    push(&guest.log, 2).await;
    assert!(matches!(readers[1].next().await, Event::Data(_)));
    guest.freeze();
    drop(readers);
    guest.pause(1).await;
    let told = guest.log.subscribe(Some(CHUNK as u64));
    assert_eq!(told.start(), CHUNK as u64);
    assert_eq!(guest.log.subscribe(None).start(), 0);
    assert_eq!(guest.log.subscribe(None).start(), 2 * CHUNK as u64);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_programs_stand_still_stays_until_the_next_pause() {
    let guest = Guest::new();
    guest.freeze();
    guest.life.send_modify(|life| life.phase = Phase::Frozen);
    let mut reader = guest.log.subscribe(None);
    push(&guest.log, 1).await;
    assert!(timeout(Duration::from_secs(1), reader.next()).await.is_err(), "its connection may be dead tomorrow");
    guest.pause(1).await;
    assert!(matches!(reader.next().await, Event::Data(_)));
    assert!(timeout(Duration::from_secs(1), reader.next()).await.is_err());
    guest.freeze();
    assert!(matches!(reader.next().await, Event::Parted { generation: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_stall_counts_running_time_only() {
    let guest = Guest::new();
    guest.freeze();
    guest.life.send_modify(|life| life.phase = Phase::Frozen);
    // Such a reader is not parted, and so can stall.
    let mut reader = guest.log.subscribe(None);
    let begin = Instant::now();
    let program = guest.write(10);
    guest.pause(1000).await;
    program.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 1000 + 120);
    assert_eq!(reader.next().await, Event::Lagged(0));
}

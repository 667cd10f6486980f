use super::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn rtc(wall: Duration) -> Sample {
    Sample { wall: Duration::from_secs(wall.as_secs()), grain: SECOND, source: Source::Rtc }
}

fn ptp(wall: Duration) -> Sample {
    Sample { wall, grain: Duration::ZERO, source: Source::Ptp }
}

fn ms(amount: u64) -> Duration {
    Duration::from_millis(amount)
}

#[test]
fn an_exact_clock_steps_either_way_beyond_a_millisecond() {
    let by = |guest: Duration| ptp(NOW).correction(guest, EXACT);
    assert_eq!(by(NOW - EXACT), None);
    assert_eq!(by(NOW + EXACT), None);
    assert_eq!(by(NOW - ms(2)), Some(2_000_000));
    assert_eq!(by(NOW + ms(2)), Some(-2_000_000));
    assert_eq!(by(NOW - 3600 * SECOND), Some(3_600_000_000_000));
}

#[test]
fn a_clock_of_seconds_steps_forward_only_and_to_the_beginning_of_its_second() {
    let by = |guest: Duration| rtc(NOW).correction(guest, COARSE);
    for right in [NOW, NOW + ms(999), NOW - ms(1500), NOW + ms(2500), NOW + 3600 * SECOND] {
        assert_eq!(by(right), None, "{right:?}");
    }
    assert_eq!(by(NOW - ms(1501)), Some(1_501_000_000));
    assert_eq!(by(NOW - 60 * SECOND), Some(60_000_000_000));
}

#[test]
fn a_stamp_counts_half_its_round_trip_and_the_time_since_it_came() {
    let arrived = Instant::now().checked_sub(ms(100)).unwrap();
    let stamp = Stamp { sent: NOW, round_trip: ms(40), arrived }.now();
    assert!(stamp.wall >= NOW + ms(120) && stamp.wall < NOW + ms(20_120), "{stamp:?}");
    // Within its uncertainty of 20 ms the guest may be as right as the stamp.
    let off = |by: u64| stamp.correction(stamp.wall - ms(by), EXACT.max(stamp.grain));
    assert_eq!(off(20), None);
    assert_eq!(off(21), Some(21_000_000));
    let ahead = stamp.wall + ms(50);
    assert_eq!(stamp.correction(ahead, EXACT.max(stamp.grain)), Some(-50_000_000));
}

#[test]
fn the_gap_is_nothing_within_the_grain() {
    assert_eq!(rtc(NOW).minus(NOW + ms(700)), 0);
    assert_eq!(rtc(NOW).minus(NOW - ms(700)), 700_000_000);
    assert_eq!(rtc(NOW).minus(NOW + ms(1700)), -700_000_000);
    assert_eq!(ptp(NOW).minus(NOW + ms(1)), -1_000_000);
}

#[test]
fn a_pause_is_true_time_without_running_time() {
    let at = |sample, running| Bearing { sample, running };
    let begin = at(ptp(NOW), 5 * SECOND);
    let ran = at(ptp(NOW + 10 * SECOND), 15 * SECOND);
    assert_eq!(begin.pause(ran), Some(Duration::ZERO));
    let stopped = at(ptp(NOW + 30 * SECOND), 15 * SECOND);
    assert_eq!(begin.pause(stopped), Some(20 * SECOND));
    assert!(is_sure(20 * SECOND, begin, stopped));
    // A clock that was set back, or another clock, tells nothing.
    assert_eq!(begin.pause(at(ptp(NOW - 30 * SECOND), 15 * SECOND)), Some(Duration::ZERO));
    assert_eq!(begin.pause(at(rtc(NOW + 30 * SECOND), 15 * SECOND)), None);
}

#[test]
fn drift_and_grain_are_no_pause() {
    let at = |sample, running| Bearing { sample, running };
    let day = Duration::from_secs(86_400);
    // 100 ppm in a day are 8.64 s.
    let (begin, end) = (at(ptp(NOW), SECOND), at(ptp(NOW + day + ms(8640)), SECOND + day));
    assert!(!is_sure(begin.pause(end).unwrap(), begin, end));
    let (begin, end) = (at(rtc(NOW), SECOND), at(rtc(NOW + 4 * SECOND), 4 * SECOND));
    assert_eq!(begin.pause(end), Some(SECOND));
    assert!(!is_sure(SECOND, begin, end));
    assert!(is_sure(ms(2001), begin, end));
    let (begin, end) = (at(ptp(NOW), SECOND), at(ptp(NOW + ms(1060)), 2 * SECOND));
    assert!(is_sure(begin.pause(end).unwrap(), begin, end));
}

#[test]
fn a_clock_that_keeps_local_time_is_told_from_a_guest_that_is_late() {
    let hour = 3600 * SECOND;
    assert_eq!(zone(rtc(NOW), NOW + ms(300)), 0);
    assert_eq!(zone(rtc(NOW + 2 * hour), NOW + ms(300)), -7200);
    assert_eq!(zone(rtc(NOW - hour * 5 - hour / 2), NOW), 19_800);
    assert_eq!(zone(rtc(NOW + 2 * hour), NOW + SECOND), -7200);
    // A guest that slept for 2 h 40 s, and a clock that starts in 1970.
    assert_eq!(zone(rtc(NOW + 2 * hour + 40 * SECOND), NOW), 0);
    assert_eq!(zone(rtc(hour), NOW), 0);
}

#[test]
fn an_offset_turns_a_late_clock_of_local_time_into_the_true_time() {
    let offset = Offset { zone: -7200, phase: 700_000_000 };
    assert_eq!(offset.apply(NOW), Some(NOW - 7200 * SECOND + ms(700)));
    assert_eq!(Offset { zone: 0, phase: -300_000_000 }.apply(NOW), Some(NOW - ms(300)));
    assert_eq!(offset.apply(SECOND), None);
}

/// A real-time clock in a file: whole seconds, beginning `late` after those of this machine.
struct Late {
    path: std::path::PathBuf,
    late: Duration,
}

impl Late {
    async fn tick(&self) {
        loop {
            let now = clock::realtime().unwrap() - self.late;
            // As long as before, so that no reader sees it cut.
            let file = File::options().write(true).open(&self.path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, now.as_secs().to_string().as_bytes(), 0).unwrap();
            tokio::time::sleep(ms(1)).await;
        }
    }
}

#[tokio::test]
async fn a_calibrated_clock_knows_when_its_seconds_begin() {
    let path = std::env::temp_dir().join(format!("thawd-late-{}", std::process::id()));
    std::fs::write(&path, (clock::realtime().unwrap() - ms(600)).as_secs().to_string()).unwrap();
    let clocks = Clocks { ptp: None, rtc: Some(File::open(&path).unwrap()), state: Mutex::default() };
    let late = Late { path: path.clone(), late: ms(600) };
    tokio::select! {
        () = late.tick() => {}
        () = clocks.calibrate() => {}
    }
    let phase = clocks.state().offset.phase;
    assert!((540_000_000..700_000_000).contains(&phase), "{phase}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_machine_without_clocks_knows_nothing_and_is_left_alone() {
    let clocks = Clocks { ptp: None, rtc: None, state: Mutex::default() };
    clocks.mark();
    assert_eq!((clocks.sample(), clocks.gap(), clocks.paused()), (None, None, None));
    assert_eq!(clocks.noticed_pause(), None);
    assert_eq!(clocks.step(None).unwrap(), Step { by_ns: 0, source: Source::None });
}

#[test]
fn a_look_for_a_pause_asks_the_clock_once_a_second_at_most() {
    // A file in place of the real-time clock.
    let path = std::env::temp_dir().join(format!("thawd-rtc-{}", std::process::id()));
    std::fs::write(&path, "1800000000\n").unwrap();
    let rtc = Some(File::open(&path).unwrap());
    let clocks = Clocks { ptp: None, rtc, state: Mutex::default() };
    clocks.state().bearing = clocks.bearing(Offset::default());
    std::fs::write(&path, "1800000100\n").unwrap();
    let noticed = clocks.noticed_pause().unwrap();
    assert!(noticed > Duration::from_secs(90), "{noticed:?}");
    std::fs::write(&path, "1800000200\n").unwrap();
    assert_eq!(clocks.noticed_pause(), None);
    assert!(clocks.paused().unwrap() > Duration::from_secs(90));
    assert!(clocks.paused().unwrap() <= SECOND);
    std::fs::remove_file(&path).unwrap();
}

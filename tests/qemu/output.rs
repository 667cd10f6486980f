//! Not a byte of output is lost or told twice, wherever a pause falls.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use icebox::agent::{Agent, Program};
use icebox::guest::Guest;

/// Pauses of one life of the guest.
const PAUSES: u64 = 20;

/// Writes numbered lines, in bursts and one by one.
const NUMBERS: &str =
    "i=0; while [ ! -e /tmp/enough ]; do i=$((i+1)); echo line $i; [ $((i % 7)) = 0 ] && sleep 0.02; done";

/// A time between 0 and `limit`, another one each time.
fn some_time(limit: Duration) -> Duration {
    let noise = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_micros();
    limit * (noise % 1000) / 1000
}

/// Reads on in the background, to the end of the program or of the connection; says whether the program ended.
fn read_on(agent: Agent, pid: u64) -> thread::JoinHandle<(Vec<u8>, bool)> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut program = agent.attach(pid, None).await.unwrap();
            let mut bytes = Vec::new();
            loop {
                match program.stdout().await {
                    Ok(Some(more)) => bytes.extend(more),
                    Ok(None) => return (bytes, true),
                    Err(_) => return (bytes, false),
                }
            }
        })
    })
}

/// Checks that the lines are numbered from 1 without a gap; gives the last number.
#[track_caller]
fn check(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut last = 0;
    for line in text.lines() {
        assert_eq!(line, format!("line {}", last + 1), "after {last} lines");
        last += 1;
    }
    last
}

#[test]
fn a_client_that_comes_back_after_each_pause_has_every_line_once() {
    let mut guest = Guest::start("scratch");
    let program = guest.block_on(guest.agent().start(&Program::shell(NUMBERS))).unwrap();
    let pid = program.pid;
    let mut bytes = Vec::new();
    // The first stream is read like the later ones.
    let first = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut program = program;
            let mut bytes = Vec::new();
            while let Ok(Some(more)) = program.stdout().await {
                bytes.extend(more);
            }
            (bytes, false)
        })
    });
    let mut reader = first;
    for _ in 0..PAUSES {
        thread::sleep(some_time(Duration::from_millis(400)));
        let asleep = guest.pause();
        let (more, ended) = reader.join().unwrap();
        assert!(!ended);
        bytes.extend(more);
        guest = asleep.resume();
        thread::sleep(some_time(Duration::from_millis(100)));
        reader = read_on(guest.agent(), pid);
    }
    guest.sh("touch /tmp/enough");
    let (more, ended) = reader.join().unwrap();
    assert!(ended);
    bytes.extend(more);
    assert!(check(&bytes) > PAUSES * 10);
}

/// The same with the published SDK, which knows nothing of offsets.
#[test]
fn the_sdk_attaches_again_after_each_pause_and_has_every_line_once() {
    let mut guest = Guest::start("debian");
    let python = std::env::var("THAWD_SDK_PYTHON")
        .expect("THAWD_SDK_PYTHON names a python with the e2b SDK; scripts/test qemu installs it");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qemu/attach.py");
    let mut sdk =
        Command::new(python).args([script, NUMBERS]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ask = sdk.stdin.take().unwrap();
    let mut answers = BufReader::new(sdk.stdout.take().unwrap()).lines();
    let mut next = || answers.next().expect("the SDK program goes on").unwrap();
    writeln!(ask, "{}", guest.agent().address()).unwrap();
    assert_eq!(next(), "running");
    for _ in 0..PAUSES {
        thread::sleep(some_time(Duration::from_millis(400)));
        let asleep = guest.pause();
        assert_eq!(next(), "parted");
        guest = asleep.resume();
        writeln!(ask, "{}", guest.agent().address()).unwrap();
        assert_eq!(next(), "running");
    }
    guest.sh("touch /tmp/enough");
    let output = next();
    assert!(sdk.wait().unwrap().success());
    assert!(check(&base64_simd::STANDARD.decode_to_vec(output).unwrap()) > PAUSES * 10);
}

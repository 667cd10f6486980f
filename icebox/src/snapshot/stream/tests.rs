//! Streams made by hand, cut and broken.

use super::*;

const SIZE: u64 = 8 * PAGE as u64;

fn record(offset: u64, flags: u64, name: Option<&str>, body: &[u8]) -> Vec<u8> {
    let flags = flags | if name.is_none() { flag::CONTINUE } else { 0 };
    let mut bytes = (offset | flags).to_be_bytes().to_vec();
    if let Some(name) = name {
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend(name.as_bytes());
    }
    [bytes, body.to_vec()].concat()
}

fn page(byte: u8) -> Vec<u8> {
    vec![byte; PAGE]
}

fn blocks(sizes: &[(&str, u64)]) -> Vec<u8> {
    let total = sizes.iter().map(|(_, size)| size).sum::<u64>();
    let mut bytes = (total | flag::MEM_SIZE).to_be_bytes().to_vec();
    for (name, size) in sizes {
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend(name.as_bytes());
        bytes.extend(size.to_be_bytes());
    }
    bytes
}

fn ends() -> Vec<u8> {
    flag::EOS.to_be_bytes().to_vec()
}

fn head() -> Vec<u8> {
    [&MAGIC[..], b"\x07\0\0\0\x02pc", &[section::START, 0, 0, 0, 2], RAM].concat()
}

fn footer() -> Vec<u8> {
    vec![section::FOOTER, 0, 0, 0, 2]
}

/// A stream, and what should be left of it.
fn stream() -> (Vec<u8>, Vec<u8>) {
    let sizes = blocks(&[("mem0", SIZE), ("pc.bios", PAGE as u64)]);
    let start = [head(), sizes, ends(), footer(), b"\x08\0\x0b\0\x01x".to_vec(), vec![section::PART, 0, 0, 0, 2]];
    let bios = record(0, flag::PAGE, Some("pc.bios"), &page(9));
    let last = [ends(), footer(), vec![section::END, 0, 0, 0, 2], ends(), footer(), b"\x04devices\0\x08".to_vec()];
    let memory = [
        record(0, flag::ZERO, Some("mem0"), &[0]),
        record(PAGE as u64, flag::PAGE, None, &page(1)),
        record(2 * PAGE as u64, flag::PAGE, None, &page(2)),
    ];
    let more = [
        record(7 * PAGE as u64, flag::PAGE, Some("mem0"), &page(7)),
        // Once more, now without content.
        record(2 * PAGE as u64, flag::ZERO, None, &[0]),
    ];
    let whole = [start.concat(), memory.concat(), bios.clone(), more.concat(), last.concat()].concat();
    (whole, [start.concat(), bios, last.concat()].concat())
}

fn run(stream: &[u8]) -> (Result<(), StreamError>, Vec<u8>, Vec<u8>) {
    let folder = crate::folder::Folder::new(&std::env::temp_dir(), "icebox-stream").unwrap();
    let path = folder.path().join("memory");
    let memory = File::create(&path).unwrap();
    let mut devices = Vec::new();
    let outcome = split(stream, "mem0", SIZE, &memory, &mut devices);
    (outcome, std::fs::read(path).unwrap(), devices)
}

#[test]
fn pages_go_to_their_place_and_the_rest_is_kept_in_order() {
    let (whole, rest) = stream();
    let (outcome, memory, devices) = run(&whole);
    outcome.unwrap();
    assert_eq!(memory, [page(0), page(1), page(0), page(0), page(0), page(0), page(0), page(7)].concat());
    assert_eq!(devices, rest);
}

#[test]
fn a_page_of_another_block_is_named_even_if_it_followed_one_of_its_own() {
    let (whole, _) = stream();
    let bios = record(0, flag::PAGE, Some("pc.bios"), &page(9));
    let again = record(0, flag::PAGE, None, &page(8));
    let at = whole.windows(bios.len()).position(|window| window == bios).unwrap() + bios.len();
    let (outcome, _, devices) = run(&[&whole[..at], &again, &whole[at..]].concat());
    outcome.unwrap();
    let named = record(0, flag::PAGE, Some("pc.bios"), &page(8));
    assert!(devices.windows(named.len()).any(|window| window == named));
}

#[test]
fn a_stream_that_breaks_off_before_the_devices_is_an_error() {
    let (whole, _) = stream();
    let until = whole.len() - b"\x04devices\0\x08".len() - footer().len() - ends().len();
    for cut in (0..until).step_by(97) {
        assert!(matches!(run(&whole[..cut]).0, Err(StreamError::Read(_))), "cut at {cut}");
    }
}

#[test]
fn what_is_unknown_is_refused() {
    let (whole, _) = stream();
    let mut other_magic = whole.clone();
    other_magic[0] = b'X';
    assert!(matches!(run(&other_magic).0, Err(StreamError::Unknown { .. })));
    let compressed = [head(), record(0, 0x100, Some("mem0"), &page(1))].concat();
    assert!(matches!(run(&compressed).0, Err(StreamError::Unknown { .. })));
    let too_far = [head(), record(SIZE, flag::PAGE, Some("mem0"), &page(1))].concat();
    assert!(matches!(run(&too_far).0, Err(StreamError::Unknown { .. })));
    let device_first = [head(), ends(), footer(), vec![4]].concat();
    assert!(matches!(run(&device_first).0, Err(StreamError::Unknown { .. })));
    let endless = [&MAGIC[..], &vec![0; HEAD_LIMIT + 100]].concat();
    assert!(matches!(run(&endless).0, Err(StreamError::Unknown { .. })));
}

#[test]
fn memory_of_another_size_is_refused() {
    let other = [head(), blocks(&[("mem0", SIZE * 2)])].concat();
    assert!(matches!(run(&other).0, Err(StreamError::Size { found, wanted }) if found == SIZE * 2 && wanted == SIZE));
}

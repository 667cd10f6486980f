//! What kind of content a file has, and whether compressing it pays.

use std::io::Write as _;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

/// Smallest file that is compressed by our own choice: below, the saving is less than one network packet or two.
const WORTH_COMPRESSING: u64 = 4 * 1024;
/// Bytes from the start of a file that are tried: about 0.1 ms of CPU.
const SAMPLE: usize = 16 * 1024;

/// Gives the type by the extension, if that says anything.
pub(super) fn by_extension(path: &Path) -> Option<String> {
    let guess = mime_guess::from_path(path).first_raw()?;
    Some(if guess.starts_with("text/") { format!("{guess}; charset=utf-8") } else { guess.to_owned() })
}

/// Gives the type by the first bytes: text or not, nothing finer.
pub(super) fn by_content(start: &[u8]) -> &'static str {
    let start = &start[..start.len().min(512)];
    // The control bytes that `net/http` takes for a sign of binary content (WHATWG, MIME sniffing, 7.2).
    let binary = start.iter().any(|byte| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    if binary { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

/// Says whether compressing a file of `size` bytes that starts with `start` is worth the CPU on both sides.
pub(super) fn pays(content_type: &str, size: u64, start: &[u8]) -> bool {
    if size < WORTH_COMPRESSING || is_packed(content_type) {
        return false;
    }
    is_text(content_type) || sample_shrinks(start)
}

fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(kind, "application/json" | "application/xml" | "application/javascript" | "application/x-ndjson")
}

fn is_packed(content_type: &str) -> bool {
    let packed_family = ["image/", "video/", "audio/", "font/"].iter().any(|family| content_type.starts_with(family));
    (packed_family && !content_type.starts_with("image/svg") && !content_type.starts_with("image/bmp"))
        || matches!(
            content_type,
            "application/zip"
                | "application/gzip"
                | "application/x-7z-compressed"
                | "application/x-rar-compressed"
                | "application/zstd"
                | "application/x-bzip2"
                | "application/x-xz"
                | "application/java-archive"
        )
}

/// Compresses the first bytes and asks for a fifth less.
fn sample_shrinks(start: &[u8]) -> bool {
    let sample = &start[..start.len().min(SAMPLE)];
    let mut encoder = GzEncoder::new(Vec::with_capacity(SAMPLE), Compression::fast());
    match encoder.write_all(sample).and_then(|()| encoder.finish()) {
        Ok(packed) => packed.len() * 5 < sample.len() * 4,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn extension_first_then_content() {
        assert_eq!(by_extension(Path::new("/a/b.TXT")).as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(by_extension(Path::new("/a/b.json")).as_deref(), Some("application/json"));
        assert_eq!(by_extension(Path::new("/a/b")), None);
        assert_eq!(by_content("na\u{ef}ve\n\tx".as_bytes()), "text/plain; charset=utf-8");
        assert_eq!(by_content(b"\x7fELF\x02\x01"), "application/octet-stream");
    }

    #[test]
    fn only_what_shrinks_is_compressed() {
        let text = b"the same words again and again ".repeat(1000);
        let unknown = "application/octet-stream";
        assert!(pays(unknown, 1 << 20, &text));
        assert!(!pays(unknown, 1 << 20, &noise(40_000)));
        assert!(!pays(unknown, 4095, &text));
        assert!(!pays("image/png", 1 << 20, &text));
        assert!(!pays("application/zip", 1 << 20, &text));
        assert!(pays("application/json", 1 << 20, b"{}"));
        assert!(pays("image/svg+xml", 1 << 20, b"<svg/>"));
    }
}

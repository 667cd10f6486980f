//! Byte ranges: what a `Range` header asks for, and the frame around several parts.

/// Longest list of ranges that is honoured; a longer one gets the whole file (RFC 9110, 14.2 allows it).
const MOST_RANGES: usize = 256;

/// Holds one satisfiable range of a file: `start` inclusive, `end` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub(super) start: u64,
    /// One past the last byte.
    pub(super) end: u64,
}

/// Says what to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The whole file with 200.
    Whole,
    /// One range (`Content-Range`) or several (`multipart/byteranges`) with 206.
    Parts(Vec<Span>),
    /// Nothing of it exists: 416.
    Unsatisfiable,
}

impl Span {
    /// Counts the bytes.
    pub(super) fn len(self) -> u64 {
        self.end - self.start
    }

    /// Writes the value of `Content-Range` for a file of `size` bytes.
    pub(super) fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end - 1)
    }
}

/// Reads a `Range` header for a file of `size` bytes.
///
/// As `net/http` does, which published clients were tested against: malformed ranges are 416; an empty file ignores
/// the header; ranges that add up to more than the file are a waste and get the whole. An unknown unit is ignored.
pub(super) fn select(header: &str, size: u64) -> Selection {
    let Some(list) = header.trim().strip_prefix("bytes=") else {
        return if header.contains('=') { Selection::Whole } else { Selection::Unsatisfiable };
    };
    let mut spans = Vec::new();
    let mut seen = 0;
    for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        seen += 1;
        match one(text, size) {
            Some(Some(span)) => spans.push(span),
            Some(None) => {}
            None => return Selection::Unsatisfiable,
        }
    }
    let total = spans.iter().fold(0_u64, |sum, span| sum.saturating_add(span.len()));
    if size == 0 || seen > MOST_RANGES || total > size {
        return Selection::Whole;
    }
    if spans.is_empty() { Selection::Unsatisfiable } else { Selection::Parts(spans) }
}

/// Reads one range: `None` malformed, `Some(None)` outside the file.
fn one(text: &str, size: u64) -> Option<Option<Span>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let tail = number(last)?.min(size);
        return Some((tail > 0).then_some(Span { start: size - tail, end: size }));
    }
    let start = number(first)?;
    let end = match last {
        "" => size,
        _ => {
            let last = number(last)?;
            if last < start {
                return None;
            }
            last.saturating_add(1).min(size)
        }
    };
    Some((start < size).then_some(Span { start, end }))
}

/// Reads decimal digits and nothing else; what does not fit is as good as infinite.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Frames several ranges as `multipart/byteranges` (RFC 9110, 14.6).
#[derive(Debug)]
pub(super) struct Frame {
    boundary: String,
    /// The text before each part, in order.
    pub(super) heads: Vec<String>,
    /// The text after the last part.
    pub(super) tail: String,
}

impl Frame {
    /// Prepares the texts; `seed` makes the boundary differ between files.
    pub(super) fn new(spans: &[Span], size: u64, content_type: &str, seed: u64) -> Self {
        let boundary = format!("thawd-byteranges-{seed:016x}");
        let heads = spans.iter().enumerate().map(|(index, span)| {
            let gap = if index == 0 { "" } else { "\r\n" };
            let range = span.content_range(size);
            format!("{gap}--{boundary}\r\nContent-Range: {range}\r\nContent-Type: {content_type}\r\n\r\n")
        });
        Self { heads: heads.collect(), tail: format!("\r\n--{boundary}--\r\n"), boundary }
    }

    /// Gives the `Content-Type` of the whole answer.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Counts the bytes of the whole body.
    pub(super) fn length(&self, spans: &[Span]) -> u64 {
        let texts: usize = self.heads.iter().map(String::len).sum::<usize>() + self.tail.len();
        spans.iter().map(|span| span.len()).sum::<u64>() + texts as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[(u64, u64)]) -> Selection {
        Selection::Parts(list.iter().map(|&(start, end)| Span { start, end }).collect())
    }

    #[test]
    fn ranges_are_read_as_published_clients_expect() {
        for (header, want) in [
            ("bytes=0-4", spans(&[(0, 5)])),
            ("bytes=2-", spans(&[(2, 10)])),
            ("bytes=-3", spans(&[(7, 10)])),
            ("bytes=-99", spans(&[(0, 10)])),
            ("bytes=5-99999999999999999999999", spans(&[(5, 10)])),
            ("bytes=0-1, 8-", spans(&[(0, 2), (8, 10)])),
            ("bytes=0-1,20-30", spans(&[(0, 2)])),
            ("bytes=0-9,0-9", Selection::Whole),
            ("lines=1-2", Selection::Whole),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=", Selection::Unsatisfiable),
            ("bytes=3-2", Selection::Unsatisfiable),
            ("bytes=a-b", Selection::Unsatisfiable),
            ("bytes=+1-2", Selection::Unsatisfiable),
            ("bytes=1", Selection::Unsatisfiable),
            ("garbage", Selection::Unsatisfiable),
        ] {
            assert_eq!(select(header, 10), want, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_ranges_and_ignores_them() {
        assert_eq!(select("bytes=0-", 0), Selection::Whole);
        assert_eq!(select("bytes=-1", 0), Selection::Whole);
    }

    #[test]
    fn a_list_beyond_reason_gets_the_whole_file() {
        let list: Vec<String> = (0..300).map(|at| format!("{at}-{at}")).collect();
        assert_eq!(select(&format!("bytes={}", list.join(",")), 1000), Selection::Whole);
    }

    #[test]
    fn the_frame_counts_what_it_writes() {
        let list = [Span { start: 0, end: 2 }, Span { start: 8, end: 10 }];
        let frame = Frame::new(&list, 10, "text/plain", 7);
        let body = format!("{}ab{}ij{}", frame.heads[0], frame.heads[1], frame.tail);
        assert_eq!(frame.length(&list), body.len() as u64);
        assert!(frame.content_type().ends_with("boundary=thawd-byteranges-0000000000000007"));
    }
}

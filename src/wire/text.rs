//! The base64 of gRPC-Web-Text: any number of padded runs, cut anywhere.

use bytes::Bytes;
use tonic::Status;

/// Reads base64 in groups of four characters.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Characters of an unfinished group.
    rest: Vec<u8>,
}

impl Decoder {
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, Status> {
        self.rest.extend_from_slice(chunk);
        let whole = self.rest.len() / 4 * 4;
        let mut out = Vec::with_capacity(whole / 4 * 3);
        let mut run = &self.rest[..whole];
        while !run.is_empty() {
            // A run goes up to its padding; the next begins with a new group.
            let end = run.iter().position(|byte| *byte == b'=');
            let end = end.map_or(run.len(), |at| (at / 4 + 1) * 4);
            base64_simd::STANDARD.decode_append(&run[..end], &mut out).map_err(|_| malformed())?;
            run = &run[end..];
        }
        self.rest.drain(..whole);
        Ok(Bytes::from(out))
    }

    /// Checks that the text may end here.
    pub(super) fn finish(&self) -> Result<(), Status> {
        self.rest.is_empty().then_some(()).ok_or_else(malformed)
    }
}

fn malformed() -> Status {
    Status::invalid_argument("protocol error: malformed base64")
}

/// Writes a run of base64.
pub(super) fn encode(bytes: &[u8]) -> Bytes {
    Bytes::from(base64_simd::STANDARD.encode_to_string(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_however_they_are_cut() {
        let input = [encode(b"hello"), encode(b"wor"), encode(b"l"), encode(b"d")].concat();
        for step in 1..=input.len() {
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            for piece in input.chunks(step) {
                out.extend_from_slice(&decoder.feed(piece).unwrap());
            }
            assert!(decoder.finish().is_ok());
            assert_eq!(out, b"helloworld", "step {step}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        assert!(Decoder::default().feed(b"a?==").is_err());
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"aGVsbA").is_ok() && decoder.finish().is_err());
    }
}

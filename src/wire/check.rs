//! The rules that the messages of a request obey, checked as they pass.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use tonic::Status;

use super::envelope::{COMPRESSED, HEAD, put_message};
use super::gzip;

/// What the messages of a request must obey.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Largest message in bytes, as sent and inflated.
    pub(super) limit: usize,
    /// Whether a compression was announced.
    pub(super) compressed: bool,
    /// Whether exactly one message is due.
    pub(super) single: bool,
}

impl Rules {
    /// Checks a size as sent.
    pub(super) fn check_size(&self, size: usize) -> Result<(), Status> {
        if size <= self.limit {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!("message size {size} is larger than configured max {}", self.limit)))
    }
}

/// Checks the envelopes of a request on their way through, and inflates messages.
///
/// What is not compressed passes without being held.
#[derive(Debug)]
pub(super) struct Checker {
    rules: Rules,
    count: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Reads a head; so many bytes of it are known.
    Head([u8; HEAD], usize),
    /// Lets this many bytes of a message pass.
    Pass(usize),
    /// Gathers a compressed message of this size.
    Gather(usize, BytesMut),
}

const AT_HEAD: State = State::Head([0; HEAD], 0);

impl Checker {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, count: 0, state: AT_HEAD }
    }

    /// Takes a piece of the request and puts out what the service shall read.
    pub(super) fn feed(&mut self, mut chunk: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Status> {
        while chunk.has_remaining() {
            self.state = match std::mem::replace(&mut self.state, AT_HEAD) {
                State::Head(mut head, known) => {
                    let count = chunk.len().min(HEAD - known);
                    chunk.copy_to_slice(&mut head[known..known + count]);
                    match known + count {
                        HEAD => self.open(head, out)?,
                        known => State::Head(head, known),
                    }
                }
                State::Pass(left) => {
                    let piece = chunk.split_to(chunk.len().min(left));
                    let left = left - piece.len();
                    out.push_back(piece);
                    if left == 0 { AT_HEAD } else { State::Pass(left) }
                }
                State::Gather(size, mut message) => {
                    let left = size - message.len();
                    message.extend_from_slice(&chunk.split_to(chunk.len().min(left)));
                    if message.len() < size {
                        State::Gather(size, message)
                    } else {
                        self.inflate(&message, out)?;
                        AT_HEAD
                    }
                }
            };
        }
        Ok(())
    }

    /// Checks the head of a message.
    fn open(&mut self, envelope: [u8; HEAD], out: &mut VecDeque<Bytes>) -> Result<State, Status> {
        let [flags, length @ ..] = envelope;
        let size = u32::from_be_bytes(length) as usize;
        self.count += 1;
        if self.rules.single && self.count > 1 {
            return Err(Status::unimplemented("the call takes one message, not several"));
        }
        match flags {
            0 => {
                self.rules.check_size(size)?;
                out.push_back(Bytes::copy_from_slice(&envelope));
                Ok(if size == 0 { AT_HEAD } else { State::Pass(size) })
            }
            COMPRESSED if self.rules.compressed => {
                self.rules.check_size(size)?;
                if size == 0 {
                    self.inflate(&[], out)?;
                    return Ok(AT_HEAD);
                }
                Ok(State::Gather(size, BytesMut::new()))
            }
            COMPRESSED => Err(Status::internal("protocol error: compressed message without an announced compression")),
            _ => Err(Status::internal(format!("protocol error: invalid envelope flags {flags:#04x}"))),
        }
    }

    fn inflate(&self, message: &[u8], out: &mut VecDeque<Bytes>) -> Result<(), Status> {
        put_message(gzip::inflate(message, self.rules.limit)?, out)
    }

    /// Checks that the request may end here.
    pub(super) fn finish(&self) -> Result<(), Status> {
        match &self.state {
            State::Head(_, 0) if self.rules.single && self.count == 0 => {
                Err(Status::unimplemented("the call takes one message, but there is none"))
            }
            State::Head(_, 0) => Ok(()),
            State::Head(_, known) => Err(Status::invalid_argument(format!(
                "protocol error: the request ended after {known} bytes of an envelope"
            ))),
            State::Pass(left) => Err(incomplete(*left)),
            State::Gather(size, message) => Err(incomplete(size - message.len())),
        }
    }
}

fn incomplete(left: usize) -> Status {
    Status::invalid_argument(format!("protocol error: the request ended {left} bytes before its message"))
}

#[cfg(test)]
mod tests {
    use super::super::envelope::{END_STREAM, seal};
    use super::*;
    use tonic::Code;

    const RULES: Rules = Rules { limit: 100, compressed: false, single: false };

    /// Feeds `input` in pieces of `step` bytes.
    fn run(rules: Rules, input: &[u8], step: usize) -> Result<Vec<u8>, Code> {
        let mut checker = Checker::new(rules);
        let mut out = VecDeque::new();
        for piece in input.chunks(step) {
            let fed = checker.feed(Bytes::copy_from_slice(piece), &mut out);
            fed.map_err(|status| status.code())?;
        }
        checker.finish().map_err(|status| status.code())?;
        Ok(out.iter().flatten().copied().collect())
    }

    #[test]
    fn messages_pass_however_they_are_cut() {
        let input = [seal(0, b"hello"), seal(0, b""), seal(0, &[7; 90])].concat();
        for step in 1..=input.len() {
            assert_eq!(run(RULES, &input, step).unwrap(), input, "step {step}");
        }
    }

    #[test]
    fn compressed_messages_come_out_inflated() {
        let rules = Rules { compressed: true, ..RULES };
        let packed = gzip::deflate(&[7; 90], 0).unwrap();
        let input = [seal(COMPRESSED, &packed), seal(0, b"x"), seal(COMPRESSED, b"")].concat();
        let expected = [seal(0, &[7; 90]), seal(0, b"x"), seal(0, b"")].concat();
        for step in 1..=input.len() {
            assert_eq!(run(rules, &input, step).unwrap(), expected, "step {step}");
        }
    }

    #[test]
    fn every_breach_has_its_code() {
        let single = Rules { single: true, ..RULES };
        let packed = Rules { compressed: true, ..RULES };
        let bomb = gzip::deflate(&[0; 101], 0).unwrap();
        for (rules, input, code) in [
            (single, vec![], Code::Unimplemented),
            (single, [seal(0, b"a"), seal(0, b"b")].concat(), Code::Unimplemented),
            (RULES, seal(0, &[0; 101]).to_vec(), Code::ResourceExhausted),
            (packed, seal(COMPRESSED, &[0; 101]).to_vec(), Code::ResourceExhausted),
            (packed, seal(COMPRESSED, &bomb).to_vec(), Code::ResourceExhausted),
            (packed, seal(COMPRESSED, b"not gzip").to_vec(), Code::InvalidArgument),
            (RULES, seal(COMPRESSED, b"a").to_vec(), Code::Internal),
            (RULES, seal(END_STREAM, b"{}").to_vec(), Code::Internal),
            (RULES, vec![0, 0, 0], Code::InvalidArgument),
            (RULES, vec![0, 0, 0, 0, 2, b'a'], Code::InvalidArgument),
            (packed, vec![1, 0, 0, 0, 2, b'a'], Code::InvalidArgument),
        ] {
            assert_eq!(run(rules, &input, 3), Err(code), "{input:?}");
        }
    }
}

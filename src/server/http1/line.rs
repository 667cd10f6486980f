//! The socket of a connection and what came from it, shared by the connection and the body of its request.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::chunked::{Chunks, Piece};
use super::head::{self, Framing, Head};

/// Bytes of heads, and of what a client sends before its turn, that are read at a time: heads of clients have less.
const HEAD: usize = 4 << 10;
/// Bytes of a body that are read at a time at first, and at most: what the parser of forms takes in one piece.
const FIRST_ROOM: usize = 16 << 10;
const MOST_ROOM: usize = 64 << 10;
/// Lets a client send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why the body of a request ends early.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum Torn {
    #[error("the connection broke off in the middle of a body")]
    Broken(#[source] io::Error),
    #[error("the client left in the middle of a body")]
    Left,
    #[error(transparent)]
    Malformed(#[from] super::chunked::Malformed),
}

/// What is still to come of a request's body.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Length(u64),
    Chunked(Chunks),
    /// All of it was read.
    Over,
    /// It cannot be read.
    Torn,
}

/// One side of a connection; clones are the same one.
pub(super) struct Line<T>(Arc<Mutex<Socket<T>>>);

struct Socket<T> {
    /// `None` once the connection has ended.
    stream: Option<T>,
    /// What came and nobody has taken.
    came: BytesMut,
    /// Bytes of it that are known to hold no whole head.
    seen: usize,
    rest: Rest,
    /// Nobody will read the rest.
    given: bool,
    /// What is to be said before the body is read.
    interim: &'static [u8],
    /// Bytes to read of a body at a time.
    room: usize,
    /// The connection, when it waits for the end of the body.
    owner: Option<Waker>,
    /// The reader of the body, when it waits for bytes.
    reader: Option<Waker>,
}

impl<T> Clone for Line<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Line<T> {
    pub(super) fn new(stream: T) -> Self {
        Self(Arc::new(Mutex::new(Socket {
            stream: Some(stream),
            came: BytesMut::new(),
            seen: 0,
            rest: Rest::Over,
            given: false,
            interim: b"",
            room: FIRST_ROOM,
            owner: None,
            reader: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Socket<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the body of a request; says whether there is one.
    pub(super) fn begin(&self, framing: Framing, expects: bool) -> bool {
        let mut socket = self.lock();
        socket.rest = match framing {
            Framing::Length(0) => Rest::Over,
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Chunks::new()),
        };
        socket.given = false;
        let has_body = !matches!(socket.rest, Rest::Over);
        socket.interim = if expects && has_body && socket.came.is_empty() { CONTINUE } else { b"" };
        has_body
    }

    /// Says that the answer begins, before which alone a client can be told to send its body. `false` if it still waits
    /// for that: then nobody knows whether it sends its body or the next request.
    pub(super) fn answers(&self) -> bool {
        let mut socket = self.lock();
        let is_untold = socket.interim.len() == CONTINUE.len();
        if is_untold {
            socket.interim = b"";
        }
        !is_untold
    }

    /// Says that nobody will read the rest of the body.
    pub(super) fn give_up(&self) {
        let mut socket = self.lock();
        socket.given = true;
        socket.tell_owner();
    }

    /// Bytes that are known to be left of the body.
    pub(super) fn left(&self) -> Option<u64> {
        match self.lock().rest {
            Rest::Length(left) => Some(left),
            Rest::Over | Rest::Torn => Some(0),
            Rest::Chunked(_) => None,
        }
    }

    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.lock().came.capacity() == 0
    }

    /// Closes it, whoever still holds the body.
    pub(super) fn close(&self) {
        let mut socket = self.lock();
        let stream = socket.stream.take();
        let reader = socket.reader.take();
        drop(socket);
        drop(stream);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Line<T> {
    /// Waits for the head of a request; `None` when the client leaves instead, or at once when `closing` and none has
    /// begun to come.
    pub(super) fn poll_head(&self, cx: &mut Context<'_>, closing: bool) -> Poll<io::Result<Option<Asked>>> {
        let socket = &mut *self.lock();
        loop {
            if socket.came.len() > socket.seen && (socket.seen == 0 || head::is_whole(&socket.came, socket.seen)) {
                let asked = head::take(&mut socket.came).transpose();
                if let Some(asked) = asked {
                    socket.seen = 0;
                    return Poll::Ready(Ok(Some(asked)));
                }
            }
            socket.seen = socket.came.len();
            if socket.seen >= head::LONGEST {
                return Poll::Ready(Ok(Some(Err(head::Malformed::TooLong))));
            }
            if closing && socket.seen == 0 {
                return Poll::Ready(Ok(None));
            }
            if ready!(socket.poll_some(cx))? == 0 {
                let left = if socket.seen == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
                return Poll::Ready(left);
            }
        }
    }

    /// Comes when the client leaves while it is being answered; what it sends meanwhile is kept for later.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let socket = &mut *self.lock();
        match socket.rest {
            Rest::Over if socket.came.is_empty() => match ready!(socket.poll_some(cx)) {
                Ok(0) => Poll::Ready(io::ErrorKind::ConnectionAborted.into()),
                Ok(_) => Poll::Pending,
                Err(error) => Poll::Ready(error),
            },
            Rest::Over | Rest::Torn => Poll::Pending,
            // Whoever reads the body notices.
            Rest::Length(_) | Rest::Chunked(_) => {
                socket.owner = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits until the body is read or given up; says whether the next request can follow.
    pub(super) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.lock().poll_over(cx)
    }

    /// Reads the next piece of the body.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Torn>>> {
        let socket = &mut *self.lock();
        let read = ready!(socket.poll_body(cx));
        match &read {
            Some(Ok(_)) => {}
            None => socket.end(Rest::Over),
            Some(Err(_)) => socket.end(Rest::Torn),
        }
        Poll::Ready(read)
    }

    /// Says whether all of the body was read.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.lock().rest, Rest::Over)
    }

    /// Writes some of `slices`.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let socket = &mut *self.lock();
        ready!(socket.poll_interim(cx))?;
        let stream = socket.stream()?;
        if stream.is_write_vectored() {
            stream.poll_write_vectored(cx, slices)
        } else {
            stream.poll_write(cx, slices.first().map_or(&[], |slice| slice))
        }
    }

    /// Tells the client that nothing more is written.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().stream()?.poll_shutdown(cx)
    }
}

/// A head that came, or why it is none.
pub(super) type Asked = Result<Head, head::Malformed>;

impl<T> Socket<T> {
    fn end(&mut self, rest: Rest) {
        self.rest = rest;
        self.room = FIRST_ROOM;
        if self.came.is_empty() {
            // Its place goes with the last part of it that somebody has.
            self.came = BytesMut::new();
        }
        self.tell_owner();
    }

    fn tell_owner(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.wake();
        }
    }

    /// Passes over what has come of a body that nobody wants.
    fn skip(&mut self) {
        loop {
            match &mut self.rest {
                Rest::Length(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.came.len());
                    *left -= length as u64;
                    self.came.advance(length);
                    if *left == 0 {
                        self.end(Rest::Over);
                    }
                    return;
                }
                Rest::Chunked(chunks) => match chunks.take(&mut self.came) {
                    Ok(Piece::Data(_)) => {}
                    Ok(Piece::More) => return,
                    Ok(Piece::End) => return self.end(Rest::Over),
                    Err(_) => return self.end(Rest::Torn),
                },
                Rest::Over | Rest::Torn => return,
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    fn stream(&mut self) -> io::Result<Pin<&mut T>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads a little, by way of the stack: nothing is held for a client that sends nothing.
    // Apart, so that this is not on the stack of the service.
    #[inline(never)]
    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut place = [MaybeUninit::<u8>::uninit(); HEAD];
        let mut read = ReadBuf::uninit(&mut place);
        ready!(self.stream()?.poll_read(cx, &mut read))?;
        self.came.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Reads more of a body, up to `most` bytes, into a place of its own. Nothing is left of what came before.
    fn poll_more(&mut self, cx: &mut Context<'_>, most: u64) -> Poll<Result<(), Torn>> {
        ready!(self.poll_interim(cx)).map_err(Torn::Broken)?;
        let room = usize::try_from(most).unwrap_or(usize::MAX).min(self.room);
        // Given back if nothing is there: a client that sends nothing holds nothing.
        let mut place = BytesMut::with_capacity(room);
        let mut stream = self.stream().map_err(Torn::Broken)?;
        let read = pin!(stream.read_buf(&mut place)).poll(cx);
        if read.is_pending() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match ready!(read) {
            Err(error) => return Poll::Ready(Err(Torn::Broken(error))),
            Ok(0) => return Poll::Ready(Err(Torn::Left)),
            Ok(length) if length == self.room => self.room = (self.room * 2).min(MOST_ROOM),
            Ok(_) => {}
        }
        self.came = place;
        Poll::Ready(Ok(()))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Torn>>> {
        loop {
            let most = match &mut self.rest {
                Rest::Over => return Poll::Ready(None),
                Rest::Torn => return Poll::Ready(Some(Err(Torn::Left))),
                Rest::Length(left) if self.came.is_empty() => *left,
                Rest::Length(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(self.came.len());
                    *left -= length as u64;
                    let (piece, is_last) = (self.came.split_to(length).freeze(), *left == 0);
                    if is_last {
                        self.end(Rest::Over);
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Rest::Chunked(chunks) => match chunks.take(&mut self.came) {
                    Ok(Piece::Data(piece)) => return Poll::Ready(Some(Ok(piece))),
                    Ok(Piece::End) => return Poll::Ready(None),
                    Ok(Piece::More) => u64::MAX,
                    Err(malformed) => return Poll::Ready(Some(Err(malformed.into()))),
                },
            };
            if let Err(torn) = ready!(self.poll_more(cx, most)) {
                return Poll::Ready(Some(Err(torn)));
            }
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if matches!(self.rest, Rest::Length(_) | Rest::Chunked(_)) {
            if !self.given {
                self.owner = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.skip();
            // The rest of a short body may have come meanwhile.
            if !matches!(self.rest, Rest::Over) && matches!(self.poll_some(cx), Poll::Ready(Ok(1..))) {
                self.skip();
            }
        }
        Poll::Ready(matches!(self.rest, Rest::Over))
    }

    /// Says what has to be said before the body is read.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let interim = self.interim;
            let written = ready!(self.stream()?.poll_write(cx, interim))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

//! What a row says.

use std::path::PathBuf;
use std::sync::Arc;

use crate::outcome::Want;
use crate::stage::Stage;

/// One hostile request and what must come of it.
#[derive(Clone)]
pub(crate) struct Row {
    /// Subject and claim.
    pub(crate) name: String,
    pub(crate) deed: Deed,
    pub(crate) want: Want,
    /// Text that the answer must contain.
    pub(crate) saying: Option<&'static str>,
    /// Header that the answer must have.
    pub(crate) header: Option<(&'static str, &'static str)>,
    pub(crate) starts: Starts,
    /// Files that the request rightly makes.
    pub(crate) makes: Vec<PathBuf>,
}

/// What is done to the daemon.
#[derive(Clone)]
pub(crate) enum Deed {
    /// Bytes are sent on a connection, which then ends in this way.
    Send(Vec<u8>, Leave),
    /// Several requests that depend on each other; panics when an answer is wrong.
    Act(Arc<dyn Fn(&Stage)>),
}

/// How the client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It waits for what comes.
    Stay,
    /// It ends its side and waits for the daemon to end the other.
    HalfClose,
    /// It closes, without reading.
    Drop,
    /// It resets the connection, without reading.
    Reset,
    /// It reads up to this text and closes.
    After(&'static str),
}

/// Whether programs with a tag of [`crate::build::TAG`] may run afterwards; they are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    No,
    /// The request may have been dropped before the program started.
    Perhaps,
    /// The program must have outlived its client.
    Yes,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, send: Vec<u8>, want: Want) -> Self {
        Self::of(name.into(), Deed::Send(send, Leave::Stay), want)
    }

    /// A client that leaves, and so gets no answer.
    pub(crate) fn leaving(name: impl Into<String>, send: Vec<u8>, leave: Leave) -> Self {
        let want = if leave == Leave::HalfClose { Want::Broken } else { Want::Nothing };
        Self::of(name.into(), Deed::Send(send, leave), want)
    }

    pub(crate) fn act(name: impl Into<String>, act: impl Fn(&Stage) + 'static) -> Self {
        Self::of(name.into(), Deed::Act(Arc::new(act)), Want::Nothing)
    }

    fn of(name: String, deed: Deed, want: Want) -> Self {
        Self { name, deed, want, saying: None, header: None, starts: Starts::No, makes: Vec::new() }
    }

    /// Asks for another outcome than the way of leaving suggests.
    pub(crate) fn wanting(mut self, want: Want) -> Self {
        self.want = want;
        self
    }

    pub(crate) fn saying(mut self, text: &'static str) -> Self {
        self.saying = Some(text);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(crate) fn starts(mut self, starts: Starts) -> Self {
        self.starts = starts;
        self
    }

    pub(crate) fn makes(mut self, path: impl Into<PathBuf>) -> Self {
        self.makes.push(path.into());
        self
    }
}

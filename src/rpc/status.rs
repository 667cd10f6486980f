//! The only table from what went wrong to an RPC code.

use tonic::{Code, Status};

use crate::base::{Failure, Kind, sentence};

/// Turns a failure into the status that its kind stands for, with the whole chain of causes as message.
#[must_use]
pub fn from_failure<E: Failure + 'static>(error: &E) -> Status {
    Status::new(code(error.kind()), sentence(error))
}

/// Maps what a caller can do to the code that says so.
#[must_use]
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::ResourceExhausted | Kind::NoSpace => Code::ResourceExhausted,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Unavailable => Code::Unavailable,
        Kind::Canceled => Code::Cancelled,
        Kind::Aborted => Code::Aborted,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Internal => Code::Internal,
    }
}

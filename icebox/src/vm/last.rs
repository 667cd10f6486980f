//! The last words of a QEMU and of its guest.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitStatus;

use tokio::time::timeout;

use super::command::CONSOLE;
use super::error::VmError;
use super::process::{LOG, Process};
use crate::qmp::{COMMAND_LIMIT, QmpError};

/// How much of a log goes into an error, in bytes.
const TAIL: u64 = 3_000;

/// Explains a failure by QEMU's end, if it ended.
pub(super) async fn or_ended<T>(
    outcome: Result<T, VmError>,
    doing: &'static str,
    process: &Process,
    folder: &Path,
) -> Result<T, VmError> {
    match outcome {
        // Its end is told a little after its monitor closes.
        Err(VmError::Qmp(QmpError::Gone { command })) => match timeout(COMMAND_LIMIT, process.ended()).await {
            Ok(Some(status)) => Err(ended(status, doing, folder)),
            _ => Err(QmpError::Gone { command }.into()),
        },
        outcome => outcome,
    }
}

/// Tells how QEMU ended.
pub(super) fn ended(status: ExitStatus, doing: &'static str, folder: &Path) -> VmError {
    VmError::Ended { doing, status, said: tail(folder, LOG), console: tail(folder, CONSOLE) }
}

/// The end of a log; empty when there is none.
pub(super) fn tail(folder: &Path, name: &str) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(folder.join(name))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
}

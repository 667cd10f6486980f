//! One icebox to a folder: two would resume the same sandboxes, and write the same disks.

use std::fs::{File, create_dir_all};
use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::ServeError;

/// Holds the folder until it is dropped, or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    _file: File,
}

impl Claim {
    /// Takes the folder, and makes it if need be.
    pub(super) fn take(data: &Path) -> Result<Self, ServeError> {
        let path = data.join("lock");
        let failed = |source| ServeError::Claim { path: data.into(), source };
        create_dir_all(data).map_err(failed)?;
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(ServeError::InUse { data: data.into(), owner: owner(&mut file) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let told = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        told.map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Who says to hold the lock, for a person to look for.
fn owner(file: &mut File) -> String {
    let mut text = String::new();
    let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    pid.map(|pid| format!(", process {pid}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_icebox_is_told_who_the_first_one_is() {
        let data = std::env::temp_dir().join(format!("icebox-claim-{}", std::process::id()));
        let first = Claim::take(&data).unwrap();
        let error = Claim::take(&data).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        drop(Claim::take(&data).unwrap());
        std::fs::remove_dir_all(&data).unwrap();
    }
}

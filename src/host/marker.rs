//! The files by which programs know that they run in a sandbox, and in which.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::sys::place;

/// Where envd leaves them; SDK templates look here.
const FOLDER: &str = "run/e2b";
/// Name of the file, with a dot in front, and of the variable.
const NAME: &str = "E2B_SANDBOX";

/// Writes the marker below `root` and gives the variable that says the same. A guest without a writable `/run` only
/// lacks the file.
#[must_use]
pub fn leave(root: &Path, in_sandbox: bool) -> Vec<(String, String)> {
    let value = in_sandbox.to_string();
    let folder = root.join(FOLDER);
    if let Err(error) = write(&folder, &value) {
        tracing::warn!(folder = %folder.display(), %error, "cannot leave the sandbox marker");
    }
    vec![(NAME.to_owned(), value)]
}

/// Writes the file that says the same as a variable; it is replaced whole, since programs may wait for it.
pub(super) fn leave_name(root: &Path, name: &str, value: &str) {
    let folder = root.join(FOLDER);
    let left = fs::create_dir_all(&folder);
    if let Err(error) = left.and_then(|()| place::replace(&folder.join(format!(".{name}")), value.as_bytes())) {
        tracing::warn!(folder = %folder.display(), name, %error, "cannot tell programs");
    }
}

fn write(folder: &Path, value: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let path = folder.join(format!(".{NAME}"));
    if fs::read(&path).is_ok_and(|old| old == value.as_bytes()) {
        return Ok(());
    }
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o444).open(path)?;
    io::Write::write_all(&mut file, value.as_bytes())
}

//! The files by which programs know that they run in a sandbox.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Where envd leaves them; SDK templates look here.
const FOLDER: &str = "/run/e2b";
/// Name of the file, with a dot in front, and of the variable.
const NAME: &str = "E2B_SANDBOX";

/// Writes the marker and gives the variable that says the same. A guest without a writable `/run` only lacks the file.
#[must_use]
pub fn leave(in_sandbox: bool) -> Vec<(String, String)> {
    let value = in_sandbox.to_string();
    if let Err(error) = write(Path::new(FOLDER), &value) {
        tracing::warn!(folder = FOLDER, %error, "cannot leave the sandbox marker");
    }
    vec![(NAME.to_owned(), value)]
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

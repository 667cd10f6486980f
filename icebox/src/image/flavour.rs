//! Images by name, in the workspace that this crate was built in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{DESCRIPTION, Image, ImageError};

/// The folder of the workspace: what `ICEBOX_WORKSPACE` says, else where this crate was built.
#[must_use]
pub fn workspace() -> PathBuf {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("ICEBOX_WORKSPACE").map_or_else(|| built_in.parent().unwrap_or(built_in).into(), PathBuf::from)
}

/// Opens the image of this name; `None` when it was never built. `ICEBOX_IMAGES` names another folder of images than
/// `target/images`.
///
/// # Errors
/// [`ImageError`] when it is there and broken.
pub fn find(flavour: &str) -> Result<Option<Image>, ImageError> {
    let folder = images().join(flavour);
    if folder.join(DESCRIPTION).exists() { Image::open(&folder).map(Some) } else { Ok(None) }
}

/// Builds the image of this name with `rootfs/build.sh`, which takes from seconds to minutes and says what it does on
/// our standard error; blocks meanwhile. The script builds the agent too, and reuses what is there.
///
/// # Errors
/// [`ImageError`].
pub fn build(flavour: &str) -> Result<Image, ImageError> {
    let script = workspace().join("rootfs/build.sh");
    let status = Command::new(&script)
        .args(["--flavour", flavour, "--out"])
        .arg(images().join(flavour))
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|source| ImageError::Start { flavour: flavour.into(), script: script.clone(), source })?;
    if !status.success() {
        return Err(ImageError::Build { flavour: flavour.into(), script, status });
    }
    Image::open(&images().join(flavour))
}

fn images() -> PathBuf {
    std::env::var_os("ICEBOX_IMAGES").map_or_else(|| workspace().join("target/images"), PathBuf::from)
}

//! The file that says which life this is.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// Tells of a pause that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// The life that begins.
    pub generation: u64,
    /// Wall time of this pause, as far as it is known.
    pub paused: Duration,
    /// Wall time of all pauses.
    pub paused_total: Duration,
    /// The guest is one of several copies.
    pub clone: bool,
    /// How far the wall clock was stepped, in nanoseconds.
    pub clock_step_ns: i64,
    /// The wall clock after that, in nanoseconds since the epoch; 0 when there was no pause yet.
    pub resumed_at_unix_ns: i64,
}

/// Replaces the file at `path` by way of a new one beside it.
pub(super) fn write(path: &Path, resumed: &Resumed) -> io::Result<()> {
    let new = path.with_extension("new");
    // One left by an agent that died here may have other rights.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
    // Whatever our umask says: everybody may read it.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text(resumed).as_bytes())?;
    fs::rename(&new, path)
}

/// Reads what was written last, by us or by an agent that died; `None` where there is no such file.
pub(super) fn read(path: &Path) -> Option<Resumed> {
    let text = fs::read_to_string(path).ok()?;
    let mut resumed = Resumed::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let millis = || value.parse().map(Duration::from_millis).ok();
        match name {
            "generation" => resumed.generation = value.parse().ok()?,
            "paused_ms" => resumed.paused = millis()?,
            "paused_total_ms" => resumed.paused_total = millis()?,
            "clone" => resumed.clone = value == "1",
            "clock_step_ns" => resumed.clock_step_ns = value.parse().ok()?,
            "resumed_at_unix_ns" => resumed.resumed_at_unix_ns = value.parse().ok()?,
            _ => {}
        }
    }
    Some(resumed)
}

fn text(resumed: &Resumed) -> String {
    let Resumed { generation, paused, paused_total, clone, clock_step_ns, resumed_at_unix_ns } = resumed;
    format!(
        "generation={generation}\npaused_ms={}\npaused_total_ms={}\nclone={}\nclock_step_ns={clock_step_ns}\n\
         resumed_at_unix_ns={resumed_at_unix_ns}\n",
        paused.as_millis(),
        paused_total.as_millis(),
        u8::from(*clone),
    )
}

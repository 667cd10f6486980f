//! Loading the kernel modules that an initramfs brings.
//!
//! The image's builder did the thinking: files are unpacked and in the order in which they need each other. A line of
//! the list is `FILE [ALIAS...]`; with aliases the module is loaded only where a device of that kind is, so one
//! initramfs serves machines with and without it at no cost.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use super::report::Report;

/// Where the files and their list are.
const FOLDER: &str = "/modules";
/// The list's name.
const LIST: &str = "list";
/// Where the devices of virtual machines say what they are.
const DEVICES: &str = "/sys/bus/virtio/devices";

/// Loads what the list names and this machine has a use for; without a list, nothing.
pub(super) fn load(report: Report) {
    let Ok(list) = fs::read_to_string(Path::new(FOLDER).join(LIST)) else { return };
    let devices = devices();
    for (file, aliases) in list.lines().filter_map(line) {
        if wanted(&aliases, &devices) {
            match insert(&Path::new(FOLDER).join(file)) {
                // ENODEV: the hardware is not there. EEXIST: somebody loaded it.
                Ok(()) | Err(Errno::ENODEV | Errno::EEXIST | Errno::EOPNOTSUPP) => {}
                Err(error) => report.failed(&format!("load the module {file}"), &error),
            }
        }
    }
}

fn insert(path: &Path) -> Result<(), Errno> {
    let file = fs::File::open(path).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    finit_module(&file, c"", ModuleInitFlags::empty())
}

fn line(line: &str) -> Option<(&str, Vec<&str>)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.collect()))
}

/// Aliases are beginnings of a device's `modalias`, such as `virtio:d00000002`.
fn wanted(aliases: &[&str], devices: &[String]) -> bool {
    aliases.is_empty() || aliases.iter().any(|alias| devices.iter().any(|device| device.starts_with(alias)))
}

fn devices() -> Vec<String> {
    let read = |entry: io::Result<fs::DirEntry>| fs::read_to_string(entry.ok()?.path().join("modalias")).ok();
    fs::read_dir(DEVICES).into_iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_with_aliases_needs_a_device() {
        let devices = ["virtio:d00000001v00001AF4\n".to_owned()];
        assert_eq!(line("a.ko virtio:d00000001 x"), Some(("a.ko", vec!["virtio:d00000001", "x"])));
        assert!(wanted(&[], &devices) && wanted(&["virtio:d00000001"], &devices));
        assert!(!wanted(&["virtio:d00000002"], &devices));
        assert_eq!(line("  "), None);
    }
}

//! What each class of programs may use, as envd sets it.

use std::io;
use std::path::Path;

/// Memory kept back for the agent and the system: an eighth, at most this much.
const RESERVE_MAX: u64 = 128 << 20;

/// Lists the properties of a class: file name and value.
pub(super) fn properties(class: &str, mem_total: u64) -> Vec<(&'static str, String)> {
    let (cpu, io) = match class {
        // Short, awaited by a freeze, and bounded by its deadline instead.
        "lifecycle" => return vec![("cpu.weight", "200".to_owned())],
        "ptys" => ("200", "default 50"),
        "socats" => ("150", "default 50"),
        _ => ("50", "default 10"),
    };
    let mut properties = vec![("cpu.weight", cpu.to_owned()), ("io.weight", io.to_owned())];
    if class == "socats" {
        properties.push(("memory.min", (5u64 << 20).to_string()));
        properties.push(("memory.low", (8u64 << 20).to_string()));
    } else if mem_total > 0 {
        let limit = (mem_total - (mem_total / 8).min(RESERVE_MAX)).to_string();
        properties.push(("memory.high", limit.clone()));
        properties.push(("memory.max", limit));
    }
    properties
}

/// Writes the properties; one whose controller is not enabled here is skipped.
///
/// # Errors
/// What a write said other than that the file is missing or not ours to write.
pub(super) fn apply(dir: &Path, class: &str, mem_total: u64) -> io::Result<()> {
    for (file, value) in properties(class, mem_total) {
        match std::fs::write(dir.join(file), value) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
                tracing::debug!(class, property = file, %error, "cgroup property skipped");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_an_eighth_back_and_never_more_than_128_mib() {
        let max = |total| properties("user", total).pop().unwrap().1.parse::<u64>().unwrap();
        assert_eq!(max(512 << 20), 448 << 20);
        assert_eq!(max(8 << 30), (8 << 30) - (128 << 20));
        assert_eq!(properties("user", 0).len(), 2);
    }
}

//! Inner filesystems before those that hold them.

use std::collections::HashSet;

use super::mounts::{Device, Mount};

/// Sorts mounts so that each comes before the ones that it lies in; `below` says what a device lies on.
pub(super) fn inner_first(mounts: Vec<Mount>, below: impl Fn(Device) -> Vec<Device>) -> Vec<Mount> {
    let mut depths: Vec<(usize, Mount)> =
        mounts.into_iter().map(|mount| (depth(mount.device, &below, &mut HashSet::new()), mount)).collect();
    depths.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
    depths.into_iter().map(|(_, mount)| mount).collect()
}

/// Counts the layers below a device; a circle, which no kernel allows, would end here.
fn depth(device: Device, below: &impl Fn(Device) -> Vec<Device>, seen: &mut HashSet<Device>) -> usize {
    if !seen.insert(device) {
        return 0;
    }
    let deepest = below(device).into_iter().map(|next| 1 + depth(next, below, seen)).max();
    seen.remove(&device);
    deepest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(minor: u32) -> Mount {
        let path = format!("/{minor}").into();
        Mount { device: Device { major: 7, minor }, path, reach: "/".into(), kind: "ext4".into() }
    }

    #[test]
    fn what_lies_in_a_file_comes_before_the_filesystem_of_the_file() {
        // 3 lies in a file of 2, which lies through a mapped device 9 in a file of 1.
        let below = |device: Device| match device.minor {
            3 => vec![Device { major: 7, minor: 2 }],
            2 => vec![Device { major: 7, minor: 9 }],
            9 => vec![Device { major: 7, minor: 1 }],
            4 => vec![Device { major: 7, minor: 4 }],
            _ => Vec::new(),
        };
        let sorted = inner_first([1, 2, 3, 4].map(mount).to_vec(), below);
        let place = |minor| sorted.iter().position(|mount| mount.device.minor == minor).unwrap();
        assert!(place(3) < place(2) && place(2) < place(1));
    }
}

//! Directories to list.

use std::fs;
use std::path::Path;

/// Files in each folder of a tree.
const FILES: usize = 99;

/// Makes a tree of three levels with about this many entries: folders of folders of 99 files.
pub fn plant(root: &Path, entries: usize) {
    let mut left = entries;
    for number in 0.. {
        for inner in 0..10 {
            if left == 0 {
                return;
            }
            let folder = root.join(format!("folder-{number}/inner-{inner}"));
            fs::create_dir_all(&folder).unwrap();
            left = left.saturating_sub(1);
            for file in 0..FILES.min(left) {
                fs::write(folder.join(format!("file-{file}.txt")), b"").unwrap();
            }
            left = left.saturating_sub(FILES);
        }
    }
}

/// Makes a folder with this many empty files.
pub fn flat(folder: &Path, entries: usize) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..entries {
        fs::write(folder.join(format!("entry-{number}")), b"").unwrap();
    }
}

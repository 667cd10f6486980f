//! A vmclock page of our own, for guests whose hypervisor has none.
//!
//! Libraries that keep their own random numbers may watch `vm_generation_counter` in such a page and start anew when
//! it changes. It has the kernel's layout and is a plain file on a tmpfs, which programs may map for reading. It tells
//! nothing about time: the status says so.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::sys::vmclock;

/// Length of the page; programs map one.
const PAGE: usize = 4096;
/// Version of the layout, which stands at 8.
const VERSION: (usize, u16) = (8, 1);
/// No counter that the page would translate to time (VMCLOCK_COUNTER_INVALID), at 10.
const COUNTER: (usize, u8) = (10, 0xff);

/// The page; it stays as it is when this is dropped.
#[derive(Debug)]
pub struct Page {
    file: File,
    sequence: u32,
    generation: u64,
}

impl Page {
    /// Makes the page anew, or goes on with the one that is there.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        if let Ok(vmclock::Page { generation: Some(generation), .. }) = vmclock::read(&file) {
            let mut sequence = [0; 4];
            file.read_exact_at(&mut sequence, vmclock::SEQUENCE as u64)?;
            return Ok(Self { file, sequence: u32::from_le_bytes(sequence), generation });
        }
        let mut page = [0; PAGE];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &vmclock::MAGIC.to_le_bytes());
        put(4, &u32::try_from(PAGE).unwrap_or(0).to_le_bytes());
        put(VERSION.0, &VERSION.1.to_le_bytes());
        put(COUNTER.0, &[COUNTER.1]);
        put(vmclock::FLAGS, &vmclock::HAS_GENERATION.to_le_bytes());
        file.set_len(0)?;
        file.write_all_at(&page, 0)?;
        Ok(Self { file, sequence: 0, generation: 0 })
    }

    /// Begins a new generation; to be called while programs stand still. Says which.
    ///
    /// # Errors
    /// Those of writing a file; readers then wait, as the sequence count tells them to.
    pub fn bump(&mut self) -> io::Result<u64> {
        self.generation += 1;
        self.sequence(1)?;
        self.file.write_all_at(&self.generation.to_le_bytes(), vmclock::DISRUPTION as u64)?;
        self.file.write_all_at(&self.generation.to_le_bytes(), vmclock::GENERATION as u64)?;
        self.sequence(0)?;
        Ok(self.generation)
    }

    /// Makes the count odd while the page changes, and even again.
    fn sequence(&mut self, odd: u32) -> io::Result<()> {
        self.sequence = (self.sequence | 1).wrapping_add(1 - odd);
        self.file.write_all_at(&self.sequence.to_le_bytes(), vmclock::SEQUENCE as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::place::tests::Folder;

    #[test]
    fn the_page_reads_like_the_kernels_and_goes_on_after_a_restart() {
        let folder = Folder::new("vmclock");
        let path = folder.0.join("vmclock0");
        let mut page = Page::open(&path).unwrap();
        let read = || vmclock::read(&File::open(&path).unwrap()).unwrap();
        assert_eq!(read(), vmclock::Page { generation: Some(0), disruption: 0, notifies: false });
        assert_eq!((page.bump().unwrap(), page.bump().unwrap()), (1, 2));
        assert_eq!((read().generation, read().disruption), (Some(2), 2));
        assert_eq!(page.sequence, 4);
        let mut again = Page::open(&path).unwrap();
        assert_eq!((again.sequence, again.bump().unwrap()), (4, 3));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }

    #[test]
    fn a_page_that_is_being_changed_is_not_read() {
        let folder = Folder::new("vmclock-odd");
        let mut page = Page::open(&folder.0.join("vmclock0")).unwrap();
        page.sequence(1).unwrap();
        assert_eq!(vmclock::read(&page.file).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        page.sequence(0).unwrap();
        assert!(vmclock::read(&page.file).is_ok());
        page.file.set_len(100).unwrap();
        assert_eq!(vmclock::read(&page.file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

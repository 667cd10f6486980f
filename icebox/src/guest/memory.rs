//! What is in a guest's memory, to see what changes.

use std::fs;

use serde_json::json;

use super::{Guest, told};

/// Bytes of a page of the guest.
pub const PAGE: usize = 4096;

impl Guest {
    /// Reads all memory of the guest, whose CPUs stand still meanwhile; it does not notice. The page with the number N
    /// of the guest's kernel begins at N times 4,096.
    ///
    /// # Panics
    /// When that fails, and with more than 2 GiB, which does not lie in one piece.
    #[must_use]
    #[track_caller]
    pub fn memory(&mut self) -> Vec<u8> {
        let (size, file) = (self.vm().hardware().memory_bytes(), self.vm().folder().join("memory"));
        assert!(size <= 2 << 30, "{size} bytes of memory");
        let vm = self.vm().qmp().clone();
        let saved = self.block_on(async {
            vm.execute("stop", json!(null)).await?;
            let saved = vm.execute("pmemsave", json!({"val": 0, "size": size, "filename": file})).await;
            vm.execute("cont", json!(null)).await.and(saved)
        });
        told(saved, "saving a guest's memory");
        let memory = told(fs::read(&file), "reading a guest's memory");
        told(fs::remove_file(&file), "removing a guest's memory");
        memory
    }
}

/// Counts the pages that differ between two looks at one guest's memory.
#[must_use]
pub fn pages_changed(before: &[u8], after: &[u8]) -> usize {
    before.chunks(PAGE).zip(after.chunks(PAGE)).filter(|(before, after)| before != after).count()
}

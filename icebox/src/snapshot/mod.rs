//! Keeps paused VMs: memory, devices and disk together in one folder, with nothing running.
//!
//! | file | what | size (256 MiB guest) |
//! |---|---|---|
//! | `memory` | the guest's memory, byte for byte; pages of zeros are holes | 256 MiB apparent, 60 MB on disk |
//! | `devices` | what QEMU says about everything else | 0.4 MB |
//! | `disk-*.qcow2` | the layers of the disk | what was written |
//! | `manifest.json` | what belongs together; written last | |
//!
//! **Whole or not at all.** Everything is written into a folder of another name, which gets its own name when all is
//! there (and, if [`Pause::durable`], on the disk). Until then QEMU stands stopped, and every failure, a full disk for
//! one, ends with the guest going on as if nothing had been. After that QEMU ends.
//!
//! **One way for all.** QEMU writes its migration stream into a pipe; we take it apart: pages of memory go
//! to their place in `memory`, the rest to `devices`. A VM that is resumed maps `memory` privately: nothing is read
//! before the guest touches it, the snapshot is never changed, all copies share what none of them has written, and what
//! is left of the stream is a stream without pages, which QEMU loads in 20 ms. The next pause is the same as the first
//! one, however many came before. It needs no feature of QEMU that is younger than ten years.
//!
//! The other ways, measured with the same guest (pause; from spawn to the agent's answer):
//!
//! | way | pause | resume | why not |
//! |---|---|---|---|
//! | this one | 0.15 to 0.3 s | 0.25 to 0.45 s | |
//! | `exec:cat`, `file:` | 0.16 to 0.4 s | 0.65 to 1.5 s | reads everything before the guest runs, for each copy anew |
//! | mapped-ram | 0.6 s | 1.7 s | the same, and QEMU 9 |
//! | memory in a shared file (`x-ignore-shared`) | 0.04 to 0.4 s | 0.45 s | only the first pause is quick: a copy maps privately, so its own pause is another way again; a running guest writes its file all the time |

mod companion;
mod error;
mod load;
mod manifest;
mod report;
mod save;
mod share;
mod stream;

pub(crate) use companion::generation;
pub use companion::{Companion, Guided, Silent};
pub use error::{PauseError, SnapshotError};
pub use load::{Resume, Resumed};
pub use manifest::Snapshot;
pub use report::{Bytes, PauseReport, ResumeReport};
pub use save::{Pause, Paused};
pub use stream::StreamError;

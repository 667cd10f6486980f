//! Takes QEMU's migration stream apart: the guest's memory by place, everything else in order.
//!
//! The stream (QEMU's `docs/devel/migration/main.rst`, and `migration/ram.c` for what is in the section `ram`) is a
//! head, the beginning of the section `ram` with the names and sizes of all blocks of memory, parts of that section
//! with pages, and then the devices, which we need not understand. Each record of a page begins with a number of 64
//! bits: the offset in its block, and flags in the low bits. Machines of a version promise the format to every later
//! QEMU, so it does not change under us; a flag that we do not know fails the pause, and the guest goes on.
//!
//! A page may come more than once; the last one counts.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use thiserror::Error;

/// `QEVM` and the format's number, the first eight bytes.
const MAGIC: [u8; 8] = *b"QEVM\0\0\0\x03";
/// Length of name and name, instance and version of the section with memory, after its kind and number.
const RAM: &[u8] = b"\x03ram\0\0\0\0\0\0\0\x04";
/// Kind and number of a section, before the name.
const SECTION_HEAD: usize = 5;
/// The section with memory begins within so many bytes: before it there is only the machine's name and a few options.
const HEAD_LIMIT: usize = 64 << 10;
/// A page of the guest, in bytes.
const PAGE: usize = 4096;
/// Pages that lie together are written together, up to so many bytes.
const RUN: usize = 1 << 20;

/// Kinds of sections.
mod section {
    pub(super) const START: u8 = 1;
    pub(super) const PART: u8 = 2;
    pub(super) const END: u8 = 3;
    pub(super) const COMMAND: u8 = 8;
    pub(super) const FOOTER: u8 = 0x7e;
}

/// Flags of records.
mod flag {
    pub(super) const ZERO: u64 = 0x02;
    pub(super) const MEM_SIZE: u64 = 0x04;
    pub(super) const PAGE: u64 = 0x08;
    pub(super) const EOS: u64 = 0x10;
    pub(super) const CONTINUE: u64 = 0x20;
    pub(super) const ALL: u64 = 0xfff;
}

/// Tells why a stream could not be taken apart.
#[derive(Debug, Error)]
pub enum StreamError {
    /// QEMU stopped writing, or the pipe broke.
    #[error("reading what QEMU says of the guest")]
    Read(#[source] io::Error),
    /// No room, for the most part.
    #[error("writing the guest's memory")]
    Memory(#[source] io::Error),
    /// No room, for the most part.
    #[error("writing the guest's devices")]
    Devices(#[source] io::Error),
    /// Something that we do not know.
    #[error("QEMU's migration stream has {what}, which is unknown")]
    Unknown {
        /// Where we were and what came.
        what: String,
    },
    /// The block of memory has another size than the VM.
    #[error("the guest's memory is {found} bytes in QEMU's migration stream, not {wanted}")]
    Size {
        /// In the stream.
        found: u64,
        /// In the VM.
        wanted: u64,
    },
}

/// Reads the stream to its end: the pages of `block`, which has `size` bytes, go to `memory`, the rest to `devices`.
pub(super) fn split(
    from: impl Read,
    block: &str,
    size: u64,
    memory: &File,
    devices: impl Write,
) -> Result<(), StreamError> {
    let pages = Pages::new(memory, size)?;
    let mut splitter = Splitter { from, devices, block: block.as_bytes(), current: Vec::new(), pages };
    splitter.head()?;
    splitter.records()?;
    while splitter.section()? != section::END {}
    splitter.pages.flush()?;
    io::copy(&mut splitter.from, &mut splitter.devices).map_err(StreamError::Read)?;
    splitter.devices.flush().map_err(StreamError::Devices)
}

struct Splitter<'a, R, D> {
    from: R,
    devices: D,
    /// The block whose pages are taken out.
    block: &'a [u8],
    /// The block of the latest record.
    current: Vec<u8>,
    pages: Pages<'a>,
}

impl<R: Read, D: Write> Splitter<'_, R, D> {
    fn read<const N: usize>(&mut self) -> Result<[u8; N], StreamError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(StreamError::Read)?;
        Ok(bytes)
    }

    /// Reads a name behind its length.
    fn name(&mut self) -> Result<Vec<u8>, StreamError> {
        let [length] = self.read()?;
        let mut name = vec![0; usize::from(length)];
        self.from.read_exact(&mut name).map_err(StreamError::Read)?;
        Ok(name)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.devices.write_all(bytes).map_err(StreamError::Devices)
    }

    /// Reads up to where the section with memory has begun.
    fn head(&mut self) -> Result<(), StreamError> {
        let magic = self.read()?;
        if magic != MAGIC {
            return Err(unknown("the first bytes", &magic));
        }
        let mut head = magic.to_vec();
        while !head.ends_with(RAM) {
            if head.len() > HEAD_LIMIT {
                return Err(StreamError::Unknown { what: format!("no memory in its first {HEAD_LIMIT} bytes") });
            }
            head.extend(self.read::<1>()?);
        }
        let kind = head.len().checked_sub(RAM.len() + SECTION_HEAD).and_then(|at| head.get(at));
        if kind != Some(&section::START) {
            return Err(unknown("before the memory", &head));
        }
        self.keep(&head)
    }

    /// Reads one section, or what stands between two; returns its kind.
    fn section(&mut self) -> Result<u8, StreamError> {
        let [kind] = self.read()?;
        self.keep(&[kind])?;
        match kind {
            section::FOOTER => self.pass::<4>()?,
            section::COMMAND => {
                let head @ [_, _, high, low] = self.read()?;
                self.keep(&head)?;
                let mut data = vec![0; usize::from(u16::from_be_bytes([high, low]))];
                self.from.read_exact(&mut data).map_err(StreamError::Read)?;
                self.keep(&data)?;
            }
            section::PART | section::END => {
                self.pass::<4>()?;
                self.records()?;
            }
            kind => return Err(unknown("as a section", &[kind])),
        }
        Ok(kind)
    }

    fn pass<const N: usize>(&mut self) -> Result<(), StreamError> {
        let bytes = self.read::<N>()?;
        self.keep(&bytes)
    }

    /// Reads the records of one section.
    fn records(&mut self) -> Result<(), StreamError> {
        loop {
            let head = self.read()?;
            let number = u64::from_be_bytes(head);
            let (offset, flags) = (number & !flag::ALL, number & flag::ALL);
            match flags & !flag::CONTINUE {
                flag::EOS => return self.keep(&head),
                flag::MEM_SIZE => {
                    self.keep(&head)?;
                    self.blocks(offset)?;
                }
                flag::PAGE => {
                    self.names_block(flags)?;
                    let page: [u8; PAGE] = self.read()?;
                    if self.current == self.block {
                        self.pages.put(offset, Some(&page))?;
                    } else {
                        self.keep_page(number, &page)?;
                    }
                }
                flag::ZERO => {
                    self.names_block(flags)?;
                    let byte: [u8; 1] = self.read()?;
                    if self.current == self.block {
                        self.pages.put(offset, None)?;
                    } else {
                        self.keep_page(number, &byte)?;
                    }
                }
                _ => return Err(unknown("as a record of memory", &head)),
            }
        }
    }

    /// Reads names and sizes of all blocks, `left` bytes together.
    fn blocks(&mut self, mut left: u64) -> Result<(), StreamError> {
        while left > 0 {
            let name = self.name()?;
            let length = self.read()?;
            let found = u64::from_be_bytes(length);
            if name == self.block && found != self.pages.size {
                return Err(StreamError::Size { found, wanted: self.pages.size });
            }
            self.keep_name(&name)?;
            self.keep(&length)?;
            left = left.checked_sub(found).ok_or_else(|| unknown("as the size of a block", &length))?;
        }
        Ok(())
    }

    fn names_block(&mut self, flags: u64) -> Result<(), StreamError> {
        if flags & flag::CONTINUE == 0 {
            self.current = self.name()?;
        }
        Ok(())
    }

    fn keep_name(&mut self, name: &[u8]) -> Result<(), StreamError> {
        // It was read behind a length of one byte.
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.keep(&[length])?;
        self.keep(name)
    }

    /// Keeps the record of a page of another block.
    fn keep_page(&mut self, number: u64, body: &[u8]) -> Result<(), StreamError> {
        // The record before it in what is left may be of another block: name it always.
        let named = number & !flag::CONTINUE;
        self.keep(&named.to_be_bytes())?;
        let name = std::mem::take(&mut self.current);
        self.keep_name(&name)?;
        self.current = name;
        self.keep(body)
    }
}

fn unknown(place: &str, bytes: &[u8]) -> StreamError {
    StreamError::Unknown { what: format!("{place} {bytes:02x?}") }
}

/// Gathers pages that lie together, and writes them to their place.
struct Pages<'a> {
    memory: &'a File,
    size: u64,
    /// Where `run` belongs.
    at: u64,
    run: Vec<u8>,
    /// Pages that have content, by number.
    taken: Vec<bool>,
}

impl<'a> Pages<'a> {
    fn new(memory: &'a File, size: u64) -> Result<Self, StreamError> {
        memory.set_len(size).map_err(StreamError::Memory)?;
        let pages = usize::try_from(size / PAGE as u64).map_err(|_| unknown("as memory", &size.to_be_bytes()))?;
        Ok(Self { memory, size, at: 0, run: Vec::with_capacity(RUN), taken: vec![false; pages] })
    }

    /// Takes a page. One of zeros (`None`) is a hole unless it had content before.
    fn put(&mut self, offset: u64, content: Option<&[u8; PAGE]>) -> Result<(), StreamError> {
        let number = usize::try_from(offset / PAGE as u64).ok();
        let taken = number.and_then(|number| self.taken.get_mut(number));
        let taken = taken.ok_or_else(|| unknown("a page at", &offset.to_be_bytes()))?;
        let page = match content {
            Some(page) => page,
            None if *taken => &[0; PAGE],
            None => return Ok(()),
        };
        *taken = true;
        let follows = self.at + self.run.len() as u64 == offset;
        if !follows || self.run.len() + PAGE > RUN {
            self.flush()?;
            self.at = offset;
        }
        self.run.extend_from_slice(page);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        self.memory.write_all_at(&self.run, self.at).map_err(StreamError::Memory)?;
        self.run.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;

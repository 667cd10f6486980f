//! Small programs that the kernel runs for us (bpf(2)): maps, loading, attaching.
//!
//! Everything is held by descriptors: when the last one of a link is closed, the program is detached, so that nothing
//! is left behind by an agent that died.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;

/// Commands of bpf(2) (linux/bpf.h, `enum bpf_cmd`).
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
/// `BPF_F_NO_PREALLOC`: entries of a hash take memory when they are made.
const NO_PREALLOC: u32 = 1;
/// `BPF_NOEXIST`: only make, never replace.
const NO_EXIST: u64 = 1;
/// Room for what the verifier says about a program that it refuses: its last words are what counts.
const LOG_BYTES: usize = 256 << 10;
/// Programs call no helper that is for GPL programs alone.
const LICENSE: &CStr = c"Apache-2.0";

/// One instruction (Documentation/bpf/standardization/instruction-set.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// The source register in the upper half, the destination in the lower one.
    pub registers: u8,
    /// Distance of a jump, in instructions after the next; or of an address, in bytes.
    pub offset: i16,
    /// A constant.
    pub constant: i32,
}

/// Names a kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Plain values by key.
    Hash,
    /// Sockets by key (`BPF_MAP_TYPE_SOCKHASH`); written as descriptors. A socket that is closed, or listens no more,
    /// leaves by itself.
    Sockets,
}

/// Names a kind of program, and with it where it can be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// Told of the steps of TCP sockets of a cgroup and those below it.
    SockOps,
    /// Chooses the listening socket of a connection in a network namespace.
    SkLookup,
}

impl ProgramKind {
    /// `enum bpf_prog_type` and `enum bpf_attach_type`.
    const fn numbers(self) -> (u32, u32) {
        match self {
            Self::SockOps => (13, 3),
            Self::SkLookup => (30, 36),
        }
    }
}

/// Holds values of four bytes by keys of one length.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    key: usize,
}

impl Map {
    /// Makes an empty map for at most `entries`, with keys of `key` bytes.
    ///
    /// # Errors
    /// EINVAL where the kernel lacks the kind, EPERM without CAP_BPF or CAP_SYS_ADMIN, ENOSYS, ENOMEM.
    pub fn new(kind: MapKind, key: u32, entries: u32) -> io::Result<Self> {
        let (kind, flags) = match kind {
            MapKind::Hash => (1, NO_PREALLOC),
            MapKind::Sockets => (18, 0),
        };
        let mut request = MapCreate { kind, key, value: 4, entries, flags };
        Ok(Self { fd: owned(call(MAP_CREATE, &mut request)?), key: key as usize })
    }

    /// Reads the value of a key; `None` where it has none. Sockets cannot be read.
    ///
    /// # Errors
    /// EINVAL when the key has the wrong length, EOPNOTSUPP for sockets.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<u32>> {
        let mut value = 0_u32;
        let mut request = self.element(key, &raw mut value, 0)?;
        match call(MAP_LOOKUP_ELEM, &mut request) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a key a value.
    ///
    /// # Errors
    /// E2BIG when the map is full, EINVAL when the key has the wrong length.
    pub fn set(&self, key: &[u8], mut value: u32) -> io::Result<()> {
        let mut request = self.element(key, &raw mut value, 0)?;
        call(MAP_UPDATE_ELEM, &mut request).map(drop)
    }

    /// Takes a key out; one that is not there is out already.
    ///
    /// # Errors
    /// EINVAL when the key has the wrong length.
    pub fn remove(&self, key: &[u8]) -> io::Result<()> {
        let mut request = self.element(key, std::ptr::null_mut(), 0)?;
        match call(MAP_DELETE_ELEM, &mut request) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Gives a key a socket, unless it has one.
    ///
    /// # Errors
    /// EEXIST when it has one, EOPNOTSUPP for a socket that is of no use there, EINVAL for one with an upper layer
    /// (MPTCP), E2BIG when the map is full.
    pub fn add_socket(&self, key: &[u8], socket: BorrowedFd<'_>) -> io::Result<()> {
        let mut value = socket.as_raw_fd().cast_unsigned();
        let mut request = self.element(key, &raw mut value, NO_EXIST)?;
        call(MAP_UPDATE_ELEM, &mut request).map(drop)
    }

    fn element(&self, key: &[u8], value: *mut u32, flags: u64) -> io::Result<Element> {
        if key.len() != self.key {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let map = self.fd.as_raw_fd().cast_unsigned();
        Ok(Element { map, padding: 0, key: key.as_ptr() as u64, value: value as u64, flags })
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Has the kernel check a program and keep it; it runs nowhere yet. Maps are named in it by their descriptors.
///
/// # Errors
/// EINVAL or EACCES with the last words of the kernel's verifier, EPERM, ENOSYS.
pub fn load(kind: ProgramKind, program: &[Instruction]) -> io::Result<OwnedFd> {
    let attempt = |log: &mut [u8]| {
        let (kind, attach) = kind.numbers();
        let mut request = ProgLoad {
            kind,
            count: u32::try_from(program.len()).unwrap_or(u32::MAX),
            program: program.as_ptr() as u64,
            license: LICENSE.as_ptr() as u64,
            log_level: u32::from(!log.is_empty()),
            log_size: u32::try_from(log.len()).unwrap_or(0),
            log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
            attach,
            ..ProgLoad::default()
        };
        call(PROG_LOAD, &mut request).map(owned)
    };
    attempt(&mut []).map_err(|error| {
        // Asked again only to be told why; where even that is refused there are no words.
        let mut log = vec![0; LOG_BYTES];
        let _ = attempt(&mut log);
        with_reason(error, &log)
    })
}

/// Attaches a program to a cgroup or a network namespace, for as long as the link is open.
///
/// # Errors
/// EBADF or EINVAL when `target` is neither, EPERM when another program excludes ours, E2BIG when there are too many,
/// EINVAL on kernels without such links (cgroups: 5.7, network namespaces: 5.9).
pub fn attach(kind: ProgramKind, program: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut request = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        target: target.as_raw_fd().cast_unsigned(),
        attach: kind.numbers().1,
        flags: 0,
    };
    call(LINK_CREATE, &mut request).map(owned)
}

fn with_reason(error: io::Error, log: &[u8]) -> io::Error {
    let text = log.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let last = text.lines().rfind(|line| !line.is_empty() && !line.starts_with("processed "));
    match last {
        Some(reason) => io::Error::new(error.kind(), format!("{error}: {reason}")),
        None => error,
    }
}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
}

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    kind: u32,
    count: u32,
    program: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach: u32,
    flags: u32,
}

/// Marks the layouts of `union bpf_attr` that this file makes; every pointer in them is to memory that outlives the
/// call and has the length that the kernel takes it to have.
trait Attributes {}

impl Attributes for MapCreate {}
impl Attributes for Element {}
impl Attributes for ProgLoad {}
impl Attributes for LinkCreate {}

fn call<T: Attributes>(command: libc::c_int, request: &mut T) -> io::Result<libc::c_long> {
    #[expect(unsafe_code, reason = "bpf(2) has no wrapper")]
    // SAFETY: `request` is laid out as the command wants it (linux/bpf.h), its length is given, and what lies past it
    // counts as zero. Pointers in it are to keys and values of the map's own lengths, to a program and a log with
    // their lengths, and to a string that ends with a zero; all are borrowed by our callers until we return.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    #[expect(unsafe_code, reason = "the kernel gives a plain number")]
    #[expect(clippy::cast_possible_truncation, reason = "a descriptor fits in an int")]
    // SAFETY: the call has just made this descriptor (with close-on-exec, as all of bpf's), and nobody else owns it.
    unsafe {
        OwnedFd::from_raw_fd(fd as RawFd)
    }
}

//! Which hooks there are.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::HookError;
use super::server::Server;

/// Says which kind of hook is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Programs,
    Servers,
}

/// One name in the folder, with what is behind it or why it is passed over.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) hook: Result<Hook, HookError>,
}

#[derive(Debug)]
pub(super) enum Hook {
    Program(PathBuf),
    Server(Server),
}

/// Ends the names of files that describe a server.
const SERVER: &[u8] = b".http";
/// Ends the names of files that package managers and editors leave behind; the hook script of QEMU's guest agent
/// passes over the same ones, and distributions ship `.sample` files that are executable.
const LEFTOVERS: [&[u8]; 14] = [
    b"~",
    b".bak",
    b".orig",
    b".rpmnew",
    b".rpmorig",
    b".rpmsave",
    b".sample",
    b".dpkg-old",
    b".dpkg-new",
    b".dpkg-tmp",
    b".dpkg-dist",
    b".dpkg-bak",
    b".dpkg-backup",
    b".dpkg-remove",
];
/// Bytes of a file that describes a server; it has three lines.
const DESCRIPTION_MOST: u64 = 4096;
/// Permission bits that let somebody other than the owner write.
const FOREIGN_WRITE: u32 = 0o022;
/// Permission bits that let anybody execute.
const EXECUTE: u32 = 0o111;

/// Lists the hooks in the order of their names' bytes. A missing folder has none.
pub(super) fn scan(folder: &Path, which: Which) -> Vec<Found> {
    let names = match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => Err(HookError::Read(error)),
        // Whoever can write to the folder can put another file in the place of a good one.
        Ok(metadata) => trusted(&metadata).and_then(|()| names(folder).map_err(HookError::Read)),
    };
    match names {
        Err(error) => vec![Found { name: folder.display().to_string(), hook: Err(error) }],
        Ok(names) => names.into_iter().filter_map(|name| find(folder, &name, which)).collect(),
    }
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| !is_passed_over(name.as_bytes()));
    names.sort_unstable();
    Ok(names)
}

fn is_passed_over(name: &[u8]) -> bool {
    name.starts_with(b".") || LEFTOVERS.iter().any(|end| name.ends_with(end))
}

fn find(folder: &Path, name: &OsString, which: Which) -> Option<Found> {
    let path = folder.join(name);
    let is_server = name.as_bytes().ends_with(SERVER);
    let hook = match (is_server, which) {
        (true, Which::Programs) | (false, Which::Servers) => return None,
        (true, _) => server(&path),
        (false, _) => program(path),
    };
    // It went between the listing and now: somebody removes it, and it is no hook any more.
    if matches!(&hook, Err(HookError::Read(error)) if error.kind() == ErrorKind::NotFound) {
        return None;
    }
    Some(Found { name: name.to_string_lossy().into_owned(), hook })
}

fn program(path: PathBuf) -> Result<Hook, HookError> {
    let mode = checked(&path)?.mode();
    if mode & EXECUTE == 0 {
        return Err(HookError::NotExecutable);
    }
    Ok(Hook::Program(path))
}

fn server(path: &Path) -> Result<Hook, HookError> {
    checked(path)?;
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(DESCRIPTION_MOST).read_to_string(&mut text)).map_err(HookError::Read)?;
    text.parse().map(Hook::Server)
}

/// Looks at the name itself: the target of a link lies in a folder that was not checked.
fn checked(path: &Path) -> Result<Metadata, HookError> {
    let metadata = fs::symlink_metadata(path).map_err(HookError::Read)?;
    if !metadata.is_file() {
        return Err(HookError::NotRegular);
    }
    trusted(&metadata)?;
    Ok(metadata)
}

fn trusted(metadata: &Metadata) -> Result<(), HookError> {
    match (metadata.uid(), metadata.mode()) {
        (0, mode) if mode & FOREIGN_WRITE == 0 => Ok(()),
        (0, mode) => Err(HookError::Writable(mode & 0o7777)),
        (owner, _) => Err(HookError::Owner(owner)),
    }
}

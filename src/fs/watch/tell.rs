//! Telling one change to one subscription.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::Path;

use super::forest::{Seat, Sub};
use super::hub::Hub;
use super::{Change, Event};
use crate::fs::entry;

impl Hub {
    /// Says whether an event is about a file without a name: the kernel calls one made with `O_TMPFILE` by `#` and
    /// its inode, in events only.
    pub(super) fn nameless(&self, seat: Seat, name: &OsStr) -> bool {
        let digits = name.as_encoded_bytes().strip_prefix(b"#");
        if !digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)) {
            return false;
        }
        let Some(sub) = self.forest.subs.get(&seat.sub) else {
            return true;
        };
        let path = sub.absolute(seat.dir, Some(name));
        self.look(sub, &path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    pub(super) fn look(&self, sub: &Sub, path: &Path) -> io::Result<Metadata> {
        self.files.here(&sub.user, || path.symlink_metadata()).unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Tells one change.
    pub(super) fn emit(&mut self, seat: Seat, name: Option<&OsStr>, change: Change) {
        let Some(sub) = self.forest.subs.get(&seat.sub) else {
            return;
        };
        let relative = sub.relative(seat.dir, name);
        let described = sub.spec.include_entry && matches!(change, Change::Create | Change::Write | Change::Chmod);
        if described && self.table.is_none() {
            self.table = self.files.accounts().table().ok();
        }
        let entry = self.table.as_ref().filter(|_| described).and_then(|table| {
            let path = sub.absolute(seat.dir, name);
            let looked = self.files.here(&sub.user, || entry::look(&path, table));
            looked.ok()?.ok().map(Box::new)
        });
        let text = relative.to_string_lossy();
        let text = if text.is_empty() { ".".to_owned() } else { text.into_owned() };
        let more = sub.mailbox.push(Event { name: text, change, entry });
        if !more && !self.ending.iter().any(|(sub, _)| *sub == seat.sub) {
            self.ending.push((seat.sub, None));
        }
        if let (Change::Create, Some(name)) = (change, name) {
            self.recent.push(seat, name);
        }
    }
}

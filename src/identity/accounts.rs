//! The guest's `/etc/passwd` and `/etc/group`, parsed when they change and not per request.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{IdentityError, User};

/// Looks accounts up; one parse is shared until either file changes (device, inode, size or mtime).
#[derive(Debug)]
pub struct Accounts {
    passwd: PathBuf,
    group: PathBuf,
    cached: Mutex<Option<(Stamp, Arc<Table>)>>,
}

/// Identifies one version of both files; an absent file has no stamp.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

/// Holds one parse of both files.
#[derive(Debug, Default)]
pub struct Table {
    users: Vec<User>,
    by_name: HashMap<String, usize>,
    user_names: HashMap<u32, String>,
    group_names: HashMap<u32, String>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self::at(PathBuf::from("/etc/passwd"), PathBuf::from("/etc/group"))
    }
}

impl Accounts {
    /// Reads from other files, for tests.
    #[must_use]
    pub fn at(passwd: PathBuf, group: PathBuf) -> Self {
        Self { passwd, group, cached: Mutex::new(None) }
    }

    /// Finds an account by name, by `uid`, or as `uid:gid` (the numbers need no account).
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`] when there is no such name and it is not numeric.
    pub fn user(&self, name: &str) -> Result<User, IdentityError> {
        self.table()?.user(name)
    }

    /// Gives the current parse, for a caller that asks it several times: to look whether the files changed costs two
    /// system calls.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`] when a file is there but cannot be read.
    pub fn table(&self) -> Result<Arc<Table>, IdentityError> {
        let unreadable = |file| move |source| IdentityError::Unreadable { file, source };
        let stamp = [stamp(&self.passwd), stamp(&self.group)];
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, table)) = cached.as_ref()
            && *seen == stamp
        {
            return Ok(Arc::clone(table));
        }
        let passwd = read(&self.passwd).map_err(unreadable("/etc/passwd"))?;
        let group = read(&self.group).map_err(unreadable("/etc/group"))?;
        let table = Arc::new(Table::parse(&passwd, &group));
        *cached = Some((stamp, Arc::clone(&table)));
        Ok(table)
    }
}

impl Table {
    /// Finds an account as [`Accounts::user`] does.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`] when there is no such name and it is not numeric.
    pub fn user(&self, name: &str) -> Result<User, IdentityError> {
        if let Some(&index) = self.by_name.get(name) {
            return Ok(self.users[index].clone());
        }
        numeric(name, self).ok_or_else(|| IdentityError::UnknownUser(name.to_owned()))
    }

    /// Names a user id; a number when no account has it.
    #[must_use]
    pub fn user_name(&self, uid: u32) -> String {
        self.user_names.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// Names a group id; a number when no group has it.
    #[must_use]
    pub fn group_name(&self, gid: u32) -> String {
        self.group_names.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }

    fn parse(passwd: &str, group: &str) -> Self {
        let mut table = Self::default();
        for line in passwd.lines() {
            let Some(user) = passwd_line(line) else {
                continue;
            };
            table.user_names.entry(user.uid).or_insert_with(|| user.name.clone());
            if !table.by_name.contains_key(&user.name) {
                table.by_name.insert(user.name.clone(), table.users.len());
                table.users.push(user);
            }
        }
        for line in group.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(_), Some(Ok(gid))) = (fields.next(), fields.next(), fields.next().map(str::parse))
            else {
                continue;
            };
            table.group_names.entry(gid).or_insert_with(|| name.to_owned());
            for member in fields.next().unwrap_or("").split(',') {
                if let Some(&index) = table.by_name.get(member) {
                    let groups = &mut table.users[index].groups;
                    if !groups.contains(&gid) {
                        groups.push(gid);
                    }
                }
            }
        }
        table
    }
}

fn passwd_line(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else {
        return None;
    };
    if name.is_empty() || name.starts_with(['#', '+', '-']) {
        return None;
    }
    let gid = gid.parse().ok()?;
    let home = if home.starts_with('/') { home } else { "/" };
    Some(User { name: name.to_owned(), uid: uid.parse().ok()?, gid, groups: vec![gid], home: home.into() })
}

fn numeric(name: &str, table: &Table) -> Option<User> {
    let (uid, gid) = match name.split_once(':') {
        Some((uid, gid)) => (id(uid)?, Some(id(gid)?)),
        None => (id(name)?, None),
    };
    let account = table.users.iter().find(|user| user.uid == uid);
    let mut user = account.cloned().unwrap_or_else(|| User {
        name: uid.to_string(),
        uid,
        gid: gid.unwrap_or(uid),
        groups: vec![gid.unwrap_or(uid)],
        home: PathBuf::from("/"),
    });
    if let Some(gid) = gid
        && user.gid != gid
    {
        user.gid = gid;
        user.groups = vec![gid];
    }
    Some(user)
}

/// Parses an id; `4294967295` is the kernel's "no change" value and therefore nobody.
fn id(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&id| id != u32::MAX)
}

fn stamp(path: &PathBuf) -> Option<(u64, u64, u64, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// Reads a file that may be absent (an empty image has neither) or not be UTF-8.
fn read(path: &PathBuf) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok("root:x:0:0:root:/root:\n".to_owned()).map(
            |root| {
                if path.ends_with("passwd") { root } else { String::new() }
            },
        ),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000::/home/user:/bin/sh\nbad\n\
        other:x:1000:7::relative:\n";
    const GROUP: &str = "root:x:0:\nuser:x:1000:\ndocker:x:50:root,user\nwheel:x:60:user,\nbroken:x:zz:user\n";

    fn find(name: &str) -> Option<User> {
        let table = Table::parse(PASSWD, GROUP);
        table.by_name.get(name).map(|&index| table.users[index].clone()).or_else(|| numeric(name, &table))
    }

    #[test]
    fn a_user_has_its_primary_group_first_and_every_membership_once() {
        let user = find("user").unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (1000, 1000, vec![1000, 50, 60]));
        assert_eq!(find("other").unwrap().home, PathBuf::from("/"));
    }

    #[test]
    fn numbers_work_with_and_without_an_account() {
        assert_eq!(find("1000").unwrap().name, "user");
        assert_eq!(find("1000:50").unwrap().groups, vec![50]);
        let nobody = find("4242:17").unwrap();
        assert_eq!((nobody.name.as_str(), nobody.uid, nobody.gid), ("4242", 4242, 17));
        for name in ["", "4294967295", "-1", "1:", ":1", "+5", "99999999999", "us er"] {
            assert_eq!(find(name), None, "{name:?}");
        }
    }
}

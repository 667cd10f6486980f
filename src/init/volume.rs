//! A drive that the host added: `thawd.mount=SOURCE:PATH[:FSTYPE[:OPTIONS]]`, and options as mount(8) writes them.

use nix::mount::MsFlags;

/// Holds one drive to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    /// A device (`/dev/vdb`), or what the filesystem calls its source (a virtiofs tag).
    pub(super) source: String,
    /// Where to; made when it is not there.
    pub(super) path: String,
    /// The filesystem; every one that the kernel knows is tried when not said.
    pub(super) kind: Option<String>,
    /// How.
    pub(super) options: Options,
}

/// Holds mount options as the kernel wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Those that every filesystem knows.
    pub(super) flags: MsFlags,
    /// The rest, for the filesystem.
    pub(super) data: String,
}

impl Volume {
    /// Takes a word apart; `None` without a source or an absolute path.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let mut fields = word.splitn(4, ':');
        let source = fields.next().filter(|source| !source.is_empty())?.to_owned();
        let path = fields.next().filter(|path| path.starts_with('/'))?.to_owned();
        let kind = fields.next().filter(|kind| !kind.is_empty()).map(str::to_owned);
        Some(Self { source, path, kind, options: Options::parse(fields.next().unwrap_or_default()) })
    }
}

impl Options {
    /// Sorts a list with commas into flags and the rest.
    pub(super) fn parse(list: &str) -> Self {
        let mut flags = MsFlags::empty();
        let mut rest = Vec::new();
        for option in list.split(',').filter(|option| !option.is_empty()) {
            match option {
                "defaults" | "rw" => {}
                "ro" => flags |= MsFlags::MS_RDONLY,
                "nosuid" => flags |= MsFlags::MS_NOSUID,
                "nodev" => flags |= MsFlags::MS_NODEV,
                "noexec" => flags |= MsFlags::MS_NOEXEC,
                "noatime" => flags |= MsFlags::MS_NOATIME,
                "nodiratime" => flags |= MsFlags::MS_NODIRATIME,
                "sync" => flags |= MsFlags::MS_SYNCHRONOUS,
                other => rest.push(other),
            }
        }
        Self { flags, data: rest.join(",") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_needs_a_source_and_a_path() {
        let found = Volume::parse("/dev/vdb:/data").unwrap();
        assert_eq!((found.source.as_str(), found.path.as_str(), found.kind), ("/dev/vdb", "/data", None));
        for bad in ["", "/dev/vdb", ":/data", "/dev/vdb:data", "/dev/vdb:"] {
            assert_eq!(Volume::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn options_may_hold_colons_and_are_sorted() {
        let found = Volume::parse("share:/mnt:virtiofs:ro,noexec,dax=always,x=a:b").unwrap();
        assert_eq!(found.kind.as_deref(), Some("virtiofs"));
        assert_eq!(found.options.flags, MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC);
        assert_eq!(found.options.data, "dax=always,x=a:b");
        assert_eq!(Volume::parse("/dev/vdb:/data::ro").unwrap().options.flags, MsFlags::MS_RDONLY);
    }
}

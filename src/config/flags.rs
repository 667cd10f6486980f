//! What can be said on the command line and in the environment.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use crate::fs::Access;
use crate::host::metadata::Endpoint;
use crate::server::Address;
use crate::snapshot::Crash;

/// Holds the flags as they were given.
#[derive(Clone, Debug)]
pub struct Flags {
    /// No metadata service is asked.
    pub isnotfc: bool,
    /// Only the envd version is asked for.
    pub version: bool,
    /// Only the commit is asked for.
    pub commit: bool,
    /// Only the agent's own version is asked for.
    pub product_version: bool,
    /// TCP port where `listen` is empty.
    pub port: u16,
    /// Mount point of cgroup v2.
    pub cgroup_root: PathBuf,
    /// No cgroups.
    pub no_cgroups: bool,
    /// Everything is logged, as JSON.
    pub verbose: bool,
    /// Where to listen instead of on `port`.
    pub listen: Vec<Address>,
    /// As whom file requests act.
    pub file_access: Access,
    /// Token until `/init`.
    pub access_token: Option<String>,
    /// User of requests that name none.
    pub default_user: String,
    /// Folder of requests that name none.
    pub default_workdir: Option<String>,
    /// Bytes of output kept for each program.
    pub output_ring: usize,
    /// Seconds that a client may read nothing.
    pub output_stall: u64,
    /// Folder of what lives as long as the machine runs.
    pub run_dir: PathBuf,
    /// What a host says is kept there.
    pub keep_identity: bool,
    /// Folder of hooks.
    pub hooks_dir: PathBuf,
    /// A resume is noticed without a host.
    pub self_repair: bool,
    /// Servers on loopback addresses are reached.
    pub loopback_ports: bool,
    /// Metadata service of the VM.
    pub mmds_url: Endpoint,
    /// Folder that stands for `/`.
    pub guest_root: PathBuf,
    /// Milliseconds before a frozen guest thaws by itself.
    pub self_thaw_ms: u64,
    /// Where to die, for tests.
    pub crash_at: Option<Crash>,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            isnotfc: false,
            version: false,
            commit: false,
            product_version: false,
            port: 49_983,
            cgroup_root: super::CGROUP_ROOT.into(),
            no_cgroups: false,
            verbose: false,
            listen: Vec::new(),
            file_access: Access::Root,
            access_token: None,
            default_user: "root".into(),
            default_workdir: None,
            output_ring: 1 << 20,
            output_stall: 120,
            run_dir: "/run/thawd".into(),
            keep_identity: false,
            hooks_dir: "/etc/thawd/hooks.d".into(),
            self_repair: true,
            loopback_ports: true,
            mmds_url: Endpoint::default(),
            guest_root: "/".into(),
            self_thaw_ms: 3000,
            crash_at: None,
        }
    }
}

/// Describes one flag.
pub(super) struct Flag {
    /// Without dashes.
    pub(super) name: &'static str,
    /// What stands for its value in the help; a flag without it is a switch, whose value may be left out.
    pub(super) value: Option<&'static str>,
    /// Environment variable; a flag without it is a question and no setting.
    pub(super) variable: Option<&'static str>,
    /// Text for the help; without it the flag is not told of.
    pub(super) help: Option<&'static str>,
    /// Takes the value over, or says what is wrong with it.
    pub(super) set: fn(&mut Flags, &str) -> Result<(), String>,
}

const SWITCH: Flag = Flag { name: "", value: None, variable: None, help: None, set: |_, _| Ok(()) };

/// All flags. Names and defaults up to `resume-handover` are envd's, so that its service files and hosts start us
/// unchanged.
pub(super) const FLAGS: [Flag; 25] = [
    Flag {
        name: "isnotfc",
        variable: Some("THAWD_ISNOTFC"),
        help: Some("Run outside a Firecracker VM: no metadata service is asked"),
        set: |flags, text| switch(&mut flags.isnotfc, text),
        ..SWITCH
    },
    Flag {
        name: "version",
        help: Some("Print the envd version whose behaviour this agent has, and exit"),
        set: |flags, text| switch(&mut flags.version, text),
        ..SWITCH
    },
    Flag {
        name: "commit",
        help: Some("Print the commit this agent was built from, and exit"),
        set: |flags, text| switch(&mut flags.commit, text),
        ..SWITCH
    },
    Flag {
        name: "product-version",
        help: Some("Print this agent's own name and version, and exit"),
        set: |flags, text| switch(&mut flags.product_version, text),
        ..SWITCH
    },
    Flag {
        name: "port",
        value: Some("PORT"),
        variable: Some("THAWD_PORT"),
        help: Some("TCP port on all IPv4 addresses (49983); not used with --listen"),
        set: |flags, text| put(&mut flags.port, text),
    },
    Flag {
        name: "cgroup-root",
        value: Some("DIR"),
        variable: Some("THAWD_CGROUP_ROOT"),
        help: Some("Mount point of cgroup v2 (/sys/fs/cgroup); each program gets a cgroup of its own below it"),
        set: |flags, text| put(&mut flags.cgroup_root, text),
    },
    Flag {
        name: "no-cgroups",
        variable: Some("THAWD_NO_CGROUPS"),
        help: Some("Place programs in no cgroup"),
        set: |flags, text| switch(&mut flags.no_cgroups, text),
        ..SWITCH
    },
    Flag {
        name: "verbose",
        variable: Some("THAWD_VERBOSE"),
        help: Some("Log everything to stdout as JSON lines (otherwise warnings go to stderr as text)"),
        set: |flags, text| switch(&mut flags.verbose, text),
        ..SWITCH
    },
    // Asks to take over from a running agent: there is nothing to take over, so this one starts afresh.
    Flag { name: "resume-handover", set: |_, text| switch(&mut false, text), ..SWITCH },
    Flag {
        name: "listen",
        value: Some("ADDRESS"),
        variable: Some("THAWD_LISTEN"),
        help: Some(
            "Listen here instead of --port; may be repeated, or a list with commas: tcp://IP:PORT, unix:///PATH, \
             vsock://CID:PORT, vsock://PORT",
        ),
        set: |flags, text| {
            text.split(',').try_for_each(|one| {
                flags.listen.push(one.parse().map_err(|error| format!("{error}"))?);
                Ok(())
            })
        },
    },
    Flag {
        name: "file-access",
        value: Some("root|user"),
        variable: Some("THAWD_FILE_ACCESS"),
        help: Some(
            "As whom file requests act: root (the default; what they make belongs to the named user), or the named \
             user itself",
        ),
        set: |flags, text| {
            flags.file_access = match text {
                "root" => Access::Root,
                "user" => Access::User,
                _ => return Err("expected root or user".into()),
            };
            Ok(())
        },
    },
    Flag {
        name: "access-token",
        value: Some("TOKEN"),
        variable: Some("THAWD_ACCESS_TOKEN"),
        help: Some("Token that requests must carry in X-Access-Token, until the host sets one with /init"),
        set: |flags, text| some(&mut flags.access_token, text),
    },
    Flag {
        name: "default-user",
        value: Some("USER"),
        variable: Some("THAWD_DEFAULT_USER"),
        help: Some("User of requests that name none (root), until /init says otherwise"),
        set: |flags, text| put(&mut flags.default_user, text),
    },
    Flag {
        name: "default-workdir",
        value: Some("DIR"),
        variable: Some("THAWD_DEFAULT_WORKDIR"),
        help: Some("Folder of requests that name none (the user's home), until /init says otherwise"),
        set: |flags, text| some(&mut flags.default_workdir, text),
    },
    Flag {
        name: "output-ring",
        value: Some("BYTES"),
        variable: Some("THAWD_OUTPUT_RING"),
        help: Some("Bytes of output kept for each program (1048576)"),
        set: |flags, text| within(&mut flags.output_ring, 65_536..=1 << 30, text),
    },
    Flag {
        name: "output-stall",
        value: Some("SECONDS"),
        variable: Some("THAWD_OUTPUT_STALL"),
        help: Some("Seconds that a client may read nothing before the program stops waiting for it (120)"),
        set: |flags, text| within(&mut flags.output_stall, 1..=86_400, text),
    },
    Flag {
        name: "run-dir",
        value: Some("DIR"),
        variable: Some("THAWD_RUN_DIR"),
        help: Some(
            "Folder of the generation file, the lifecycle socket and the record of a freeze, on a tmpfs (/run/thawd)",
        ),
        set: |flags, text| put(&mut flags.run_dir, text),
    },
    Flag {
        name: "keep-identity",
        variable: Some("THAWD_KEEP_IDENTITY"),
        help: Some(
            "Keep what a host says (token, as a hash; default user, folder and variables) in the run folder, and take \
             up what was kept there: for an agent that is started again whenever it ends. Only where that folder is \
             in memory",
        ),
        set: |flags, text| switch(&mut flags.keep_identity, text),
        ..SWITCH
    },
    Flag {
        name: "hooks-dir",
        value: Some("DIR"),
        variable: Some("THAWD_HOOKS_DIR"),
        help: Some(
            "Folder of the programs that are called with freeze before a pause and with thaw after it \
             (/etc/thawd/hooks.d)",
        ),
        set: |flags, text| put(&mut flags.hooks_dir, text),
    },
    Flag {
        name: "self-repair",
        variable: Some("THAWD_SELF_REPAIR"),
        help: Some("Notice a resume that no host tells of, and mend clock, random numbers and connections then (true)"),
        set: |flags, text| switch(&mut flags.self_repair, text),
        ..SWITCH
    },
    Flag {
        name: "loopback-ports",
        variable: Some("THAWD_LOOPBACK_PORTS"),
        help: Some("Let connections to the guest's address reach servers that listen on 127.0.0.1 or ::1 only (true)"),
        set: |flags, text| switch(&mut flags.loopback_ports, text),
        ..SWITCH
    },
    Flag {
        name: "self-thaw-ms",
        value: Some("MS"),
        variable: Some("THAWD_SELF_THAW_MS"),
        help: Some(
            "Milliseconds that a host gets to call after a resume was noticed, before a frozen guest thaws by itself \
             (3000)",
        ),
        set: |flags, text| within(&mut flags.self_thaw_ms, 1..=3_600_000, text),
    },
    // Metadata service, asked unless isnotfc: http://ADDRESS:PORT
    Flag {
        name: "mmds-url",
        value: Some("URL"),
        variable: Some("THAWD_MMDS_URL"),
        help: None,
        set: |flags, text| put(&mut flags.mmds_url, text),
    },
    // Folder that stands for / where /init writes: etc/hosts, certificates, run/e2b
    Flag {
        name: "guest-root",
        value: Some("DIR"),
        variable: Some("THAWD_GUEST_ROOT"),
        help: None,
        set: |flags, text| put(&mut flags.guest_root, text),
    },
    // Die with SIGKILL before or after a step of a freeze or thaw: before:STEP, after:STEP
    Flag {
        name: "crash-at",
        value: Some("WHEN:STEP"),
        variable: Some("THAWD_CRASH_AT"),
        help: None,
        set: |flags, text| some(&mut flags.crash_at, text),
    },
];

/// Takes the words for yes and no that Go's flags take.
fn switch(place: &mut bool, text: &str) -> Result<(), String> {
    *place = match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        _ => return Err("expected true or false".into()),
    };
    Ok(())
}

fn put<T: FromStr<Err: Display>>(place: &mut T, text: &str) -> Result<(), String> {
    *place = text.parse().map_err(|error: T::Err| error.to_string())?;
    Ok(())
}

fn some<T: FromStr<Err: Display>>(place: &mut Option<T>, text: &str) -> Result<(), String> {
    *place = Some(text.parse().map_err(|error: T::Err| error.to_string())?);
    Ok(())
}

fn within<T: FromStr<Err: Display> + PartialOrd + Display>(
    place: &mut T,
    range: RangeInclusive<T>,
    text: &str,
) -> Result<(), String> {
    let value = text.parse().map_err(|error: T::Err| error.to_string())?;
    if !range.contains(&value) {
        return Err(format!("expected {} to {}", range.start(), range.end()));
    }
    *place = value;
    Ok(())
}

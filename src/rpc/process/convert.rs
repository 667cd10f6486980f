//! Messages to values and back.

use std::time::Duration;

use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::identity::{ResolvedPath, User};
use crate::process::{Channel, Command, Exit, Handle, Selector, Size, SpawnSpec, Stdio};
use crate::proto::process as pb;
use crate::proto::process::process_event::{DataEvent, EndEvent, Event, KeepAlive, StartEvent, data_event::Output};
use crate::rpc::status;

/// Tag of the host's own programs: they run outside what a host freezes.
pub(super) const SYSTEM_TAG: &str = "_system";
/// Where programs are looked up when the agent itself was given no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Life time of a started process; the header of the Connect protocol that also ends the call.
const TIMEOUT: &str = "connect-timeout-ms";
/// Where to read output from: the count of bytes of all channels since the start. An extension of ours; the answer
/// carries the offset that reading really starts at under the same name.
pub(super) const OFFSET: &str = "thawd-output-offset";

/// Errors are boxed: a status is 176 bytes.
type Checked<T> = Result<T, Box<Status>>;

fn invalid(message: impl Into<String>) -> Box<Status> {
    Box::new(Status::invalid_argument(message))
}

/// Checks a Start request. `guest` holds the guest-wide variables.
pub(super) fn spawn_spec(
    request: pb::StartRequest,
    metadata: &MetadataMap,
    user: User,
    workdir: Option<&str>,
    guest: impl IntoIterator<Item = (String, String)>,
) -> Checked<SpawnSpec> {
    let config = request.process.ok_or_else(|| invalid("process is missing"))?;
    let timeout = timeout(metadata)?;
    let cwd = ResolvedPath::resolve(config.cwd.as_deref().unwrap_or(""), &user, workdir)
        .map_err(|error| Box::new(status::from_failure(&error)))?;
    let stdio = match request.pty {
        Some(pty) => Stdio::Terminal(size(pty.size.unwrap_or_default())),
        None => Stdio::Pipes { stdin: request.stdin.unwrap_or(true) },
    };
    let command = command(config);
    Ok(SpawnSpec {
        env: environment(&user, guest, &command.envs),
        command,
        cwd: cwd.into_path(),
        user,
        stdio,
        system: request.tag.as_deref() == Some(SYSTEM_TAG),
        tag: request.tag,
        timeout,
    })
}

fn command(config: pb::ProcessConfig) -> Command {
    Command { program: config.cmd, args: config.args, envs: config.envs.into_iter().collect(), cwd: config.cwd }
}

fn environment(
    user: &User,
    guest: impl IntoIterator<Item = (String, String)>,
    request: &[(String, String)],
) -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let home = user.home.to_string_lossy().into_owned();
    let own = [("PATH", path), ("HOME", home), ("USER", user.name.clone()), ("LOGNAME", user.name.clone())];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(guest).chain(request.iter().cloned()).collect()
}

/// Reads the life time; 0 and absence mean none (the call itself ends at once with 0, which is the wire's business).
fn timeout(metadata: &MetadataMap) -> Checked<Option<Duration>> {
    let Some(value) = metadata.get(TIMEOUT) else { return Ok(None) };
    let milliseconds = value.to_str().ok().and_then(|text| text.parse::<i64>().ok());
    let milliseconds = milliseconds.ok_or_else(|| invalid(format!("{TIMEOUT} is not a number of milliseconds")))?;
    Ok(u64::try_from(milliseconds).ok().filter(|&count| count > 0).map(Duration::from_millis))
}

/// Reads where output should start.
pub(super) fn offset(metadata: &MetadataMap) -> Checked<Option<u64>> {
    let Some(value) = metadata.get(OFFSET) else { return Ok(None) };
    let offset = value.to_str().ok().and_then(|text| text.parse().ok());
    offset.map(Some).ok_or_else(|| invalid(format!("{OFFSET} is not a byte count")))
}

/// Cuts to 16 bits, as the kernel's `struct winsize` has them.
pub(super) fn size(size: pb::pty::Size) -> Size {
    #[expect(clippy::cast_possible_truncation, reason = "the contract says: truncated")]
    Size { cols: size.cols as u16, rows: size.rows as u16 }
}

/// Checks whom a request means; naming nobody is unimplemented, as in envd.
pub(super) fn selector(selector: Option<pb::ProcessSelector>) -> Checked<Selector> {
    match selector.and_then(|selector| selector.selector) {
        Some(pb::process_selector::Selector::Pid(pid)) => Ok(Selector::Pid(pid)),
        Some(pb::process_selector::Selector::Tag(tag)) => Ok(Selector::Tag(tag)),
        None => Err(Box::new(Status::unimplemented("selector names neither a pid nor a tag"))),
    }
}

pub(super) fn info(handle: &Handle) -> pb::ProcessInfo {
    let command = handle.command().clone();
    pb::ProcessInfo {
        config: Some(pb::ProcessConfig {
            cmd: command.program,
            args: command.args,
            envs: command.envs.into_iter().collect(),
            cwd: command.cwd,
        }),
        pid: handle.pid(),
        tag: handle.tag().map(str::to_owned),
    }
}

pub(super) fn start_event(pid: u32) -> pb::ProcessEvent {
    pb::ProcessEvent { event: Some(Event::Start(StartEvent { pid })) }
}

pub(super) fn data_event(channel: Channel, bytes: bytes::Bytes) -> pb::ProcessEvent {
    let output = match channel {
        Channel::Stdout => Output::Stdout(bytes),
        Channel::Stderr => Output::Stderr(bytes),
        Channel::Pty => Output::Pty(bytes),
    };
    pb::ProcessEvent { event: Some(Event::Data(DataEvent { output: Some(output) })) }
}

pub(super) fn end_event(exit: Exit) -> pb::ProcessEvent {
    let end = EndEvent { exit_code: exit.code(), exited: exit.exited(), status: exit.status(), error: exit.error() };
    pb::ProcessEvent { event: Some(Event::End(end)) }
}

pub(super) fn keepalive() -> pb::ProcessEvent {
    pb::ProcessEvent { event: Some(Event::Keepalive(KeepAlive {})) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(request: pb::StartRequest, metadata: &MetadataMap) -> Checked<SpawnSpec> {
        let user = User { name: "user".into(), uid: 1, gid: 1, groups: vec![1], home: "/home/user".into() };
        spawn_spec(request, metadata, user, None, [("A".to_owned(), "guest".to_owned())])
    }

    fn request() -> pb::StartRequest {
        let envs = [("A".to_owned(), "own".to_owned())].into();
        let config = pb::ProcessConfig { cmd: "ls".into(), args: vec![], envs, cwd: None };
        pb::StartRequest { process: Some(config), ..Default::default() }
    }

    #[test]
    fn of_a_repeated_variable_the_requests_value_comes_last() {
        let spec = spec(request(), &MetadataMap::new()).unwrap();
        let values: Vec<_> = spec.env.iter().filter(|(name, _)| name == "A").map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["guest", "own"]);
        assert_eq!(spec.cwd, std::path::PathBuf::from("/home/user"));
        assert_eq!(spec.stdio, Stdio::Pipes { stdin: true });
    }

    #[test]
    fn a_life_time_of_zero_is_none_and_nonsense_is_refused() {
        let of = |text: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(TIMEOUT, tonic::metadata::MetadataValue::from_static(text));
            spec(request(), &metadata).map(|spec| spec.timeout).map_err(|status| status.code())
        };
        assert_eq!(of("1500"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!((of("0"), of("-5")), (Ok(None), Ok(None)));
        assert_eq!(of("soon"), Err(tonic::Code::InvalidArgument));
    }
}

//! A host of sandboxes for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use icebox::agent::{Agent, AgentError, Output, Program};
use icebox::guest::Guest;
use icebox::sandbox::{Create, SandboxId, Sandboxes, Settings, View};
use icebox::template::Templates;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::{Folder, PATIENCE, SmallDisk, qemus_in};

/// A file that fills the disk.
const FILLER: &str = "filler";

/// Sandboxes in a data folder of their own, with the template that all tests share.
pub(crate) struct Host {
    // Tasks of sandboxes end before their files go.
    running: Option<(Sandboxes, Runtime)>,
    settings: Settings,
    _place: Place,
}

enum Place {
    Folder(#[expect(dead_code, reason = "goes with the test")] Folder),
    Disk(#[expect(dead_code, reason = "goes with the test")] SmallDisk),
}

impl Host {
    pub(crate) fn open(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub(crate) fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = Folder::new(name);
        let mut settings = settings(folder.path());
        change(&mut settings);
        Self::at(settings, Place::Folder(folder))
    }

    /// On a disk of its own. Not in memory: there a full disk kills who maps a file, even to read its holes.
    pub(crate) fn on_small_disk(name: &str, mib: u64) -> Self {
        // Beside the templates, of which a workspace that was built often has many.
        let templates: u64 = shared_templates().iter().flat_map(|one| fs::read_dir(one).unwrap()).map(allocated).sum();
        let disk = SmallDisk::new(name, mib + (templates >> 20));
        Self::at(settings(&disk.mounted()), Place::Disk(disk))
    }

    fn at(settings: Settings, place: Place) -> Self {
        share_templates(&settings.data);
        let mut host = Self { running: None, settings, _place: place };
        host.reopen();
        host
    }

    /// Ends it as a crash would: everything stops where it is.
    pub(crate) fn crash(&mut self) {
        drop(self.running.take());
    }

    pub(crate) fn reopen(&mut self) {
        let runtime = Runtime::new().unwrap();
        let sandboxes = runtime.block_on(Sandboxes::open(self.settings.clone())).unwrap();
        self.running = Some((sandboxes, runtime));
    }

    pub(crate) fn all(&self) -> &Sandboxes {
        &self.running.as_ref().unwrap().0
    }

    #[track_caller]
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = &self.running.as_ref().unwrap().1;
        let within = runtime.block_on(async { tokio::time::timeout(2 * PATIENCE, work).await });
        within.expect("an answer in time")
    }

    pub(crate) fn spawn_on<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.running.as_ref().unwrap().1.spawn(work)
    }

    #[track_caller]
    pub(crate) fn create(&self, wish: Create) -> View {
        self.block_on(self.all().create(wish)).unwrap()
    }

    #[track_caller]
    pub(crate) fn view(&self, id: &SandboxId) -> View {
        self.all().view(id).unwrap()
    }

    fn agent(&self, id: &SandboxId, token: Option<&str>) -> Agent {
        let agent = Agent::new(self.block_on(self.all().reach(id, 49983)).unwrap().address);
        match token {
            Some(token) => agent.with_token(token),
            None => agent,
        }
    }

    pub(crate) fn try_sh(&self, id: &SandboxId, token: Option<&str>, line: &str) -> Result<Output, AgentError> {
        self.block_on(self.agent(id, token).run(&Program::shell(line), PATIENCE))
    }

    /// Runs a line of shell that must succeed, as the default user.
    #[track_caller]
    pub(crate) fn sh(&self, id: &SandboxId, line: &str) -> String {
        let output = self.try_sh(id, self.view(id).token.as_deref(), line).unwrap();
        assert_eq!(output.exit_code, 0, "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a line of shell as root and leaves it running.
    #[track_caller]
    pub(crate) fn spawn(&self, id: &SandboxId, line: &str) -> u64 {
        let program = Program { user: Some("root".into()), ..Program::shell(line) };
        let agent = self.agent(id, self.view(id).token.as_deref());
        self.block_on(agent.start(&program)).unwrap().pid
    }

    pub(crate) fn path(&self) -> &Path {
        &self.settings.data
    }

    pub(crate) fn qemus(&self) -> Vec<u32> {
        qemus_in(&self.path().join("vms"))
    }

    /// Nothing of any sandbox is left.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        assert!(self.qemus().is_empty(), "QEMU is still there");
        for name in ["vms", "paused", "snapshots"] {
            let left: Vec<_> = fs::read_dir(self.path().join(name)).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    /// Leaves so many bytes on the disk.
    pub(crate) fn fill_disk(&self, left: u64) {
        let mut file = fs::File::create(self.path().join(FILLER)).unwrap();
        let full = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let length = file.metadata().unwrap().len();
        file.set_len(length - left).unwrap();
        file.sync_all().unwrap();
    }

    pub(crate) fn empty_disk(&self) {
        fs::remove_file(self.path().join(FILLER)).unwrap();
    }
}

fn settings(data: &Path) -> Settings {
    Settings {
        data: data.into(),
        image: None,
        flavour: "scratch".into(),
        memory_mib: 256,
        cpus: 1,
        max_running: 8,
        pause_idle_after: None,
    }
}

/// Lists the templates of the workspace, with one for the guests of these tests among them.
fn shared_templates() -> Vec<PathBuf> {
    drop(Guest::start("scratch"));
    let templates = Templates::of_workspace();
    let somewhere: PathBuf = templates.new_vm_folder().unwrap();
    let from = somewhere.parent().unwrap().parent().unwrap().join("templates");
    fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// Counts the bytes that a file takes on the disk.
fn allocated(entry: std::io::Result<fs::DirEntry>) -> u64 {
    use std::os::unix::fs::MetadataExt;
    entry.unwrap().metadata().unwrap().blocks() * 512
}

/// Gives a data folder the template that all tests share, so that it need not be booted.
fn share_templates(data: &Path) {
    for template in shared_templates() {
        let to = data.join("templates").join(template.file_name().unwrap());
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(&template).unwrap().map(|entry| entry.unwrap().path()) {
            let name = to.join(file.file_name().unwrap());
            if fs::hard_link(&file, &name).is_err() {
                std::process::Command::new("cp").arg("--sparse=always").args([&file, &name]).status().unwrap();
            }
        }
    }
}

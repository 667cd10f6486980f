//! From a specification to QEMU's command line.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::spec::{Hardware, Network};
use crate::host::Accelerator;

/// The block of memory, in QEMU and in its migration stream.
pub(crate) const MEMORY: &str = "mem0";
/// The network, for commands at run time.
pub(super) const NET: &str = "net0";
/// The guest's address in QEMU's user network.
pub(super) const GUEST: &str = "10.0.2.15";
/// What the guest says on its serial line, in the VM's folder.
pub(super) const CONSOLE: &str = "console.log";
/// Switches without a value: nothing but what is named here, no window, and a guest that reboots is at its end.
const SWITCHES: [&str; 5] = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"];

/// How a VM begins.
#[derive(Debug)]
pub(super) enum Begin<'a> {
    /// With a kernel, in empty memory.
    Boot { kernel: &'a Path, initrd: &'a Path, command_line: &'a str },
    /// Out of a snapshot: memory mapped from a file, devices still to come. The file is opened for reading only where
    /// QEMU can.
    Resume { memory: &'a Path, read_only: bool },
}

/// All that the command line depends on.
#[derive(Debug)]
pub(super) struct CommandLine<'a> {
    pub(super) hardware: &'a Hardware,
    pub(super) network: &'a Network,
    /// The top layer, relative to the VM's folder.
    pub(super) disk: &'a str,
    /// A UUID that no other start has.
    pub(super) generation: &'a str,
    pub(super) begin: Begin<'a>,
}

impl CommandLine<'_> {
    /// Makes the arguments. Devices and their order are the same for every start of the same hardware.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let hardware = self.hardware;
        let mut all: Vec<OsString> = SWITCHES.map(OsString::from).into();
        let mut add = |option: &str, value: &str| all.extend([option.into(), value.into()]);
        add("-machine", &format!("{},memory-backend={MEMORY}", hardware.machine));
        add("-accel", hardware.accelerator.name());
        add("-cpu", cpu(hardware.accelerator));
        add("-m", &format!("{}M", hardware.memory_mib));
        add("-smp", &hardware.cpus.to_string());
        add("-rtc", "base=utc,clock=host");
        add("-chardev", "socket,id=qmp,fd=0");
        add("-mon", "chardev=qmp,mode=control");
        add("-serial", &format!("file:{CONSOLE}"));
        add("-drive", &format!("if=none,id=root,format=qcow2,file={}", self.disk));
        add("-device", "virtio-blk-pci,drive=root");
        add("-netdev", &self.net());
        add("-device", &format!("virtio-net-pci,netdev={NET},romfile="));
        if hardware.rng {
            add("-object", "rng-builtin,id=rng0");
            add("-device", "virtio-rng-pci,rng=rng0");
        }
        if hardware.vmgenid {
            add("-device", &format!("vmgenid,guid={}", self.generation));
        }
        all.extend(self.beginning());
        all
    }

    fn net(&self) -> String {
        let restrict = if self.network.restrict { "on" } else { "off" };
        let mut net = format!("user,id={NET},restrict={restrict}");
        if let Some(dns) = self.network.dns {
            net += &format!(",dns={dns}");
        }
        for port in [self.network.agent_port].iter().chain(&self.network.forwards) {
            net += &format!(",hostfwd={}", forward(*port));
        }
        net
    }

    fn beginning(&self) -> Vec<OsString> {
        let size = self.hardware.memory_mib;
        match &self.begin {
            Begin::Boot { kernel, initrd, command_line } => vec![
                "-object".into(),
                format!("memory-backend-ram,id={MEMORY},size={size}M").into(),
                "-kernel".into(),
                kernel.into(),
                "-initrd".into(),
                initrd.into(),
                "-append".into(),
                command_line.into(),
            ],
            Begin::Resume { memory, read_only } => {
                let mapped = if *read_only { ",readonly=on,rom=off" } else { "" };
                let object = format!("memory-backend-file,id={MEMORY},size={size}M,share=off{mapped},mem-path=");
                let mut object = object.into_bytes();
                object.extend(escape(memory));
                vec!["-object".into(), OsString::from_vec(object), "-incoming".into(), "defer".into(), "-S".into()]
            }
        }
    }
}

/// The rule that forwards a port, on a host port that the kernel chooses.
pub(super) fn forward(guest_port: u16) -> String {
    format!("tcp:127.0.0.1:0-{GUEST}:{guest_port}")
}

/// Doubles commas, as option values want them.
fn escape(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    bytes.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 })).collect()
}

fn cpu(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "host",
        // Without RDRAND the kernel's random numbers are ready only after 12 s.
        Accelerator::Tcg => "qemu64,+rdrand,+rdseed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hardware() -> Hardware {
        let machine = "pc-i440fx-10.0".into();
        Hardware { accelerator: Accelerator::Tcg, machine, memory_mib: 300, cpus: 2, vmgenid: true, rng: true }
    }

    fn text(hardware: &Hardware, network: &Network, begin: Begin<'_>) -> String {
        let line = CommandLine { hardware, network, disk: "disk-3.qcow2", generation: "1-2", begin };
        let arguments = line.arguments();
        arguments.iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn boot<'a>() -> Begin<'a> {
        Begin::Boot { kernel: Path::new("/i/k"), initrd: Path::new("/i/r"), command_line: "quiet x=y,z" }
    }

    fn devices(text: &str) -> Vec<&str> {
        text.split(" -").filter(|option| option.starts_with("device")).collect()
    }

    #[test]
    fn a_boot_names_kernel_memory_and_disk() {
        let text = text(&hardware(), &Network::default(), boot());
        for part in [
            "-machine pc-i440fx-10.0,memory-backend=mem0",
            "-m 300M -smp 2",
            "-object memory-backend-ram,id=mem0,size=300M",
            "-kernel /i/k -initrd /i/r -append quiet x=y,z",
            "file=disk-3.qcow2",
            "-netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-10.0.2.15:49983 ",
            "-rtc base=utc,clock=host",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("-incoming"));
    }

    #[test]
    fn a_resume_maps_its_memory_privately_and_has_the_devices_of_the_boot() {
        let begin = Begin::Resume { memory: Path::new("/s/a,b"), read_only: true };
        let resume = text(&hardware(), &Network::default(), begin);
        let mapped = "-object memory-backend-file,id=mem0,size=300M,share=off,readonly=on,rom=off,mem-path=/s/a,,b ";
        assert!(resume.contains(mapped), "{resume}");
        assert!(resume.ends_with("-incoming defer -S"), "{resume}");
        assert_eq!(devices(&resume), devices(&text(&hardware(), &Network::default(), boot())));
    }

    #[test]
    fn an_older_qemu_gets_only_what_it_knows() {
        let begin = Begin::Resume { memory: Path::new("/m"), read_only: false };
        let resume = text(&hardware(), &Network::default(), begin);
        assert!(resume.contains("share=off,mem-path=/m "), "{resume}");
    }

    #[test]
    fn devices_and_network_can_be_switched() {
        let hardware = Hardware { vmgenid: false, rng: false, ..hardware() };
        let dns = Some([10, 0, 2, 9].into());
        let network = Network { restrict: false, dns, forwards: vec![8000], agent_port: 7000 };
        let text = text(&hardware, &network, boot());
        assert!(!text.contains("vmgenid") && !text.contains("rng"), "{text}");
        let net =
            "restrict=off,dns=10.0.2.9,hostfwd=tcp:127.0.0.1:0-10.0.2.15:7000,hostfwd=tcp:127.0.0.1:0-10.0.2.15:8000";
        assert!(text.contains(net), "{text}");
    }
}

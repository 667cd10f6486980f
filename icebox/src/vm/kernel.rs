//! What the guest's kernel is told by us, beside what its image wants.

use super::command::GUEST;
use super::spec::{Hardware, Network};
use crate::host::Accelerator;
use crate::image::Image;
use crate::sys;

/// Every kernel: its console is the serial line, a panic is the end, random numbers come from the CPU at once, and
/// pages are cleared as they are freed, so that free memory is not saved.
const ALWAYS: &str = "console=ttyS0 quiet panic=-1 random.trust_cpu=on init_on_free=1 8250.nr_uarts=1 i8042.noaux \
    i8042.nokbd i8042.nomux i8042.noprobe thawd.isnotfc";
/// An emulated one: nothing that only costs instructions there (0.6 s to patch alternatives, 0.5 s of self-tests), and
/// a clock that trusts the host's counter.
const EMULATED: &str = "mitigations=off cryptomgr.notests nokaslr tsc=reliable no_timer_check apparmor=0 audit=0 \
    rcupdate.rcu_expedited=1";
/// QEMU's end of its user network, and the name server in it.
const GATEWAY: &str = "10.0.2.2";
const DNS: &str = "10.0.2.3";
/// The guest's name.
const HOST: &str = "icebox";

/// Makes the command line; measures the host's counter for an emulated guest, which takes 50 ms.
pub(super) async fn line(image: &Image, hardware: &Hardware, network: &Network, append: &str) -> String {
    let khz = match hardware.accelerator {
        Accelerator::Kvm => None,
        Accelerator::Tcg => tokio::task::spawn_blocking(sys::tsc_khz).await.ok().flatten(),
    };
    compose(image, hardware.accelerator, network, append, khz)
}

fn compose(image: &Image, accelerator: Accelerator, network: &Network, append: &str, khz: Option<u64>) -> String {
    let dns = network.dns.map_or_else(|| DNS.into(), |dns| dns.to_string());
    let mut line = format!("{ALWAYS} ip={GUEST}::{GATEWAY}:255.255.255.0:{HOST}:eth0:off:{dns}");
    if accelerator == Accelerator::Tcg {
        line = format!("{line} {EMULATED}");
    }
    if let Some(khz) = khz {
        line += &format!(" tsc_early_khz={khz}");
    }
    // The last word of a name counts: the image may know better, and the caller best.
    format!("{line} {} {append}", image.command_line).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_has_the_last_word_but_for_the_callers() {
        let path = std::path::PathBuf::new;
        let command_line = "root=/dev/vda quiet=no".into();
        let image = Image { flavour: "x".into(), kernel: path(), initrd: path(), disk: path(), command_line };
        let dns = Some([10, 0, 2, 9].into());
        let network = Network { dns, ..Network::default() };
        let line = compose(&image, Accelerator::Tcg, &network, "more=1", Some(2_596_150));
        assert!(line.ends_with(" tsc_early_khz=2596150 root=/dev/vda quiet=no more=1"), "{line}");
        assert!(line.contains(" ip=10.0.2.15::10.0.2.2:255.255.255.0:icebox:eth0:off:10.0.2.9 "), "{line}");
        let real = compose(&image, Accelerator::Kvm, &network, "", None);
        assert!(!real.contains("tsc") && real.contains("init_on_free=1"), "{real}");
    }
}

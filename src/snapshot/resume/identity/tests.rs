use super::*;
use crate::sys::namespace::apart;
use crate::sys::place::tests::Folder;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// A guest's files under a folder, and a folder for running.
struct Guest {
    root: Folder,
    run: PathBuf,
}

impl Guest {
    fn new(name: &str) -> Self {
        let root = Folder::new(name);
        for folder in ["etc", "run", "var/lib/dbus", "var/lib/systemd"] {
            fs::create_dir_all(root.0.join(folder)).unwrap();
        }
        let guest = Self { run: root.0.join("run"), root };
        guest.put("etc/machine-id", "11112222333344445555666677778888\n");
        guest.put("etc/hostname", "web\n");
        guest.put("etc/hosts", "127.0.1.1 web\n");
        guest
    }

    fn put(&self, path: &str, text: &str) {
        fs::write(self.root.0.join(path), text).unwrap();
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.root.0.join(path)).unwrap().trim_end().to_owned()
    }

    fn renew(&self, wanted: &Wanted) -> Renewed {
        renew_in(&self.root.0, wanted, &self.run)
    }
}

#[test]
fn what_is_given_is_taken_and_nothing_else_changes() {
    apart(|| {
        hostname::set("web").unwrap();
        let guest = Guest::new("given");
        guest.put("var/lib/systemd/random-seed", "seed");
        let before = fs::read_to_string(BOOT_ID).unwrap();
        let wanted = Wanted { hostname: Some("db.local".into()), machine_id: Some(ID.into()), clone: false };
        let renewed = guest.renew(&wanted);
        assert!(renewed.faults.is_empty(), "{:?}", renewed.faults);
        assert_eq!((renewed.hostname.as_deref(), renewed.machine_id.as_deref()), (Some("db.local"), Some(ID)));
        assert_eq!((hostname::present(), guest.get("etc/hostname")), ("db.local".into(), "db.local".into()));
        assert_eq!((guest.get("etc/machine-id"), guest.get("etc/hosts")), (ID.into(), "127.0.1.1 web db.local".into()));
        assert_eq!(fs::read_to_string(BOOT_ID).unwrap(), before);
        assert_eq!(guest.get("var/lib/systemd/random-seed"), "seed");
        let nothing = guest.renew(&Wanted::default());
        assert!(nothing.hostname.is_none() && nothing.machine_id.is_none() && nothing.boot_id.is_none());
    });
}

#[test]
fn a_clone_is_told_from_its_original_and_a_clone_of_it_from_both() {
    apart(|| {
        hostname::set("web").unwrap();
        let guest = Guest::new("clone");
        guest.put("var/lib/dbus/machine-id", "11112222333344445555666677778888\n");
        guest.put("var/lib/systemd/random-seed", "seed");
        let wanted = Wanted { clone: true, ..Wanted::default() };
        let mut boots = vec![fs::read_to_string(BOOT_ID).unwrap().trim().to_owned()];
        let mut machines = vec![guest.get("etc/machine-id")];
        for _ in 0..2 {
            let renewed = guest.renew(&wanted);
            assert!(renewed.faults.is_empty(), "{:?}", renewed.faults);
            let (boot, machine) = (renewed.boot_id.unwrap(), renewed.machine_id.unwrap());
            assert_eq!(fs::read_to_string(BOOT_ID).unwrap().trim(), boot);
            assert_eq!(
                (guest.get("etc/machine-id"), guest.get("var/lib/dbus/machine-id")),
                (machine.clone(), machine.clone())
            );
            assert_eq!(hostname::present(), format!("web-{}", &machine[..8]));
            assert!(!boots.contains(&boot) && !machines.contains(&machine) && is_machine_id(&machine));
            boots.push(boot);
            machines.push(machine);
        }
        assert!(!guest.root.0.join("var/lib/systemd/random-seed").exists());
        let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap();
        assert_eq!(mounts.lines().filter(|line| line.contains(BOOT_ID)).count(), 1);
    });
}

#[test]
fn names_that_are_none_are_refused_one_by_one() {
    apart(|| {
        hostname::set("web").unwrap();
        let guest = Guest::new("refused");
        for wrong in ["", "a b", "a\nb", &"x".repeat(65)] {
            let wanted = Wanted { hostname: Some(wrong.to_owned()), machine_id: Some(ID.into()), clone: false };
            let renewed = guest.renew(&wanted);
            assert_eq!((renewed.faults.len(), renewed.hostname), (1, None), "{wrong}");
            assert_eq!(renewed.machine_id.as_deref(), Some(ID));
        }
        for wrong in ["", "0123", &"0".repeat(32), &"A".repeat(32), &"g".repeat(32)] {
            let wanted = Wanted { hostname: None, machine_id: Some(wrong.to_owned()), clone: false };
            assert_eq!(guest.renew(&wanted).faults.len(), 1, "{wrong}");
        }
        assert_eq!((hostname::present(), guest.get("etc/machine-id")), ("web".into(), ID.into()));
    });
}

#[test]
fn a_guest_without_a_machine_id_does_without() {
    apart(|| {
        hostname::set("localhost").unwrap();
        let guest = Guest::new("without");
        fs::remove_file(guest.root.0.join("etc/machine-id")).unwrap();
        let renewed = guest.renew(&Wanted { clone: true, ..Wanted::default() });
        assert!(renewed.faults.is_empty() && renewed.machine_id.is_none() && renewed.hostname.is_none());
        assert!(renewed.boot_id.is_some());
        assert!(!guest.root.0.join("etc/machine-id").exists());
    });
}

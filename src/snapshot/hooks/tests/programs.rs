//! Programs that hang, crash, fork, write for ever.

use std::process::Command;

use super::*;

#[tokio::test]
async fn twenty_hooks_freeze_in_the_order_of_their_names_and_thaw_in_reverse() {
    let den = Den::new(LONG);
    for number in 0..20 {
        den.script(&format!("{number:02}-hook"), "echo ${0##*/} $* >>$DEN/.log");
    }
    let frozen = den.freeze().await;
    let thawed = den.hooks.thaw_before(LONG, &CONTEXT).await;
    for outcome in frozen.iter().chain(&thawed) {
        assert_eq!((error(outcome), outcome.exit_code), (String::new(), Some(0)));
    }
    let line = |event: &'static str| move |number| format!("{number:02}-hook {event}\n");
    let want: String = (0..20).map(line("freeze")).chain((0..20).rev().map(line("thaw"))).collect();
    assert_eq!(fs::read_to_string(den.path(".log")).unwrap(), want);
    assert_eq!((frozen.len(), thawed.len()), (20, 20));
    den.settled().await;
}

#[tokio::test]
async fn a_hook_gets_what_it_needs_and_nothing_of_the_agent() {
    let den = Den::new(SHORT * 10);
    den.script(
        "a",
        "env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort; readlink /proc/$$/fd/0; pwd; grep ^0: /proc/$$/cgroup >&2",
    );
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
    let root = den.cgroups.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let frozen = text(&den.freeze().await[0]);
    let want = format!("{path}THAWD_DEADLINE_MS=2000\nTHAWD_GENERATION=7\n/dev/null\n/\n");
    let cgroup = frozen.strip_prefix(&want).unwrap_or_else(|| panic!("{frozen}"));
    assert!(cgroup.contains(&format!("/{root}/lifecycle/thawd-")), "{cgroup}");
    let thawed = text(&den.hooks.thaw_before(SHORT, &CONTEXT).await[0]);
    // What is left of the budget; the clock may have moved by a millisecond.
    let (before, after) = thawed.split_once("THAWD_DEADLINE_MS=").unwrap();
    let (left, after) = after.split_once('\n').unwrap();
    assert_eq!(before, format!("{path}THAWD_CLONE=1\n"));
    assert!((1..=200).contains(&left.parse::<u32>().unwrap()), "{left}");
    assert!(after.starts_with("THAWD_GENERATION=7\nTHAWD_PAUSED_MS=1234\n/dev/null\n/\n"), "{after}");
}

#[tokio::test]
async fn a_hook_that_hangs_is_killed_when_its_time_is_over_and_the_next_is_called() {
    let den = Den::new(SHORT);
    den.script("a", "trap '' TERM INT HUP; echo waiting; sleep 1000");
    den.script("b", "echo here");
    let outcomes = den.freeze().await;
    assert_punctual(outcomes[0].took, SHORT);
    assert!(error(&outcomes[0]).starts_with("not done after 200 ms"), "{outcomes:?}");
    assert_eq!((text(&outcomes[0]), text(&outcomes[1])), ("waiting\n".to_owned(), "here\n".to_owned()));
    assert!(outcomes[0].failed() && outcomes[1].error.is_none());
    den.settled().await;
}

#[tokio::test]
async fn how_a_hook_ended_is_told() {
    let den = Den::new(LONG);
    den.script("a", "echo no; exit 3");
    den.script("b", "kill -SEGV $$");
    den.write("c", 0o755, "#!/no/such/interpreter\n");
    den.write("d", 0o755, "echo no interpreter line, $1");
    let outcomes = den.freeze().await;
    let want = [
        "a: ended with code 3",
        "b: ended by signal 11",
        "c: cannot start it: No such file or directory (os error 2)",
        "d: ",
    ];
    assert_eq!(errors(&outcomes), want);
    assert_eq!(outcomes.iter().map(|outcome| outcome.exit_code).collect::<Vec<_>>(), [Some(3), None, None, Some(0)]);
    assert_eq!(text(&outcomes[3]), "no interpreter line, freeze\n");
    let context = Context { stop_at_failure: true, ..CONTEXT };
    assert_eq!(errors(&den.hooks.freeze(LONG, &context).await), want[..1]);
    den.settled().await;
}

#[tokio::test]
async fn a_hook_that_leaves_a_daemon_or_a_holder_of_its_output_is_over_when_it_ends() {
    for cgroups in [true, false] {
        let den = Den::make(LONG, cgroups);
        den.script("a", "setsid sleep 1000 >/dev/null 2>&1 & echo $! >$DEN/.daemon; exit 0");
        den.script("b", "sleep 1000 & echo $! >$DEN/.holder; exit 0");
        let outcomes = den.freeze().await;
        assert_eq!(errors(&outcomes), ["a: ", "b: "]);
        assert!(outcomes.iter().all(|outcome| outcome.took < LONG / 2));
        let left = [".daemon", ".holder"].map(|name| fs::read_to_string(den.path(name)).unwrap().trim().to_owned());
        for pid in &left {
            assert!(runs(pid), "a hook may hold something until the thaw");
            Command::new("kill").args(["-9", pid]).status().unwrap();
        }
        den.settled().await;
    }
}

#[tokio::test]
async fn what_a_late_hook_forked_dies_with_it() {
    for cgroups in [true, false] {
        let den = Den::make(SHORT, cgroups);
        den.script("a", "for i in 1 2 3 4 5 6; do (setsid sleep 1000 & sleep 1000) & echo $!; done; wait");
        let began = Instant::now();
        let outcomes = den.freeze().await;
        assert_punctual(began.elapsed(), SHORT);
        assert!(error(&outcomes[0]).starts_with("not done after 200 ms"), "{outcomes:?}");
        den.settled().await;
        for pid in text(&outcomes[0]).lines() {
            until("its children have gone", || !runs(pid)).await;
        }
    }
}

#[tokio::test]
async fn a_hook_that_writes_for_ever_costs_four_kibibytes() {
    let den = Den::new(SHORT);
    den.script("a", "echo first; exec yes 0123456");
    let outcomes = den.freeze().await;
    assert_punctual(outcomes[0].took, SHORT);
    assert_eq!(outcomes[0].output.len(), 4096);
    assert!(text(&outcomes[0]).contains("\n0123456\n0123456\n"));
    den.settled().await;
}

#[tokio::test]
async fn what_is_left_behind_and_writes_for_ever_loses_its_pipe() {
    let den = Den::new(LONG);
    den.script("a", "yes & exit 0");
    assert_eq!(errors(&den.freeze().await), ["a: "]);
    den.settled().await;
}

#[tokio::test]
async fn the_budget_of_all_holds_whatever_each_may_take() {
    let den = Den::new(LONG);
    for name in ["a", "b", "c"] {
        den.script(name, "sleep 1000");
    }
    let began = Instant::now();
    let outcomes = den.hooks.freeze(SHORT, &CONTEXT).await;
    assert_punctual(began.elapsed(), SHORT);
    assert!(error(&outcomes[0]).starts_with("not done after "));
    assert_eq!(errors(&outcomes)[1..], ["b: not asked: no time was left", "c: not asked: no time was left"]);
    assert!(outcomes.iter().all(Outcome::failed));
    assert_eq!(errors(&den.hooks.freeze(Duration::ZERO, &CONTEXT).await)[0], "a: not asked: no time was left");
    den.settled().await;
}

#[tokio::test]
async fn a_freeze_that_is_given_up_leaves_no_hook_running() {
    for cgroups in [true, false] {
        let den = Den::make(LONG, cgroups);
        den.script("a", "sleep 1000 & echo $! >$DEN/.new; mv $DEN/.new $DEN/.child; wait");
        den.script("b", "touch $DEN/.next");
        {
            let freeze = den.freeze();
            tokio::pin!(freeze);
            tokio::select! {
                outcomes = &mut freeze => panic!("{outcomes:?}"),
                () = until("the hook runs", || den.path(".child").exists()) => {}
            }
        }
        den.settled().await;
        let child = fs::read_to_string(den.path(".child")).unwrap();
        until("its child has gone", || !runs(child.trim())).await;
        assert!(!den.path(".next").exists());
    }
}

/// A filesystem in a file, frozen; thawed and unmounted when dropped.
struct Ice(PathBuf);

impl Ice {
    fn new(den: &Den) -> Self {
        let mount = den.path(".ice");
        sh(&format!(
            "truncate -s 4M {0}.image && mkfs.ext4 -q {0}.image && mkdir {0} && mount -o loop {0}.image {0} && \
             fsfreeze -f {0}",
            mount.display()
        ));
        Self(mount)
    }

    fn thaw(&self) {
        sh(&format!("fsfreeze -u {}", self.0.display()));
    }
}

impl Drop for Ice {
    fn drop(&mut self) {
        let script = format!("fsfreeze -u {0} 2>/dev/null; sleep 0.1; umount {0} || umount -l {0}", self.0.display());
        let _ = Command::new("sh").args(["-c", &script]).status();
    }
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_hook_that_nobody_can_kill_is_left_alone_and_cleaned_up_when_it_ends() {
    let den = Den::new(SHORT);
    den.script("a", "echo writing; echo x >$DEN/.ice/file");
    den.script("b", "exit 0");
    let ice = Ice::new(&den);
    let outcomes = den.freeze().await;
    assert_punctual(outcomes[0].took, SHORT);
    assert_eq!(errors(&outcomes), ["a: not done after 200 ms, and SIGKILL has not ended it yet", "b: "]);
    assert_eq!((den.members().len(), den.tasks.running()), (1, 1));
    ice.thaw();
    den.settled().await;
}

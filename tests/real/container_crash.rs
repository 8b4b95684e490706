//! As `crash` and `failure`, for labs with nodes that are containers.

use crate::crash::{
    changing_up_killed_anywhere_then_down, changing_up_killed_anywhere_then_up, down_killed_anywhere_then_down,
    putting_back_killed_anywhere_then_up_or_down, up_killed_anywhere_then_down, up_killed_anywhere_then_up,
};
use crate::failure::{
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing,
};
use crate::support::ThrowAwayHost;
use crate::support::cgroups::Cgroups;
use crate::support::nslab;
use crate::support::rootfs::busybox;
use crate::support::run::{ok, sh, text, write};
use crate::support::walk::walks;

walks!(
    contained,
    |host| WalkedLab::contained(host),
    up_killed_anywhere_then_down,
    up_killed_anywhere_then_up,
    changing_up_killed_anywhere_then_down,
    changing_up_killed_anywhere_then_up,
    down_killed_anywhere_then_down,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on
);

#[test]
fn a_launcher_that_hangs_fails_its_lab_and_leaves_nothing() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        busybox(host, "root");
        let container = "{container: {rootfs: ./root, command: [sleep, '1000'], limits: {memory: 50M}}}";
        let file = write(host, "stuck.yaml", &format!("name: stuck\nnodes: {{zion: {container}}}\n"));
        let before = host.as_it_is_now();
        for place in ["before anything is made", "inside, when it is set up", "when the command may run"] {
            let mut up = nslab(["up", &file]);
            let output = up.env("NSLAB_TEST_HELPER_HANG_AT", place).env("NSLAB_TEST_PATIENCE_S", "2").output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{place}: {}", text(&output));
            let expected = "can't start the container zion: can't hear from the launcher, which was killed after 2 s: ";
            assert!(text(&output).contains(expected), "{place}: {}", text(&output));
            assert_eq!(sh("ps -e -o comm= | grep -cE '^(nslab|sleep)$' || true"), "0\n", "{place}");
            assert_eq!(cgroups.all(), [] as [&str; 0], "{place}");
            before.assert_as_it_was(place);
        }
        ok(&["up", &file]);
        ok(&["down"]);
    });
}

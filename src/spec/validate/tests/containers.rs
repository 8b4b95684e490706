//! Containers: what can not be, and what comes of what can.

use super::hold;
use crate::model::container::{Capability, Limits, Mount, MountKind, Rights, RootFileSystem, RootSource, User, Writes};
use crate::spec::parse;

#[test]
fn containers_that_can_not_be() {
    hold(&[(
        r#"name: x
nodes:
  a:
    container:
      rootfs: ''
      command: []
      hostname: ''
      env: {'': 1, a=b: 2, C: "x\0y"}
      workdir: srv
      user: root
      binds: [/srv, '/srv:srv', '/a:/b:rx', '/a:/b', '/c:/b/', '/c:/']
      tmpfs: [/b]
      cap_add: [ALMIGHTY]
      privileged: true
      limits: {memory: 100Q, swap: 1G, cpus: 0, pids: 0, io: {read: 10Mbit/s, write: 0, wirte: 1M}}
      terminal: maybe
      rootFS: x
  b: {container: {command: [a]}}
  c: {container: {rootfs: host, command: "", read_only: true, privileged: true, cap_drop: [all], limits: {memory: 10k}}}
  d: {container: {rootfs: host, command: [a], limits: {swap: 1G}, user: '1:-1'}}
  e: {container: {rootfs: host, image: a, command: [a], read_only: true}}
  f: {container: {rootfs: host, keep: true}}
  g: {container: {image: ../a, keep: true}}
"#,
        &[
            "5:15: the root is empty: write a directory, or `host` for the machine's own",
            "6:16: the command is empty: write a line for /bin/sh, or a list of a program and its arguments",
            "7:17: a host name has 1 to 64 bytes and no NUL, and this has 0: write another one",
            "8:13: `` can't be a variable's name, which is neither empty nor has a `=` or a NUL in it: write another one",
            "8:20: `a=b` can't be a variable's name, which is neither empty nor has a `=` or a NUL in it: write another one",
            "8:31: the value of `C` has a NUL character in it, which no variable can have: remove it",
            "9:16: `srv` is no path in the container: write an absolute one, as in /srv/data",
            "10:13: `root` is no user: write a number, or two for user and group, as in 1000:1000",
            "11:15: `/srv` does not say what is seen where: write SOURCE:TARGET, or SOURCE:TARGET:ro",
            "11:21: `srv` is no path in the container: write an absolute one, as in /srv/data",
            "11:33: `/a:/b:rx` does not say what is seen where: write SOURCE:TARGET, or SOURCE:TARGET:ro",
            "11:54: `/b/` is there already: something else can't be mounted at the same place, remove one",
            "11:64: `/` is the container's root: name a directory in it",
            "12:15: `/b` is there already: something else can't be mounted at the same place, remove one",
            "13:16: a container that is privileged has all capabilities: remove `privileged`, or `cap_add` and `cap_drop`",
            "13:17: there is no capability `ALMIGHTY`: capabilities(7) lists them, as in NET_ADMIN or SYS_TIME",
            "15:24: `100Q` is no amount of memory: write a whole number with its unit, as in 512K, 100M or 2G",
            "15:46: `0` is no number of processors: write one from 0.01 on with at most three decimals, as in 0.5 or 2",
            "15:55: a container with this can run nothing: write at least 1",
            "15:69: `10Mbit/s` is no rate at which a disk is read or written: write a whole number of bytes in a second with its unit, from 1KB/s on, as in 512KB/s or 10MB/s",
            "15:86: `0` is no rate at which a disk is read or written: write a whole number of bytes in a second with its unit, from 1KB/s on, as in 512KB/s or 10MB/s",
            "15:89: unknown key `wirte`: did you mean `write`? known here are read, write",
            "16:17: found a text: write true or false",
            "17:7: unknown key `rootFS`: did you mean `rootfs`? known here are rootfs, image, keep, command, hostname, env, workdir, user, user_namespace, read_only, binds, tmpfs, mounts, cap_add, cap_drop, privileged, limits, terminal",
            "18:18: `rootfs` or `image` is missing: add one",
            "19:42: the command is empty: write a line for /bin/sh, or a list of a program and its arguments",
            "19:57: with `rootfs: host` nothing is written to the machine's files anyway: remove `read_only`",
            "19:91: a container that is privileged has all capabilities: remove `privileged`, or `cap_add` and `cap_drop`",
            "19:115: a container with this can run nothing: write at least 1M",
            "20:62: swap is limited beside memory: say how much `memory` it may use, too",
            "20:73: `1:-1` is no user: write a number, or two for user and group, as in 1000:1000",
            "21:40: a container has one root: remove `rootfs` or `image`",
            "21:68: nothing is written to an image anyway: remove `read_only`",
            "22:18: `command` is missing: add it",
            "22:39: what is written to a `rootfs` stays there, or is in memory: remove `keep`, which is for an `image`",
            "23:26: `../a` has '/' in it: use letters, digits, `-`, `_` and `.`",
        ],
    )]);
}

#[test]
fn a_container_is_what_its_text_says() {
    let text = r"name: x
nodes:
  a:
    container:
      rootfs: ../root
      command: exec nc -lk -p 80
      env: {LANG: C.UTF-8, N: 07, YES: true}
      user: 1000
      read_only: true
      binds: ['./www:/srv/www:ro', '/data:/data']
      tmpfs: [/tmp]
      cap_add: [cap_net_admin, NET_RAW]
      cap_drop: [all]
      limits: {memory: 100M, cpus: 0.5, pids: 64, io: {read: 10MB/s, write: 5242880}}
      user_namespace: true
  b: {container: {rootfs: host, command: [/bin/sleep, '9'], user: '1:2', hostname: zion, privileged: true, terminal: true}}
";
    let spec = parse(text, "lab").unwrap().with_files_below("/topologies/lab".as_ref());
    let [a, b] = [0, 1].map(|node| spec.nodes[node].container.clone().unwrap());
    let bind = |source: &str, target: &str, read_only| Mount {
        target: target.into(),
        kind: MountKind::Bind { source: source.into(), read_only, if_target_exists: false },
    };
    let mounts = vec![
        bind("/topologies/lab/www", "/srv/www", true),
        bind("/data", "/data", false),
        Mount { target: "/tmp".into(), kind: MountKind::Tmpfs },
    ];
    let source = RootSource::Directory("/topologies/lab/../root".into());
    assert_eq!(a.root, RootFileSystem { source, writes: Writes::Layer, mounts });
    assert_eq!(a.command, ["/bin/sh", "-c", "exec nc -lk -p 80"]);
    let env = [("LANG", "C.UTF-8"), ("N", "07"), ("YES", "true")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(a.env, env.into());
    assert_eq!((a.user, b.user), (User::Ids { uid: 1000, gid: 1000 }, User::Ids { uid: 1, gid: 2 }));
    let capabilities = [Capability::NetAdmin, Capability::NetRaw].into();
    assert_eq!((a.rights, b.rights), (Rights::Confined { capabilities }, Rights::Privileged));
    let limits = Limits {
        memory: "100M".parse().ok(),
        swap: None,
        cpus: "0.5".parse().ok(),
        pids: Some(64),
        io_read: "10M".parse().ok(),
        io_write: "5MiB/s".parse().ok(),
    };
    assert_eq!((a.limits, b.limits), (limits, Limits::default()));
    assert_eq!((b.root.source, b.root.writes), (RootSource::Host, Writes::Layer));
    assert_eq!((a.hostname, b.hostname.as_deref()), (None, Some("zion")));
    assert_eq!([a.user_namespace, b.user_namespace, a.terminal, b.terminal], [true, false, false, true]);
}

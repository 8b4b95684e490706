//! A shell of root's on a machine of a test's own: the machine's files with a layer above them, so that anything may be written
//! anywhere, in the test's throw-away host.

use super::{ThrowAwayHost, nslab};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Printed behind each command, with its exit code.
const MARK: &str = "that was the command, and its code is";

/// Makes the root, and becomes root's shell in it. What is mounted on the machine is not below it, but for what is its own.
const BECOME: &str = r#"set -eu
mkdir "$1/upper" "$1/work" "$1/root" "$1/lib"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" machine "$1/root"
for own in dev proc sys run tmp; do mount --rbind "/$own" "$1/root/$own"; done
cd "$1/root"
rm -rf etc/netns
mkdir -p var/lib/nslab mnt
mount --bind "$1/lib" var/lib/nslab # no layer of overlayfs can be above one of overlayfs
pivot_root . mnt
umount -l /mnt
cd /root
exec bash --norc"#;

/// The shell. Dropping it ends it, and what is mounted goes with it.
pub(crate) struct Console {
    shell: Child,
    types: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Console {
    /// Starts it. It knows the `nslab` that is tested, and nothing of the test's environment.
    pub(crate) fn start(host: &ThrowAwayHost) -> Self {
        let directory = host.scratch().join("machine");
        std::fs::create_dir(&directory).unwrap();
        let programs = Path::new(nslab([] as [&str; 0]).get_program()).parent().unwrap().to_owned();
        let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let (said, says) = std::io::pipe().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]).arg(directory);
        command.env_clear().envs([("PATH", path.as_str()), ("HOME", "/root"), ("LC_ALL", "C.UTF-8")]);
        command.stdin(Stdio::piped()).stdout(says.try_clone().unwrap()).stderr(says);
        let mut shell = command.spawn().unwrap();
        drop(command); // it has the other end open
        let (sends, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(said).split(b'\n') {
                let Ok(line) = line else { return };
                if sends.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { types: shell.stdin.take(), shell, lines }
    }

    /// Runs a command, which may read the input; gives back what it has printed, and its code.
    pub(crate) fn run(&mut self, command: &str, input: &[String]) -> (Vec<String>, i32) {
        let input = input.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        // What fails is to be asked for by `echo $?`, as at a prompt.
        let text = format!(
            "{{ {command}\n}} <<'END OF INPUT'\n{input}END OF INPUT\n(code=$?; echo; echo '{MARK}' $code; exit $code)\n"
        );
        let types = self.types.as_mut().unwrap();
        types.write_all(text.as_bytes()).and_then(|()| types.flush()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut printed: Vec<String> = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(MARK) {
                    None => printed.push(line),
                    Some(code) => {
                        // What the command has printed need not end with its line.
                        if printed.last().is_some_and(String::is_empty) {
                            printed.pop();
                        }
                        return (printed, code.trim().parse().unwrap());
                    }
                },
                Err(RecvTimeoutError::Timeout) => {
                    panic!("`{command}` takes more than {PATIENCE:?}:\n{}", printed.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("`{command}` has ended the shell:\n{}", printed.join("\n"))
                }
            }
        }
    }

    /// Runs a script that must succeed, and gives back what it has printed.
    #[track_caller]
    pub(crate) fn sh(&mut self, script: &str) -> String {
        let (printed, code) = self.run(script, &[]);
        assert_eq!(code, 0, "{script}:\n{}", printed.join("\n"));
        printed.join("\n")
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        drop(self.types.take());
        let _ = self.shell.kill(); // where it has ended by itself
        let _ = self.shell.wait();
    }
}

//! A root file system for containers: busybox, and programs of one system call.

use super::run::text;
use super::{ThrowAwayHost, nslab};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

/// What every such root has: the programs that the tests run, and nothing that a container would need to be made in it.
const PROGRAMS: &[&str] = &[
    "sh", "ash", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df", "echo", "env", "false", "find", "grep",
    "head", "hostname", "id", "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "nc", "ping", "printf", "ps",
    "pwd", "readlink", "rm", "rmdir", "sed", "seq", "sleep", "sort", "stat", "stty", "tail", "test", "touch", "tr",
    "true", "tty", "umount", "uname", "unshare", "wc", "wget", "yes",
];

/// Makes one in the scratch directory, and gives back its path.
pub(crate) fn busybox(host: &ThrowAwayHost, name: &str) -> String {
    let root = host.scratch().join(name);
    for directory in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    let bin = root.join("bin");
    std::fs::copy("/bin/busybox", bin.join("busybox")).expect("the package busybox-static is installed");
    for program in PROGRAMS {
        std::os::unix::fs::symlink("busybox", bin.join(program)).unwrap();
    }
    root.to_str().unwrap().to_owned()
}

/// A directory to be a container's root.
pub(crate) struct RootFs(PathBuf);

impl RootFs {
    /// With busybox, and seen by everybody.
    pub(crate) fn new(host: &ThrowAwayHost) -> Self {
        let root = PathBuf::from(busybox(host, "rootfs"));
        // The tests' directory is root's alone, and users in containers are others.
        std::fs::set_permissions(host.scratch(), PermissionsExt::from_mode(0o755)).unwrap();
        Self(root)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a program there.
    pub(crate) fn put(&self, name: &str, content: &[u8], mode: u32) {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// `nslab launch` with these options and this as its root, of a shell command.
    pub(crate) fn sh(&self, options: &[&str], command: &str) -> Output {
        self.launch(options, &["sh", "-c", command])
    }

    /// The same of any command.
    pub(crate) fn launch(&self, options: &[&str], command: &[&str]) -> Output {
        let mut launch = nslab(["launch", "--rootfs"]);
        launch.arg(&self.0).args(options).arg("--").args(command).output().unwrap()
    }

    /// What a shell command prints, which must succeed.
    #[track_caller]
    pub(crate) fn said(&self, options: &[&str], command: &str) -> String {
        let output = self.sh(options, command);
        assert!(output.status.success(), "{options:?} {command}: {}\n{}", output.status, text(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A program that makes one system call with three arguments, and exits with what it answers, the errno where it fails. It's
/// one of 64-bit x86, for the kernel's own architecture.
pub(crate) fn program_x86_64(number: u32, arguments: [u64; 3]) -> Vec<u8> {
    let mut code = vec![0xb8]; // mov eax, number
    code.extend(number.to_le_bytes());
    for (register, argument) in [0xbf, 0xbe, 0xba].into_iter().zip(arguments) {
        code.extend([0x48, register]); // movabs rdi, rsi, rdx
        code.extend(argument.to_le_bytes());
    }
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x89, 0xc7, 0xf7, 0xdf]); // mov edi, eax; neg edi
    code.extend([0xb8, 60, 0, 0, 0, 0x0f, 0x05]); // exit(edi)

    let (header, segment, base) = (64_u64, 56_u64, 0x40_0000_u64);
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]); // ET_EXEC, EM_X86_64
    for word in [base + header + segment, header, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]); // PT_LOAD, to be read and executed
    let size = header + segment + code.len() as u64;
    for word in [0, base, base, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

/// The same as one of 32-bit x86.
pub(crate) fn program_i386(number: u32, arguments: [u32; 3]) -> Vec<u8> {
    let mut code = Vec::new();
    for (register, value) in [0xb8, 0xbb, 0xb9, 0xba].into_iter().zip([number].into_iter().chain(arguments)) {
        code.push(register); // mov eax, ebx, ecx, edx
        code.extend(value.to_le_bytes());
    }
    code.extend([0xcd, 0x80]); // int 0x80
    code.extend([0x89, 0xc3, 0xf7, 0xdb]); // mov ebx, eax; neg ebx
    code.extend([0xb8, 1, 0, 0, 0, 0xcd, 0x80]); // exit(ebx)

    let (header, segment, base) = (52_u32, 32_u32, 0x0804_8000_u32);
    let mut elf = b"\x7fELF\x01\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2, 0, 3, 0, 1, 0, 0, 0]); // ET_EXEC, EM_386
    for word in [base + header + segment, header, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([52, 0, 32, 0, 1, 0, 40, 0, 0, 0, 0, 0]);
    let size = header + segment + u32::try_from(code.len()).unwrap();
    for word in [1, 0, base, base, size, size, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

# Ways out of a container, each tried by a process of its own; a line each says what came of it: `name answer`, where the answer is
# the kernel's errno, `done`, or what was seen.
import ctypes, errno, os, struct, sys

OUTSIDE_PID, HANDLE_TYPE, HANDLE = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
DISK = tuple(int(part) for part in sys.argv[4].split(':'))
libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    """A system call of 64-bit x86; numbers are those of asm/unistd_64.h."""
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    answer = libc.syscall(ctypes.c_long(number), *wide)
    if answer < 0:
        raise OSError(ctypes.get_errno(), '')
    return answer


def opened(path, flags=os.O_WRONLY):
    os.close(os.open(path, flags))


def forked(number, *arguments):
    if call(number, *arguments) == 0:
        os._exit(0)


def mount(kind, on, flags=0, options=b''):
    call(165, b'x', on, kind, flags, options)


def device(kind, number):
    os.mknod('/tmp/device', 0o600 | kind, os.makedev(*number))
    try:
        opened('/tmp/device', os.O_RDONLY)
    finally:
        os.unlink('/tmp/device')


def read_outside():
    here, there = (ctypes.c_ulong * 2)(0, 8), (ctypes.c_ulong * 2)(8, 8)
    here[0] = ctypes.addressof(here)
    call(310, OUTSIDE_PID, here, 1, there, 1, 0)


def by_handle():
    # The file's inode is all that is wanted; the mount can be any of its file system.
    handle = ctypes.create_string_buffer(struct.pack('Ii', len(HANDLE), HANDLE_TYPE) + HANDLE)
    fd = call(304, os.open('/', os.O_RDONLY), handle, os.O_RDONLY)
    return os.read(fd, 100).decode()


def two_chroots():
    root = os.open('/', os.O_RDONLY)
    os.makedirs('/tmp/below', exist_ok=True)
    os.chroot('/tmp/below')
    os.fchdir(root)
    for _ in range(100):
        os.chdir('..')
    os.chroot('.')
    return 'in' if os.path.exists('/inside') else 'out'


def upwards():
    os.chdir('../' * 100)
    return 'in' if os.path.exists('inside') else 'out'


def descriptors_outwards():
    for fd in range(100):
        try:
            os.fchdir(fd)
        except OSError:
            continue
        if not os.path.exists('inside'):
            return 'out'
    return 'in'


def clone3():
    arguments = ctypes.create_string_buffer(struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0))
    forked(435, arguments, 64)


def null_swapped():
    # What the launcher puts over files is /dev/null: it must not become something else for the next.
    os.unlink('/dev/null')
    os.symlink('/proc/sys/kernel/core_pattern', '/dev/null')
    opened('/dev/null')


KERNEL = '/proc/sys/kernel/'
attempts = {
    'core_pattern': lambda: opened(KERNEL + 'core_pattern'),
    'modprobe': lambda: opened(KERNEL + 'modprobe'),
    'hostname': lambda: opened(KERNEL + 'hostname'),
    'panic': lambda: opened(KERNEL + 'panic'),
    'binfmt_misc': lambda: mount(b'binfmt_misc', b'/tmp'),
    'sysrq': lambda: opened('/proc/sysrq-trigger'),
    'interrupts': lambda: os.read(os.open('/proc/interrupts', os.O_RDONLY), 4) and 'seen' or 'empty',
    'irq': lambda: opened('/proc/irq/default_smp_affinity'),
    'sys': lambda: opened('/sys/kernel/mm/transparent_hugepage/enabled'),
    'remount_sys': lambda: (mount(b'', b'/sys', 32), opened('/sys/kernel/mm/transparent_hugepage/enabled')),
    'mount': lambda: mount(b'tmpfs', b'/tmp'),
    'another_proc': lambda: mount(b'proc', b'/tmp'),
    'another_sys': lambda: mount(b'sysfs', b'/tmp'),
    'bind': lambda: mount(b'', b'/tmp', 4096),
    'remount': lambda: mount(b'', b'/proc/sys', 4096 | 32),
    'mount_api': lambda: call(428, -100, b'/tmp', 1),
    'fsopen': lambda: call(430, b'tmpfs', 0),
    'move_mount': lambda: call(429, -1, b'', -1, b'', 4),
    'mount_setattr': lambda: call(442, -100, b'/', 0, ctypes.create_string_buffer(32), 32),
    'umount_mask': lambda: call(166, b'/proc/interrupts', 2),
    'pivot_root': lambda: call(155, b'.', b'.'),
    'cgroup_version_1': lambda: mount(b'cgroup', b'/tmp', 0, b'devices'),
    'cgroup_version_2': lambda: mount(b'cgroup2', b'/tmp'),
    'disk': lambda: device(0o060000, DISK),
    'memory_device': lambda: device(0o020000, (1, 1)),
    'attach_outside': lambda: call(101, 0x4206, OUTSIDE_PID, 0, 0),
    'read_outside': read_outside,
    'signal_outside': lambda: os.kill(OUTSIDE_PID, 0),
    'pidfd_outside': lambda: call(434, OUTSIDE_PID, 0),
    'attach_process_1': lambda: call(101, 0x4206, 1, 0, 0),
    'process_1_files': lambda: os.stat('/proc/1/fd/0') and 'seen',
    'process_1_root': lambda: len(os.listdir('/proc/1/root')) and 'seen',
    'process_1_directory': lambda: len(os.listdir('/proc/1/cwd')) and 'seen',
    'process_1_program': lambda: opened('/proc/1/exe', os.O_RDONLY),
    'process_1_memory': lambda: opened('/proc/1/mem', os.O_RDWR),
    'process_1_environment': lambda: opened('/proc/1/environ', os.O_RDONLY),
    'process_1_namespaces': lambda: opened('/proc/1/ns/mnt', os.O_RDONLY),
    'setns': lambda: call(308, os.open('/proc/self/ns/net', os.O_RDONLY), 0),
    'keyctl': lambda: call(250, 0, -3, 0),
    'add_key': lambda: call(248, b'user', b'nslab-test', b'x', 1, -1),
    'request_key': lambda: call(249, b'user', b'nslab-none', 0, 0),
    'unshare_user': lambda: call(272, 0x10000000),
    'unshare_mount': lambda: call(272, 0x00020000),
    'unshare_cgroup': lambda: call(272, 0x02000000),
    'clone_user': lambda: forked(56, 0x10000000 | 17, 0, 0, 0, 0),
    'clone3_user': clone3,
    'init_module': lambda: call(175, 0, 0, 0),
    'finit_module': lambda: call(313, -1, b'', 0),
    'delete_module': lambda: call(176, b'nslab-none', 0),
    'by_handle': by_handle,
    'two_chroots': two_chroots,
    'upwards': upwards,
    'descriptors_outwards': descriptors_outwards,
    'bpf': lambda: call(321, 99, 0, 0),
    'perf_event_open': lambda: call(298, 0, 0, -1, -1, 0),
    'userfaultfd': lambda: call(323, 2**30),
    'io_uring': lambda: call(425, 0, 0),
    'kexec': lambda: call(246, 0, 99, 0, 0),
    'reboot': lambda: call(169, 0, 0, 0, 0),
    'settimeofday': lambda: call(164, ctypes.create_string_buffer(struct.pack('qq', 0, -1)), 0),
    'clock_settime': lambda: call(227, 0, ctypes.create_string_buffer(struct.pack('qq', 0, -1))),
    'swapon': lambda: call(167, b'/none', 0),
    'acct': lambda: call(163, b'/none'),
    'syslog': lambda: call(103, 10, 0, 0) >= 0 and 'seen',
    'iopl': lambda: call(172, 99),
    'ioperm': lambda: call(173, 2**40, 1, 1),
    'type_for_the_terminal': lambda: call(16, 0, 0x5412, b'x'),
    'type_for_it_with_high_bits': lambda: call(16, 0, 0x1_0000_5412, b'x'),
    'select_for_the_console': lambda: call(16, 0, 0x541C, b'x'),
    'sethostname': lambda: call(170, b'x', 1),
    'quotactl': lambda: call(179, 0x800001 << 8, b'', 0, 0),
    'own_map': lambda: os.write(os.open('/proc/self/uid_map', os.O_WRONLY), b'0 0 2'),
    'null_swapped': null_swapped,
}


def attempt(one):
    try:
        said = one()
        return said if isinstance(said, str) else 'done'
    except OSError as error:
        return errno.errorcode[error.errno]


for name, one in attempts.items():
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(sink, attempt(one).encode())
        os._exit(0)
    os.close(sink)
    print(name, os.read(source, 1000).decode() or 'died', flush=True)
    os.close(source)
    os.waitpid(child, 0)

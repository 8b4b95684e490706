//! The file that the kernel makes a process of: an ELF header, what is to be mapped, and the code (elf(5)).

/// Where the file is mapped. Any address will do that nothing else is at.
const ADDRESS: u64 = 0x40_0000;

const HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;
/// Where the code begins in the file.
const CODE: u64 = HEADER as u64 + 2 * PROGRAM_HEADER as u64;

/// PF_X, PF_W and PF_R (elf(5)).
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 4;

/// Where this place in the code is in the file, in bytes.
pub(super) fn offset_of(place: usize) -> u64 {
    CODE + place as u64
}

/// The file with this code in it, which is begun at this place of it, for this processor (EM_*).
pub(super) fn image(code: &[u8], start: usize, machine: u16) -> Vec<u8> {
    let mut file = Vec::new();
    let length = CODE + code.len() as u64;
    // ELFCLASS64, this machine's byte order, EV_CURRENT.
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    file.extend(b"\x7fELF\x02");
    file.extend([order, 1]);
    file.extend([0; 9]);
    file.extend(2_u16.to_ne_bytes()); // ET_EXEC
    file.extend(machine.to_ne_bytes());
    file.extend(1_u32.to_ne_bytes()); // EV_CURRENT
    file.extend((ADDRESS + offset_of(start)).to_ne_bytes()); // where it begins
    file.extend(u64::from(HEADER).to_ne_bytes()); // where the program headers are
    file.extend(0_u64.to_ne_bytes()); // no sections
    file.extend(0_u32.to_ne_bytes()); // no flags
    for number in [HEADER, PROGRAM_HEADER, 2, 0, 0, 0] {
        file.extend(number.to_ne_bytes());
    }
    // PT_LOAD, all of it; and PT_GNU_STACK, which is there to say that nothing on the stack is executed.
    program_header(&mut file, 1, READ | EXECUTE, length);
    program_header(&mut file, 0x6474_e551, READ | WRITE, 0);
    file.extend(code);
    file
}

fn program_header(file: &mut Vec<u8>, kind: u32, flags: u32, length: u64) {
    const PAGE: u64 = 0x1000;
    let address = if length == 0 { 0 } else { ADDRESS };
    file.extend(kind.to_ne_bytes());
    file.extend(flags.to_ne_bytes());
    for number in [0, address, address, length, length, PAGE] {
        file.extend(number.to_ne_bytes());
    }
}

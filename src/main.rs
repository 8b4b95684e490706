//! The command `nslab`.

#[cfg(begins_in_entry)]
#[allow(unsafe_code)] // assembler
mod entry;

fn main() -> std::process::ExitCode {
    // Before any thread: a helper is nothing else.
    if let Some(code) = nslab::become_helper() {
        return code;
    }
    nslab::cli::main()
}

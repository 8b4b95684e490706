//! The command `nslab`.

fn main() -> std::process::ExitCode {
    // Before any thread: a helper is nothing else.
    if let Some(code) = nslab::become_helper() {
        return code;
    }
    nslab::cli::main()
}

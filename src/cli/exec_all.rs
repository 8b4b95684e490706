//! `exec --all`: an `nslab exec` for each node, all at once, each line of output headed by its node's name.

use super::args::{ExecArguments, Global};
use super::exec::OWN_FAILURE;
use super::signals::Signals;
use super::{render, select};
use crate::Error;
use crate::host;
use crate::lab::Nslab;
use crate::model::NodeName;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::SignalKind;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How many lines wait to be printed: a flood waits for the terminal.
const LINES: usize = 256;

/// The files that are open besides those of the commands.
const OTHER_FILES: u64 = 64;

/// How long the output of a command may stay silent after its end. What it wrote is in the pipe by then; what it left
/// running in the background may write on for ever.
const SILENCE: Duration = Duration::from_millis(100);

/// Runs the command in every node of a lab. Succeeds if all of them do, else returns the first node's code that is not 0.
pub(super) async fn exec_all(nslab: &Nslab, global: &Global, arguments: &ExecArguments) -> ExitCode {
    match run(nslab, global, arguments).await {
        Ok(code) => code,
        Err(error) => {
            render::error(&error);
            ExitCode::from(OWN_FAILURE)
        }
    }
}

async fn run(nslab: &Nslab, global: &Global, arguments: &ExecArguments) -> Result<ExitCode, Error> {
    let lab = select::lab(nslab.root(), global, None)?;
    let spec = nslab.record(&lab)?.spec;
    let own = std::env::current_exe()
        .map_err(|source| Error::Io { action: "find the program of this process".into(), source })?;
    let width = spec.nodes.iter().map(|node| node.name.as_str().len()).max().unwrap_or(0);
    let mut signals = Signals::new()?;
    // Two pipes for each node. Where the limit can't be raised, starting a command says so.
    host::raise_open_files_limit(2 * spec.nodes.len() as u64 + OTHER_FILES);

    // One printer, so that lines of different nodes are never mixed.
    let (lines, mut printed) = mpsc::channel::<(render::Stream, String)>(LINES);
    let mut groups = Vec::new();
    let mut running = JoinSet::new();
    for (place, node) in spec.nodes.iter().enumerate() {
        let mut command = Command::new(&own);
        command
            .arg("--state-dir")
            .arg(nslab.root().path())
            .args(["exec", &format!("{lab}/{}", node.name), "--"])
            .args(&arguments.command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's signals come to us alone, and from us to all, once.
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|source| Error::Io { action: format!("start the command in {}", node.name), source })?;
        groups.extend(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
        let head = format!("{:width$} | ", node.name);
        running.spawn(follow(place, node.name.clone(), child, head, lines.clone()));
    }
    drop(lines);

    let mut codes = vec![None; spec.nodes.len()];
    loop {
        tokio::select! {
            Some((stream, line)) = printed.recv() => render::line(stream, &line),
            signal = signals.next() => pass_on(signal, &groups),
            ended = running.join_next() => match ended {
                Some(Ok(ended)) => {
                    let (place, status) = ended?;
                    codes[place] = Some(code(status));
                }
                Some(Err(error)) => {
                    let source = std::io::Error::other(error);
                    return Err(Error::Io { action: "follow a command".into(), source });
                }
                None => break,
            },
        }
    }
    while let Some((stream, line)) = printed.recv().await {
        render::line(stream, &line);
    }
    Ok(codes.into_iter().flatten().find(|code| *code != 0).map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Sends a signal to the commands and what they started.
fn pass_on(kind: SignalKind, groups: &[Pid]) {
    let Ok(signal) = Signal::try_from(kind.as_raw_value()) else { return };
    for &group in groups {
        // One that has ended does not hear it.
        let _ = killpg(group, signal);
    }
}

/// Hands on what a command prints until it ends; gives back how.
async fn follow(
    place: usize,
    node: NodeName,
    mut child: Child,
    head: String,
    lines: mpsc::Sender<(render::Stream, String)>,
) -> Result<(usize, ExitStatus), Error> {
    let (ended, has_ended) = watch::channel(false);
    let mut readers = JoinSet::new();
    if let Some(stdout) = child.stdout.take() {
        readers.spawn(read(stdout, render::Stream::Out, head.clone(), lines.clone(), has_ended.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        readers.spawn(read(stderr, render::Stream::Error, head, lines, has_ended));
    }
    let status =
        child.wait().await.map_err(|source| Error::Io { action: format!("wait for the command in {node}"), source })?;
    ended.send_replace(true);
    readers.join_all().await;
    Ok((place, status))
}

/// Hands on lines until there are no more: the pipe is closed, or the command has ended and the pipe is silent.
async fn read(
    stream: impl AsyncRead + Unpin,
    to: render::Stream,
    head: String,
    lines: mpsc::Sender<(render::Stream, String)>,
    mut has_ended: watch::Receiver<bool>,
) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let silent = async {
            // An error says that the sender is gone, which has ended then.
            let _ = has_ended.wait_for(|ended| *ended).await;
            tokio::time::sleep(SILENCE).await;
        };
        let more = tokio::select! {
            biased;
            // What was read of a line stays in it when the other branch comes first.
            read = reader.read_until(b'\n', &mut line) => matches!(read, Ok(bytes) if bytes > 0),
            () = silent => false,
        };
        if !line.is_empty() {
            let text = String::from_utf8_lossy(&line);
            let text = format!("{head}{}", text.trim_end_matches('\n'));
            if lines.send((to, text)).await.is_err() {
                return;
            }
            line.clear();
        }
        if !more {
            return;
        }
    }
}

/// The exit code as a shell tells it: 128 and the signal's number for a command ended by one.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

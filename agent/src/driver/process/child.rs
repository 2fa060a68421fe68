//! One native process: started, adopted, waited for, ended.
//!
//! Knows process ids, groups and start times. Refuses to signal a process that it cannot prove to
//! be the one it means: an id alone may belong to somebody else by now.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::{Child, Command},
};

use super::members::{Process, Traces};

/// What tells one process from every other that this machine ran or will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Process id; also the id of its group and session.
    pub pid: i32,
    /// Start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
    /// The boot in which it was started (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// When it was started, in milliseconds since 1970.
    pub started_at: i64,
}

/// How to start a process.
pub(super) struct Launch {
    /// Where it puts itself before anything of it runs.
    pub door: Option<File>,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Everything after it.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub dir: PathBuf,
    /// Where standard output goes.
    pub stdout: PathBuf,
    /// Where standard error goes.
    pub stderr: PathBuf,
    /// It ends when the agent does, even when the agent is killed.
    pub with_parent: bool,
}

/// A process that runs, or did.
pub(super) struct Running {
    /// Which.
    pub mark: Mark,
    /// By what everything that it starts is known.
    pub traces: Traces,
    child: Option<Child>,
    pidfd: AsyncFd<OwnedFd>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With this status.
    Status(ExitStatus),
    /// It was not a child of this agent, so nobody told how.
    Unknown,
}

impl End {
    /// Whether it is known to have ended with 0.
    pub(super) fn is_success(self) -> bool {
        matches!(self, Self::Status(status) if status.success())
    }

    /// For people.
    pub(super) fn words(self) -> String {
        use std::os::unix::process::ExitStatusExt;
        match self {
            Self::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
            Self::Unknown => "ended (how is not known: an earlier agent started it)".to_owned(),
        }
    }
}

/// Starts a process in a session and group of its own.
///
/// # Errors
/// When the program cannot be executed or a log file cannot be opened. It may have been started all
/// the same, and then carries its badge.
pub(super) fn spawn(launch: &Launch, traces: Traces, now_millis: i64) -> io::Result<Running> {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.dir)
        .stdin(Stdio::null())
        .stdout(append(&launch.stdout)?)
        .stderr(append(&launch.stderr)?)
        .kill_on_drop(false);
    let with_parent = launch.with_parent;
    let door = launch.door.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: the calls are async-signal-safe, and nothing is allocated between fork and exec. The
    // door is open until the child has executed its program.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() < 0 {
                return Err(io::Error::last_os_error());
            }
            if door >= 0 {
                // Where this fails, the badge does.
                libc::write(door, b"0".as_ptr().cast(), 1);
            }
            if with_parent && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    match mark(&child, now_millis).and_then(|mark| Ok((open_pidfd(mark.pid)?, mark))) {
        Ok((pidfd, mark)) => {
            let traces = Traces { leader: Some((mark.pid, mark.start)), ..traces };
            Ok(Running { pidfd, mark, traces, child: Some(child) })
        }
        Err(error) => {
            kill(&mut child);
            Err(error)
        }
    }
}

fn mark(child: &Child, now_millis: i64) -> io::Result<Mark> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.ok_or_else(|| io::Error::other("it ended before it was seen"))?;
    // The child is not reaped before it is waited for, so its entry in /proc is there.
    let start = start_time(pid)?.0;
    Ok(Mark { pid, start, boot: boot_id()?, started_at: now_millis })
}

/// Kills a child with all of its group; who cannot be watched is not left to run.
fn kill(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // SAFETY: plain system call. The child was not waited for, so that its number is its own,
        // and it leads a group of that number.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
    }
    // An error says that it ended by itself.
    let _ = child.start_kill();
}

/// Has the system kill what the command starts when this agent is gone.
pub(super) fn end_with_parent(command: &mut Command) {
    // SAFETY: the call is async-signal-safe.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            failed if failed < 0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

/// Takes over a process that an earlier agent started; `None` when it does not run any more.
pub(super) fn adopt(mark: &Mark, traces: Traces) -> Option<Running> {
    // The descriptor is opened first: from then on it means one process, and that one is looked at.
    let pidfd = open_pidfd(mark.pid).ok()?;
    let traces = Traces { leader: Some((mark.pid, mark.start)), ..traces };
    alive(mark).then(|| Running { mark: mark.clone(), traces, child: None, pidfd })
}

/// The mark of a process that was found running and of which nothing was written down.
///
/// # Errors
/// When the system does not say when it started.
pub(super) fn mark_of(process: &Process, now_millis: i64) -> io::Result<Mark> {
    let uptime = fs::read_to_string("/proc/uptime")?;
    let uptime = uptime.split([' ', '.']).next().and_then(|seconds| seconds.parse::<u64>().ok());
    // SAFETY: plain system call.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    let age = uptime.unwrap_or(0).saturating_sub(process.start / ticks);
    let started_at = now_millis - i64::try_from(age * 1000).unwrap_or(0);
    Ok(Mark { pid: process.pid, start: process.start, boot: boot_id()?, started_at })
}

fn alive(mark: &Mark) -> bool {
    let zombie = ['Z', 'X'];
    boot_id().is_ok_and(|boot| boot == mark.boot)
        && start_time(mark.pid)
            .is_ok_and(|(start, state)| start == mark.start && !zombie.contains(&state))
}

impl Running {
    /// Waits until it ends.
    pub(super) async fn ended(&mut self) -> End {
        match &mut self.child {
            Some(child) => child.wait().await.map_or(End::Unknown, End::Status),
            None => {
                // A pidfd becomes readable when its process ends; an error means it is gone.
                let _ = self.pidfd.ready(Interest::READABLE).await;
                End::Unknown
            }
        }
    }

    /// Asks all of the unit to end, and kills what is left of it after `grace`. Returns what did
    /// not end even so.
    ///
    /// # Errors
    /// When it cannot be seen what runs.
    pub(super) async fn terminate(&mut self, signal: i32, grace: Duration) -> io::Result<Vec<i32>> {
        let left = self.traces.end(Some((signal, grace))).await;
        // It is not left behind as a zombie; one that cannot be killed is not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.ended()).await;
        left
    }

    /// Kills what is left of the unit after its first process ended.
    ///
    /// # Errors
    /// When it cannot be seen what runs.
    pub(super) async fn end_rest(&self) -> io::Result<Vec<i32>> {
        self.traces.end(None).await
    }
}

fn open_pidfd(pid: i32) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: plain system call; a non-negative result is a descriptor that nobody else owns.
    let fd = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?)
    };
    // SAFETY: the descriptor is owned by the result, and closed when that is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
}

/// Ends when the process does. For watching one that is not ours, such as the parent.
///
/// # Errors
/// When there is no such process.
pub async fn wait_for_end(pid: i32) -> io::Result<()> {
    open_pidfd(pid)?.ready(Interest::READABLE).await.map(drop)
}

/// When a process started, in clock ticks since boot, and its state by `/proc/PID/stat`'s letter.
///
/// # Errors
/// When there is no such process, or the file has another form.
pub(super) fn start_time(pid: i32) -> io::Result<(u64, char)> {
    let stat = fs::read(format!("/proc/{pid}/stat"))?;
    // The name is in parentheses and may hold anything, parentheses too, and is cut after 15 bytes,
    // which may be in the middle of a character; what follows it is plain.
    let stat = String::from_utf8_lossy(&stat);
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let mut fields = fields.split(' ');
    let state = fields.next().and_then(|state| state.chars().next());
    let start = fields.nth(18).and_then(|start| start.parse().ok());
    state
        .and_then(|state| Some((start?, state)))
        .ok_or_else(|| io::Error::other("/proc/PID/stat has an unknown form"))
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The number of a signal's name, with or without `SIG`.
pub(super) fn signal_number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    Some(match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "HUP" => libc::SIGHUP,
        "INT" => libc::SIGINT,
        "QUIT" => libc::SIGQUIT,
        "KILL" => libc::SIGKILL,
        "USR1" => libc::SIGUSR1,
        "USR2" => libc::SIGUSR2,
        "TERM" => libc::SIGTERM,
        "WINCH" => libc::SIGWINCH,
        _ => return None,
    })
}

/// Finds a program: as a path (relative ones from `dir`), or by name along `path`.
pub(super) fn find_program(name: &str, dir: &Path, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(dir.join(name)).filter(executable);
    }
    path.split(':')
        .filter(|entry| entry.starts_with('/'))
        .map(|entry| Path::new(entry).join(name))
        .find(executable)
}

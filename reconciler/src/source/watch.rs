//! Waking up when files change, and now and then in any case.
//!
//! Knows file system events and how to make few wake-ups of many. Refuses to say what changed:
//! whoever wakes looks at everything.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Called when something may have changed, from a thread of its own. It must not block for long.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Events that follow one another more closely than this are one change.
const QUIET: Duration = Duration::from_millis(50);

/// A change that never ends is still reported this often.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often to look where the system refuses to tell (too many watches, an odd file system).
const BLIND: Duration = Duration::from_secs(2);

/// Keeps a watch alive; dropping it ends the watch, and no wake-up comes afterwards.
pub struct Watcher {
    files: Option<RecommendedWatcher>,
    stop: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

enum Signal {
    Changed,
    Stop,
}

/// Watches `places` (a directory, and whether also what is below it) for changes of paths that are
/// `of_interest`. Where the system cannot tell of changes, it looks every two seconds instead.
pub(super) fn start(
    places: &[(&Path, bool)],
    interval: Duration,
    wake: Wake,
    of_interest: impl Fn(&Path) -> bool + Send + 'static,
) -> Watcher {
    let (stop, signals) = channel();
    let sender = stop.clone();
    let handler = move |event: notify::Result<Event>| {
        // An error may have swallowed an event, so it counts as one.
        if event.map_or(true, |event| is_change(&event, &of_interest)) {
            // The receiver is gone only when the watch is being dropped.
            let _ = sender.send(Signal::Changed);
        }
    };
    let files = match watch_files(places, handler) {
        Ok(files) => Some(files),
        Err(error) => {
            tracing::warn!(%error, "changes of files cannot be watched; looking every 2 s instead");
            None
        }
    };
    let interval = if files.is_some() { interval } else { interval.min(BLIND) };
    let thread = std::thread::spawn(move || run(&signals, interval, &*wake));
    Watcher { files, stop, thread: Some(thread) }
}

/// Wakes every `interval` and never else.
pub(super) fn poll(interval: Duration, wake: Wake) -> Watcher {
    let (stop, signals) = channel();
    let thread = std::thread::spawn(move || run(&signals, interval, &*wake));
    Watcher { files: None, stop, thread: Some(thread) }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.files.take());
        let _ = self.stop.send(Signal::Stop);
        if let Some(thread) =
            self.thread.take().filter(|t| t.thread().id() != std::thread::current().id())
        {
            // It ends at the signal; a wake-up that panicked is reported by the panic itself.
            let _ = thread.join();
        }
    }
}

fn watch_files(
    places: &[(&Path, bool)],
    handler: impl FnMut(notify::Result<Event>) + Send + 'static,
) -> notify::Result<RecommendedWatcher> {
    let mut files = notify::recommended_watcher(handler)?;
    for &(place, below) in places {
        let mode = if below { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        files.watch(place, mode)?;
    }
    Ok(files)
}

/// Reading makes events too, and waking up makes us read: those must not count.
fn is_change(event: &Event, of_interest: &impl Fn(&Path) -> bool) -> bool {
    !matches!(event.kind, EventKind::Access(_))
        && (event.need_rescan() || event.paths.iter().any(|path| of_interest(path)))
}

fn run(signals: &Receiver<Signal>, interval: Duration, wake: &(dyn Fn() + Send + Sync)) {
    loop {
        match signals.recv_timeout(interval) {
            Ok(Signal::Changed) if settle(signals) => wake(),
            Err(RecvTimeoutError::Timeout) => wake(),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Waits until a change is over. False when the watch is.
fn settle(signals: &Receiver<Signal>) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match signals.recv_timeout(QUIET.min(left)) {
            Ok(Signal::Changed) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

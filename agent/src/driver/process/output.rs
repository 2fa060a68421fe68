//! Where the output of a process goes: files that only grow at their end, and are emptied at their
//! beginning.
//!
//! Knows two log files a unit and how much of each is kept. Refuses to move what was written: the
//! process writes straight to its files, so that it outlives the agent, and whoever reads them must
//! find the same bytes at the same place. The old ones are cut out as a hole.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use crate::identity::write_atomic;

/// The beginning of a log is cut out when more than this is kept, in bytes.
const MOST_KEPT: u64 = 64 << 20;

/// So much stays then, in bytes.
const KEPT: u64 = 48 << 20;

/// Files are looked through in blocks of this size, in bytes.
pub(super) const BLOCK: u64 = 64 << 10;

/// Holes are made of whole blocks of the file system; this is a multiple of every usual size.
const ALIGNED: u64 = 64 << 10;

/// The two streams, with their file names.
pub(super) const STREAMS: [(&str, &str); 2] = [("stdout", "stdout.log"), ("stderr", "stderr.log")];

/// Written while the beginning of a log goes away, so that no reader reads what is half gone.
pub(super) static CUTTING: RwLock<()> = RwLock::new(());

/// Where a log begins, beside it on the disk. It is written before anything is cut out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// When the log was begun, in milliseconds since 1970: tells it from one that was removed.
    pub begun: i64,
    /// How often it was emptied as a whole, where the file system has no holes.
    pub emptied: u32,
    /// What is before this place was cut out, in bytes.
    pub start: u64,
    /// So many lines were.
    pub lines: u64,
}

impl Mark {
    fn path(log: &Path) -> PathBuf {
        log.with_extension("log.start")
    }

    /// That of a log. A log without one was not cut yet.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(super) fn of(log: &Path) -> io::Result<Self> {
        match fs::read(Self::path(log)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            bytes => serde_json::from_slice(&bytes?).map_err(io::Error::from),
        }
    }

    /// That of a log that ends at `end`. One that ends before its beginning was truncated by hand:
    /// it begins anew.
    pub(super) fn fitting(self, end: u64) -> Self {
        match end < self.start {
            true => Self { emptied: self.emptied.saturating_add(1), start: 0, ..self },
            false => self,
        }
    }

    fn save(&self, log: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::from)?;
        write_atomic(&Self::path(log), &bytes, 0o600).map_err(io::Error::other)
    }
}

/// Begins the logs of a unit, where there are none yet, and keeps them within bounds.
///
/// # Errors
/// When the disk refuses.
pub(super) fn begin(logs: &Path, now_millis: i64) -> io::Result<()> {
    for (_, name) in STREAMS {
        let log = logs.join(name);
        if !log.exists() {
            Mark { begun: now_millis, ..Mark::default() }.save(&log)?;
        }
    }
    bound(logs)
}

/// Keeps each log within bounds.
///
/// # Errors
/// When the disk refuses.
pub(super) fn bound(logs: &Path) -> io::Result<()> {
    for (_, name) in STREAMS {
        cut(&logs.join(name), MOST_KEPT, KEPT, punch)?;
    }
    Ok(())
}

/// Cuts out the beginning of a log that has more than `most` bytes, up to the beginning of a line
/// behind which about `kept` are left.
fn cut(
    log: &Path,
    most: u64,
    kept: u64,
    punch: impl Fn(&File, u64) -> io::Result<()>,
) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    begin_anew(log)?;
    let (mark, end) = (Mark::of(log)?, file.metadata()?.len());
    if end.saturating_sub(mark.start) <= most {
        return Ok(());
    }
    let start = line_start(&file, end - kept, end)?;
    let lines = mark.lines + newlines(&file, mark.start, start)?;
    let _alone = CUTTING.write().unwrap_or_else(PoisonError::into_inner);
    if Mark::of(log)? != mark || file.metadata()?.len() < end {
        // Somebody truncated it meanwhile; the next look sees what it is now.
        return Ok(());
    }
    Mark { start, lines, ..mark.clone() }.save(log)?;
    match punch(&file, start / ALIGNED * ALIGNED) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            // Without holes everything goes; what is written between the two lines is not counted.
            let end = file.metadata()?.len();
            let lines = lines + newlines(&file, start, end)?;
            file.set_len(0)?;
            Mark { begun: mark.begun, emptied: mark.emptied + 1, start: 0, lines }.save(log)
        }
        other => other,
    }
}

/// Writes down that a log begins anew, where it was truncated by hand: once it had grown to its old
/// beginning again, what was written since would be taken for what was cut out.
///
/// # Errors
/// When the log or its mark cannot be read, or the disk refuses.
pub(super) fn begin_anew(log: &Path) -> io::Result<()> {
    let stale = || -> io::Result<Option<Mark>> {
        let end = match fs::metadata(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?.len(),
        };
        let mark = Mark::of(log)?;
        Ok((end < mark.start).then(|| mark.fitting(end)))
    };
    if stale()?.is_none() {
        return Ok(());
    }
    let _alone = CUTTING.write().unwrap_or_else(PoisonError::into_inner);
    stale()?.map_or(Ok(()), |mark| mark.save(log))
}

/// Gives the first bytes of a file back to the file system. They read as zeros then.
fn punch(file: &File, len: u64) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let len = i64::try_from(len).map_err(io::Error::other)?;
    // SAFETY: plain system call on a descriptor that is open for as long as it takes.
    match unsafe { libc::fallocate(file.as_raw_fd(), mode, 0, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The beginning of the first line that begins behind `from`; `from` itself when none does.
fn line_start(file: &File, from: u64, end: u64) -> io::Result<u64> {
    let mut found = None;
    blocks(file, from, end, |at, bytes| {
        found = memchr::memchr(b'\n', bytes).map(|newline| at + newline as u64 + 1);
        found.is_none()
    })?;
    Ok(found.unwrap_or(from))
}

/// How many lines end between two places.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn newlines(file: &File, from: u64, end: u64) -> io::Result<u64> {
    let mut count = 0;
    blocks(file, from, end, |_, bytes| {
        count += memchr::memchr_iter(b'\n', bytes).count() as u64;
        true
    })?;
    Ok(count)
}

/// The place behind which the last `count` complete lines of a log begin.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn last_lines(file: &File, start: u64, end: u64, count: u32) -> io::Result<u64> {
    let mut missing = u64::from(count) + 1;
    let mut until = end;
    while until > start {
        let from = until.saturating_sub(BLOCK).max(start);
        let mut bytes = vec![0; usize::try_from(until - from).unwrap_or_default()];
        file.read_exact_at(&mut bytes, from)?;
        for newline in memchr::memrchr_iter(b'\n', &bytes) {
            missing -= 1;
            if missing == 0 {
                return Ok(from + newline as u64 + 1);
            }
        }
        until = from;
    }
    Ok(start)
}

/// Looks at a part of a file block by block, for as long as `look` wants.
fn blocks(
    file: &File,
    from: u64,
    end: u64,
    mut look: impl FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    let mut bytes = vec![0; BLOCK as usize];
    let mut at = from;
    while at < end {
        let wanted = usize::try_from((end - at).min(BLOCK)).unwrap_or_default();
        let read = file.read_at(&mut bytes[..wanted], at)?;
        if read == 0 || !look(at, &bytes[..read]) {
            break;
        }
        at += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::MetadataExt};

    use super::*;

    fn filled(log: &Path, lines: u64) -> File {
        let mut file = OpenOptions::new().append(true).create(true).open(log).unwrap();
        let text: String = (0..lines).map(|number| format!("{number:0>1023}\n")).collect();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_beginning_of_a_large_log_goes_and_the_rest_stays_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("stdout.log");
        let file = filled(&log, 1000);
        let before = file.metadata().unwrap().blocks();
        cut(&log, 1 << 20, 256 << 10, punch).unwrap();
        assert_eq!(Mark::of(&log).unwrap(), Mark::default(), "it is not too large");
        cut(&log, 512 << 10, 256 << 10, punch).unwrap();
        let mark = Mark::of(&log).unwrap();
        assert_eq!((mark.start, mark.lines), (745 << 10, 745));
        let (after, file) = (file.metadata().unwrap(), File::open(&log).unwrap());
        assert_eq!(after.len(), 1000 << 10);
        assert!(after.blocks() < before / 2, "the disk has it back: {before} {}", after.blocks());
        assert_eq!(newlines(&file, mark.start, after.len()).unwrap(), 255);
        filled(&log, 500);
        cut(&log, 512 << 10, 256 << 10, punch).unwrap();
        assert_eq!(Mark::of(&log).unwrap().lines, 1245);
    }

    #[test]
    fn a_file_system_without_holes_is_emptied_and_its_lines_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("stdout.log");
        let file = filled(&log, 1000);
        let refuse = |_: &File, _| Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        cut(&log, 512 << 10, 256 << 10, refuse).unwrap();
        let wanted = Mark { begun: 0, emptied: 1, start: 0, lines: 1000 };
        assert_eq!((Mark::of(&log).unwrap(), file.metadata().unwrap().len()), (wanted, 0));
    }

    #[test]
    fn a_log_that_was_truncated_by_hand_is_bounded_from_its_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("stdout.log");
        filled(&log, 1000);
        cut(&log, 512 << 10, 256 << 10, punch).unwrap();
        assert_eq!(Mark::of(&log).unwrap().start, 745 << 10);
        OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        filled(&log, 600);
        cut(&log, 512 << 10, 256 << 10, punch).unwrap();
        let wanted = Mark { begun: 0, emptied: 1, start: 345 << 10, lines: 745 + 345 };
        assert_eq!(Mark::of(&log).unwrap(), wanted);
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("stdout.log");
        filled(&log, 200);
        fs::write(dir.path().join("short"), "a\nb\nunfinished").unwrap();
        let file = File::open(&log).unwrap();
        let end = 200 << 10;
        for (count, at) in [(0, end), (1, 199 << 10), (150, 50 << 10), (200, 0), (u32::MAX, 0)] {
            assert_eq!(last_lines(&file, 0, end, count).unwrap(), at, "{count}");
        }
        assert_eq!(last_lines(&file, 100 << 10, end, 150).unwrap(), 100 << 10);
        let short = File::open(dir.path().join("short")).unwrap();
        assert_eq!(last_lines(&short, 0, 14, 1).unwrap(), 2);
        assert_eq!(last_lines(&short, 0, 14, 0).unwrap(), 4);
    }
}

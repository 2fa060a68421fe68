//! Reads the output of a process: the last lines, then new ones as they come.
//!
//! Knows how far a reader is in each of the two files. Refuses to know times: the process writes
//! straight to its files, so that it outlives the agent, and nobody stamps its lines.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use devnet_schema::wire::{LogEndReason, LogLine};
use serde::{Deserialize, Serialize};

use super::output::{self, BLOCK, CUTTING, Mark, STREAMS};
use crate::{
    driver::logs::{self, Chunk, PIECE, Query, Sink},
    logs::lost,
};

/// How often a followed file is looked at when nothing new was there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far a reader is in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// In which log: [`Mark::begun`].
    begun: i64,
    /// [`Mark::emptied`].
    emptied: u32,
    /// The next byte.
    at: u64,
    /// So many lines ended before it, those that were cut out too.
    line: u64,
}

/// Writes the output of a unit into `sink` as `query` says.
///
/// # Errors
/// When a log file is there and cannot be read.
pub(super) async fn send(logs: PathBuf, query: Query, sink: Sink) -> io::Result<LogEndReason> {
    let (follow, here) = (query.follow, query.here.clone());
    let opened = tokio::task::spawn_blocking(move || Reader::open_all(&logs, &query)).await;
    let mut readers = opened.map_err(io::Error::other)??;
    for number in 0..readers.len() {
        while readers[number].has_old() {
            match step(&mut readers, number, &sink).await? {
                Some(true) => {}
                Some(false) => break,
                None => return Ok(LogEndReason::Complete),
            }
        }
    }
    if !follow {
        return Ok(LogEndReason::Complete);
    }
    loop {
        let mut news = false;
        for number in 0..readers.len() {
            match step(&mut readers, number, &sink).await? {
                Some(more) => news |= more,
                None => return Ok(LogEndReason::Complete),
            }
        }
        if !news && !here() {
            return Ok(LogEndReason::Gone);
        }
        if !news {
            tokio::select! {
                () = sink.closed() => return Ok(LogEndReason::Complete),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// Gives away the next lines of one of the readers: whether there were any, and nothing when nobody
/// reads any more.
async fn step(readers: &mut [Reader], number: usize, sink: &Sink) -> io::Result<Option<bool>> {
    let others: Vec<Place> = readers.iter().map(|reader| reader.place.clone()).collect();
    let reader = &mut readers[number];
    let block = reader.next_block()?;
    let remarked = block.lost.is_some();
    let mut chunk = Chunk::default();
    block.lost.into_iter().for_each(|line| chunk.push(line));
    let mut bytes = &block.bytes[..];
    loop {
        let piece = Piece::first(bytes, block.last);
        if let Some(Piece { text, len, open }) = &piece {
            let lines = logs::lines("", reader.stream, text, *open);
            lines.into_iter().for_each(|line| chunk.push(line));
            bytes = &bytes[*len..];
            reader.place.at += *len as u64;
            reader.place.line += u64::from(!open);
        }
        if chunk.is_full() || piece.is_none() {
            let mut full = std::mem::take(&mut chunk);
            full.position = position(&others, number, &reader.place)?;
            if sink.put(full).await.is_err() {
                return Ok(None);
            }
        }
        if piece.is_none() {
            return Ok(Some(remarked || bytes.len() < block.bytes.len()));
        }
    }
}

fn position(places: &[Place], number: usize, place: &Place) -> io::Result<String> {
    let mut places: Vec<&Place> = places.iter().collect();
    places[number] = place;
    serde_json::to_string(&places).map_err(io::Error::from)
}

/// A line, or a part of one that is too long, at the beginning of some bytes.
struct Piece<'a> {
    text: &'a [u8],
    /// How many bytes it takes, with its end.
    len: usize,
    /// Whether the line goes on.
    open: bool,
}

impl<'a> Piece<'a> {
    /// `last` says that nothing will follow the bytes, so that an unfinished line is one too.
    fn first(bytes: &'a [u8], last: bool) -> Option<Self> {
        let within = &bytes[..bytes.len().min(PIECE)];
        if let Some(end) = memchr::memchr(b'\n', within) {
            let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            return Some(Self { text, len: end + 1, open: false });
        }
        if bytes.is_empty() || !last && bytes.len() <= PIECE {
            return None;
        }
        let len = if bytes.len() <= PIECE { bytes.len() } else { between_characters(bytes) };
        Some(Self { text: &bytes[..len], len, open: true })
    }
}

/// The last place up to [`PIECE`] that is in no character of UTF-8.
fn between_characters(bytes: &[u8]) -> usize {
    let begins = |at: &usize| bytes[*at] & 0xc0 != 0x80;
    (PIECE - 3..=PIECE).rev().find(begins).unwrap_or(PIECE)
}

/// What can be read at once.
struct Block {
    /// A remark about lines that cannot be had any more.
    lost: Option<LogLine>,
    bytes: Vec<u8>,
    /// Nothing follows.
    last: bool,
}

/// Reads one file as it grows.
struct Reader {
    stream: &'static str,
    log: PathBuf,
    file: Option<File>,
    place: Place,
    /// Where the file ended when reading began.
    old_end: u64,
    /// Whether to go on behind that.
    follow: bool,
    /// The log is not there any more; what is open can still be read.
    removed: bool,
    /// Whether a block was read.
    looked: bool,
}

impl Reader {
    fn open_all(logs: &Path, query: &Query) -> io::Result<Vec<Self>> {
        let after: Option<Vec<Place>> =
            query.after.as_deref().and_then(|after| serde_json::from_str(after).ok());
        let open = |(number, (stream, name)): (usize, (&'static str, &str))| {
            let after = after.as_ref().and_then(|places| places.get(number));
            let mut reader = Self {
                stream,
                log: logs.join(name),
                file: None,
                place: Place::default(),
                old_end: 0,
                follow: query.follow,
                removed: false,
                looked: false,
            };
            reader.open(after, query.tail)?;
            Ok(reader)
        };
        STREAMS.into_iter().enumerate().map(open).collect()
    }

    fn open(&mut self, after: Option<&Place>, tail: u32) -> io::Result<()> {
        self.note_truncation();
        let _still = CUTTING.read().unwrap_or_else(PoisonError::into_inner);
        let Some((file, mark)) = self.found()? else { return Ok(()) };
        self.old_end = file.metadata()?.len();
        self.place = match after {
            Some(place) if place.begun == mark.begun => place.clone(),
            Some(_) => Place::beginning(&mark),
            None => {
                let at = output::last_lines(&file, mark.start, self.old_end, tail)?;
                let line = mark.lines + output::newlines(&file, mark.start, at)?;
                Place { at, line, ..Place::beginning(&mark) }
            }
        };
        self.file = Some(file);
        Ok(())
    }

    fn found(&self) -> io::Result<Option<(File, Mark)>> {
        match File::open(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => {
                let file = file?;
                let mark = Mark::of(&self.log)?.fitting(file.metadata()?.len());
                Ok(Some((file, mark)))
            }
        }
    }

    fn note_truncation(&self) {
        if let Err(error) = output::begin_anew(&self.log) {
            // It is read from its new beginning all the same, until it has grown past the old one.
            tracing::warn!(log = %self.log.display(), %error, "a log that was truncated by hand");
        }
    }

    /// Whether something is to be read of what was there at the beginning, or to be said of it.
    fn has_old(&self) -> bool {
        !self.looked || self.place.at < self.old_end
    }

    /// What follows the present place.
    fn next_block(&mut self) -> io::Result<Block> {
        self.note_truncation();
        let _still = CUTTING.read().unwrap_or_else(PoisonError::into_inner);
        self.looked = true;
        let found = self.found()?;
        let ours = |mark: &Mark| self.file.is_none() || mark.begun == self.place.begun;
        let (mut lost, mut successor) = (None, None);
        match found {
            Some((file, mark)) if ours(&mark) => {
                if self.file.is_none() {
                    self.place = Place::beginning(&mark);
                }
                lost = self.place.catch_up(&mark, file.metadata()?.len());
                self.file = Some(file);
            }
            other => {
                self.removed = self.file.is_some();
                successor = other.map(|(_, mark)| mark);
            }
        }
        let (bytes, all) = self.read()?;
        let newer = successor.filter(|mark: &Mark| mark.begun > self.place.begun);
        if let Some(mark) = newer.filter(|_| bytes.is_empty()) {
            // The old log was read to its end.
            (self.file, self.removed, self.place) = (None, false, Place::beginning(&mark));
        }
        Ok(Block { lost, bytes, last: all && (self.removed || !self.follow) })
    }

    /// The next bytes, and whether they are all there are.
    fn read(&self) -> io::Result<(Vec<u8>, bool)> {
        let Some(file) = &self.file else { return Ok((Vec::new(), true)) };
        let end = file.metadata()?.len();
        let end = if self.follow { end } else { end.min(self.old_end) };
        let left = end.saturating_sub(self.place.at);
        let mut bytes = vec![0; usize::try_from(left.min(BLOCK)).unwrap_or_default()];
        file.read_exact_at(&mut bytes, self.place.at)?;
        Ok((bytes, left <= BLOCK))
    }
}

impl Place {
    /// Of a log that was never read.
    fn beginning(mark: &Mark) -> Self {
        let Mark { begun, emptied, start, lines } = *mark;
        Self { begun, emptied, at: start, line: lines }
    }

    /// Moves on when what would be next was cut out, and says how much that was.
    fn catch_up(&mut self, mark: &Mark, end: u64) -> Option<LogLine> {
        if self.emptied != mark.emptied || self.at < mark.start {
            let (gone, beyond) = (mark.lines.saturating_sub(self.line), self.line > mark.lines);
            *self = Self::beginning(mark);
            // Beyond what was counted is only who read a log that was then truncated by hand.
            return (gone > 0 || beyond).then(|| lost((!beyond).then_some(gone)));
        }
        if end < self.at {
            // It was emptied by hand.
            self.at = 0;
            return Some(lost(None));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, sync::Arc};

    use super::*;
    use crate::driver::logs::Chunk;

    fn query(tail: u32, follow: bool, after: Option<String>) -> Query {
        Query { id: "web[0]".parse().unwrap(), tail, follow, after, here: Arc::new(|| true) }
    }

    fn append(dir: &Path, text: &[u8]) {
        let path = dir.join("stdout.log");
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text).unwrap();
    }

    /// Reads until `enough`, or to the end; what was read, the last position, and the end.
    async fn read(
        dir: &Path,
        query: Query,
        enough: impl Fn(&[String]) -> bool,
    ) -> (Vec<String>, String, LogEndReason) {
        let (sink, mut chunks) = Sink::new();
        let reading = send(dir.to_owned(), query, sink);
        let taking = async {
            let (mut seen, mut position) = (Vec::new(), String::new());
            while let Some(Chunk { lines, position: at, .. }) = chunks.recv().await {
                let mark = |line: &LogLine| if line.continued { "+" } else { "" };
                seen.extend(lines.iter().map(|line| format!("{}{}", line.text, mark(line))));
                position = at;
                if enough(&seen) {
                    chunks.close();
                }
            }
            (seen, position)
        };
        let (end, (seen, position)) = tokio::join!(reading, taking);
        (seen, position, end.unwrap())
    }

    #[tokio::test]
    async fn old_lines_are_read_with_an_unfinished_one_and_followed_from_there() {
        let dir = tempfile::tempdir().unwrap();
        output::begin(dir.path(), 1).unwrap();
        let nothing = read(dir.path(), query(5, false, None), |_| false).await;
        assert_eq!((nothing.0, nothing.2), (vec![], LogEndReason::Complete));
        append(dir.path(), b"1\n2\r\n3\nunfin");
        let (seen, at, _) = read(dir.path(), query(2, false, None), |_| false).await;
        assert_eq!(seen, ["2", "3", "unfin+"]);
        append(dir.path(), b"ished\n4\n");
        let all = |count| move |seen: &[String]| seen.len() >= count;
        let (seen, at, _) = read(dir.path(), query(0, true, Some(at)), all(2)).await;
        assert_eq!(seen, ["ished", "4"]);
        append(dir.path(), b"5\n6");
        let (seen, ..) = read(dir.path(), query(9, true, Some(at)), all(1)).await;
        assert_eq!(seen, ["5"]);
    }

    #[tokio::test]
    async fn long_lines_are_split_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let long = "€".repeat(BLOCK as usize);
        append(dir.path(), format!("a\n{long}\nb\n").as_bytes());
        let (seen, ..) = read(dir.path(), query(u32::MAX, false, None), |_| false).await;
        assert_eq!(seen.concat().replace('+', ""), format!("a{long}b"));
        assert!(seen.len() > 10 && !seen.last().unwrap().ends_with('+'));
    }

    #[tokio::test]
    async fn what_was_cut_out_before_it_was_read_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        output::begin(dir.path(), 1).unwrap();
        append(dir.path(), b"1\n2\n3\n4\n5\n");
        let (_, at, _) = read(dir.path(), query(4, true, None), |seen| seen.len() == 4).await;
        append(dir.path(), b"6\n7\n8\n9\n");
        let mark = Mark { begun: 1, emptied: 0, start: 14, lines: 7 };
        let marked = serde_json::to_vec(&mark).unwrap();
        fs::write(dir.path().join("stdout.log.start"), &marked).unwrap();
        let (seen, ..) = read(dir.path(), query(0, false, Some(at.clone())), |_| false).await;
        let gone = "2 lines were rotated away before they could be read";
        assert_eq!(seen, [gone, "8", "9"]);
        fs::write(dir.path().join("stdout.log"), "x\n").unwrap();
        let emptied = Mark { emptied: 1, start: 0, lines: 9, ..mark };
        let marked = serde_json::to_vec(&emptied).unwrap();
        fs::write(dir.path().join("stdout.log.start"), marked).unwrap();
        let (seen, ..) = read(dir.path(), query(0, false, Some(at)), |_| false).await;
        assert_eq!(seen, ["4 lines were rotated away before they could be read", "x"]);
    }

    #[tokio::test]
    async fn a_log_that_was_cut_and_then_truncated_by_hand_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        output::begin(dir.path(), 1).unwrap();
        append(dir.path(), b"1\n2\n3\n4\n5\n");
        let mark = Mark { begun: 1, emptied: 0, start: 6, lines: 3 };
        let start = dir.path().join("stdout.log.start");
        fs::write(&start, serde_json::to_vec(&mark).unwrap()).unwrap();
        let (seen, at, _) = read(dir.path(), query(9, false, None), |_| false).await;
        assert_eq!(seen, ["4", "5"]);
        fs::write(dir.path().join("stdout.log"), "a\n").unwrap();
        let gone = "lines were rotated away before they could be read; how many is not known";
        let (seen, at, _) =
            read(dir.path(), query(0, true, Some(at)), |seen| seen.len() >= 2).await;
        assert_eq!(seen, [gone, "a"]);
        let anew = Mark { emptied: 1, start: 0, ..mark };
        assert_eq!(Mark::of(&dir.path().join("stdout.log")).unwrap(), anew);
        // Longer than its old beginning again: nothing of it is taken for what was cut out.
        append(dir.path(), b"b\nc\nd\n");
        let (seen, ..) = read(dir.path(), query(0, true, Some(at)), |seen| seen.len() >= 3).await;
        assert_eq!(seen, ["b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_follower_reads_a_removed_log_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        output::begin(dir.path(), 1).unwrap();
        append(dir.path(), b"1\n");
        fs::write(dir.path().join("stderr.log"), "").unwrap();
        let remove = |seen: &[String]| {
            if seen.len() == 1 {
                append(dir.path(), b"2\n3");
                fs::remove_dir_all(dir.path()).unwrap();
            }
            false
        };
        let log = dir.path().join("stdout.log");
        let query = Query { here: Arc::new(move || log.exists()), ..query(9, true, None) };
        let (seen, _, end) = read(dir.path(), query, remove).await;
        assert_eq!((seen, end), (vec!["1".into(), "2".into(), "3+".into()], LogEndReason::Gone));
    }
}

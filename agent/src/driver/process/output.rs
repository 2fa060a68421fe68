//! What a process writes: bounded files, read from the end, followed as they grow.
//!
//! Knows two log files a unit. Refuses to know times: the process writes straight to its files, so
//! that it outlives the agent, and nobody stamps its lines.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use devnet_schema::wire::LogLine;
use tokio::sync::mpsc;

/// A log file is moved aside when it is larger than this, in bytes.
const MAX_SIZE: u64 = 10 << 20;

/// At most so much of the end of a file is looked at for old lines, in bytes.
const MAX_TAIL: u64 = 1 << 20;

/// Longer lines are cut, in bytes.
const MAX_LINE: usize = 16 << 10;

/// How often a followed file is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// The two streams, with their file names.
pub const STREAMS: [(&str, &str); 2] = [("stdout", "stdout.log"), ("stderr", "stderr.log")];

/// Keeps each log file and one older part of it within bounds. The process has the file open for
/// appending, so its content is copied away and the file cut, rather than renamed.
///
/// # Errors
/// When the disk refuses.
pub fn rotate(logs: &Path) -> io::Result<()> {
    for (_, name) in STREAMS {
        let path = logs.join(name);
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > MAX_SIZE) {
            fs::copy(&path, older(&path))?;
            OpenOptions::new().write(true).open(&path)?.set_len(0)?;
        }
    }
    Ok(())
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Sends the last `tail` lines of each stream, then new ones with `follow` until nobody listens.
///
/// # Errors
/// When a log file is there and cannot be read.
pub async fn send(
    logs: &Path,
    tail: u32,
    follow: bool,
    lines: &mpsc::Sender<LogLine>,
) -> io::Result<()> {
    let mut readers = Vec::new();
    for (stream, name) in STREAMS {
        let path = logs.join(name);
        let (old, offset) = last_lines(&path, tail as usize)?;
        for text in old {
            if lines.send(line(stream, &text)).await.is_err() {
                return Ok(());
            }
        }
        readers.push(Reader { stream, path, offset, rest: Vec::new() });
    }
    while follow && !lines.is_closed() {
        for reader in &mut readers {
            for text in reader.read_new()? {
                if lines.send(line(reader.stream, &text)).await.is_err() {
                    return Ok(());
                }
            }
        }
        tokio::select! {
            () = lines.closed() => {}
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
        }
    }
    Ok(())
}

fn line(stream: &str, text: &[u8]) -> LogLine {
    let text = &text[..text.len().min(MAX_LINE)];
    let text = String::from_utf8_lossy(text).trim_end_matches('\r').to_owned();
    LogLine { at: String::new(), stream: stream.to_owned(), text }
}

/// The last lines, and where the file ended. A file that is not there is empty.
fn last_lines(path: &Path, count: usize) -> io::Result<(Vec<Vec<u8>>, u64)> {
    let (mut bytes, end) = tail_bytes(path)?;
    if newlines(&bytes) < count {
        let (older, _) = tail_bytes(&older(path))?;
        bytes.splice(0..0, older);
    }
    let complete = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let unfinished = (bytes.len() - complete) as u64;
    let lines = bytes[..complete].split(|&b| b == b'\n');
    let mut lines: Vec<_> = lines.map(<[u8]>::to_vec).collect();
    lines.pop();
    let skip = lines.len().saturating_sub(count);
    // The unfinished line is read again, whole, by whoever follows.
    Ok((lines.split_off(skip), end - unfinished.min(end)))
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&b| b == b'\n').count()
}

fn tail_bytes(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        file => file?,
    };
    let end = file.metadata()?.len();
    let from = end.saturating_sub(MAX_TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(end - from).read_to_end(&mut bytes)?;
    if from > 0 {
        let cut = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..cut);
    }
    Ok((bytes, end))
}

/// Reads a file as it grows.
struct Reader {
    stream: &'static str,
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
}

impl Reader {
    /// The lines that were completed since the last call.
    fn read_new(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let end = file.metadata()?.len();
        if end < self.offset {
            // It was cut: the copy has what was there, and this file begins anew.
            self.offset = 0;
            self.rest.clear();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut fresh = Vec::new();
        file.take((end - self.offset).min(MAX_TAIL)).read_to_end(&mut fresh)?;
        self.offset += fresh.len() as u64;
        self.rest.extend_from_slice(&fresh);
        let complete = self.rest.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let done: Vec<u8> = self.rest.drain(..complete).collect();
        if self.rest.len() > MAX_LINE {
            return Ok(vec![std::mem::take(&mut self.rest)]);
        }
        let mut lines: Vec<_> = done.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        lines.pop();
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn texts(lines: Vec<Vec<u8>>) -> Vec<String> {
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn the_last_lines_come_from_both_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.log");
        assert_eq!(last_lines(&path, 5).unwrap(), (vec![], 0));
        fs::write(older(&path), "1\n2\n").unwrap();
        fs::write(&path, "3\n4\nunfin").unwrap();
        let (lines, offset) = last_lines(&path, 3).unwrap();
        assert_eq!(texts(lines), ["2", "3", "4"]);
        assert_eq!(offset, 4);
        assert_eq!(texts(last_lines(&path, 0).unwrap().0), Vec::<String>::new());
    }

    #[test]
    fn a_large_file_is_cut_and_its_reader_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.log");
        let mut file = append(&path);
        let long = vec![b'x'; 1023];
        for _ in 0..(MAX_SIZE / 1024 + 1) {
            file.write_all(&long).unwrap();
            file.write_all(b"\n").unwrap();
        }
        let offset = fs::metadata(&path).unwrap().len();
        let mut reader = Reader { stream: "stdout", path: path.clone(), offset, rest: vec![] };
        rotate(dir.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(fs::metadata(older(&path)).unwrap().len(), offset);
        file.write_all(b"after\nhal").unwrap();
        assert_eq!(texts(reader.read_new().unwrap()), ["after"]);
        file.write_all(b"f\n").unwrap();
        assert_eq!(texts(reader.read_new().unwrap()), ["half"]);
    }

    fn append(path: &Path) -> File {
        OpenOptions::new().append(true).create(true).open(path).unwrap()
    }
}

//! A configuration that comes through a pipe inherited by the program, as in `-c <(…)`.
//!
//! Only descriptors that this process has already count: another user can put a FIFO into a folder.
//! Reading ends at the pipe's end, at the cap, or when no data comes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

/// Time that a pipe may be silent, so that the command behind it can start and work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between two reads of a silent pipe.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Error reading a pipe.
#[derive(Debug, thiserror::Error)]
pub(super) enum PipeError {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// No data came, and the pipe did not end.
    #[error("is a pipe that has been silent for {} s", PATIENCE.as_secs())]
    Silent,
}

/// Opens `path` if it is one of this process's own descriptors and a pipe.
pub(super) fn open(path: &Path) -> Option<File> {
    let is_ours = ["/dev/fd", "/proc/self/fd"]
        .iter()
        .any(|folder| path.parent() == Some(Path::new(folder)))
        || path == Path::new("/dev/stdin");
    if !is_ours {
        return None;
    }
    // A file description of its own, so that other readers' descriptors stay blocking.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    file.metadata().ok()?.file_type().is_fifo().then_some(file)
}

/// Reads a pipe to its end, or to one byte more than `most`.
pub(super) fn read(mut pipe: File, most: u64) -> Result<Vec<u8>, PipeError> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut heard = Instant::now();
    while bytes.len() as u64 <= most {
        match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                bytes.extend_from_slice(&chunk[..count]);
                heard = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if heard.elapsed() > PATIENCE {
                    return Err(PipeError::Silent);
                }
                std::thread::sleep(LOOK_EVERY);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn own_pipe_is_read_to_its_end_and_other_fifo_is_not_opened() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let pipe = open(Path::new(&path)).expect("it is ours");
        let written = std::thread::spawn(move || {
            for part in ["[host]\n", "id = \"a\"\n"] {
                std::thread::sleep(Duration::from_millis(20));
                io::Write::write_all(&mut writer, part.as_bytes()).unwrap();
            }
        });
        assert_eq!(read(pipe, 1000).unwrap(), b"[host]\nid = \"a\"\n");
        written.join().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(open(&fifo).is_none());
    }

    #[test]
    fn pipe_is_read_to_one_byte_over_the_cap_at_least() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        io::Write::write_all(&mut writer, &[b'#'; 5000]).unwrap();
        let pipe = open(Path::new(&path)).expect("it is ours");
        assert!(read(pipe, 4000).unwrap().len() > 4000);
    }
}

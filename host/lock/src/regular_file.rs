//! Reading of regular files without ever waiting for another process.
//!
//! A FIFO in a file's place would block the thread that opens it. It is opened without blocking, judged by
//! its descriptor, and not read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Bytes of a password, a key or a chain of certificates; a bundle of a whole system is 0.3 MB.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Opens a regular file for reading.
///
/// # Errors
///
/// The file cannot be opened, or is a directory, FIFO, socket or device.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(io::Error::other("it is a directory; name a file in it"))
    } else {
        Err(io::Error::other(
            "it is not a regular file: FIFOs, sockets and devices cannot be used",
        ))
    }
}

/// Reads a regular file of at most 4 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    /// Hangs where the FIFO is opened as a file is.
    #[test]
    fn a_fifo_a_device_and_a_directory_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/zero"), folder.path()] {
            let refused = read(path).unwrap_err().to_string();
            assert!(refused.starts_with("it is "), "{refused}");
        }
    }

    #[test]
    fn a_file_is_read_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path).unwrap(), b"abc");
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(read(&path).is_err());
    }
}

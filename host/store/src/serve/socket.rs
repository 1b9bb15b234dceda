//! Connections over a socket in the file system, private to its owner.
//!
//! The file is removed when the listener closes. A file that another server answers at, or that is not a socket,
//! must never be removed.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::listen::ListenError;

/// Connections that the system queues for the listener.
pub(super) const BACKLOG: u32 = 1024;

/// A listener and the file it listens at.
pub(super) struct OwnedSocket {
    // Closed before the file is removed.
    listener: UnixListener,
    _file: SocketFile,
}

impl OwnedSocket {
    /// Returns the listener.
    pub(super) const fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

/// The socket's file, removed with its owner.
struct SocketFile {
    path: PathBuf,
    /// Device and inode: another server may have put its own there since.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Listens at a path, in place of a server that died there. Missing directories are created, private too.
pub(super) async fn bind(path: PathBuf) -> Result<(String, OwnedSocket), ListenError> {
    let failed = |source| ListenError::Bind {
        address: path.display().to_string(),
        source,
    };
    let path = std::path::absolute(&path).map_err(failed)?;
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
    }
    clear(&path).await?;
    let listener = open(&path).map_err(failed)?;
    let found = std::fs::symlink_metadata(&path).map_err(failed)?;
    let endpoint = format!("unix://{}", path.display());
    let file = SocketFile {
        identity: identity(&found),
        path,
    };
    let socket = OwnedSocket {
        listener,
        _file: file,
    };
    Ok((endpoint, socket))
}

/// Creates the socket, which is private before another process can find it.
fn open(path: &Path) -> io::Result<UnixListener> {
    let private = Mode::RUSR | Mode::WUSR;
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the mode that the socket has; elsewhere the call may fail and changes nothing.
    let _ = rustix::fs::fchmod(&socket, private);
    socket.bind(path)?;
    rustix::fs::chmod(path, private)?;
    socket.listen(BACKLOG)
}

/// Removes the file of a dead server.
async fn clear(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Bind {
        address: path.display().to_string(),
        source,
    };
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        // No process listens: the server that did has ended.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
    }
}

//! The seal of files in the compile cache: a keyed digest, with a key in a file that only this user can access.
//!
//! It proves that an entry was written by this user's own compiler. A key that another user could have written or
//! read is not used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ring::hmac;

use leasehold_config::hex;

/// File of the key.
const FILE: &str = "key";
const KEY_BYTES: usize = 32;

/// Key that makes and checks seals.
pub(super) struct SealKey(hmac::Key);

impl SealKey {
    /// Reads the key in `dir`, or makes one if there is none that can be trusted.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        match read(&path) {
            Ok(Some(key)) => return Ok(Self::from(&key)),
            Ok(None) => {
                tracing::warn!(
                    file = %path.display(),
                    "the key of the compile cache is not a private file of this user: a new one is made, and plugins are compiled again"
                );
                fs::remove_file(&path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        make(dir, &path)?;
        let key = read(&path)?
            .ok_or_else(|| io::Error::other("the new key is not a private file of this user"))?;
        Ok(Self::from(&key))
    }

    fn from(key: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Makes the seal of `parts`, in hex. `kind` separates the seals of records from those of files.
    pub(super) fn seal(&self, kind: &str, parts: &[&[u8]]) -> String {
        hex(self.tag(kind, parts).as_ref())
    }

    /// Returns true if `seal` is that of `parts`. The comparison takes constant time.
    pub(super) fn is_ours(&self, kind: &str, parts: &[&[u8]], seal: &str) -> bool {
        let found = self.seal(kind, parts);
        let differ = found.bytes().zip(seal.bytes());
        found.len() == seal.len() && differ.fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    fn tag(&self, kind: &str, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_bytes());
        context.update(b"\0");
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign()
    }
}

/// Reads the key in a file. `None` if another user could have written or read it.
fn read(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)
    {
        // The file is a symbolic link.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(None);
        }
        other => other?,
    };
    let meta = file.metadata()?;
    let is_ours =
        meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o7777 == 0o600;
    if !meta.is_file() || !is_ours || meta.len() != KEY_BYTES as u64 {
        return Ok(None);
    }
    let mut key = [0; KEY_BYTES];
    let mut file = file;
    file.read_exact(&mut key)?;
    Ok(Some(key))
}

/// Writes a new key. If two processes do so at once, the first key is kept.
fn make(dir: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let new = dir.join(format!(
        ".key-{}-{:x}",
        std::process::id(),
        fastrand::u64(..)
    ));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let written = file.write_all(&key).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| match fs::hard_link(&new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&new)?;
    placed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_seals_are_ours() {
        let dir = tempfile::tempdir().unwrap();
        let first = SealKey::open(dir.path()).unwrap();
        let seal = first.seal("code", &[b"a", b"bc"]);
        let again = SealKey::open(dir.path()).unwrap();
        assert!(again.is_ours("code", &[b"a", b"bc"], &seal));
        assert!(!again.is_ours("code", &[b"ab", b"c"], &seal));
        assert!(!again.is_ours("record", &[b"a", b"bc"], &seal));
        assert!(!again.is_ours("code", &[b"a", b"bc"], &seal[1..]));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = SealKey::open(elsewhere.path()).unwrap();
        assert!(!other.is_ours("code", &[b"a", b"bc"], &seal));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    /// Several hosts of one user make the key at once at their first start.
    #[test]
    fn processes_that_make_the_key_at_once_have_the_same_one() {
        for _ in 0..500 {
            let dir = tempfile::tempdir().unwrap();
            let open = || SealKey::open(dir.path()).unwrap().seal("code", &[]);
            let seals = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                threads
                    .into_iter()
                    .map(|made| made.join().unwrap())
                    .collect::<Vec<_>>()
            });
            assert!(seals.iter().all(|seal| *seal == seals[0]));
        }
    }

    #[test]
    fn a_key_that_others_may_know_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let open = || fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let cut = || fs::write(&path, "short").unwrap();
        let link = || {
            fs::remove_file(&path).unwrap();
            symlink("/dev/zero", &path).unwrap();
        };
        let changes: [&dyn Fn(); 3] = [&open, &cut, &link];
        for change in changes {
            let seal = SealKey::open(dir.path()).unwrap().seal("code", &[]);
            change();
            let made = SealKey::open(dir.path()).unwrap();
            assert!(!made.is_ours("code", &[], &seal));
        }
    }
}

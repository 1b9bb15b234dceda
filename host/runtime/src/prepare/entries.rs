//! Entries of the compile cache: machine code in the engine's format, and a sealed record with the result of the
//! survey.
//!
//! A plugin whose record and code have a valid seal is loaded without parsing its bytes. An entry with an invalid
//! seal is removed, reported and made again. No such entry is left in place.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::messages::{MOST_ANSWER_BYTES, PreparedPlugin};
use super::seal::SealKey;
use super::work::{COMPONENT, ENGINE, compiler_id};
use crate::cache::{self, CODE, CacheError};
use leasehold_config::hex;

/// Directory of records, and of components that were modules.
const KNOWN: &str = "known";
/// Directory of preparations in progress.
const WORK: &str = "work";
/// Largest file of machine code that is read.
const MOST_CODE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Largest size of all entries. Above it, the entries used longest ago are removed until seven tenths are left.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;
/// Time without use after which a file is removed.
const UNUSED: Duration = Duration::from_hours(90 * 24);
/// Age from which a use is noted in the file's time of change. Not every file system keeps the time of the last access.
const NOTED_AFTER: Duration = Duration::from_hours(24);
/// Number of entries that are added between two checks of the total size.
const LOOK_EVERY: usize = 16;
/// Age from which the directory of a preparation is treated as abandoned.
const ABANDONED: Duration = Duration::from_hours(1);
/// Attempts to remove the directory of a preparation whose process may still be ending, and the pause between two.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// A plugin that was compiled before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CacheEntry {
    pub(crate) plugin: PreparedPlugin,
    code: SealedFile,
    /// The component that is loaded instead of the plugin's own bytes.
    component: Option<SealedFile>,
}

/// A file below the cache's directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SealedFile {
    path: PathBuf,
    seal: String,
}

/// State of an entry's files just before they are loaded.
pub(crate) enum EntryState {
    /// Their seals are valid. Contains the bytes to load, if they are not the plugin's own.
    Sealed(Option<Vec<u8>>),
    /// A file was removed, as happens to old files.
    Missing,
    /// A file was changed. The entry was removed.
    Broken,
}

/// The part of the compile cache that the host manages; the engine manages the rest.
pub(crate) struct EntryStore {
    root: PathBuf,
    key: SealKey,
    hits: AtomicUsize,
    added: AtomicUsize,
}

/// A directory for one preparation. Dropping it removes the directory with its contents.
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => sleep(REMOVAL_PAUSE),
                _ => return,
            }
        }
        // A later start removes what cannot be removed now.
    }
}

impl EntryStore {
    /// Opens the cache in `root`, a directory to which only this user has access.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        for name in [CODE, KNOWN, WORK] {
            make_dir(&root.join(name))?;
        }
        let store = Self {
            key: SealKey::open(root)?,
            root: root.to_owned(),
            hits: AtomicUsize::new(0),
            added: AtomicUsize::new(0),
        };
        store.sweep_work()?;
        Ok(store)
    }

    /// Returns the number of loads that found their plugin here.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// Checks again that only this user has access to the directory.
    pub(crate) fn check_dir(&self) -> Result<(), CacheError> {
        cache::check(&self.root)
    }

    /// Makes a new directory for one preparation.
    pub(crate) fn work_dir(&self) -> io::Result<WorkDir> {
        let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = self.root.join(WORK).join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(WorkDir(path))
    }

    /// Finds the entry of the file with this digest, if its record has a valid seal.
    pub(crate) fn find(&self, digest: &[u8; 32]) -> Option<CacheEntry> {
        let id = id(digest);
        let path = self.record(&id);
        let text = match read(&path, MOST_ANSWER_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => return refuse(&path),
        };
        let sealed = text.split_at_checked(64).filter(|(seal, record)| {
            let seal = std::str::from_utf8(seal).unwrap_or_default();
            self.key.is_ours("record", &[id.as_bytes(), record], seal)
        });
        let entry = sealed.and_then(|(_, record)| serde_json::from_slice(record).ok());
        if entry.is_none() {
            return refuse(&path);
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        entry
    }

    /// Compares an entry's files with their seals. It is called right before they are loaded.
    pub(crate) fn state(&self, digest: &[u8; 32], entry: &CacheEntry) -> EntryState {
        let id = id(digest);
        let whole = |file: &SealedFile| {
            let path = self.root.join(&file.path);
            let bytes = read(&path, MOST_CODE_BYTES)?;
            let is_ours = self
                .key
                .is_ours("file", &[id.as_bytes(), &bytes], &file.seal);
            Ok::<_, io::Error>((path, is_ours.then_some(bytes)))
        };
        let mut component = None;
        for (file, is_component) in [(Some(&entry.code), false), (entry.component.as_ref(), true)] {
            let Some(file) = file else { continue };
            match whole(file) {
                Ok((_, Some(bytes))) if is_component => component = Some(bytes),
                Ok((_, Some(_))) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let _ = fs::remove_file(self.record(&id));
                    return EntryState::Missing;
                }
                Ok((path, None)) => {
                    refuse::<()>(&path);
                    let _ = fs::remove_file(self.record(&id));
                    return EntryState::Broken;
                }
                Err(_) => {
                    refuse::<()>(&self.root.join(&file.path));
                    let _ = fs::remove_file(self.record(&id));
                    return EntryState::Broken;
                }
            }
        }
        EntryState::Sealed(component)
    }

    /// Moves the results of a preparation from its directory to the cache, seals them and writes the record.
    pub(crate) fn keep(
        &self,
        digest: &[u8; 32],
        plugin: PreparedPlugin,
        work: &WorkDir,
    ) -> io::Result<CacheEntry> {
        let id = id(digest);
        let engine = work.path().join(ENGINE);
        let left = code_in(&engine)?;
        let take = |from: &Path, to: PathBuf| {
            let bytes = read(from, MOST_CODE_BYTES)?;
            let seal = self.key.seal("file", &[id.as_bytes(), &bytes]);
            let at = self.root.join(&to);
            if let Some(parent) = at.parent() {
                make_dir(parent)?;
            }
            fs::rename(from, at)?;
            Ok::<_, io::Error>(SealedFile { path: to, seal })
        };
        let below = left.strip_prefix(&engine).map_err(io::Error::other)?;
        let entry = CacheEntry {
            code: take(&left, Path::new(CODE).join(below))?,
            component: if plugin.is_componentized {
                let to = Path::new(KNOWN).join(format!("{id}.wasm"));
                Some(take(&work.path().join(COMPONENT), to)?)
            } else {
                None
            },
            plugin,
        };
        let record = serde_json::to_vec(&entry)?;
        let seal = self.key.seal("record", &[id.as_bytes(), &record]);
        let new = work.path().join("record");
        fs::write(&new, [seal.as_bytes(), &record].concat())?;
        fs::rename(&new, self.record(&id))?;
        if self
            .added
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(LOOK_EVERY)
        {
            self.sweep(MOST_BYTES);
        }
        Ok(entry)
    }

    fn record(&self, id: &str) -> PathBuf {
        self.root.join(KNOWN).join(format!("{id}.json"))
    }

    /// Removes the files that have not been used for [`UNUSED`], then those used longest ago, until the rest fits.
    fn sweep(&self, most: u64) {
        let mut files = Vec::new();
        list(&self.root.join(CODE), 3, &mut files);
        list(&self.root.join(KNOWN), 1, &mut files);
        let now = SystemTime::now();
        files.retain(|file| {
            let age = now.duration_since(file.used).unwrap_or_default();
            age < UNUSED || fs::remove_file(&file.path).is_err()
        });
        let mut sum: u64 = files.iter().map(|file| file.size).sum();
        if sum <= most {
            return;
        }
        files.sort_by_key(|file| file.used);
        for file in files {
            if sum <= most / 10 * 7 {
                return;
            }
            if fs::remove_file(&file.path).is_ok() {
                sum = sum.saturating_sub(file.size);
            }
        }
    }

    fn sweep_work(&self) -> io::Result<()> {
        for dir in fs::read_dir(self.root.join(WORK))? {
            let dir = dir?;
            let modified = dir.metadata().and_then(|meta| meta.modified());
            let age = modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            if age.is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_dir_all(dir.path());
            }
        }
        Ok(())
    }
}

/// Removes a file that was changed by another program, and reports it.
fn refuse<T>(path: &Path) -> Option<T> {
    let outcome = match fs::remove_file(path) {
        Ok(()) => "it was removed".to_owned(),
        Err(error) => format!("it cannot be removed: {error}"),
    };
    tracing::warn!(
        file = %path.display(),
        "an entry of the compile cache was changed by another program: {outcome}, and its plugin is compiled again"
    );
    None
}

/// A file of the cache.
struct ListedFile {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// Adds the files in `dir` and, `depth` levels down, in its directories.
fn list(dir: &Path, depth: u8, into: &mut Vec<ListedFile>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && depth > 1 {
            list(&entry.path(), depth - 1, into);
        } else if meta.is_file() {
            let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            into.push(ListedFile {
                path: entry.path(),
                size: meta.len(),
                used: meta.accessed().unwrap_or(modified).max(modified),
            });
        }
    }
}

/// Returns the name of an entry: the plugin's digest and the compiler.
fn id(digest: &[u8; 32]) -> String {
    let compiler = compiler_id();
    let short = compiler.get(..16).unwrap_or(compiler);
    format!("{}-{short}", hex(digest))
}

/// Finds the only file of machine code that the engine wrote to `dir`: `modules/COMPILER/HASH`.
fn code_in(dir: &Path) -> io::Result<PathBuf> {
    let mut files = Vec::new();
    list(&dir.join("modules"), 2, &mut files);
    let is_code = |file: &ListedFile| {
        let name = file.path.file_name().unwrap_or_default();
        !name.as_encoded_bytes().contains(&b'.')
    };
    let mut code = files.into_iter().filter(is_code);
    match (code.next(), code.next()) {
        (Some(one), None) => Ok(one.path),
        (None, _) => Err(io::Error::other("the compiler left no machine code")),
        (Some(_), Some(_)) => Err(io::Error::other("the compiler left several files")),
    }
}

/// Reads a regular file that this user owns.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() || meta.len() > most {
        return Err(io::Error::other("not a file of this user, or too large"));
    }
    let now = SystemTime::now();
    let age = meta
        .modified()
        .map(|at| now.duration_since(at).unwrap_or_default());
    if age.is_ok_and(|age| age > NOTED_AFTER) {
        // If it fails, the file counts as unused since its last noted use.
        let _ = file.set_modified(now);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

#[cfg(test)]
mod tests;

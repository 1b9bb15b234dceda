//! The walk from a directory to a file, one step and one descriptor at a time.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, StatVfsMountFlags};

use super::refusal::{OpenRefusal, Step, Writers};

/// Links on one way; as many as Linux follows.
const MOST_LINKS: usize = 40;
/// Bit that keeps users from replacing entries of others in a directory that every user may write
/// to.
const STICKY: u32 = 0o1000;

/// Condition on the files and directories of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    is_ours: bool,
}

impl Rule {
    /// Only this user and root can change them.
    pub(super) const OURS: Self = Self { is_ours: true };
    /// No condition.
    pub(super) const ANY_OWNER: Self = Self { is_ours: false };
}

/// A directory on the way.
struct Place {
    fd: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

/// A directory at the end of the way.
pub(super) struct Reached(Place, Step);

/// A name in a directory, at the end of the way.
pub(super) struct Entry {
    folder: Place,
    name: OsString,
    stat: Stat,
    step: Step,
    rule: Rule,
    left: bool,
}

/// End of a way.
pub(super) enum End {
    Directory(Reached),
    Entry(Entry),
}

/// A walk under way.
pub(super) struct Walk<'a> {
    asked: &'a Path,
    rule: Rule,
    /// Directories from the start to the current one.
    stack: Vec<Place>,
    todo: VecDeque<Part>,
    links: usize,
    /// Directories that no link may leave.
    floor: usize,
    /// Directories of the folder that was named, once a link in it is followed.
    named: Option<usize>,
    left: bool,
}

enum Part {
    Up,
    Down(OsString),
}

impl<'a> Walk<'a> {
    /// Walks from the root directory to `path`.
    pub(super) fn to(path: &'a Path, rule: Rule) -> Result<End, OpenRefusal> {
        let whole = std::path::absolute(path).map_err(OpenRefusal::Unreadable)?;
        let root = Place::open(rustix::fs::CWD, OsStr::new("/"), PathBuf::from("/"))?;
        let walk = Self::from(root, path, rule, parts(&whole), 0);
        judge_owner(rule, &walk.top().stat, &walk.step(Path::new("/"), false))?;
        walk.go()
    }

    /// Walks from a checked folder to a name in it, and never out of it.
    pub(super) fn beneath(
        folder: &OwnedFd,
        path: &'a Path,
        name: &OsStr,
        rule: Rule,
    ) -> Result<End, OpenRefusal> {
        let folder = Place::open(folder, OsStr::new("."), path.to_owned())?;
        let todo = VecDeque::from([Part::Down(name.to_owned())]);
        Self::from(folder, path, rule, todo, 1).go()
    }

    fn from(start: Place, asked: &'a Path, rule: Rule, todo: VecDeque<Part>, floor: usize) -> Self {
        Self {
            asked,
            rule,
            stack: vec![start],
            todo,
            links: 0,
            floor,
            named: None,
            left: false,
        }
    }

    fn go(mut self) -> Result<End, OpenRefusal> {
        while let Some(part) = self.todo.pop_front() {
            let name = match part {
                Part::Up => {
                    self.up()?;
                    continue;
                }
                Part::Down(name) => name,
            };
            self.judge_folder()?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&self.top().fd, &name, flags, Mode::empty());
            let fd = opened.map_err(unreadable)?;
            let stat = rustix::fs::fstat(&fd).map_err(unreadable)?;
            let path = self.top().path.join(&name);
            let kind = FileType::from_raw_mode(stat.st_mode);
            let is_last = self.todo.is_empty() && kind != FileType::Symlink;
            judge_owner(self.rule, &stat, &self.step(&path, is_last))?;
            match kind {
                FileType::Symlink => self.follow(&fd)?,
                FileType::Directory => self.stack.push(Place { fd, path, stat }),
                _ if is_last => return Ok(End::Entry(self.entry(name, &path, stat))),
                _ => return Err(unreadable(rustix::io::Errno::NOTDIR)),
            }
        }
        let path = self.top().path.clone();
        let step = self.step(&path, true);
        self.stack
            .pop()
            .map(|place| End::Directory(Reached(place, step)))
            .ok_or_else(|| unreadable(rustix::io::Errno::NOENT))
    }

    fn top(&self) -> &Place {
        // The first is never popped before the walk ends.
        &self.stack[self.stack.len() - 1]
    }

    fn up(&mut self) -> Result<(), OpenRefusal> {
        if self.stack.len() == self.floor {
            return Err(OpenRefusal::Outside(self.asked.to_owned()));
        }
        if self.stack.len() > 1 {
            self.stack.pop();
        }
        self.left |= self.named.is_some_and(|named| self.stack.len() < named);
        Ok(())
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), OpenRefusal> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(unreadable(rustix::io::Errno::LOOP));
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new()).map_err(unreadable)?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        if self.todo.is_empty() && self.named.is_none() {
            self.named = Some(self.stack.len());
        }
        if target.is_absolute() {
            if self.floor > 0 {
                return Err(OpenRefusal::Outside(self.asked.to_owned()));
            }
            self.stack.truncate(1);
            self.left |= self.named.is_some();
        }
        for part in parts(target).into_iter().rev() {
            self.todo.push_front(part);
        }
        Ok(())
    }

    fn entry(mut self, name: OsString, path: &Path, stat: Stat) -> Entry {
        let step = self.step(path, true);
        // The stack is popped to empty: the first directory is always there.
        let folder = self.stack.swap_remove(self.stack.len() - 1);
        Entry {
            folder,
            name,
            stat,
            step,
            rule: self.rule,
            left: self.left,
        }
    }

    /// Describes a step for messages: the requested path keeps the form in which it was given.
    fn step(&self, path: &Path, is_last: bool) -> Step {
        let is_as_asked = is_last && self.links == 0 && self.floor == 0;
        let path = if is_as_asked { self.asked } else { path };
        Step {
            path: path.to_owned(),
            is_last: is_last && self.links == 0,
        }
    }

    /// Checks that others cannot replace entries here. The sticky bit prevents that for entries of
    /// this user and root.
    fn judge_folder(&self) -> Result<(), OpenRefusal> {
        let folder = self.top();
        if !self.rule.is_ours || folder.stat.st_mode & STICKY != 0 {
            return Ok(());
        }
        let step = self.step(&folder.path, false);
        refuse_writers(&folder.fd, &folder.stat, &step)
    }
}

impl Place {
    fn open(from: impl AsFd, name: &OsStr, path: PathBuf) -> Result<Self, OpenRefusal> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(from, name, flags, Mode::empty()).map_err(unreadable)?;
        let stat = rustix::fs::fstat(&fd).map_err(unreadable)?;
        Ok(Self { fd, path, stat })
    }
}

impl Reached {
    /// Returns the directory, if no other user can put an entry into it.
    pub(super) fn closed_to_others(self, rule: Rule) -> Result<OwnedFd, OpenRefusal> {
        let Self(place, step) = self;
        if rule.is_ours {
            refuse_writers(&place.fd, &place.stat, &step)?;
        }
        Ok(place.fd)
    }
}

impl Entry {
    /// Returns the path of the file, if a link led out of the folder that was named.
    pub(super) fn left(&self) -> Option<PathBuf> {
        self.left.then(|| self.step.path.clone())
    }

    /// Opens the file for reading, and checks the opened file.
    pub(super) fn open(self) -> Result<File, OpenRefusal> {
        // Opening a device can have effects.
        require_regular(&self.stat)?;
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.folder.fd, &self.name, flags, Mode::empty())
            .map_err(unreadable)?;
        // Another file may have the name by now.
        let stat = rustix::fs::fstat(&fd).map_err(unreadable)?;
        require_regular(&stat)?;
        judge_owner(self.rule, &stat, &self.step)?;
        if self.rule.is_ours {
            refuse_writers(&fd, &stat, &self.step)?;
        }
        Ok(File::from(fd))
    }
}

fn require_regular(stat: &Stat) -> Result<(), OpenRefusal> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(OpenRefusal::Directory),
        _ => Err(OpenRefusal::Special),
    }
}

fn judge_owner(rule: Rule, stat: &Stat, step: &Step) -> Result<(), OpenRefusal> {
    let us = rustix::process::geteuid().as_raw();
    if rule.is_ours && stat.st_uid != us && stat.st_uid != 0 {
        return Err(OpenRefusal::Foreign(step.clone(), stat.st_uid));
    }
    Ok(())
}

fn refuse_writers(fd: &OwnedFd, stat: &Stat, step: &Step) -> Result<(), OpenRefusal> {
    let our_group = rustix::process::getegid().as_raw();
    let Some(writers) = writers(stat.st_mode, stat.st_gid, our_group) else {
        return Ok(());
    };
    // Kubernetes mounts a ConfigMap with mode 0777, and read-only.
    let is_read_only = rustix::fs::fstatvfs(fd)
        .is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only {
        return Ok(());
    }
    Err(OpenRefusal::Writable(step.clone(), writers))
}

/// Users besides the owner and root who may write by this mode.
pub(super) fn writers(mode: u32, group: u32, our_group: u32) -> Option<Writers> {
    let shown = mode & 0o7777;
    if mode & 0o002 != 0 {
        Some(Writers::Everybody(shown))
    } else if mode & 0o020 != 0 && group != our_group && group != 0 {
        Some(Writers::Group(group, shown))
    } else {
        None
    }
}

fn parts(path: &Path) -> VecDeque<Part> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(Part::Down(name.to_owned())),
        Component::ParentDir => Some(Part::Up),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(part).collect()
}

fn unreadable(error: rustix::io::Errno) -> OpenRefusal {
    OpenRefusal::Unreadable(io::Error::from(error))
}

//! Files and directories of other users, links and FIFOs. Owners are changed, so these run as root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use rustix::fs::{CWD, mkfifoat};

use super::refusal::Writers;
use super::*;

/// A user that is neither this one nor root.
const OTHER: u32 = 12345;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder with `data/x.toml` in it.
fn scene() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    let file = data.join("x.toml");
    fs::write(&file, "a = 1\n").unwrap();
    (root, data, file)
}

fn fault<T>(result: Result<T, OpenRefusal>) -> String {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(refusal) => {
            let (what, help) = refusal.explain();
            format!("{what}: {help}")
        }
    }
}

#[test]
fn what_belongs_to_us_and_is_closed_to_others_is_opened() {
    let (_root, data, file) = scene();
    open(&file).unwrap();
    open_shown(&file).unwrap();
    check_ancestors(&data.join("not/there/yet")).unwrap();
    let folder = Folder::open(&data).unwrap();
    folder.file(OsStr::new("x.toml")).unwrap();
    assert_eq!(folder.names().unwrap(), ["x.toml"]);
}

#[test]
fn file_that_others_own_or_write_is_refused_with_the_command() {
    let (_root, _data, file) = scene();
    let shown = file.display();
    mode(&file, 0o666);
    assert_eq!(
        fault(open(&file)),
        format!("may be written by everybody (its mode is 0666): run `chmod o-w {shown}`")
    );
    mode(&file, 0o644);
    chown(&file, Some(OTHER), None).unwrap();
    let raw = fault(open(&file));
    assert!(
        raw.contains("belongs to user 12345")
            && raw.contains("`sudo -u '#12345' leasehold …`")
            && raw.ends_with(&format!("`chown 0 {shown}`")),
        "{raw}"
    );
    open_any(&file).unwrap();
}

#[test]
fn a_directory_on_the_way_counts_like_the_file() {
    let (_root, data, file) = scene();
    let shown = data.display();
    mode(&data, 0o777);
    let expected = format!(
        "is reached through `{shown}`, which may be written by everybody (its mode is 0777): run `chmod o-w {shown}`"
    );
    assert_eq!(fault(open(&file)), expected);
    assert_eq!(fault(check_ancestors(&file)), expected);
    assert_eq!(fault(check_ancestors(&data.join("later"))), expected);
    mode(&data, 0o755);
    chown(&data, Some(OTHER), None).unwrap();
    let raw = fault(check_ancestors(&file));
    assert!(
        raw.contains(&format!("`{shown}`, which belongs to user 12345")),
        "{raw}"
    );
}

#[test]
fn sticky_directory_gives_own_entries_and_is_no_folder() {
    let (_root, data, file) = scene();
    mode(&data, 0o1777);
    open(&file).unwrap();
    let raw = fault(Folder::open(&data));
    assert!(raw.starts_with("may be written by everybody"), "{raw}");
    chown(&file, Some(OTHER), None).unwrap();
    let raw = fault(open(&file));
    assert!(raw.starts_with("belongs to user 12345"), "{raw}");
}

#[test]
fn a_group_may_write_where_it_is_ours_or_roots() {
    assert_eq!(walk::writers(0o775, 7, 7), None);
    assert_eq!(walk::writers(0o775, 0, 7), None);
    assert_eq!(walk::writers(0o755, 9, 7), None);
    assert_eq!(walk::writers(0o775, 9, 7), Some(Writers::Group(9, 0o775)));
    assert_eq!(walk::writers(0o777, 7, 7), Some(Writers::Everybody(0o777)));
}

#[test]
fn a_link_may_not_leave_the_folder() {
    let (root, data, _file) = scene();
    fs::write(root.path().join("secret.toml"), "b = 2\n").unwrap();
    for (name, target) in [
        ("absolute.toml", "/etc/passwd"),
        ("environment.toml", "/proc/self/environ"),
        ("up.toml", "../secret.toml"),
        ("round.toml", "../data/x.toml"),
    ] {
        symlink(target, data.join(name)).unwrap();
        let folder = Folder::open(&data).unwrap();
        let raw = fault(folder.file(OsStr::new(name)));
        assert!(raw.contains("leads out of its folder"), "{name}: {raw}");
    }
    let folder = Folder::open(&data).unwrap();
    assert!(matches!(
        folder.file(OsStr::new("absent.toml")),
        Err(refusal) if refusal.is_absence()
    ));
}

/// Layout in which Kubernetes mounts a configuration.
#[test]
fn links_within_the_folder_are_followed() {
    let (_root, data, _file) = scene();
    fs::create_dir(data.join("..2026_11")).unwrap();
    fs::write(data.join("..2026_11/job.toml"), "c = 3\n").unwrap();
    symlink("..2026_11", data.join("..data")).unwrap();
    symlink("..data/job.toml", data.join("job.toml")).unwrap();
    let folder = Folder::open(&data).unwrap();
    let read = std::io::read_to_string(folder.file(OsStr::new("job.toml")).unwrap());
    assert_eq!(read.unwrap(), "c = 3\n");
    mode(&data.join("..2026_11/job.toml"), 0o600);
    open_shown(&data.join("job.toml")).unwrap();
}

#[test]
fn operators_link_is_followed_without_showing_private_lines() {
    let (root, data, file) = scene();
    let outside = root.path().join("link.toml");
    symlink(&file, &outside).unwrap();
    open(&outside).unwrap();
    open_shown(&outside).unwrap();
    mode(&file, 0o600);
    open(&outside).unwrap();
    let raw = fault(open_shown(&outside));
    assert!(raw.contains("not every user may read"), "{raw}");
    assert!(
        raw.ends_with(&format!("name {} itself", file.display())),
        "{raw}"
    );
    // A link of another user can be changed by that user, wherever it leads.
    let theirs = data.join("theirs.toml");
    symlink(&file, &theirs).unwrap();
    std::os::unix::fs::lchown(&theirs, Some(OTHER), None).unwrap();
    let raw = fault(open(&theirs));
    assert!(raw.contains("belongs to user 12345"), "{raw}");
}

#[test]
fn links_that_lead_in_a_circle_and_special_files_end_at_once() {
    let (_root, data, _file) = scene();
    symlink("b", data.join("a")).unwrap();
    symlink("a", data.join("b")).unwrap();
    assert!(matches!(
        open(&data.join("a")),
        Err(OpenRefusal::Unreadable(_))
    ));
    let fifo = data.join("fifo");
    mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
    assert!(matches!(open(&fifo), Err(OpenRefusal::Special)));
    assert!(matches!(
        open(Path::new("/dev/null")),
        Err(OpenRefusal::Special)
    ));
    assert!(matches!(open(&data), Err(OpenRefusal::Directory)));
    assert!(matches!(
        Folder::open(&fifo),
        Err(OpenRefusal::NotADirectory)
    ));
}

/// Swap that defeats a check before the opening: a FIFO and a file alternate under one name.
#[test]
fn a_fifo_that_takes_turns_with_a_file_never_blocks() {
    let (_root, data, file) = scene();
    let (fifo, copy) = (data.join("fifo"), data.join("copy"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = mkfifoat(CWD, &fifo, Mode::RWXU);
                fs::rename(&fifo, &file).unwrap();
                fs::write(&copy, "a = 1\n").unwrap();
                fs::rename(&copy, &file).unwrap();
            }
        });
        let (mut read, mut special) = (0, 0);
        for _ in 0..2_000 {
            match open(&file) {
                Ok(_) => read += 1,
                Err(OpenRefusal::Special) => special += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(read + special, 2_000);
    });
}

//! Errors of projects that cannot be built; builds themselves are tested with installed compilers.

use super::*;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        fs::write(dir.path().join(path), text).unwrap();
    }
    dir
}

fn refusal(dir: &tempfile::TempDir) -> String {
    let text = build(dir.path()).unwrap_err().message;
    text.replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn a_folder_that_is_no_project_is_told_how_to_become_one() {
    insta::assert_snapshot!("no_project", refusal(&project(&[("notes.txt", "")])));
}

#[test]
fn a_name_that_is_a_path_is_refused() {
    let dir = project(&[("job.js", ""), ("job.toml", "name = \"../up\"")]);
    insta::assert_snapshot!("bad_job_name", refusal(&dir));
}

#[test]
fn a_plugin_that_is_the_same_keeps_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("demo.wasm");
    replace(&path, b"one").unwrap();
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    replace(&path, b"one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    replace(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

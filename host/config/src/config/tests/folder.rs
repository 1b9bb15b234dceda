//! Folders of configurations, large ones, and the parts of one that a reader of the store needs.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::config::{Config, Reading, Report};

const HEAD: &str = "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\n";

/// A folder with these files, and plugins called `a.wasm` and `b.wasm` beside them.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for plugin in ["a.wasm", "b.wasm"] {
        fs::write(folder.path().join(plugin), "").unwrap();
    }
    folder
}

/// Renders a report with the folder's name made stable.
fn value_and_origin(report: &Report, folder: &TempDir) -> String {
    let path = folder.path().to_string_lossy().into_owned();
    report.to_string().replace(&path, "DIR")
}

fn refusal(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    value_and_origin(&Config::load(folder.path()).unwrap_err(), &folder)
}

#[test]
fn folder_is_read_as_one_configuration_by_name() {
    let folder = folder(&[
        ("00-host.toml", HEAD),
        ("10-a.toml", "[jobs.a]\nplugin = \"a.wasm\"\n"),
        ("20-b.toml", "[jobs.b]\nplugin = \"b.wasm\"\n"),
        ("30-defaults.toml", "[defaults]\nttl = \"7s\"\n"),
        ("notes.txt", "no TOML"),
        (".10-a.toml", "an editor's ["),
    ]);
    let config = Config::load(folder.path()).unwrap();
    let names: Vec<&str> = config.jobs().iter().map(crate::config::Job::name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(config.path(), folder.path());
    let job = config.job("b").unwrap();
    assert_eq!(job.plugin(), folder.path().join("b.wasm"));
    assert_eq!(job.ttl().as_secs(), 7);
    let (file, line) = {
        let origin = job.origin("plugin");
        let (file, line) = origin.place().unwrap();
        (PathBuf::from(file), line)
    };
    assert_eq!((file, line), (folder.path().join("20-b.toml"), 2));
    let origin = job.origin("ttl");
    assert!(
        origin.to_string().ends_with("30-defaults.toml:2"),
        "{origin}"
    );
}

#[test]
fn errors_of_a_folder_name_the_file_and_the_line() {
    insta::assert_snapshot!(
        "folder_errors",
        refusal(&[
            ("0.toml", HEAD),
            ("1.toml", "[jobs.a]\nplugin = \"a.wasm\"\ntmeout = \"1s\"\n"),
            // The open bracket must not swallow the next file.
            ("2.toml", "[jobs.b]\nplugin = \"b.wasm\"\nargs = [\"x\"\n"),
            ("3.toml", "[jobs.c]\nplugin = \"c.wasm\"\nlock = \"a/b\"\n"),
        ])
    );
}

#[test]
fn tables_that_are_there_twice_are_refused_with_both_places() {
    insta::assert_snapshot!(
        "folder_twice",
        refusal(&[
            ("0.toml", HEAD),
            (
                "1.toml",
                "[jobs.a]\nplugin = \"a.wasm\"\n[host]\nid = \"b\"\n"
            ),
            (
                "2.toml",
                "[jobs.a]\nplugin = \"b.wasm\"\n[store]\nendpoints = [\"localhost:2\"]\n"
            ),
        ])
    );
}

#[test]
fn folder_without_a_configuration_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let report = Config::load(empty.path()).unwrap_err();
    insta::assert_snapshot!(value_and_origin(&report, &empty), @r"
    error: the folder holds no configuration
      --> DIR
       = help: put files into it whose names end with `.toml`; one of them has [host] and [store]

    1 error in DIR; nothing was started.
    ");
}

#[test]
fn ten_thousand_jobs_are_read_from_one_file_and_from_as_many() {
    let job = |number: usize| {
        format!(
            "[jobs.job-{number:05}]\nplugin = \"a.wasm\"\nlock = \"group-{:03}/job-{number:05}\"\n\
             every = \"30s\"\nretries = 3\ntimeout = \"10m\"\nargs = [\"--shard\", \"{number}\", \"--of\", \"10000\"]\n\n",
            number % 100,
        )
    };
    let all: String = (0..10_000).map(job).collect();
    assert!(all.len() > 1_400_000, "{} bytes", all.len());
    let one = folder(&[("all.toml", &format!("{HEAD}{all}"))]);
    let config = Config::load(&one.path().join("all.toml")).unwrap();
    assert_eq!(config.jobs().len(), 10_000);
    let many = folder(&[("head.toml", HEAD)]);
    for number in 0..5_000 {
        let name = format!("job-{number:05}.toml");
        fs::write(many.path().join(name), job(number)).unwrap();
    }
    assert_eq!(Config::load(many.path()).unwrap().jobs().len(), 5_000);
}

#[test]
fn mistakes_in_jobs_are_no_more_than_a_warning_to_a_reader() {
    let reading = |text: &str| {
        let folder = folder(&[("one.toml", text)]);
        Reading::load(&folder.path().join("one.toml"))
    };
    for (mistake, count) in [
        ("[jobs.a]\nplugin = \"a.wasm\"\n", 0),
        (
            "[jobs.a]\nplugin = \"a.wasm\"\nevery = \"never\"\ntmeout = 3\n",
            2,
        ),
        ("[jobs.a]\nplugin = absent.wasm\n", 1),
        ("[jobs.a]\nargs = [\"x\"\n", 1),
        ("[jobs.a]\nplugin\n", 1),
        (
            "[defaults]\nttl = \"1ms\"\n[jobs.a]\nplugin = \"a.wasm\"\n",
            1,
        ),
        ("[plugin]\ndir = \"x\"\n[jobs.a]\nplugin = \"a.wasm\"\n", 1),
        ("", 1),
    ] {
        for text in [format!("{HEAD}{mistake}"), format!("{mistake}\n{HEAD}")] {
            if text.starts_with("[jobs.a]\nargs") {
                // The open bracket swallows the header of the table behind it.
                continue;
            }
            let reading = reading(&text).unwrap_or_else(|report| panic!("{text}\n{report}"));
            assert_eq!(reading.store().root(), "/leasehold/");
            match reading.warning() {
                None => assert_eq!(count, 0, "{text}"),
                Some(warning) => {
                    assert!(count > 0, "{text}\n{warning}");
                    assert!(warning.contains("`leasehold check "), "{warning}");
                }
            }
        }
    }
}

#[test]
fn mistakes_in_host_and_store_still_stop_a_reader() {
    for text in [
        "[host]\nid = \"a\"\n",
        "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\nroot = here\n",
        "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\nrot = \"/x/\"\n",
        "[host]\nid = \"a\"\n[jobs.a]\nargs = [\n[store]\nendpoints = [\"localhost:1\"]\n",
        "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\n[jobs.a]\nplugin = \"a\"\n[store]\nroot = \"/x/\"\n",
    ] {
        let folder = folder(&[("one.toml", text)]);
        let read = Reading::load(&folder.path().join("one.toml"));
        assert!(read.is_err(), "{text}");
    }
    assert!(Reading::load(Path::new("/nowhere.toml")).is_err());
}

#[test]
fn password_in_a_pipe_is_refused_with_the_reason() {
    let folder = folder(&[]);
    let fifo = folder.path().join("password");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let text = format!(
        "{HEAD}user = \"me\"\npassword_file = \"password\"\n[jobs.a]\nplugin = \"a.wasm\"\n"
    );
    fs::write(folder.path().join("one.toml"), text).unwrap();
    let report = Config::load(&folder.path().join("one.toml")).unwrap_err();
    let message = value_and_origin(&report, &folder);
    assert!(message.contains("is not a regular file"), "{message}");
    assert!(
        message.contains("it is read again at each use, which a pipe cannot be"),
        "{message}"
    );
}

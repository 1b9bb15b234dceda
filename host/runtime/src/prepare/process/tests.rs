//! Preparations whose process is a fake program, which dies, answers wrongly, or does not answer.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::survey::{BinaryKind, Survey};
use leasehold_config::JobSource;

/// A fake program in place of the child.
struct FakeProgram {
    _dir: TempDir,
    path: PathBuf,
    limits: PrepareLimits,
}

impl FakeProgram {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fake");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self {
            _dir: dir,
            path,
            limits: PrepareLimits {
                memory_bytes: 256 * 1024 * 1024,
                time: Duration::from_secs(20),
            },
        }
    }

    async fn compile(&self) -> Result<PreparedPlugin, LoadProblem> {
        let bytes: Arc<[u8]> = vec![7; 300_000].into();
        let request = PrepareRequest {
            program: &self.path,
            bytes: &bytes,
            limits: &self.limits,
            task: PrepareTask::new(bytes.len(), Some(Path::new("/tmp")), "none"),
        };
        request.send(&|_| Ok(())).await
    }

    async fn refusal(&self) -> String {
        let problem = self.compile().await.unwrap_err();
        problem.for_source(&JobSource::table("demo"))
    }
}

/// Makes a line of shell that prints the answers up to the survey.
fn surveyed() -> String {
    let answer = PrepareAnswer::Surveyed(PreparedPlugin {
        survey: Survey {
            kind: BinaryKind::Core,
            imports: Vec::new(),
            exports: vec!["_start".to_owned()],
            carries_component_type: false,
            start: None,
            exports_memory: false,
            memory_minimum: 0,
        },
        is_componentized: false,
    });
    format!("echo '{}'", serde_json::to_string(&answer).unwrap())
}

#[tokio::test]
async fn end_of_a_process_is_explained_for_the_plugin() {
    let types = r#"echo '{"Begins":"Types"}'"#;
    let mut all = String::new();
    for (name, script) in [
        ("killed", "kill -9 $$".to_owned()),
        ("processor time", "kill -XCPU $$".to_owned()),
        ("a file too large", "kill -XFSZ $$".to_owned()),
        (
            "no memory",
            "echo 'memory allocation of 5 bytes failed' >&2; kill -ABRT $$".to_owned(),
        ),
        (
            "stack",
            format!("{types}; echo \"thread 'x' has overflowed its stack\" >&2; kill -ABRT $$"),
        ),
        (
            "panic",
            format!(
                "{types}; printf \"thread 'x' panicked at a.rs:1:2:\\nnot \\033[31mgood\\n\" >&2; exit 101"
            ),
        ),
        ("a signal", "kill -SEGV $$".to_owned()),
        ("a code", "exit 3".to_owned()),
        ("nothing", "exit 0".to_owned()),
        ("garbage", "echo 'what is this'; sleep 100".to_owned()),
        ("endless garbage", "yes".to_owned()),
        ("too early", r#"echo '"Done"'; sleep 100"#.to_owned()),
        (
            "died after its answer",
            format!("{}; echo '\"Done\"'; exec >&-; kill -SEGV $$", surveyed()),
        ),
    ] {
        let refusal = FakeProgram::new(&script).refusal().await;
        let _ = writeln!(all, "{name}: {refusal}");
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn a_process_that_reads_all_and_answers_is_believed() {
    // The program reads the line and the bytes, and continues only when the host requests it.
    let script = format!(
        "read -r task; head -c 300000 >/dev/null; {}; read -r go; [ \"$go\" = \"go on\" ] && echo '\"Done\"'",
        surveyed()
    );
    let plugin = FakeProgram::new(&script).compile().await.unwrap();
    assert_eq!(plugin.survey.exports, ["_start"]);
}

#[tokio::test]
async fn a_process_that_never_ends_is_killed_when_its_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let mut program = FakeProgram::new(&format!("echo $$ >{}; exec sleep 1000", pid.display()));
    program.limits.time = Duration::from_millis(500);
    assert!(
        program
            .refusal()
            .await
            .starts_with("was not compiled within")
    );
    let pid: i32 = std::fs::read_to_string(&pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "it lives");
}

#[tokio::test]
async fn a_process_inherits_nothing() {
    let script = format!(
        "{}; {{ env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD=; pwd; ls -l /proc/$$/fd; }} >$(dirname $0)/seen; echo '\"Done\"'",
        surveyed()
    );
    let program = FakeProgram::new(&script);
    let _file = std::fs::File::create(program.path.with_file_name("of-the-host")).unwrap();
    let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    program.compile().await.unwrap();
    let seen = std::fs::read_to_string(program.path.with_file_name("seen")).unwrap();
    assert_eq!(seen.lines().next(), Some("/"), "{seen}");
    assert!(seen.contains("pipe:"), "{seen}");
    assert!(
        !seen.contains("of-the-host") && !seen.contains("socket:"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_is_no_fault_of_the_plugin() {
    let mut program = FakeProgram::new("");
    program.path = "/nowhere".into();
    insta::assert_snapshot!(program.refusal().await, @"cannot be loaded: no process to compile in: /nowhere: No such file or directory (os error 2)");
}

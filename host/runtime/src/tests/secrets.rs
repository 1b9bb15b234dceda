//! Secrets: passed to the guest that was granted them, and shown in no output.

use super::*;

fn spec_with_secret() -> RunSpec {
    RunSpec {
        env_secrets: vec![("API_KEY".to_owned(), "key".to_owned())],
        secrets: Secrets::of(&[("key", "hunter2")]),
        ..spec()
    }
}

#[tokio::test]
async fn secret_is_in_the_environment_and_not_in_the_output() {
    // Prints the whole environment as it is in memory, without a line end.
    let body = r"(drop (call $environ (i32.const 4096) (i32.const 1024)))
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 600))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))";
    let rig = Rig::new();
    let plugin = rig.load(&guests::command("", body)).await;
    let authority = authority(lasting(Duration::from_mins(1)));
    let ran = rig.run_plugin(&plugin, authority, spec_with_secret()).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    let shown = format!("{:?}{:?}", ran.report, ran.events);
    assert!(shown.contains("API_KEY=[secret key]"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn no_debug_form_of_a_run_shows_a_secret() {
    let shown = format!("{:?}", spec_with_secret());
    assert!(
        shown.contains("\"key\"") && !shown.contains("hunter2"),
        "{shown}"
    );
}

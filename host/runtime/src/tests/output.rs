//! Output of guests, and the part of it that becomes events and records.

use super::*;

#[tokio::test]
async fn partial_last_line_is_kept_and_control_characters_are_not() {
    let rig = Rig::new();
    let text = "one\\ntw\\1b[31mo\\nthree";
    let ran = rig
        .run(&guests::command(
            text,
            "(call $say (i32.const 1) (i32.const 17))",
        ))
        .await;
    let texts: Vec<_> = ran.lines().iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "tw�[31mo", "thre"]);
    assert_eq!(ran.report.output, "one\ntw�[31mo\nthre\n");
    assert!(
        ran.lines()
            .iter()
            .all(|line| Some(line.at) == ran.report.last_admitted)
    );
}

#[tokio::test]
async fn lines_over_the_rate_are_counted_and_said() {
    let mut rig = Rig::new();
    rig.limits.log_lines_per_second = 2;
    let ran = rig
        .run(&guests::command(
            "1\\n2\\n3\\n4\\n5\\n",
            "(call $say (i32.const 1) (i32.const 10))",
        ))
        .await;
    let texts: Vec<_> = ran.lines().iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["1", "2", "3 lines left out: more than 2 a second"]);
    assert_eq!(ran.report.lines_dropped, 3);
    assert_eq!(
        ran.report.output, "1\n2\n3\n4\n5\n",
        "the record keeps them"
    );
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_guest() {
    let rig = Rig::new();
    let ten = guests::command(
        "1\\n2\\n3\\n4\\n5\\n",
        "(call $say (i32.const 1) (i32.const 10))",
    );
    let plugin = rig.load(&ten).await;
    let (send, _unread) = mpsc::channel(1);
    let long = authority(lasting(Duration::from_mins(1)));
    let slot = rig.runtime.slots().take().await;
    let report = rig.runtime.run(&plugin, long, spec(), send, slot).await;
    assert_eq!(report.end, RunEnd::Done(None));
    assert_eq!(report.lines_dropped, 4);
}

#[tokio::test]
async fn of_many_progress_reports_the_first_and_the_last_arrive() {
    let rig = Rig::new();
    let body = "(local $n i64)
        (loop (local.set $n (i64.add (local.get $n) (i64.const 1)))
            (call $progress (local.get $n) (i32.const 1) (i64.const 50) (i32.const 1024) (i32.const 4))
            (br_if 0 (i64.lt_u (local.get $n) (i64.const 50))))
        (i32.const 512)";
    let ran = rig.run(&guests::job("copy", body)).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    let done: Vec<_> = ran
        .events
        .iter()
        .map(|event| match event {
            GuestEvent::Progress {
                done,
                total: Some(50),
                message,
                ..
            } if message == "copy" => *done,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((done.first(), done.last()), (Some(&1), Some(&50)));
    assert!(done.len() < 50);
}

/// Fails if held progress waits for the guest's next call.
#[tokio::test]
async fn held_progress_arrives_while_the_guest_is_busy() {
    let rig = Rig::new();
    let report = "(call $progress (i64.const NN) (i32.const 0) (i64.const 0) (i32.const 1024) (i32.const 1))";
    let body = format!(
        "{} {} (drop (call $stop (i32.const 3600000))) (i32.const 512)",
        report.replace("NN", "1"),
        report.replace("NN", "2")
    );
    let plugin = rig.load(&guests::job("x", &body)).await;
    let spec = spec();
    let requested = spec.stop.requested.clone();
    let (send, mut receive) = mpsc::channel(16);
    let long = authority(lasting(Duration::from_mins(1)));
    let listen = async {
        for expected in [1, 2] {
            let event = receive.recv().await;
            assert!(matches!(event, Some(GuestEvent::Progress { done, .. }) if done == expected));
        }
        requested.cancel();
    };
    let slot = rig.runtime.slots().take().await;
    let run = rig.runtime.run(&plugin, long, spec, send, slot);
    let (report, ()) = tokio::join!(run, listen);
    assert_eq!(report.end, RunEnd::Done(None));
}

//! Output of the selected job, from its end upwards: as it comes while hosts send it, else that of the newest run.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::super::layout::inside;
use super::super::scene::ViewScene;
use super::super::{paint, scene};
use super::scroll::{OverlayLine, plain, scrolled};
use crate::app::{LiveKind, LiveOutput};
use crate::text;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, up: usize) {
    let theme = scene.theme;
    let Some((job, host)) = scene.app.job(scene.now) else {
        let lines = [plain(" no job of ours is selected", theme.dim)];
        scrolled(frame, area, scene, "Output", &lines, 0);
        return;
    };
    let live = scene.app.live_output(&job).filter(|_| scene.shown.is_live);
    if let Some(live) = live
        && !live.lines.is_empty()
    {
        return following(frame, area, scene, live, up);
    }
    // A run of the selected host, if there is one.
    let state = scene.shown.state;
    let run = scene::newest_run(state, &job, |run| {
        run.host == host && !run.output.is_empty()
    })
    .or_else(|| scene::newest_run(state, &job, |run| run.host == host))
    .or_else(|| scene::newest_run(state, &job, |_| true));
    let Some(run) = run else {
        let lines = [plain(" it has not run yet", theme.dim)];
        scrolled(
            frame,
            area,
            scene,
            &format!("Output of {job}@{host}"),
            &lines,
            0,
        );
        return;
    };
    let width = usize::from(inside(area).width).saturating_sub(1);
    let mut lines: Vec<OverlayLine> = Vec::new();
    if let Some(refused) = live.and_then(|live| live.refused.as_ref()) {
        lines.push(plain(format!(" {refused}"), theme.warn));
    }
    if run.output_truncated_bytes > 0 {
        let dropped = text::bytes(run.output_truncated_bytes);
        lines.push(plain(
            format!(" ({dropped} of output are not kept)"),
            theme.warn,
        ));
    }
    for line in run.output.lines() {
        let wrapped = paint::wrap(line, width);
        lines.extend(
            wrapped
                .iter()
                .map(|line| plain(format!(" {line}"), theme.text)),
        );
    }
    if run.output.is_empty() {
        lines.push(plain(" it has written nothing", theme.dim));
    }
    let room = usize::from(inside(area).height);
    let top = lines.len().saturating_sub(room).saturating_sub(up);
    let outcome = run.outcome.as_str();
    let title = format!(
        "Output of {}@{}, token {}, {outcome}",
        run.job, run.host, run.token
    );
    scrolled(frame, area, scene, &title, &lines, top);
}

/// Shows output as it comes, of all runs and hosts.
fn following(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    live: &LiveOutput,
    up: usize,
) {
    let theme = scene.theme;
    let width = usize::from(inside(area).width).saturating_sub(1);
    let mut lines: Vec<OverlayLine> = Vec::new();
    for (kind, text) in &live.lines {
        let style = match kind {
            LiveKind::Plain => theme.text,
            LiveKind::Error => theme.bad,
            LiveKind::Note => theme.dim,
        };
        let wrapped = paint::wrap(text, width);
        lines.extend(wrapped.iter().map(|line| plain(format!(" {line}"), style)));
    }
    let room = usize::from(inside(area).height);
    let top = lines.len().saturating_sub(room).saturating_sub(up);
    let state = if up > 0 { "paused" } else { "following" };
    let title = format!("Output of {}, {state}", live.job);
    scrolled(frame, area, scene, &title, &lines, top);
}

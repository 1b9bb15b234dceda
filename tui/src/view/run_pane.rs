//! The run under the selected lock, and statistics of the lock.
//!
//! ```text
//! | running 4m12s  attempt 1  calls 41  memory 12 MiB           |
//! | batches 118/240  #########.........  49%                    |
//! | held for    p50 41s    p95 2m10s                            |
//! | waited for  p50 1m20s  p95 3m58s                            |
//! | hand-off p50 12ms  takeovers 3  refused calls 0             |
//! | log> processed batch 118/240                                |
//! ```

use leasehold_records::{JobRecord, RunRecord};
use ratatui::Frame;
use ratatui::layout::Rect;

use super::paint::{TextPage, TextPiece};
use super::scene::ViewScene;
use super::{cells, pane};
use crate::model::ObservedLock;
use crate::text;

pub(super) fn render<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'a>,
    lock: Option<&'a ObservedLock>,
) {
    let theme = scene.theme;
    let (job, run) = lock.map_or((None, None), |lock| scene.run_of(lock));
    let holder = lock
        .and_then(ObservedLock::holder)
        .map(|holder| holder.who.label());
    let title = holder.map_or_else(|| "Run".to_owned(), |holder| format!("Run {holder}"));
    let inner = pane::frame(frame, area, scene, &title);
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    let Some(lock) = lock else {
        return;
    };
    match (job, run) {
        (None, None) if lock.queue.is_empty() => {
            page.text(" nothing runs", theme.dim);
        }
        (None, None) => {
            page.text(" its holder reports no run", theme.dim);
        }
        (job, run) => {
            if let Some(job) = job {
                state(&mut page, scene, job, run);
            }
            if let Some(run) = run {
                numbers(&mut page, scene, run);
            }
        }
    }
    been_through(&mut page, scene, lock);
    if let Some(run) = run {
        output(&mut page, scene, run);
    }
}

fn state(page: &mut TextPage<'_>, scene: &ViewScene<'_>, job: &JobRecord, run: Option<&RunRecord>) {
    let theme = scene.theme;
    let since = text::age(scene.ago(job.since_unix_ms));
    let mut pieces = vec![
        TextPiece::new(
            format!(" {} ", job.state.as_str()),
            cells::job_style(theme, job.state),
        ),
        TextPiece::new(since, theme.text),
    ];
    if let Some(run) = run {
        pieces.push(TextPiece::new(
            format!("  attempt {}", run.attempt),
            theme.text,
        ));
    }
    if !job.detail.is_empty() {
        pieces.push(TextPiece::new(format!("  {}", job.detail), theme.dim));
    }
    page.line(&pieces);
    if let Some(progress) = &job.progress {
        let total = progress
            .total
            .map_or_else(String::new, |total| format!("/{}", text::count(total)));
        let done = format!(" {}{total}", text::count(progress.done));
        let room = page.width().saturating_sub(text::width(&done) + 2).min(30);
        let bar = match progress.total {
            Some(_) => format!("  {}", cells::progress(progress, room)),
            None => String::new(),
        };
        page.line(&[
            TextPiece::new(done, theme.text),
            TextPiece::new(bar, theme.good),
            TextPiece::new(format!("  {}", progress.message), theme.dim),
        ]);
    }
}

fn numbers(page: &mut TextPage<'_>, scene: &ViewScene<'_>, run: &RunRecord) {
    let theme = scene.theme;
    let refused = if run.calls_refused == 0 {
        theme.dim
    } else {
        theme.bad
    };
    if run.ended_unix_ms.is_none() {
        // The record has them once the run has ended.
        let unknown = " host calls -  refused -  memory -";
        page.text(unknown, theme.dim);
        return;
    }
    page.line(&[
        TextPiece::new(" host calls ", theme.dim),
        TextPiece::new(text::count(run.calls_admitted), theme.text),
        TextPiece::new("  refused ", refused),
        TextPiece::new(text::count(run.calls_refused), refused),
        TextPiece::new("  memory ", theme.dim),
        TextPiece::new(text::bytes(run.peak_memory_bytes), theme.text),
    ]);
}

/// Draws the usual times for which the lock is held and waited for.
fn been_through(page: &mut TextPage<'_>, scene: &ViewScene<'_>, lock: &ObservedLock) {
    let theme = scene.theme;
    let Some(history) = scene.app.model.lock_stats(&lock.name) else {
        return;
    };
    let now = scene.shown.now;
    let text_of = |span: Option<u64>| text::fit(&cells::span(span), 8);
    for (name, spans) in [
        (" held for ", &history.holds),
        (" waited for ", &history.waits),
    ] {
        let count = spans.count(now);
        if count == 0 {
            page.text(&format!("{} none seen yet", text::fit(name, 12)), theme.dim);
            continue;
        }
        page.line(&[
            TextPiece::new(text::fit(name, 12), theme.dim),
            TextPiece::new(" p50 ", theme.dim),
            TextPiece::new(text_of(spans.percentile(50, now)), theme.text),
            TextPiece::new(" p95 ", theme.dim),
            TextPiece::new(text_of(spans.percentile(95, now)), theme.text),
            TextPiece::new(format!(" of {}", text::count(count as u64)), theme.dim),
        ]);
    }
    let takeovers = history.takeovers.count(now);
    let style = if takeovers == 0 {
        theme.dim
    } else {
        theme.takeover
    };
    page.line(&[
        TextPiece::new(text::fit(" hand-off", 12), theme.dim),
        TextPiece::new(" p50 ", theme.dim),
        TextPiece::new(text_of(history.handoffs.percentile(50, now)), theme.text),
        TextPiece::new(" takeovers ", style),
        TextPiece::new(takeovers.to_string(), style),
    ]);
}

/// Draws the last lines of the run's output, as many as there is room for.
fn output(page: &mut TextPage<'_>, scene: &ViewScene<'_>, run: &RunRecord) {
    let lines: Vec<&str> = run.output.lines().rev().take(page.left()).collect();
    for line in lines.into_iter().rev() {
        page.line(&[
            TextPiece::new(" log> ", scene.theme.dim),
            TextPiece::new(line, scene.theme.text),
        ]);
    }
}

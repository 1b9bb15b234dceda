//! The Jobs view: state of each job on each host, runs of the selected job, and output of its newest run.
//!
//! ```text
//! | +-- Jobs (9) --------------------------------------- 1-9 of 9 --+ |
//! | | JOB  HOST  STATE  SINCE  LOCK  TOKEN  LAST  NEXT  PROGRESS ... | |
//! | +---------------------------------------------------------------+ |
//! | +-- Runs of inv -------------++-- Output of inv, token 1204311 -+ |
//! | +----------------------------++---------------------------------+ |
//! ```

use leasehold_records::explain::Explanation;
use leasehold_records::{JobRecord, RunRecord, UnixMs};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::job_reasons::{self, JobReasons};
use super::layout::{inside, window};
use super::paint::{self, TextPage, TextPiece};
use super::scene::{self, ViewScene};
use super::table::{FittedTable, TableCell};
use super::{cells, empty, pane};
use crate::app::{App, RowKey};
use crate::columns::{ColumnSpec, ColumnWidth, JOB_COLUMNS, JobColumn};
use crate::text;

/// Bodies from this many lines on have panes about the selected job.
const PANES_FROM: u16 = 14;
/// From this width on the two panes are side by side; below it only the runs are shown.
const BESIDE_FROM: u16 = 100;

/// A column about a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunColumn {
    Ended,
    Outcome,
    Took,
    Token,
    Host,
    Refused,
    Why,
}

const RUN_COLUMNS: [ColumnSpec<RunColumn>; 7] = {
    use ColumnWidth as Width;
    [
        ColumnSpec::new(RunColumn::Ended, "ENDED").on_screen(Width::text(8, 12, 0)),
        ColumnSpec::new(RunColumn::Outcome, "OUTCOME").on_screen(Width::text(9, 9, 0)),
        ColumnSpec::new(RunColumn::Took, "TOOK").on_screen(Width::number(6, 7, 0)),
        ColumnSpec::new(RunColumn::Token, "TOKEN").on_screen(Width::number(7, 12, 2)),
        ColumnSpec::new(RunColumn::Host, "HOST").on_screen(Width::text(8, 20, 1)),
        ColumnSpec::new(RunColumn::Refused, "REFUSED").on_screen(Width::number(7, 7, 4)),
        ColumnSpec::new(RunColumn::Why, "WHY").on_screen(Width::text(8, 400, 3)),
    ]
};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let below = if area.height < PANES_FROM {
        0
    } else {
        (area.height * 2 / 5).clamp(7, 24)
    };
    let [list, below] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(area);
    table(frame, list, app, now);
    if below.is_empty() {
        return;
    }
    let scene = ViewScene::new(app, now);
    let selected = app.job(now);
    let selected = selected.as_ref();
    let selected = selected.map(|(job, host)| (job.as_str(), host.as_str()));
    if below.width < BESIDE_FROM {
        runs(frame, below, &scene, selected);
        return;
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(below);
    runs(frame, left, &scene, selected);
    output(frame, right, &scene, selected.map(|(job, _)| job));
}

fn table(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: UnixMs) {
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let count = text::count(list.len() as u64);
    let title = format!("Jobs ({count}){}", pane::notes(&scene));
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&JOB_COLUMNS, inner.width);
    let sort = app.sort().mark(&JOB_COLUMNS);
    table.head(frame.buffer_mut(), inner, sort, scene.theme.header);
    let first = range.start;
    let visible = list.rows().get(range.clone()).unwrap_or_default();
    let reasons = JobReasons::collect(&scene, visible);
    for (at, key) in list.rows().iter().enumerate().take(range.end).skip(first) {
        let RowKey::Job(job, host) = key else {
            continue;
        };
        let Some(job) = scene::job_of(scene.shown.state, job, host) else {
            continue;
        };
        let reasons = reasons.of(&job.job);
        let line = paint::row(rows, u16::try_from(at - first).unwrap_or(u16::MAX));
        let is_selected = list.position() == Some(at);
        let cell = |column, width| cell_of(&scene, (job, reasons), column, width);
        table.row(frame.buffer_mut(), line, cell, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

fn cell_of(
    scene: &ViewScene<'_>,
    (job, reasons): (&JobRecord, Option<&Explanation>),
    column: JobColumn,
    width: usize,
) -> TableCell {
    let theme = scene.theme;
    let dash = || ("-".to_owned(), theme.dim);
    let text = |text: &str| (text.to_owned(), theme.text);
    match column {
        JobColumn::Job => text(&job.job),
        JobColumn::Host => text(&job.host),
        JobColumn::State => {
            let decision = reasons.and_then(|reasons| reasons.decision_on(&job.host));
            match decision.filter(|_| cells::may_be_held(job.state)) {
                Some(decision) => (decision.to_owned(), theme.warn),
                None => (
                    job.state.as_str().to_owned(),
                    cells::job_style(theme, job.state),
                ),
            }
        }
        JobColumn::Since => text(&text::age(scene.ago(job.since_unix_ms))),
        JobColumn::Lock => text(&job.lock),
        JobColumn::Token => job
            .token
            .map_or_else(dash, |token| text(&token.to_string())),
        JobColumn::Last => job.last.map_or_else(dash, |last| {
            (last.as_str().to_owned(), cells::outcome_style(theme, last))
        }),
        JobColumn::Next => {
            job.next_unix_ms
                .map_or_else(dash, |next| match next.millis_since(scene.shown.now) {
                    0 => text("due"),
                    left => text(&format!("in {}", text::age(left))),
                })
        }
        JobColumn::Progress => job.progress.as_ref().map_or_else(dash, |progress| {
            (cells::progress(progress, width), theme.good)
        }),
        JobColumn::Detail => {
            let why = reasons.map_or_else(String::new, |reasons| reasons.summary(&job.host));
            let message = job.progress.as_ref().map(|progress| &progress.message);
            let detail = match message {
                _ if !why.is_empty() => why,
                Some(message) if job.detail.is_empty() => message.clone(),
                _ => job.detail.clone(),
            };
            (detail, theme.dim)
        }
    }
}

/// Draws the reasons for which a job runs or does not on a host, and its runs, newest first.
fn runs(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, selected: Option<(&str, &str)>) {
    let title = selected.map_or_else(
        || "Runs".to_owned(),
        |(job, _)| format!("Runs of {job}, newest first"),
    );
    let inner = pane::frame(frame, area, scene, &title);
    let Some((job, host)) = selected else {
        return;
    };
    let theme = scene.theme;
    let reasons = job_reasons::lines(scene, (job, host), inner);
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    for line in &reasons {
        page.text(&format!(" {}", line.text), line.style);
    }
    let used = u16::try_from(reasons.len())
        .unwrap_or(u16::MAX)
        .min(inner.height);
    let inner = Rect {
        y: inner.y + used,
        height: inner.height - used,
        ..inner
    };
    let table = FittedTable::new(&RUN_COLUMNS, inner.width);
    table.head(frame.buffer_mut(), inner, None, theme.header);
    let room = usize::from(inner.height).saturating_sub(1);
    for (run, at) in scene::runs_of(scene.shown.state, job).take(room).zip(1..) {
        let line = paint::row(inner, at);
        table.row(
            frame.buffer_mut(),
            line,
            |column, _| run_cell(scene, run, column),
            false,
            theme,
        );
    }
    if scene::runs_of(scene.shown.state, job).next().is_none() {
        let line = paint::row(inner, 1);
        paint::line(
            frame.buffer_mut(),
            line,
            0,
            &[TextPiece::new(" it has not run", theme.dim)],
        );
    }
}

fn run_cell(scene: &ViewScene<'_>, run: &RunRecord, column: RunColumn) -> TableCell {
    let theme = scene.theme;
    match column {
        RunColumn::Ended => {
            let ended = run
                .ended_unix_ms
                .map_or_else(|| "-".to_owned(), text::clock_time);
            (ended, theme.dim)
        }
        RunColumn::Outcome => {
            let style = cells::outcome_style(theme, run.outcome);
            (run.outcome.as_str().to_owned(), style)
        }
        RunColumn::Took => {
            let took = match run.ended_unix_ms {
                Some(ended) => text::age(ended.millis_since(run.started_unix_ms)),
                // The end of an abandoned run is not known.
                None if run.is_over() => "-".to_owned(),
                None => text::age(scene.ago(run.started_unix_ms)),
            };
            (took, theme.text)
        }
        RunColumn::Token => (run.token.to_string(), theme.dim),
        RunColumn::Host => (run.host.clone(), theme.text),
        RunColumn::Refused => {
            let style = if run.calls_refused == 0 {
                theme.dim
            } else {
                theme.bad
            };
            (run.calls_refused.to_string(), style)
        }
        RunColumn::Why => (why(run), theme.text),
    }
}

/// Sentence about a run; for runs that share a record, their number and first moment.
fn why(run: &RunRecord) -> String {
    let Some(merged) = &run.merged else {
        return run.detail.clone();
    };
    let since = text::clock_time(merged.first_started_unix_ms);
    let runs = format!("x {} since {since}", text::count(merged.runs));
    if run.detail.is_empty() {
        runs
    } else {
        format!("{runs}: {}", run.detail)
    }
}

/// Draws the end of the newest output of a job.
fn output(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, job: Option<&str>) {
    let run =
        job.and_then(|job| scene::newest_run(scene.shown.state, job, |run| !run.output.is_empty()));
    let title = run.map_or_else(
        || "Output".to_owned(),
        |run| format!("Output of {}@{}, token {}", run.job, run.host, run.token),
    );
    let inner = pane::frame(frame, area, scene, &title);
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    let Some(run) = run else {
        page.text(" no run of it has written anything", scene.theme.dim);
        return;
    };
    let lines: Vec<&str> = run.output.lines().rev().take(page.left()).collect();
    for line in lines.into_iter().rev() {
        page.text(&format!(" {line}"), scene.theme.text);
    }
}

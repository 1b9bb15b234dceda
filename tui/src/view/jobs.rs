//! The Jobs view: what each job does on each host, the selected job's runs, and what its newest run wrote.
//!
//! ```text
//! | +-- Jobs (9) --------------------------------------- 1-9 of 9 --+ |
//! | | JOB  HOST  STATE  SINCE  LOCK  TOKEN  LAST  NEXT  PROGRESS ... | |
//! | +---------------------------------------------------------------+ |
//! | +-- Runs of inv -------------++-- Output of inv, token 1204311 -+ |
//! | +----------------------------++---------------------------------+ |
//! ```

use leasehold_records::{JobRecord, RunRecord};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::layout::{inside, window};
use super::paint::{self, TextPage, TextPiece};
use super::scene::{self, ViewScene};
use super::table::{FittedTable, TableCell, TableColumn};
use super::{cells, empty, pane};
use crate::app::{App, RowKey};
use crate::text;

/// Bodies from this many lines on have panes about the selected job.
const PANES_FROM: u16 = 14;
/// From this width on the two panes stand side by side; below it there are only the runs.
const BESIDE_FROM: u16 = 100;

const COLUMNS: [TableColumn; 10] = [
    TableColumn::text("JOB", 10, 30, 0),
    TableColumn::text("HOST", 8, 20, 0),
    TableColumn::text("STATE", 8, 8, 0),
    TableColumn::number("SINCE", 6, 7, 0),
    TableColumn::text("LOCK", 18, 36, 1),
    TableColumn::number("TOKEN", 7, 12, 5),
    TableColumn::text("LAST", 9, 9, 3),
    TableColumn::text("NEXT", 7, 8, 4),
    TableColumn::text("PROGRESS", 9, 26, 2),
    TableColumn::text("DETAIL", 10, 400, 6),
];

const RUNS: [TableColumn; 7] = [
    TableColumn::text("ENDED", 8, 12, 0),
    TableColumn::text("OUTCOME", 9, 9, 0),
    TableColumn::number("TOOK", 6, 7, 0),
    TableColumn::number("TOKEN", 7, 12, 2),
    TableColumn::text("HOST", 8, 20, 1),
    TableColumn::number("REFUSED", 7, 7, 4),
    TableColumn::text("WHY", 8, 400, 3),
];

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: u64) {
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
    let job = app.job(now);
    let job = job.as_ref().map(|(job, _)| job.as_str());
    if below.width < BESIDE_FROM {
        runs(frame, below, &scene, job);
        return;
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(below);
    runs(frame, left, &scene, job);
    output(frame, right, &scene, job);
}

fn table(frame: &mut Frame<'_>, area: Rect, app: &mut App, now: u64) {
    let inner = inside(area);
    let (rows, range) = window(app, inner, 1);
    let scene = ViewScene::new(app, now);
    let list = app.list();
    let count = text::count(list.len() as u64);
    let title = format!("Jobs ({count}){}", pane::notes(&scene));
    pane::list(frame, area, &scene, &title, &pane::place(list));
    let table = FittedTable::new(&COLUMNS, inner.width);
    let sort = (app.sort().name(app.view), app.sort().reverse);
    table.head(frame.buffer_mut(), inner, sort, scene.theme.header);
    let first = range.start;
    for (at, key) in list.rows().iter().enumerate().take(range.end).skip(first) {
        let RowKey::Job(job, host) = key else {
            continue;
        };
        let Some(job) = scene::job_of(scene.shown.state, job, host) else {
            continue;
        };
        let line = paint::row(rows, u16::try_from(at - first).unwrap_or(u16::MAX));
        let is_selected = list.position() == Some(at);
        let cells = cells_of(&scene, &table, job);
        table.row(frame.buffer_mut(), line, &cells, is_selected, scene.theme);
    }
    empty::render(frame, rows, &scene);
}

fn cells_of(
    scene: &ViewScene<'_>,
    table: &FittedTable,
    job: &JobRecord,
) -> [TableCell; COLUMNS.len()] {
    let theme = scene.theme;
    let dash = || ("-".to_owned(), theme.dim);
    let (progress, message) = match &job.progress {
        Some(progress) => {
            let bar = cells::progress(progress, table.width("PROGRESS"));
            ((bar, theme.good), progress.message.clone())
        }
        None => (dash(), String::new()),
    };
    let next = job.next_unix_ms.map_or_else(dash, |next| {
        let text = match next.checked_sub(scene.shown.now) {
            Some(left) if left > 0 => format!("in {}", text::age(left)),
            _ => "due".to_owned(),
        };
        (text, theme.text)
    });
    let last = job.last.map_or_else(dash, |last| {
        (last.as_str().to_owned(), cells::outcome_style(theme, last))
    });
    let detail = if job.detail.is_empty() {
        message
    } else {
        job.detail.clone()
    };
    [
        (job.job.clone(), theme.text),
        (job.host.clone(), theme.text),
        (
            job.state.as_str().to_owned(),
            cells::job_style(theme, job.state),
        ),
        (text::age(scene.ago(job.since_unix_ms)), theme.text),
        (job.lock.clone(), theme.text),
        job.token
            .map_or_else(dash, |token| (token.to_string(), theme.text)),
        last,
        next,
        progress,
        (detail, theme.dim),
    ]
}

/// The runs of a job, newest first.
fn runs(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, job: Option<&str>) {
    let title = job.map_or_else(
        || "Runs".to_owned(),
        |job| format!("Runs of {job}, newest first"),
    );
    let inner = pane::frame(frame, area, scene, &title);
    let Some(job) = job else {
        return;
    };
    let theme = scene.theme;
    let table = FittedTable::new(&RUNS, inner.width);
    table.head(frame.buffer_mut(), inner, ("", false), theme.header);
    let room = usize::from(inner.height).saturating_sub(1);
    for (run, at) in scene::runs_of(scene.shown.state, job).take(room).zip(1..) {
        let line = paint::row(inner, at);
        table.row(
            frame.buffer_mut(),
            line,
            &run_cells(scene, run),
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

fn run_cells(scene: &ViewScene<'_>, run: &RunRecord) -> [TableCell; RUNS.len()] {
    let theme = scene.theme;
    let style = cells::outcome_style(theme, run.outcome);
    let (ended, took) = match run.ended_unix_ms {
        Some(ended) => {
            let took = ended.saturating_sub(run.started_unix_ms);
            (text::clock_time(ended), took)
        }
        None => ("-".to_owned(), scene.ago(run.started_unix_ms)),
    };
    let refused = if run.calls_refused == 0 {
        theme.dim
    } else {
        theme.bad
    };
    [
        (ended, theme.dim),
        (run.outcome.as_str().to_owned(), style),
        (text::age(took), theme.text),
        (run.token.to_string(), theme.dim),
        (run.host.clone(), theme.text),
        (run.calls_refused.to_string(), refused),
        (why(run), theme.text),
    ]
}

/// The sentence about a run; of runs that share a record, how many there are and since when.
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

/// The end of what the newest run that wrote anything has written.
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

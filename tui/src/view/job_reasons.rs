//! Reasons for which jobs run or do not, in the words of `leasehold explain`.

use std::collections::BTreeMap;

use leasehold_records::explain::{Explanation, explain};
use ratatui::layout::Rect;

use super::paint::{self, TextPiece};
use super::scene::ViewScene;
use crate::app::RowKey;

/// Most lines about the selected job above its runs.
const MOST_LINES: usize = 4;

/// Explanations of the jobs on the screen.
pub(super) struct JobReasons(BTreeMap<String, Explanation>);

impl JobReasons {
    /// Explains the jobs of these rows.
    pub(super) fn collect(scene: &ViewScene<'_>, rows: &[RowKey]) -> Self {
        let job_of = |row: &RowKey| match row {
            RowKey::Job(job, _) => Some(job.clone()),
            _ => None,
        };
        let mut jobs: Vec<String> = rows.iter().filter_map(job_of).collect();
        jobs.dedup();
        let root = scene.app.model.scope.root();
        let names = jobs.iter().map(String::as_str);
        let facts = scene.shown.state.facts_about(root, names);
        let explained = jobs.into_iter().map(|job| {
            let reasons = explain(&facts, &job, scene.shown.now);
            (job, reasons)
        });
        Self(explained.collect())
    }

    pub(super) fn of(&self, job: &str) -> Option<&Explanation> {
        self.0.get(job)
    }
}

/// Explains one job on all hosts.
pub(super) fn explain_job(scene: &ViewScene<'_>, job: &str) -> Explanation {
    let root = scene.app.model.scope.root();
    let facts = scene.shown.state.facts_of(root, job);
    explain(&facts, job, scene.shown.now)
}

/// The reasons on one host in a few lines, for a pane.
pub(super) fn lines(
    scene: &ViewScene<'_>,
    (job, host): (&str, &str),
    area: Rect,
) -> Vec<TextPiece> {
    let width = usize::from(area.width).saturating_sub(2);
    // At least half of the pane is for the runs.
    let room = usize::from(area.height / 2).min(MOST_LINES);
    let explanation = explain_job(scene, job);
    let mut lines: Vec<TextPiece> = Vec::new();
    for reason in explanation.on(host) {
        let style = if reason.kind.is_plain() {
            scene.theme.dim
        } else {
            scene.theme.warn
        };
        let more = paint::wrap(&reason.text, width);
        lines.extend(more.into_iter().map(|line| TextPiece::new(line, style)));
    }
    if lines.len() > room {
        lines.truncate(room);
        if let Some(last) = lines.last_mut() {
            last.text = paint::cut(&format!("{} …", last.text), width);
        }
    }
    lines
}

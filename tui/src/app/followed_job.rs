//! The job whose output is requested, and its output as it arrives.

use leasehold_follow::OutputItem;
use leasehold_records::{UnixMs, printable};

use super::app_state::App;
use super::live_output::LiveOutput;
use super::overlay::OpenOverlay;
use super::setup::FactSource;

impl App {
    /// The job whose output should be requested: that of the open pane, while it shows the present.
    pub(crate) fn wanted_output(&self, now: UnixMs) -> Option<String> {
        let is_open = matches!(self.overlay, Some(OpenOverlay::Logs { .. }));
        let is_store = matches!(self.setup.source, FactSource::Store(_));
        let is_wanted = is_open && is_store && self.shown(now).is_live;
        self.job(now).filter(|_| is_wanted).map(|(job, _)| job)
    }

    /// The live output of a job, if any has come.
    pub(crate) fn live_output(&self, job: &str) -> Option<&LiveOutput> {
        self.live.as_ref().filter(|live| live.job == job)
    }

    fn live_of(&mut self, job: &str) -> &mut LiveOutput {
        let live = self.live.take().filter(|live| live.job == job);
        self.live
            .insert(live.unwrap_or_else(|| LiveOutput::new(job.to_owned())))
    }

    /// Applies live output. A pane that is scrolled up keeps its place.
    pub(super) fn take_output(&mut self, job: &str, item: &OutputItem) {
        let live = self.live_of(job);
        live.refused = None;
        let added = live.add(item);
        if let Some(OpenOverlay::Logs { up }) = &mut self.overlay
            && *up > 0
        {
            *up = up.saturating_add(added);
        }
    }

    /// Applies a new reader's start: it sends everything from the beginning.
    pub(super) fn begin_output(&mut self, job: &str, refused: Option<&str>) {
        let mut live = LiveOutput::new(job.to_owned());
        live.refused = refused.map(printable::line);
        self.live = Some(live);
    }
}

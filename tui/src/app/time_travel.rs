//! Keys that change the moment that is shown.

use std::time::Duration;

use leasehold_records::UnixMs;

use super::app_state::App;
use super::setup::FactSource;
use crate::keymap::Command;

/// Length of a long jump through time.
const JUMP: Duration = Duration::from_secs(10);

impl App {
    /// Carries out commands that change the moment that is shown.
    pub(super) fn move_in_time(&mut self, command: Command, now: UnixMs) -> bool {
        let present = self.present(now);
        let at = self.shown(now).now;
        self.playing = match command {
            Command::Freeze if matches!(self.setup.source, FactSource::Recording { .. }) => {
                // A recording has no present to continue with: it plays or is paused.
                self.model.freeze(present);
                let plays = self.playing.is_none() && at < present;
                plays.then_some((now, at))
            }
            _ => None,
        };
        let found = match command {
            Command::Freeze => {
                if matches!(self.setup.source, FactSource::Store(_)) {
                    if self.shown(now).is_live {
                        self.model.freeze(now);
                    } else {
                        self.model.show_present();
                    }
                }
                true
            }
            Command::StepBack => self.model.step_back(present),
            Command::StepForward => self.model.step_forward(present),
            Command::JumpBack10s => {
                self.model.seek(present, at.before(JUMP));
                true
            }
            Command::JumpForward10s => {
                self.model.seek(present, at.after(JUMP).min(present));
                true
            }
            Command::Oldest => {
                self.model.seek(present, UnixMs::default());
                true
            }
            Command::Live => {
                self.model.show_present();
                true
            }
            _ => return false,
        };
        if !found {
            self.notify(now, "there is nothing further in that direction");
        }
        true
    }
}

//! Events of a running guest: its lines and its progress, for the log and the job's record.

use leasehold_runtime::GuestEvent;

use super::context::JobContext;
use crate::event::{EventContext, EventKind};

/// Logs one event.
pub(super) fn log(context: &JobContext, about: &EventContext, event: GuestEvent) {
    match event {
        GuestEvent::Line(line) => context.event_log.emit_at(
            line.at,
            about.clone(),
            EventKind::Guest {
                stream: line.stream.as_str(),
                level: line.level.map(leasehold_runtime::Level::as_str),
                text: line.text,
                fields: line.fields,
            },
        ),
        GuestEvent::Progress {
            done,
            total,
            message,
            at,
        } => {
            let progress = leasehold_records::Progress {
                done,
                total,
                message: message.clone(),
            };
            // Only the newest progress matters; a value that finds no room is replaced by the next.
            let _ = context.progress.try_send((context.name.clone(), progress));
            context.event_log.emit_at(
                at,
                about.clone(),
                EventKind::Progress {
                    done,
                    total,
                    message,
                },
            );
        }
    }
}

//! Sources of facts: a store or a recording.

mod admin_action;
mod clock;
mod host_order;
mod key_feed;
mod live;
mod output;
mod recording;

pub(crate) use clock::now;
pub(crate) use key_feed::feed;
pub(crate) use live::LiveSource;
pub use recording::RecordingError;
pub(crate) use recording::{Recorder, read_recording};

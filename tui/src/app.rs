//! The program behind the screen: selection, typed text, and the action of each key.
//!
//! Pure: it receives inputs and moments, changes itself, and returns requests to the outside ([`AppEffect`]). It
//! never draws and never calls the store.

mod admin_order;
mod admin_plan;
mod app_state;
mod effect;
mod followed_job;
mod hit_areas;
mod host_order;
mod list;
mod live_output;
mod order_form;
mod order_plan;
mod overlay;
mod overlay_keys;
mod queue_tree;
mod rows;
mod rows_fingerprint;
mod setup;
mod sort;
mod state_counts;
mod text_input;
mod time_travel;
mod update;
mod view;
mod wanted_leases;

#[cfg(test)]
mod tests;

pub(crate) use admin_order::{AdminOrder, EntryAction, EntryOrder};
pub(crate) use app_state::App;
pub(crate) use effect::{AppEffect, StatusNote};
pub(crate) use hit_areas::HitAreas;
pub(crate) use host_order::{FieldKind, HostOrder, OrderVerb};
pub(crate) use list::{RowKey, RowList};
pub(crate) use live_output::{LiveKind, LiveOutput};
pub(crate) use order_form::OrderForm;
pub(crate) use overlay::{OpenOverlay, matching_commands};
pub(crate) use queue_tree::{QueueBranch, build_queue_tree};
pub(crate) use setup::{AppSetup, FactSource};
pub(crate) use sort::SortOrder;
pub(crate) use text_input::TextInput;
pub(crate) use update::AppInput;
pub use view::View;

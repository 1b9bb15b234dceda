//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod dev;
pub(crate) mod logs;
pub(crate) mod plugin;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod top;

//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod dev;
pub(crate) mod plugin;
pub(crate) mod run;
pub(crate) mod show;
pub(crate) mod store;
pub(crate) mod top;

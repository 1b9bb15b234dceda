//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod drain;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod pause;
pub(crate) mod plugin;
pub(crate) mod restart;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod store;
pub(crate) mod top;
pub(crate) mod trigger;
pub(crate) mod undrain;
pub(crate) mod version;

//! Jobs: what each should be doing (`machine`), and the work that does it (`work`).

pub(crate) mod machine;
pub(crate) mod work;

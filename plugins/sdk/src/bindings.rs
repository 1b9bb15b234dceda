//! The contract as generated from `plugins/wit`: raw types and calls.
//!
//! Public only because [`job!`](crate::job) expands in other crates. Only this
//! crate's own modules and that macro use it.

wit_bindgen::generate!({
    path: "../wit",
    world: "job",
    pub_export_macro: true,
});

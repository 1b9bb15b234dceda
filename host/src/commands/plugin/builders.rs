//! Builders: one for each language, from a project to the compiler's bytes.

mod c;
mod go;
mod js;
mod python;
mod rust;

use super::language::Language;
use super::project::Project;

/// Runs the compiler of the language, and returns the plugin without a manifest.
pub(super) fn build(project: &Project, language: Language) -> Result<Vec<u8>, String> {
    match language {
        Language::Rust => rust::build(project),
        Language::C => c::build(project),
        Language::Js => js::build(project),
        Language::Python => python::build(project),
        Language::Go => go::build(project),
    }
}

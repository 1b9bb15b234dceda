//! Reader of the manifest in a plugin and of the sidecar beside it: nested TOML texts with their
//! own syntax errors.
//!
//! Nothing is granted here: a manifest is a request.

use std::path::Path;
use std::sync::Arc;

use leasehold_diagnostics::SourceText;

use super::context::Context;
use super::needs::RawNeeds;
use super::raw_job::RawJob;
use super::read;
use super::schema;
use super::section::{Field, InvalidField, Section};
use super::source_map::TextRole;
use super::syntax::{Document, Repaired};

/// Contents of a manifest.
#[derive(Clone, Debug)]
pub(super) struct RawManifest {
    /// The job's name, used if the configuration does not give one.
    pub(super) name: Field<String>,
    /// A line for people.
    pub(super) description: Field<String>,
    pub(super) job: RawJob,
    pub(super) needs: RawNeeds,
}

/// Reads the manifest of the plugin at `path`; its errors are recorded in `outer`.
///
/// # Errors
///
/// It is not TOML, so its values cannot be trusted.
pub(super) fn manifest(
    outer: &Context<'_>,
    path: &Path,
    text: &Arc<str>,
) -> Result<RawManifest, InvalidField> {
    document(
        outer,
        TextRole::Manifest,
        path,
        text,
        schema::MANIFEST,
        |root| RawManifest {
            name: root.take("name", read::name),
            description: root.take("description", read::words),
            job: RawJob::read(root, None),
            needs: RawNeeds::of_manifest(root),
        },
    )
}

/// Reads one more text with `read`; its errors are recorded in `outer`.
///
/// # Errors
///
/// As [`manifest`].
pub(super) fn document<T>(
    outer: &Context<'_>,
    role: TextRole,
    path: &Path,
    text: &Arc<str>,
    keys: &'static [&'static str],
    read: impl FnOnce(&Section<'_>) -> T,
) -> Result<T, InvalidField> {
    let base = outer.texts().add(role, path, text);
    let context = outer.for_text(base);
    let source = SourceText::new(text);
    let repaired = Repaired::new(&source);
    let mut document = Document::parse(&source, &repaired, Vec::new());
    let root = Section::root(&document.table, keys, &context);
    root.report_unknown_keys();
    let read = read(&root);
    let (meant, claims) = context.into_parts();
    let syntax = std::mem::take(&mut document.findings);
    let is_sound = syntax.is_empty();
    for finding in syntax {
        outer.report(finding.moved(base));
    }
    for finding in meant {
        // Syntax errors of this document cast no doubt on findings about other texts.
        let local = match &finding.span {
            Some(span) if span.start < base || span.start > base + text.len() => {
                outer.report(finding);
                continue;
            }
            Some(span) => Some(span.start - base..span.end.saturating_sub(base)),
            None => None,
        };
        if !document.casts_doubt_on(local.as_ref(), &source) {
            outer.report(finding);
        }
    }
    for claim in claims {
        outer.claim(claim);
    }
    if is_sound {
        Ok(read)
    } else {
        Err(InvalidField)
    }
}

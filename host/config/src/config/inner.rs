//! Reading the manifest in a plugin and the file beside one: TOML of its own, with its own doubts.
//!
//! This file must never grant anything: a manifest asks.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::needs::SaidNeeds;
use super::read;
use super::schema;
use super::section::{Said, Section, Wrong};
use super::source::Source;
use super::syntax::{Document, Repaired};
use super::texts::Role;
use super::words::SaidJob;

/// What a manifest says.
#[derive(Clone, Debug)]
pub(super) struct SaidManifest {
    /// The job's name where the configuration does not give one.
    pub(super) name: Said<String>,
    /// A line for people.
    pub(super) description: Said<String>,
    pub(super) job: SaidJob,
    pub(super) needs: SaidNeeds,
}

/// Reads the manifest of the plugin at `path`; what is wrong with it is objected to in `outer`.
///
/// # Errors
///
/// It is no TOML, so that nothing in it may be taken for what was meant.
pub(super) fn manifest(
    outer: &Context<'_>,
    path: &Path,
    text: &Arc<str>,
) -> Result<SaidManifest, Wrong> {
    document(
        outer,
        Role::Manifest,
        path,
        text,
        schema::MANIFEST,
        |root| SaidManifest {
            name: root.take("name", read::name),
            description: root.take("description", read::words),
            job: SaidJob::read(root, None),
            needs: SaidNeeds::of_manifest(root),
        },
    )
}

/// Reads one more text with `read`; what is wrong with it is objected to in `outer`.
///
/// # Errors
///
/// As [`manifest`].
pub(super) fn document<T>(
    outer: &Context<'_>,
    role: Role,
    path: &Path,
    text: &Arc<str>,
    keys: &'static [&'static str],
    read: impl FnOnce(&Section<'_>) -> T,
) -> Result<T, Wrong> {
    let base = outer.texts().add(role, path, text);
    let context = outer.for_text(base);
    let source = Source::new(text);
    let repaired = Repaired::new(&source);
    let mut document = Document::parse(&source, &repaired, Vec::new());
    let root = Section::root(&document.table, keys, &context);
    root.report_unknown_keys();
    let read = read(&root);
    let (meant, claims) = context.into_parts();
    let syntax = std::mem::take(&mut document.findings);
    let is_sound = syntax.is_empty();
    for finding in syntax {
        outer.object(finding.moved(base));
    }
    for finding in meant {
        // Findings about other texts are not this one's to doubt.
        let local = match &finding.span {
            Some(span) if span.start < base || span.start > base + text.len() => {
                outer.object(finding);
                continue;
            }
            Some(span) => Some(span.start - base..span.end.saturating_sub(base)),
            None => None,
        };
        if !document.casts_doubt_on(local.as_ref(), &source) {
            outer.object(finding);
        }
    }
    for claim in claims {
        outer.claim(claim);
    }
    if is_sound { Ok(read) } else { Err(Wrong) }
}

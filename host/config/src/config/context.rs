//! State shared by the readers of one text: its path and purpose, and all errors found in it.
//!
//! Findings point at byte ranges; the report turns them into lines. This file only collects: the
//! readers decide what is wrong.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use leasehold_diagnostics::ConfigError;

use super::environment::Environment;
use super::file_claim::{FileClaim, LoadPurpose};
use super::source_map::SourceMap;
use crate::manifest::{Manifest, ManifestError};

/// Shared by all readers of one text.
pub(super) struct Context<'a> {
    folder: &'a Path,
    purpose: LoadPurpose,
    surroundings: &'a Environment,
    texts: Rc<SourceMap>,
    /// Position of this text among all texts.
    base: usize,
    peek: &'a dyn PluginReader,
    findings: RefCell<Vec<ConfigError>>,
    claims: RefCell<Vec<FileClaim>>,
    private: RefCell<Vec<Range<usize>>>,
}

/// Reader of the manifests in plugins. Two implementations: one opens files, the other opens none.
pub(super) trait PluginReader {
    /// Reads the plugin at `path`, at most `most` bytes of it; `None` if it cannot be read.
    fn peek(&self, path: &Path, most: u64) -> Option<Rc<ReadPlugin>>;
}

/// Contents of a plugin that was read.
#[derive(Debug)]
pub(super) struct ReadPlugin {
    /// Digest of the bytes that were read.
    pub(super) digest: [u8; 32],
    /// Their manifest.
    pub(super) manifest: Result<Option<Manifest>, ManifestError>,
}

/// Opens no file.
pub(super) struct NoPlugins;

impl PluginReader for NoPlugins {
    fn peek(&self, _: &Path, _: u64) -> Option<Rc<ReadPlugin>> {
        None
    }
}

impl<'a> Context<'a> {
    /// A context without findings for the file at `path`, whose text is the first one.
    pub(super) fn new(
        path: &'a Path,
        purpose: LoadPurpose,
        surroundings: &'a Environment,
        peek: &'a dyn PluginReader,
    ) -> Self {
        Self {
            folder: path.parent().unwrap_or(Path::new("")),
            purpose,
            surroundings,
            texts: Rc::default(),
            base: 0,
            peek,
            findings: RefCell::default(),
            claims: RefCell::default(),
            private: RefCell::default(),
        }
    }

    /// A context without findings for one more text, which begins at `base`.
    pub(super) fn for_text(&self, base: usize) -> Self {
        Self {
            texts: self.texts.clone(),
            base,
            findings: RefCell::default(),
            claims: RefCell::default(),
            private: RefCell::default(),
            ..*self
        }
    }

    /// All texts of this reading.
    pub(super) fn texts(&self) -> &Rc<SourceMap> {
        &self.texts
    }

    /// Converts a range of this text to a range among all texts.
    pub(super) const fn shift(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.base..span.end + self.base
    }

    /// Reads a plugin for its manifest.
    pub(super) fn peek(&self, path: &Path, most: u64) -> Option<Rc<ReadPlugin>> {
        self.peek.peek(path, most)
    }

    /// Purpose of reading the file.
    pub(super) const fn purpose(&self) -> LoadPurpose {
        self.purpose
    }

    /// The machine and user that the file is read on.
    pub(super) const fn surroundings(&self) -> &'a Environment {
        self.surroundings
    }

    /// Resolves a path relative to the folder of the file.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Records an error.
    pub(super) fn report(&self, finding: ConfigError) {
        self.findings.borrow_mut().push(finding);
    }

    /// Records that a file must exist, which `Config::load` checks.
    pub(super) fn claim(&self, claim: FileClaim) {
        self.claims.borrow_mut().push(claim);
    }

    /// Marks bytes whose line is not shown in messages.
    pub(super) fn keep_private(&self, span: Range<usize>) {
        self.private.borrow_mut().push(span);
    }

    /// Returns everything recorded.
    pub(super) fn into_parts(self) -> (Vec<ConfigError>, Vec<FileClaim>) {
        let private = self.private.into_inner();
        let mut findings = self.findings.into_inner();
        for finding in &mut findings {
            let span = finding.span.as_ref();
            finding.is_private |= span.is_some_and(|span| private.contains(span));
        }
        (findings, self.claims.into_inner())
    }
}

//! What a reader of a text carries along: where it is, and everything it objects to.
//!
//! Findings point at byte ranges; turning them into lines is `source`'s work. This file must never
//! decide whether something is wrong.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::Claim;
use super::surroundings::Surroundings;
use super::texts::Texts;
use crate::manifest::{Manifest, ManifestError};

/// One objection to the text.
#[derive(Debug)]
pub(super) struct Finding {
    /// The bytes it is about; `None` when it is about the whole file.
    pub(super) span: Option<Range<usize>>,
    /// What is wrong.
    pub(super) message: String,
    /// Other places that explain it.
    pub(super) notes: Vec<(Range<usize>, String)>,
    /// What to do.
    pub(super) help: Vec<String>,
    /// Whether the line may hold a secret, so that it is not shown.
    pub(super) is_private: bool,
}

impl Finding {
    /// An objection to these bytes.
    pub(super) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            message: message.into(),
            notes: Vec::new(),
            help: Vec::new(),
            is_private: false,
        }
    }

    /// An objection to the file as a whole.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self {
            span: None,
            ..Self::at(0..0, message)
        }
    }

    /// The same about bytes that lie this much further on.
    #[must_use]
    pub(super) fn moved(mut self, by: usize) -> Self {
        let moved = |span: Range<usize>| span.start + by..span.end + by;
        self.span = self.span.map(moved);
        for (place, _) in &mut self.notes {
            *place = moved(place.clone());
        }
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub(super) fn note(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.notes.push((span, text.into()));
        self
    }
}

/// What the file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To run its jobs on the store that it names.
    Run,
    /// To read that store.
    Read,
    /// To run its jobs on a store that comes with the command: the file's may be absent.
    Develop,
}

/// Shared by all readers of one text.
pub(super) struct Context<'a> {
    folder: &'a Path,
    purpose: Purpose,
    surroundings: &'a Surroundings,
    texts: Rc<Texts>,
    /// Where this text begins among all of them.
    base: usize,
    peek: &'a dyn Peek,
    findings: RefCell<Vec<Finding>>,
    claims: RefCell<Vec<Claim>>,
    private: RefCell<Vec<Range<usize>>>,
}

/// A look into plugins for their manifests. Two ways: at files, and not at all.
pub(super) trait Peek {
    /// What is in the plugin at `path`, of which no more than `most` bytes are read; nothing when there
    /// is nothing to be seen.
    fn peek(&self, path: &Path, most: u64) -> Option<Rc<Peeked>>;
}

/// What a look into a plugin found.
#[derive(Debug)]
pub(super) struct Peeked {
    /// The digest of the bytes that were looked at.
    pub(super) digest: [u8; 32],
    /// Their manifest.
    pub(super) manifest: Result<Option<Manifest>, ManifestError>,
}

/// Looks at no file.
pub(super) struct Blind;

impl Peek for Blind {
    fn peek(&self, _: &Path, _: u64) -> Option<Rc<Peeked>> {
        None
    }
}

impl<'a> Context<'a> {
    /// A context for the file at `path`, whose text is the first there is, with nothing found yet.
    pub(super) fn new(
        path: &'a Path,
        purpose: Purpose,
        surroundings: &'a Surroundings,
        peek: &'a dyn Peek,
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

    /// A context for one more text, which begins at `base`, with nothing found yet.
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
    pub(super) fn texts(&self) -> &Rc<Texts> {
        &self.texts
    }

    /// Bytes of this text as a range among all texts.
    pub(super) const fn shift(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.base..span.end + self.base
    }

    /// Looks into a plugin for its manifest.
    pub(super) fn peek(&self, path: &Path, most: u64) -> Option<Rc<Peeked>> {
        self.peek.peek(path, most)
    }

    /// What the file is read for.
    pub(super) const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The machine and user the file is read on.
    pub(super) const fn surroundings(&self) -> &'a Surroundings {
        self.surroundings
    }

    /// Paths in the file are relative to its own folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Records an objection.
    pub(super) fn object(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Records that a file must exist, for `Config::load` to look.
    pub(super) fn claim(&self, claim: Claim) {
        self.claims.borrow_mut().push(claim);
    }

    /// Marks bytes whose line no message may show.
    pub(super) fn keep_private(&self, span: Range<usize>) {
        self.private.borrow_mut().push(span);
    }

    /// Everything recorded.
    pub(super) fn into_parts(self) -> (Vec<Finding>, Vec<Claim>) {
        let private = self.private.into_inner();
        let mut findings = self.findings.into_inner();
        for finding in &mut findings {
            let span = finding.span.as_ref();
            finding.is_private |= span.is_some_and(|span| private.contains(span));
        }
        (findings, self.claims.into_inner())
    }
}

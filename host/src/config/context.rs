//! What a reader of the file carries along: where it is, and everything it objects to.
//!
//! Findings point at byte ranges; turning them into lines is `source`'s work. This file must never
//! decide whether something is wrong.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::files::Claim;
use super::surroundings::Surroundings;

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

/// Shared by all readers of one file.
pub(super) struct Context<'a> {
    folder: &'a Path,
    purpose: Purpose,
    surroundings: &'a Surroundings,
    findings: RefCell<Vec<Finding>>,
    claims: RefCell<Vec<Claim>>,
    private: RefCell<Vec<Range<usize>>>,
}

impl<'a> Context<'a> {
    /// A context for the file at `path`, with nothing found yet.
    pub(super) fn new(path: &'a Path, purpose: Purpose, surroundings: &'a Surroundings) -> Self {
        Self {
            folder: path.parent().unwrap_or(Path::new("")),
            purpose,
            surroundings,
            findings: RefCell::default(),
            claims: RefCell::default(),
            private: RefCell::default(),
        }
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

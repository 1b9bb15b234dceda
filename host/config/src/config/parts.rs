//! The texts of one configuration: a file, or every file of a folder, each parsed by itself.
//!
//! Parsing each file alone confines its errors: an unclosed bracket swallows no table of the next
//! file. Positions of all files are laid end to end, so a range still identifies one place. Tables
//! are not interpreted here.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leasehold_diagnostics::{ConfigError, SourceText, shown};

use super::context::Context;
use super::file_claim::FileClaim;
use super::input::{self, Input};
use super::report::Report;
use super::schema;
use super::section::Section;
use super::source_map::{SourceMap, TextRole};
use super::syntax::{Document, Repaired};
use crate::owned::OpenRefusal;

/// Most files of one folder that are read: as many as there may be jobs, so that each can have its
/// own.
const MOST_FILES: usize = 10_000;

/// One file and its text.
pub(super) struct NamedText {
    pub(super) path: PathBuf,
    pub(super) text: Arc<str>,
    /// True if the text came out of a pipe, so that it cannot be read again.
    pub(super) is_piped: bool,
    /// One finding for each position that is not UTF-8.
    undecoded: Vec<ConfigError>,
}

impl NamedText {
    pub(super) fn new(path: PathBuf, input: Input) -> Self {
        Self {
            path,
            text: input.text.into(),
            is_piped: input.is_piped,
            undecoded: input.findings,
        }
    }
}

/// The files that make up the configuration at `path`: itself, or the `.toml` files of a folder by name.
///
/// # Errors
///
/// The folder cannot be read.
pub fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let bytes = name.as_bytes();
        // A name with a dot in front is an editor's, or a link through which a folder is swapped.
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            files.push(path.join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the configuration at `path`: at least one text.
pub(super) fn read(path: &Path) -> Result<Vec<NamedText>, Report> {
    let whole = |finding| Report::of_file(path, finding);
    let files = files_of(path).map_err(|error| {
        let (what, help) = OpenRefusal::Unreadable(error).explain();
        whole(ConfigError::whole(format!("the configuration's folder {what}")).help(help))
    })?;
    if files.is_empty() {
        let finding = ConfigError::whole("the folder holds no configuration");
        return Err(whole(finding.help(
            "put files into it whose names end with `.toml`; one of them has [host] and [store]",
        )));
    }
    if files.len() > MOST_FILES {
        let finding = ConfigError::whole(format!("the folder holds more than {MOST_FILES} files"));
        return Err(whole(
            finding.help("put several jobs into one file, or name the right folder"),
        ));
    }
    let mut room = input::LARGEST;
    let mut named = Vec::with_capacity(files.len());
    for file in files {
        let input = input::read(&file, room).map_err(|finding| Report::of_file(&file, finding))?;
        room = room.saturating_sub(input.size);
        named.push(NamedText::new(file, input));
    }
    Ok(named)
}

/// One text as TOML.
pub(super) struct Part<'t> {
    source: &'t SourceText<'t>,
    document: Document<'t>,
    /// Position of its first byte among all texts.
    base: usize,
}

/// Parses every text; their positions are those of `texts`.
pub(super) fn parse<'t>(
    named: &mut [NamedText],
    sources: &'t [SourceText<'t>],
    repaired: &'t [Repaired],
    texts: &SourceMap,
) -> Vec<Part<'t>> {
    let parse = |((named, source), repaired): ((&mut NamedText, _), _)| {
        let undecoded = std::mem::take(&mut named.undecoded);
        Part {
            source,
            document: Document::parse(source, repaired, undecoded),
            base: texts.add(TextRole::Main, &named.path, &named.text),
        }
    };
    named
        .iter_mut()
        .zip(sources)
        .zip(repaired)
        .map(parse)
        .collect()
}

/// Returns a context without findings for each part.
pub(super) fn contexts<'a>(parts: &[Part<'_>], outer: &Context<'a>) -> Vec<Context<'a>> {
    parts.iter().map(|part| outer.for_text(part.base)).collect()
}

/// Returns the top-level table of each part.
pub(super) fn roots<'a>(parts: &'a [Part<'a>], contexts: &'a [Context<'a>]) -> Vec<Section<'a>> {
    let root = |(part, context): (&'a Part<'a>, &'a Context<'a>)| {
        Section::root(&part.document.table, schema::ROOT, context)
    };
    parts.iter().zip(contexts).map(root).collect()
}

/// Returns the part that holds the table `key`, or the first part; reports a second table of that
/// name.
pub(super) fn holder<'s, 'a>(roots: &'s [Section<'a>], key: &'static str) -> &'s Section<'a> {
    let mut first: Option<&Section<'a>> = None;
    for root in roots {
        let Some(place) = root.key_place(key) else {
            continue;
        };
        match first {
            None => first = Some(root),
            Some(first) => {
                let mut finding = ConfigError::at(
                    place,
                    format!("[{key}] is in another file of the folder too"),
                );
                if let Some(place) = first.key_place(key) {
                    finding = finding.note(place, "the first is here");
                }
                let help = "keep one of them; only [jobs] may be spread over several files";
                root.context().report(finding.help(help));
            }
        }
    }
    first.unwrap_or(&roots[0])
}

/// Returns the tables of all jobs, in the order of the files; `None` if `jobs` in a file is not a
/// table.
pub(super) fn job_tables<'a>(
    roots: &[Section<'a>],
) -> Option<Vec<(toml::Spanned<&'a str>, Section<'a>)>> {
    let mut tables = Vec::new();
    let mut is_sound = true;
    for root in roots {
        match root.tables("jobs", schema::JOB) {
            Ok(found) => tables.extend(found),
            Err(_) => is_sound = false,
        }
    }
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for (name, section) in &tables {
        if let Some(first) = seen.get(name.get_ref()) {
            let message = format!(
                "job `{}` is in another file of the folder too",
                shown(name.get_ref())
            );
            section.context().report(
                ConfigError::at(name.span(), message)
                    .note(first.clone(), "the first is here")
                    .help("rename one of them, or delete it"),
            );
            is_sound = false;
        } else {
            seen.insert(name.get_ref(), name.span());
        }
    }
    is_sound.then_some(tables)
}

/// All errors of the texts, once they have been read.
pub(super) struct SortedErrors {
    /// Syntax errors.
    pub(super) syntax: Vec<ConfigError>,
    /// Errors of meaning, without those that may come from a guess.
    pub(super) meaning: Vec<ConfigError>,
}

/// Gathers the findings; `look` checks the files that the texts name.
pub(super) fn judge(
    parts: &mut [Part<'_>],
    contexts: Vec<Context<'_>>,
    look: impl Fn(&FileClaim) -> Option<ConfigError>,
) -> SortedErrors {
    let mut meaning = Vec::new();
    for context in contexts {
        let (found, claims) = context.into_parts();
        meaning.extend(found);
        meaning.extend(claims.iter().filter_map(&look));
    }
    meaning.retain(|finding| !parts.iter().any(|part| part.doubts(finding)));
    let syntax = |part: &mut Part<'_>| {
        let (base, found) = (part.base, std::mem::take(&mut part.document.findings));
        found.into_iter().map(move |finding| finding.moved(base))
    };
    SortedErrors {
        syntax: parts.iter_mut().flat_map(syntax).collect(),
        meaning,
    }
}

impl Part<'_> {
    /// Converts bytes to a range of this text alone, if they are in it.
    fn local(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let end = self.base + self.source.text().len();
        (self.base..=end)
            .contains(&span.start)
            .then(|| span.start - self.base..span.end.saturating_sub(self.base))
    }

    fn doubts(&self, finding: &ConfigError) -> bool {
        match &finding.span {
            None => self.document.casts_doubt_on(None, self.source),
            Some(span) => self
                .local(span)
                .is_some_and(|span| self.document.casts_doubt_on(Some(&span), self.source)),
        }
    }

    /// Returns true if these bytes are in one of these tables of the text.
    pub(super) fn is_in(&self, span: &Range<usize>, tables: &[&str]) -> bool {
        self.local(span)
            .is_some_and(|span| self.document.is_in(&span, self.source, tables))
    }
}

/// Path whose folder relative paths start at: the first file, or the current folder for a pipe.
pub(super) fn base_of(named: &[NamedText]) -> PathBuf {
    let file = named.iter().find(|named| !named.is_piped);
    file.map_or_else(PathBuf::new, |named| named.path.clone())
}

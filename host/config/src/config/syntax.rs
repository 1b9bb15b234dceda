//! Parsing of text into a TOML document, with every syntax error and the parts that these errors make
//! uncertain.
//!
//! The parser continues after an error, and its document is then partly a guess. A section with an
//! error that can shift its lines is not checked any further. Otherwise an error could refer to text
//! that is not in the file.

use leasehold_diagnostics::{
    ConfigError, SourceText, is_duplicate, is_unquoted, keeps_lines, shown,
};
use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

/// Most errors that are processed; a file with more is not TOML at all.
const MOST_ERRORS: usize = 500;
/// Duplicates whose first place is searched; each costs another parse of the text before it.
const MOST_LOOKUPS: usize = 20;

/// A text whose every line the parser can parse past.
///
/// The parser stops at a key without a value, so such lines are blanked, byte for byte: all other
/// positions stay the same.
pub(super) struct Repaired {
    text: String,
    errors: Vec<Error>,
}

impl Repaired {
    /// Blanks the lines that stop the parser.
    pub(super) fn new(source: &SourceText<'_>) -> Self {
        let (_, mut errors) = DeTable::parse_recoverable(source.text());
        errors.retain(|error| error.message().starts_with("key with no value"));
        let mut text = source.text().to_owned();
        for span in errors.iter().filter_map(Error::span) {
            let line = source.line_range(source.line_of(span.start));
            text.replace_range(line.clone(), &" ".repeat(line.len()));
        }
        Self { text, errors }
    }
}

/// Result of parsing the text.
pub(super) struct Document<'t> {
    /// The table of everything, as far as it could be parsed.
    pub(super) table: DeTable<'t>,
    /// One finding per line with errors.
    pub(super) findings: Vec<ConfigError>,
    doubt: Doubt,
}

/// Parts of the text in which findings about meaning would be guesses.
struct Doubt {
    /// Lines with an error, from 0.
    lines: BTreeSet<usize>,
    /// Starts of sections, in order.
    sections: Vec<usize>,
    /// Starts of sections whose lines may have shifted.
    shifted: BTreeSet<usize>,
    /// True if any section has.
    any_shifted: bool,
}

impl<'t> Document<'t> {
    /// Parses the text of `source`, whose `undecoded` positions are known to be invalid.
    pub(super) fn parse(
        source: &SourceText<'_>,
        repaired: &'t Repaired,
        undecoded: Vec<ConfigError>,
    ) -> Self {
        let (document, errors) = DeTable::parse_recoverable(&repaired.text);
        let table = document.into_inner();
        let mut doubt = Doubt::new(&table, source.text());
        let mut findings = Vec::new();
        for finding in undecoded {
            let start = finding.span.as_ref().map_or(0, |span| span.start);
            if doubt.lines.insert(source.line_of(start)) {
                findings.push(finding);
            }
        }
        let mut duplicates = Duplicates::default();
        let errors = repaired.errors.iter().chain(&errors);
        for error in errors.take(MOST_ERRORS) {
            let span = error.span().unwrap_or(0..0);
            if duplicates.repeats(error, &span, source, &doubt)
                || !doubt.learn(source.line_of(span.start), &span, error)
            {
                continue;
            }
            findings.push(duplicates.explain(error, span, source));
        }
        Self {
            table,
            findings,
            doubt,
        }
    }

    /// Returns true if a finding about the meaning of these bytes, or of the whole document, may
    /// come from a guess.
    pub(super) fn casts_doubt_on(
        &self,
        span: Option<&Range<usize>>,
        source: &SourceText<'_>,
    ) -> bool {
        match span {
            None => self.doubt.any_shifted,
            Some(span) => {
                self.doubt.lines.contains(&source.line_of(span.start))
                    || self
                        .doubt
                        .shifted
                        .contains(&self.doubt.section_of(span.start))
            }
        }
    }
}

impl Document<'_> {
    /// Returns true if these bytes are in a top-level table of the text that has one of these
    /// names, or below it.
    pub(super) fn is_in(
        &self,
        span: &Range<usize>,
        source: &SourceText<'_>,
        names: &[&str],
    ) -> bool {
        let at = if is_header(source, span) {
            span.start
        } else {
            self.doubt.section_of(span.start)
        };
        let line = &source.text()[source.line_range(source.line_of(at))];
        let is_table = line.trim_start().starts_with('[');
        let name = path_of(line).into_iter().next();
        is_table && name.is_some_and(|name| names.contains(&name.as_str()))
    }
}

impl Doubt {
    fn new(table: &DeTable<'_>, text: &str) -> Self {
        let mut sections = vec![0];
        headers(table, text, &mut sections);
        sections.sort_unstable();
        Self {
            lines: BTreeSet::new(),
            sections,
            shifted: BTreeSet::new(),
            any_shifted: false,
        }
    }

    /// Records an error; `false` if its line had one already.
    fn learn(&mut self, line: usize, span: &Range<usize>, error: &Error) -> bool {
        if !keeps_lines(error) {
            self.shifted.insert(self.section_of(span.start));
            self.any_shifted = true;
        }
        self.lines.insert(line)
    }

    /// Start of the section that holds `offset`.
    fn section_of(&self, offset: usize) -> usize {
        let after = self.sections.partition_point(|start| *start <= offset);
        self.sections[after.saturating_sub(1)]
    }
}

/// Collects the positions of table headers.
fn headers(table: &DeTable<'_>, text: &str, starts: &mut Vec<usize>) {
    for value in table.values() {
        let start = value.span().start;
        match value.get_ref() {
            DeValue::Table(inner) => {
                // A table without a header of its own starts at a key, an inline one at a brace.
                if text[start..].starts_with('[') {
                    starts.push(start);
                }
                headers(inner, text, starts);
            }
            DeValue::Array(array) => {
                for value in array {
                    if let DeValue::Table(inner) = value.get_ref() {
                        let start = value.span().start;
                        if text[start..].starts_with('[') {
                            starts.push(start);
                        }
                        headers(inner, text, starts);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Turns one error of the parser into a finding with a remedy.
fn plain(error: &Error, span: Range<usize>) -> ConfigError {
    let message = error.message();
    if is_unquoted(error) {
        return ConfigError::at(span, "text must be in quotes")
            .help("write it as in `every = \"30s\"`; only numbers, true and false have no quotes");
    }
    let help = if message.contains("in array") || message.contains("array elements") {
        "separate values with commas and close the array with `]`"
    } else if message.starts_with("unclosed") {
        "close what was opened"
    } else if message.starts_with("key with no value") {
        "write `key = value`, or `[table]` to start a table"
    } else if message.contains("unquoted key") {
        "use letters, digits, `_` and `-` in keys, or put the key in quotes"
    } else if message.contains("escape") || message.contains("unicode value digits") {
        "write a backslash as `\\\\`, or put the text in single quotes"
    } else if message.starts_with("unexpected key or value") {
        "put each key on a line of its own"
    } else if message.contains("basic string") || message.contains("literal string") {
        "close the quotes, and write no control characters"
    } else if message.contains("recurse") || message.contains("recursion") {
        "nest fewer tables and arrays"
    } else if message.starts_with("cannot extend value") {
        "give the table one form only: a header, dotted keys, or braces"
    } else {
        "see configs/reference.toml for the form of every key"
    };
    ConfigError::at(span, format!("this is not TOML: {message}")).help(help)
}

/// Names that occur twice, and the positions of their first use.
#[derive(Default)]
struct Duplicates {
    /// Starts of sections whose header repeats an earlier one.
    sections: BTreeSet<usize>,
    lookups: usize,
}

impl Duplicates {
    /// Returns true if the error only follows from a repeated header, whose keys repeat too.
    fn repeats(
        &mut self,
        error: &Error,
        span: &Range<usize>,
        source: &SourceText<'_>,
        doubt: &Doubt,
    ) -> bool {
        if !is_duplicate(error) {
            return false;
        }
        let section = doubt.section_of(span.start);
        if is_header(source, span) {
            self.sections.insert(section);
            return false;
        }
        self.sections.contains(&section)
    }

    fn explain(
        &mut self,
        error: &Error,
        span: Range<usize>,
        source: &SourceText<'_>,
    ) -> ConfigError {
        if !is_duplicate(error) {
            return plain(error, span);
        }
        let name = shown(source.text().get(span.clone()).unwrap_or_default());
        let (noun, help) = if is_header(source, &span) {
            (
                "table",
                "rename one of them, or move its keys under the first",
            )
        } else {
            ("key", "keep one of them")
        };
        self.lookups += 1;
        let first = (self.lookups <= MOST_LOOKUPS)
            .then(|| first_place(source, &span))
            .flatten();
        let finding = ConfigError::at(span, format!("the {noun} `{name}` is here a second time"));
        match first {
            Some(first) => finding.note(first, "the first is here"),
            None => finding,
        }
        .help(help)
    }
}

/// Returns true if `span` is in the header of a table.
fn is_header(source: &SourceText<'_>, span: &Range<usize>) -> bool {
    let line = source.line_range(source.line_of(span.start));
    source.text()[line].trim_start().starts_with('[')
}

/// Position of the first use of the name at `span`, if the text before it parses without errors.
fn first_place(source: &SourceText<'_>, span: &Range<usize>) -> Option<Range<usize>> {
    let text = source.text();
    let line = source.line_range(source.line_of(span.start));
    // The lines before are parsed by themselves: if a bracket is still open there, this is not a
    // key of the section.
    let (before, errors) = DeTable::parse_recoverable(&text[..line.start]);
    if !errors.iter().all(keeps_lines) {
        return None;
    }
    let mut path = Vec::new();
    if !is_header(source, span) {
        let section = Doubt::new(before.get_ref(), text).section_of(span.start);
        let header = source.line_range(source.line_of(section));
        if text[header.clone()].starts_with('[') {
            path.extend(path_of(&text[header]));
        }
    }
    path.extend(path_of(&text[line]));
    let mut table = before.get_ref();
    for key in &path {
        let (found, value) = table.get_key_value(key.as_str())?;
        match value.get_ref() {
            DeValue::Table(inner) if Some(key) != path.last() => table = inner,
            _ => return Some(found.span()),
        }
    }
    None
}

/// Keys on the path to the value that one line defines.
fn path_of(line: &str) -> Vec<String> {
    let (document, _) = DeTable::parse_recoverable(line);
    let mut path = Vec::new();
    let mut table = document.get_ref();
    while let Some((key, value)) = table.iter().next() {
        path.push(key.get_ref().clone().into_owned());
        match value.get_ref() {
            // Inside braces are values, not a path.
            DeValue::Table(inner) if !line[value.span().start..].starts_with('{') => table = inner,
            _ => break,
        }
    }
    path
}

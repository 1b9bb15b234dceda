//! Forms of values in the configuration, for its JSON schema.

/// Form of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum ValueForm {
    /// Any table.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A list of directories.
    Directories,
    /// A time with units.
    Duration,
    /// One of these words, or a time with units.
    DurationOr(&'static [&'static str]),
    /// A number from 0 to 1.
    Fraction,
    /// A table or tables, whose keys are listed by themselves.
    Inner,
    /// A whole number from the first to the second.
    Integer(u64, u64),
    /// A lock, or a list of locks: a name, or the table that the schema lists.
    Locks,
    /// A list of these words.
    ManyOf(&'static [&'static str]),
    /// Name of a host or job.
    Name,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A path.
    Path,
    /// A percentage.
    Percentage,
    /// A digest.
    Sha256,
    /// A number of bytes, with or without a unit.
    Size,
    /// A text.
    Text,
    /// A text, or the table that the schema lists.
    TextOrTable,
    /// A list of texts, at least as many as this.
    Texts(u64),
}

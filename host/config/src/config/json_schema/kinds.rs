//! Kinds of tables.

/// Kind of the table at this path: tables of one kind share their keys.
pub(super) fn kind_of(path: &str) -> &str {
    match path {
        "jobs.<name>" | "defaults" => "job",
        _ => match path
            .strip_suffix(".<name>")
            .unwrap_or(path)
            .rsplit_once('.')
        {
            Some((_, last)) => last,
            None => path,
        },
    }
}

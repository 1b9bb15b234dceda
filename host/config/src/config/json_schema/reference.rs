//! Descriptions and defaults of keys, taken from the comments and values of `configs/reference.toml`.

use std::collections::HashMap;

use serde_json::Value;

use super::kinds::kind_of;

/// The reference, as it was when the program was built.
const TEXT: &str = include_str!("../../../../../configs/reference.toml");

/// Keys whose value in the reference is an example.
const EXAMPLES: &[(&str, &str)] = &[("store", "endpoints")];

/// Descriptions by the kind of the table and the key; an empty key is the table itself.
pub(super) struct Reference {
    texts: HashMap<(String, String), String>,
    values: toml::Table,
}

impl Reference {
    /// Reads the reference. The first place that explains a key counts: tables come before their examples.
    pub(super) fn read() -> Self {
        let mut texts = HashMap::new();
        let mut comment = Vec::new();
        let mut kind = String::new();
        for line in TEXT.lines() {
            if let Some(text) = line.strip_prefix("# ") {
                // A ruler begins another part of the file.
                if text.starts_with("----") {
                    comment.clear();
                } else {
                    comment.push(text);
                }
                continue;
            }
            let example = line.strip_prefix('#').unwrap_or(line);
            let named = if let Some(header) = header(example) {
                kind = header;
                Some(String::new())
            } else {
                key(example).map(str::to_owned)
            };
            if let Some(name) = named.filter(|_| !comment.is_empty()) {
                texts
                    .entry((kind.clone(), name))
                    .or_insert_with(|| comment.join(" "));
            }
            comment.clear();
        }
        Self {
            texts,
            values: TEXT.parse().unwrap_or_default(),
        }
    }

    /// Description of a key in a table of this kind.
    pub(super) fn key(&self, kind: &str, key: &str) -> Option<&str> {
        self.text(kind, key)
    }

    /// Description of the tables of this kind.
    pub(super) fn table(&self, kind: &str) -> Option<&str> {
        self.text(kind, "")
    }

    fn text(&self, kind: &str, key: &str) -> Option<&str> {
        let at = (kind.to_owned(), key.to_owned());
        self.texts.get(&at).map(String::as_str)
    }

    /// Default of a key. A job's keys have those of `[defaults]`, which a job's own schema does not repeat.
    pub(super) fn default_of(&self, path: &str, key: &str) -> Option<Value> {
        if EXAMPLES.contains(&(path, key)) || path.contains('<') {
            return None;
        }
        let mut table = &self.values;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            table = table.get(part)?.as_table()?;
        }
        let value = table.get(key).filter(|value| !value.is_table())?;
        serde_json::to_value(value).ok()
    }
}

/// Kind of the table whose header this line is.
fn header(line: &str) -> Option<String> {
    let path = line.trim_end().strip_prefix('[')?.strip_suffix(']')?;
    let parts: Vec<&str> = path.split('.').collect();
    let path = match parts.as_slice() {
        ["jobs", _] => "jobs.<name>".to_owned(),
        ["jobs", _, rest @ ..] => format!("jobs.<name>.{}", rest.join(".")),
        _ => path.to_owned(),
    };
    Some(kind_of(&path).to_owned())
}

/// The key that this line sets.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    let is_key = key
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_key.then_some(key)
}

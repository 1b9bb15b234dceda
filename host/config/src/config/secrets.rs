//! `[jobs.<name>.secrets]`: the location of each secret, never its value.
//!
//! Some users will write the value itself here, so no line of these tables is ever shown. Secrets'
//! files and variables are not read here.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::file_claim::FileKind;
use super::files;
use super::node::Node;
use super::read;
use super::schema;
use super::section::Section;
use crate::allow::SecretRef;
use crate::credentials;

/// Reads a table of secrets by name.
pub(super) fn secrets(node: &Node<'_>) -> Option<BTreeMap<String, SecretRef>> {
    let entries = node.entries_like("{ NAME = { file = \"secret.txt\" } }")?;
    let read: Vec<_> = entries
        .iter()
        .map(|(name, value)| {
            let context = value.context();
            context.keep_private(name.span());
            context.keep_private(value.span());
            if let DeValue::Table(table) = value.value() {
                for (key, value) in table {
                    context.keep_private(context.shift(key.span()));
                    context.keep_private(context.shift(value.span()));
                }
            }
            let name = *name.get_ref();
            let named = read::is_name(name)
                .then(|| name.to_owned())
                .or_else(|| value.reject("is not a usable name for a secret", read::NAME_RULE));
            reference(value).zip(named)
        })
        .collect();
    let secrets: Option<Vec<_>> = read.into_iter().collect();
    Some(secrets?.into_iter().map(|(at, name)| (name, at)).collect())
}

/// Reads `{ file = "…" }`, `{ env = "…" }` or `{ credential = "…" }`.
fn reference(node: &Node<'_>) -> Option<SecretRef> {
    let remedy = "write where it is, as in `{ file = \"secret.txt\" }`, `{ env = \"NAME\" }` or `{ credential = \"name\" }`; \
                  never the value itself";
    if !matches!(node.value(), DeValue::Table(_)) {
        return node.reject("must be a table", remedy);
    }
    let table = Section::of(node, node.key, schema::SECRET);
    let file = table.take("file", |node| files::claimed(node, FileKind::Secret));
    let env = table.take("env", variable);
    let credential = table.take("credential", credential);
    let found = [
        file.optional().ok()?.map(SecretRef::File),
        env.optional().ok()?.map(SecretRef::Env),
        credential.optional().ok()?.map(SecretRef::Credential),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        (Some(_), Some(_)) => node.reject("names more than one place", "keep one of them"),
        (None, _) => node.reject("names no file, variable or credential", remedy),
    }
}

fn credential(node: &Node<'_>) -> Option<String> {
    let name = read::words(node)?;
    if !credentials::is_name(&name) {
        return node.reject(
            "is not a name for a credential",
            "write the name alone that follows `LoadCredential=` in the unit, as in \"api_key\"",
        );
    }
    files::claim_credential(node, &name);
    Some(name)
}

fn variable(node: &Node<'_>) -> Option<String> {
    let name = read::words(node)?;
    if name.contains('=') {
        return node.reject(
            "is not a name for a variable",
            "write the variable's name alone, as in \"API_KEY\"",
        );
    }
    files::claim_variable(node, &name);
    Some(name)
}

/// Reads the names of requested secrets; a request cannot give their locations.
pub(super) fn names(node: &Node<'_>) -> Option<Vec<Spanned<String>>> {
    let context = node.context();
    context.keep_private(node.span());
    let items = node.items("names", "[\"api_key\"]")?;
    let names: Vec<_> = items
        .iter()
        .map(|item| {
            context.keep_private(item.span());
            let name = read::text(item)?;
            if read::is_name(&name) {
                return Some(Spanned::new(item.span(), name));
            }
            item.reject("is not a usable name for a secret", read::NAME_RULE)
        })
        .collect();
    names.into_iter().collect()
}

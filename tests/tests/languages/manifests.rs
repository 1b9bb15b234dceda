//! The manifest is in the file that a host reads, whatever made it.

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries::{plugin, workspace};
use wasmparser::{Parser, Payload};

use crate::{TEMPLATES, file};

/// Every section of this name, anywhere in the file.
fn manifests(plugin: &[u8]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(plugin) {
        if let Payload::CustomSection(section) = payload?
            && section.name() == "leasehold:manifest"
        {
            found.push(String::from_utf8(section.data().to_vec())?);
        }
    }
    Ok(found)
}

#[test]
fn the_macros_manifest_outlives_the_linker() -> Result<()> {
    let text = std::fs::read_to_string(workspace().join("plugins/ledger/job.toml"))?;
    let ledger = std::fs::read(plugin("ledger")?)?;
    ensure!(
        manifests(&ledger)? == std::slice::from_ref(&text),
        "{:?}",
        manifests(&ledger)?
    );
    // Once in its section, and not in the guest's memory as well.
    let copies = ledger
        .windows(text.len())
        .filter(|window| *window == text.as_bytes());
    ensure!(copies.count() == 1);
    let stubborn = manifests(&std::fs::read(plugin("stubborn")?)?)?;
    ensure!(
        stubborn.len() == 1 && stubborn[0].contains("name = \"stubborn\""),
        "{stubborn:?}"
    );
    ensure!(manifests(&std::fs::read(plugin("heartbeat")?)?)?.is_empty());
    Ok(())
}

#[test]
fn every_template_has_one_manifest_with_its_name() -> Result<()> {
    for (name, _) in TEMPLATES {
        let found = manifests(&std::fs::read(file(name)?)?)?;
        ensure!(found.len() == 1, "{name}: {found:?}");
        let table: toml::Table = found[0].parse().with_context(|| name.to_owned())?;
        ensure!(table["name"].as_str() == Some(name), "{name}: {table}");
    }
    Ok(())
}

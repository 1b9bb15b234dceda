//! Caps on the shape of a plugin's file, and the counts that are checked against them.
//!
//! The caps are far above the output of any toolchain. A file's size does not measure the work that it causes: 35 KB
//! of nesting once took 0.3 GiB to compile. The counts were measured on the largest plugin at hand, an interpreter of
//! 18 MB with its libraries. The caps are generally at least 20 times as much:
//!
//! | | Python | cap |
//! |---|---|---|
//! | imports, exports of all its modules | 2,334, 4,223 | 100,000 each |
//! | longest name, all names together | 162 bytes, 150 KB | 4 KiB, 8 MiB |
//! | nesting: a component that is composed of others adds a level or two | 1 | 16 |
//! | types in types, which the parser reads by recursion with 5 KB of stack each | 3 | 32 |
//! | modules and components inside | 16 | 1,000 |
//! | sections, custom ones among them | 700, 25 | 20,000, 2,000 |
//!
//! Scanning a file that reaches all of the caps takes milliseconds. The counts take constant memory.

use wasmparser::{Parser, Payload};

use super::error::LoadProblem;
use super::type_nesting;

const MOST_IMPORTS: u64 = 100_000;
const MOST_EXPORTS: u64 = 100_000;
const MOST_NAME_BYTES: u64 = 4 * 1024;
const MOST_NAMES_BYTES: u64 = 8 * 1024 * 1024;
const MOST_NESTING: u64 = 16;
const MOST_TYPE_NESTING: u64 = 32;
const MOST_NESTED: u64 = 1_000;
const MOST_SECTIONS: u64 = 20_000;
const MOST_CUSTOM_SECTIONS: u64 = 2_000;

/// Counts of a scan so far.
#[derive(Debug, Default)]
pub(crate) struct ShapeTally {
    imports: u64,
    exports: u64,
    name_bytes: u64,
    depth: u64,
    nested: u64,
    sections: u64,
    custom_sections: u64,
}

impl ShapeTally {
    /// Counts the imports that a section declares, before they are read.
    pub(crate) fn imports(&mut self, count: u32) -> Result<(), LoadProblem> {
        self.imports += u64::from(count);
        within("imports", self.imports, MOST_IMPORTS)
    }

    /// Counts the exports that a section declares, before they are read.
    pub(crate) fn exports(&mut self, count: u32) -> Result<(), LoadProblem> {
        self.exports += u64::from(count);
        within("exports", self.exports, MOST_EXPORTS)
    }

    /// Counts the name of an import, an export or a custom section.
    pub(crate) fn name(&mut self, name: &str) -> Result<(), LoadProblem> {
        let bytes = name.len() as u64;
        within("bytes in one name", bytes, MOST_NAME_BYTES)?;
        self.name_bytes += bytes;
        within("bytes of names", self.name_bytes, MOST_NAMES_BYTES)
    }

    /// Counts a section.
    pub(crate) fn section(&mut self) -> Result<(), LoadProblem> {
        self.sections += 1;
        within("sections", self.sections, MOST_SECTIONS)
    }

    /// Counts a custom section, which [`ShapeTally::section`] counts too.
    pub(crate) fn custom_section(&mut self) -> Result<(), LoadProblem> {
        self.custom_sections += 1;
        within(
            "custom sections",
            self.custom_sections,
            MOST_CUSTOM_SECTIONS,
        )
    }

    /// Counts a component inside a custom section, such as the one that a core module becomes.
    ///
    /// Counting stops at an invalid part, where the decoder stops too.
    pub(crate) fn inner(&mut self, component: &[u8]) -> Result<(), LoadProblem> {
        let mut depth = 0_u64;
        for payload in Parser::new(0).parse_all(component) {
            self.section()?;
            match payload {
                Err(_) => break,
                Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => {
                    self.enter()?;
                    depth += 1;
                }
                Ok(Payload::End(_)) if depth > 0 => {
                    self.leave();
                    depth -= 1;
                }
                Ok(Payload::ComponentTypeSection(section)) => {
                    types(component.get(section.range()).unwrap_or_default())?;
                }
                Ok(_) => {}
            }
        }
        (0..depth).for_each(|_| self.leave());
        Ok(())
    }

    /// Enters a module or component inside another one.
    pub(crate) fn enter(&mut self) -> Result<(), LoadProblem> {
        self.depth += 1;
        self.nested += 1;
        within("levels of nesting", self.depth, MOST_NESTING)?;
        within("modules and components inside", self.nested, MOST_NESTED)
    }

    /// Leaves the innermost module or component.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Returns true if the scan is at the outermost module or component.
    pub(crate) fn is_at_top(&self) -> bool {
        self.depth == 0
    }
}

/// Checks the nesting depth of a section with component types.
pub(crate) fn types(section: &[u8]) -> Result<(), LoadProblem> {
    let found = type_nesting::depth(section, MOST_TYPE_NESTING);
    within("levels of types in types", found, MOST_TYPE_NESTING)
}

fn within(unit: &'static str, found: u64, most: u64) -> Result<(), LoadProblem> {
    if found > most {
        return Err(LoadProblem::OverCap { unit, found, most });
    }
    Ok(())
}

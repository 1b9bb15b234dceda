//! The manifest inside a plugin: the custom section in which its author describes it and its needs.
//!
//! This file finds the text; `config` interprets it. It runs in the host's own process, so it reads
//! only the lengths and names of sections and parses no WebAssembly. A manifest is a request: it
//! grants nothing.

use std::sync::Arc;

/// The name of the section.
pub const SECTION: &str = "leasehold:manifest";
/// Largest manifest, in bytes: a page of text is a twentieth of it.
pub const LARGEST: usize = 64 * 1024;

/// Text of a plugin's manifest: UTF-8, at most [`LARGEST`] bytes, not parsed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    text: Arc<str>,
}

/// Error reading a manifest. Reads on after "the plugin".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More than one section of the name.
    #[error("has {0} manifests: build it with one `leasehold:manifest` section")]
    Several(usize),
    /// Too much text.
    #[error("has a manifest of {0} bytes: build it with one of at most 65536")]
    TooLarge(usize),
    /// Bytes that are not text.
    #[error(
        "has a manifest that is not UTF-8 at byte {0}: save it as UTF-8 and build the plugin again"
    )]
    NotUtf8(usize),
}

impl Manifest {
    /// Finds the manifest in a plugin's bytes: at the top of a core module or of a component, or in
    /// a core module that lies directly in a component.
    ///
    /// Returns `None` if there is none, and for bytes that are not WebAssembly or are cut off: the
    /// loader reports those with a better message.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if there are several, or if the only one cannot be read.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, ManifestError> {
        let Some(sections) = sections(bytes) else {
            return Ok(None);
        };
        match sections.as_slice() {
            [] => Ok(None),
            [one] if one.len() > LARGEST => Err(ManifestError::TooLarge(one.len())),
            [one] => match std::str::from_utf8(one) {
                Ok(text) => Ok(Some(Self { text: text.into() })),
                Err(error) => Err(ManifestError::NotUtf8(error.valid_up_to())),
            },
            several => Err(ManifestError::Several(several.len())),
        }
    }

    /// The text: TOML that has not been checked yet.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, shared.
    pub const fn shared(&self) -> &Arc<str> {
        &self.text
    }
}

/// First bytes of a core module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// First bytes of a component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// Number of a custom section, in modules and components.
const CUSTOM: u8 = 0;
/// Number of a component's section that holds a core module.
const CORE_MODULE: u8 = 1;

/// Collects all sections of the name in the places that count; `None` if the bytes cannot be split
/// into sections.
fn sections(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    if let Some(module) = bytes.strip_prefix(MODULE) {
        collect(module, &mut found)?;
        return Some(found);
    }
    let mut rest = bytes.strip_prefix(COMPONENT)?;
    while !rest.is_empty() {
        let (number, content);
        (number, content, rest) = split_section(rest)?;
        match number {
            CUSTOM => add_manifest(content, &mut found)?,
            // Only the module's own sections: deeper ones belong to nested components.
            CORE_MODULE => collect(content.strip_prefix(MODULE)?, &mut found)?,
            _ => {}
        }
    }
    Some(found)
}

/// Adds the sections of the name among those of a core module.
fn collect<'a>(mut module: &'a [u8], found: &mut Vec<&'a [u8]>) -> Option<()> {
    while !module.is_empty() {
        let (number, content);
        (number, content, module) = split_section(module)?;
        if number == CUSTOM {
            add_manifest(content, found)?;
        }
    }
    Some(())
}

/// Adds the content of a custom section after its name, if the name is the manifest's.
fn add_manifest<'a>(content: &'a [u8], found: &mut Vec<&'a [u8]>) -> Option<()> {
    let (length, rest) = split_length(content)?;
    let (name, data) = rest.split_at_checked(length)?;
    if name == SECTION.as_bytes() {
        found.push(data);
    }
    Some(())
}

/// Returns the number and the content of the first section, and the bytes after it.
fn split_section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (number, rest) = bytes.split_first()?;
    let (length, rest) = split_length(rest)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*number, content, rest))
}

/// Reads a length in LEB128, of 32 bits at most, and returns the bytes after it.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = u32::try_from(length).ok()?;
            return Some((usize::try_from(length).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(data: &[u8]) -> String {
        let data: Vec<String> = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let data = data.concat();
        format!("(@custom \"{SECTION}\" \"{data}\")")
    }

    fn read(text: &str) -> Result<Option<String>, ManifestError> {
        let bytes = wat::parse_str(text).expect("it is WebAssembly");
        Manifest::read(&bytes).map(|found| found.map(|manifest| manifest.text().to_owned()))
    }

    #[test]
    fn a_manifest_is_found_where_tools_put_it() {
        let section = custom(b"name = \"a\"");
        for text in [
            format!("(module {section})"),
            format!("(component {section})"),
            format!("(component (core module) (core module {section}))"),
        ] {
            assert_eq!(read(&text), Ok(Some("name = \"a\"".into())), "{text}");
        }
    }

    #[test]
    fn what_another_component_brings_along_is_its_own_affair() {
        let section = custom(b"name = \"a\"");
        for text in [
            "(module)".to_owned(),
            format!("(component (component {section}))"),
            format!("(component (component (core module {section})))"),
        ] {
            assert_eq!(read(&text), Ok(None), "{text}");
        }
    }

    #[test]
    fn several_too_much_and_no_text_are_refused_with_a_remedy() {
        let section = custom(b"name = \"a\"");
        let texts = [
            format!("(module {section} {section})"),
            format!("(component {section} (core module {section}))"),
            format!("(module {})", custom(&vec![b'#'; LARGEST + 1])),
            format!("(module {})", custom(b"name = \"\xff\"")),
        ];
        let raw = texts.map(|text| match read(&text) {
            Ok(found) => panic!("{found:?}"),
            Err(error) => format!("the plugin {error}"),
        });
        insta::assert_snapshot!(raw.join("\n"));
        assert!(matches!(
            read(&format!("(module {})", custom(&vec![b'#'; LARGEST]))),
            Ok(Some(_))
        ));
    }

    #[test]
    fn bytes_that_are_no_whole_plugin_have_no_manifest() {
        let section = custom(b"name = \"a\"");
        let whole = wat::parse_str(format!("(module {section} (memory 1))")).expect("a module");
        for bytes in [
            b"" as &[u8],
            b"hello",
            &whole[..whole.len() - 1],
            b"\0asm\x09\0\0\0",
        ] {
            assert_eq!(Manifest::read(bytes), Ok(None));
        }
    }

    #[test]
    fn lengths_that_reach_too_far_or_never_end_are_no_manifest() {
        for tail in [
            b"\0\xff\xff\xff\xff\x0f" as &[u8],
            b"\0\xff\xff\xff\xff\xff\xff",
            b"\0\x80",
            b"\0\x02\x05a",
            b"\0\0",
        ] {
            for head in [MODULE, COMPONENT] {
                assert_eq!(Manifest::read(&[head, tail].concat()), Ok(None), "{tail:?}");
            }
        }
        // Deeply nested components cost no more than their bytes.
        let mut nest = COMPONENT.to_vec();
        for _ in 0..1_000 {
            let length = u32::try_from(nest.len()).unwrap();
            let low = |shift: u32| u8::try_from(length >> shift & 0x7f).unwrap();
            let head = [4, low(0) | 0x80, low(7) | 0x80, low(14) | 0x80, low(21)];
            nest = [COMPONENT, &head, &nest].concat();
        }
        assert_eq!(Manifest::read(&nest), Ok(None));
    }
}

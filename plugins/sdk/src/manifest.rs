//! The manifest inside a plugin: the job's settings and needs, for the host that runs it.
//!
//! A manifest is TOML, and ends up as the custom section `leasehold:manifest` of the module. The
//! host reads it before it compiles anything; `plugins/MANIFEST.md` explains every key. Nothing
//! here is read at run time. A manifest grants nothing: it lists the *needs* of the job, and the
//! host's configuration decides.
//!
//! The manifest is not parsed here: the host parses it and reports every error at once.

/// The most bytes of a manifest, 64 KiB: a page of text is a twentieth of it, and the host reads
/// it before it has checked anything of the plugin.
pub const MOST_BYTES: usize = 64 * 1024;

/// The bytes of a manifest, for the section.
///
/// # Panics
///
/// At compile time, where it is called: when the text is empty, larger than [`MOST_BYTES`], or has
/// a zero byte in it, which no TOML has.
#[doc(hidden)]
pub const fn section<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let bytes = text.as_bytes();
    assert!(!bytes.is_empty(), "the job's manifest is empty");
    assert!(
        bytes.len() <= MOST_BYTES,
        "the job's manifest is larger than 64 KiB"
    );
    assert!(bytes.len() == LENGTH, "the length is the text's own");
    let mut section = [0; LENGTH];
    let mut at = 0;
    while at < LENGTH {
        assert!(bytes[at] != 0, "the job's manifest holds a zero byte");
        section[at] = bytes[at];
        at += 1;
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_the_text_byte_for_byte() {
        const TEXT: &str = "name = \"zähler\"\n";
        assert_eq!(section::<{ TEXT.len() }>(TEXT), TEXT.as_bytes());
    }

    #[test]
    #[should_panic(expected = "the job's manifest is empty")]
    fn an_empty_manifest_is_refused() {
        let _ = section::<0>("");
    }

    #[test]
    #[should_panic(expected = "holds a zero byte")]
    fn a_manifest_with_a_zero_byte_is_refused() {
        let _ = section::<3>("a\0b");
    }
}

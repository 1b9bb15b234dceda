//! Reading a path as text: faults that are found before TOML is parsed.
//!
//! Reading never waits for another user (a FIFO), never takes more memory than the cap, and never
//! guesses an encoding.

use std::io::Read as _;
use std::path::Path;

use leasehold_diagnostics::ConfigError;

use super::pipe;
use crate::owned::open_shown;

/// Largest configuration in bytes, over all its files.
///
/// Ten thousand jobs with a plugin, a lock and a schedule each are 1.5 MB, and with grants, secrets and limits
/// of their own 6 MB. A wrong file, such as a plugin or a log, is mostly larger.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;

/// A text and the faults of its bytes.
pub(super) struct Input {
    /// The text; bytes that are not UTF-8 are replaced.
    pub(super) text: String,
    /// One finding for each position that was not UTF-8.
    pub(super) findings: Vec<ConfigError>,
    /// Its length in bytes, as read.
    pub(super) size: u64,
    /// True if it came out of a pipe.
    pub(super) is_piped: bool,
}

/// Reads the file at `path`, of at most `most` bytes; returns a finding if it cannot be read as
/// text.
pub(super) fn read(path: &Path, most: u64) -> Result<Input, ConfigError> {
    if let Some(pipe) = pipe::open(path) {
        let bytes = pipe::read(pipe, most).map_err(|error| {
            ConfigError::whole(format!("the configuration file {error}"))
                .help("look at the command that writes into it")
        })?;
        let input = capped(&bytes, most)?;
        return Ok(Input {
            is_piped: true,
            ..input
        });
    }
    let file = open_shown(path).map_err(|refusal| {
        let (what, help) = refusal.explain();
        ConfigError::whole(format!("the configuration file {what}")).help(help)
    })?;
    let mut bytes = Vec::new();
    // One byte over the cap distinguishes a file that is too large from one that just fits.
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            ConfigError::whole(format!("the configuration file cannot be read: {error}"))
                .help("check the disk it is on")
        })?;
    capped(&bytes, most)
}

fn capped(bytes: &[u8], most: u64) -> Result<Input, ConfigError> {
    if bytes.len() as u64 > most {
        let message = format!(
            "the configuration is larger than {} MiB",
            LARGEST / 1024 / 1024
        );
        return Err(ConfigError::whole(message)
            .help("check that it is the right file; a job takes 150 to 600 bytes"));
    }
    decode(bytes)
}

/// Decodes UTF-8, with or without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<Input, ConfigError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(ConfigError::whole("the configuration file is UTF-16")
            .help("save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`"));
    }
    let mut text = String::with_capacity(bytes.len());
    let mut findings = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if let Some(first) = chunk.invalid().first() {
            let start = text.len();
            text.push(char::REPLACEMENT_CHARACTER);
            findings.push(
                ConfigError::at(
                    start..text.len(),
                    format!("byte 0x{first:02x} is not UTF-8"),
                )
                .help("save the file as UTF-8"),
            );
        }
    }
    // Some editors write the mark; it has no meaning in UTF-8, and TOML allows it.
    if text.starts_with('\u{feff}') {
        text.remove(0);
        for finding in &mut findings {
            let mark = '\u{feff}'.len_utf8();
            finding.span = finding
                .span
                .take()
                .map(|span| span.start - mark..span.end - mark);
        }
    }
    Ok(Input {
        text,
        findings,
        size: bytes.len() as u64,
        is_piped: false,
    })
}

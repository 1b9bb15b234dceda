//! Digests of the files that define jobs, by which a reader finds hosts that differ.
//!
//! The paths of plugins and the sources of secrets are left out, for machines may have them in different places. Values
//! whose names suggest a secret are hidden before they are hashed.

use std::fmt::Write as _;

use leasehold_config::Job;
use sha2::{Digest as _, Sha256};

/// Bytes of a digest in a record: enough to tell the files of some hosts apart.
const BYTES: usize = 6;

/// Returns the digest of a job's settings.
pub(crate) fn settings_digest(job: &Job) -> String {
    let mut hash = Sha256::new();
    for value in job.values() {
        feed(&mut hash, value.key());
        match value.key() {
            "plugin" => {}
            "secrets" => job.secrets().keys().for_each(|name| feed(&mut hash, name)),
            _ => feed(&mut hash, value.text()),
        }
    }
    finish(hash)
}

/// Returns the digest of a host's jobs: of their names, their settings' digests and their plugins'.
pub(crate) fn files_digest<'a>(jobs: impl IntoIterator<Item = (&'a Job, &'a str)>) -> String {
    let mut jobs: Vec<_> = jobs.into_iter().collect();
    jobs.sort_by_key(|(job, _)| job.name());
    let mut hash = Sha256::new();
    for (job, plugin_sha256) in jobs {
        feed(&mut hash, job.name());
        feed(&mut hash, &settings_digest(job));
        feed(&mut hash, plugin_sha256);
    }
    finish(hash)
}

/// Feeds one text, ended by a byte that no text holds.
fn feed(hash: &mut Sha256, text: &str) {
    hash.update(text.as_bytes());
    hash.update([0xff]);
}

fn finish(hash: Sha256) -> String {
    let digest = hash.finalize();
    let mut text = String::new();
    for byte in digest.iter().take(BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use leasehold_config::Config;

    fn job(keys: &str) -> Job {
        let text = format!("[store]\nembedded = true\n[jobs.j]\n{keys}\n");
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        config.jobs()[0].clone()
    }

    #[test]
    fn digest_differs_by_names_of_secrets_and_not_by_sources() {
        let job = |secret: &str| job(&format!("plugin = \"/a/j.wasm\"\nsecrets = {{ {secret} }}"));
        let one = settings_digest(&job(r#"key = { file = "/etc/key" }"#));
        let moved = settings_digest(&job(r#"key = { credential = "key" }"#));
        let other = settings_digest(&job(r#"keys = { file = "/etc/key" }"#));
        assert_eq!(one, moved);
        assert_ne!(one, other);
    }

    #[test]
    fn digest_differs_by_settings_and_plugin_and_not_by_path() {
        let one = job("plugin = \"/a/j.wasm\"\nevery = \"1m\"");
        let moved = job("plugin = \"/b/j.wasm\"\nevery = \"1m\"");
        let other = job("plugin = \"/a/j.wasm\"\nevery = \"2m\"");
        assert_eq!(settings_digest(&one), settings_digest(&moved));
        assert_ne!(settings_digest(&one), settings_digest(&other));
        let files = files_digest([(&one, "00")]);
        assert_eq!(files, files_digest([(&moved, "00")]));
        assert_ne!(files, files_digest([(&moved, "01")]));
        assert_eq!(files.len(), 12);
    }
}

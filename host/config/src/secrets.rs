//! The values of a job's secrets, for one run.
//!
//! Values are read when a run starts, so that the next run uses a rotated secret. No value can be
//! printed: there is no `Display`, and `Debug` shows only names.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::allow::{EnvValue, SecretRef};
use crate::credentials;
use crate::limits::KIB;
use crate::owned::{OpenRefusal, open as open_regular};

/// Shortest value, in bytes. Redacting shorter ones would tear words in a guest's output apart.
const SHORTEST: usize = 4;
/// Longest value, in bytes. A longer one is data, not a secret.
const LONGEST: u64 = 64 * KIB;
/// The mode bits of group and world.
const OTHERS: u32 = 0o077;

/// A job's secrets by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<BTreeMap<String, String>>);

/// Error reading a secret for a run. It names the location and the remedy, never the value.
#[derive(Debug, thiserror::Error)]
#[error("secret {name} cannot be used: {at} {problem}")]
pub struct SecretError {
    name: String,
    at: SecretRef,
    problem: String,
}

impl Secrets {
    /// Reads every secret. Blocks for as long as the file system does; a FIFO is refused.
    ///
    /// # Errors
    ///
    /// The first one that is absent, open to others, empty, shorter than 4 bytes, longer than 64
    /// KiB or not text.
    pub fn read(references: &BTreeMap<String, SecretRef>) -> Result<Self, SecretError> {
        let mut values = BTreeMap::new();
        for (name, at) in references {
            let value = read(at).map_err(|problem| SecretError {
                name: name.clone(),
                at: at.clone(),
                problem,
            })?;
            values.insert(name.clone(), value);
        }
        Ok(Self(Arc::new(values)))
    }

    /// The value under this name, if it was granted.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Secrets with these names and values.
    pub fn of(values: &[(&str, &str)]) -> Self {
        let values = values.iter();
        let values = values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(Arc::new(values.collect()))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Pairs of texts.
type Pairs = Vec<(String, String)>;

/// Splits a guest's environment into variables with their texts, and variables with the names of
/// their secrets.
pub fn environment(env: &BTreeMap<String, EnvValue>) -> (Pairs, Pairs) {
    let (mut texts, mut secrets) = (Vec::new(), Vec::new());
    for (name, value) in env {
        match value {
            EnvValue::Text(text) => texts.push((name.clone(), text.clone())),
            EnvValue::Secret(secret) => secrets.push((name.clone(), secret.clone())),
        }
    }
    (texts, secrets)
}

/// Returns the value, or the fault and the remedy, to follow the location.
fn read(at: &SecretRef) -> Result<String, String> {
    let mut value = match at {
        SecretRef::File(path) => read_file(path)?,
        SecretRef::Credential(name) => read_file(&credentials::path_of(name)?)?,
        SecretRef::Env(name) => std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => {
                "is not set: set it where the host is started".to_owned()
            }
            std::env::VarError::NotUnicode(_) => "is not UTF-8 text: encode it".to_owned(),
        })?,
    };
    // Editors end files with a line end that is not part of the secret.
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    match value.len() {
        0 => Err("is empty: write the secret into it".to_owned()),
        length if length < SHORTEST => Err(format!(
            "holds fewer than {SHORTEST} bytes, too few to be found and hidden in logs: use a longer secret"
        )),
        length if length as u64 > LONGEST => Err(too_long()),
        _ if value.contains('\0') => {
            Err("holds a NUL character, which no program can be given: encode it".to_owned())
        }
        _ => Ok(value),
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = open_regular(path).map_err(|refusal| {
        let (what, help) = refusal.explain();
        format!("{what}: {help}")
    })?;
    let unreadable = |error| {
        let (what, help) = OpenRefusal::Unreadable(error).explain();
        format!("{what}: {help}")
    };
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & OTHERS != 0 && !credentials::holds(path) {
        let mode = mode & 0o777;
        return Err(format!(
            "can be read or changed by others (its mode is {mode:04o}): run chmod 600 on it"
        ));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 3)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST + 2 {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text: encode it".to_owned())
}

fn too_long() -> String {
    format!("holds more than {LONGEST} bytes: grant the directory it is in instead")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::PathBuf;

    use super::*;

    /// Writes a file of this mode with this content.
    fn file(dir: &tempfile::TempDir, name: &str, mode: u32, content: &[u8]) -> PathBuf {
        use std::io::Write as _;
        let path = dir.path().join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .unwrap();
        file.write_all(content).unwrap();
        path
    }

    fn read_one(at: SecretRef) -> Result<String, String> {
        let references = BTreeMap::from([("key".to_owned(), at)]);
        Secrets::read(&references)
            .map(|secrets| secrets.get("key").unwrap().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_what_the_file_holds_but_for_its_last_line_end() {
        let dir = tempfile::tempdir().unwrap();
        for (number, (content, value)) in [
            ("hunter2", "hunter2"),
            ("hunter2\n", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            ("two\nlines\n\n", "two\nlines\n"),
            (" blanks ", " blanks "),
        ]
        .into_iter()
        .enumerate()
        {
            let path = file(&dir, &number.to_string(), 0o600, content.as_bytes());
            assert_eq!(read_one(SecretRef::File(path)).unwrap(), value);
        }
    }

    #[test]
    fn a_secret_is_read_anew_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "key", 0o600, b"first");
        assert_eq!(read_one(SecretRef::File(path.clone())).unwrap(), "first");
        fs::write(&path, "second").unwrap();
        assert_eq!(read_one(SecretRef::File(path)).unwrap(), "second");
    }

    #[test]
    fn what_cannot_be_used_is_told_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let long = vec![b'x'; 65 * 1024];
        let cases = [
            (dir.path().join("absent"), "does not exist"),
            (dir.path().to_owned(), "is a directory"),
            (fifo, "is not a regular file"),
            (file(&dir, "open", 0o640, b"hunter2"), "others"),
            (file(&dir, "empty", 0o600, b"\n"), "is empty"),
            (file(&dir, "short", 0o600, b"abc\n"), "fewer than 4 bytes"),
            (file(&dir, "long", 0o600, &long), "more than 65536 bytes"),
            (file(&dir, "nul", 0o600, b"hunt\0er2"), "NUL"),
            (file(&dir, "binary", 0o600, b"hunter2\xff"), "not UTF-8"),
        ];
        for (path, words) in cases {
            let error = read_one(SecretRef::File(path)).unwrap_err();
            assert!(
                error.starts_with("secret key cannot be used: file /"),
                "{error}"
            );
            assert!(error.contains(words) && !error.contains("hunt"), "{error}");
        }
        let error = read_one(SecretRef::Env("LEASEHOLD_TEST_NO_SUCH_VARIABLE".into()));
        assert!(error.unwrap_err().contains("is not set"));
    }

    #[test]
    fn no_debug_form_shows_a_value() {
        let secrets = Secrets::of(&[("key", "hunter2")]);
        assert_eq!(format!("{secrets:?}"), "{\"key\"}");
    }
}

//! The unit of the package, read as systemd reads it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The settings of `leasehold.service`; the last line of a key counts.
#[derive(Debug)]
pub(crate) struct Unit(BTreeMap<String, String>);

impl Unit {
    /// Reads the unit of an installed package.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let path = root.join("usr/lib/systemd/system/leasehold.service");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
        let pairs = lines.filter_map(|line| line.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Ok(Self(pairs.collect()))
    }

    /// The value of a key.
    pub(crate) fn value(&self, key: &str) -> Result<&str> {
        let value = self.0.get(key);
        value
            .map(String::as_str)
            .with_context(|| format!("the unit has no {key}"))
    }

    /// The command of the unit, with its paths in this root.
    pub(crate) fn command(&self, root: &Path) -> Result<Vec<String>> {
        let line = self.value("ExecStart")?;
        ensure!(!line.contains(['"', '\\', '$', '%']), "quotes in {line}");
        let words = line.split_whitespace().map(|word| {
            let inside = word.strip_prefix('/').map(|path| root.join(path));
            inside.map_or_else(|| word.to_owned(), |path| path.display().to_string())
        });
        Ok(words.collect())
    }

    /// The time in which the host gives three signs of life.
    pub(crate) fn watchdog(&self) -> Result<Duration> {
        let seconds = self.value("WatchdogSec")?.parse()?;
        Ok(Duration::from_secs(seconds))
    }

    /// True if the service is started again after this exit code; `None` is the end by a signal.
    pub(crate) fn restarts_after(&self, code: Option<i32>) -> Result<bool> {
        ensure!(self.value("Restart")? == "on-failure", "{self:?}");
        let excepted = self.value("RestartPreventExitStatus")?;
        Ok(code.is_none_or(|code| {
            code != 0
                && !excepted
                    .split(' ')
                    .any(|other| other == code.to_string().as_str())
        }))
    }
}

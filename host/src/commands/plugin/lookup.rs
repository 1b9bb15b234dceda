//! The configuration and the job that a command for plugins uses.

use std::path::Path;

use leasehold_config::{Config, Job};

use crate::exit::Exit;
use crate::failure::Failure;

/// File that is read if none is given.
const USUAL_FILE: &str = "leasehold.toml";

/// Loads the configuration that was given, else the usual one, else an empty one.
pub(crate) fn config_for(named: Option<&Path>) -> Result<Config, Failure> {
    let usual = Path::new(USUAL_FILE);
    match named {
        Some(file) => Ok(Config::load(file)?),
        None if usual.exists() => Ok(Config::load(usual)?),
        None => Ok(Config::parse(
            "[host]\nid = \"inspect\"\n[store]\nendpoints = [\"localhost:2379\"]\n[plugins]\ndir = \"plugins\"\n",
            usual,
        )?),
    }
}

/// Finds the job of the configuration by its name.
pub(crate) fn job_of(config: &Config, name: &str) -> Result<Job, Failure> {
    config.job(name).cloned().ok_or_else(|| {
        let names: Vec<&str> = config.jobs().iter().map(Job::name).collect();
        let message = format!(
            "{} has no job `{name}`; its jobs are: {}",
            config.path().display(),
            names.join(", ")
        );
        Failure::new(Exit::Usage, message)
    })
}

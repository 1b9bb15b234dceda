//! The configuration and the job that a command for plugins uses.

use std::path::Path;

use leasehold_config::{Config, Job};

use crate::config_place::USUAL_FILE;
use crate::exit::Exit;
use crate::failure::Failure;

/// Loads a configuration, or makes an empty one.
pub(crate) fn config_at(file: Option<&Path>) -> Result<Config, Failure> {
    match file {
        Some(file) => Ok(Config::load(file)?),
        None => Ok(Config::parse(
            "[host]\nid = \"inspect\"\n[store]\nendpoints = [\"localhost:2379\"]\n[plugins]\ndir = \"plugins\"\n",
            Path::new(USUAL_FILE),
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

//! Python, with componentize-py: an interpreter with the job's code in it, as a component.
//!
//! At build time, that compiler imports the job's code; nothing else runs it.

use std::process::Command;

use crate::commands::plugin::project::Project;
use crate::commands::plugin::tools;

const MISSING: &str = "componentize-py is missing: run in the project\n  \
    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, String> {
    let own = project.dir.join(".venv/bin/componentize-py");
    let compiler = Some(own)
        .filter(|path| path.is_file())
        .or_else(|| tools::shared("python/bin/componentize-py"))
        .or_else(|| tools::on_path("componentize-py"))
        .ok_or(MISSING)?;
    let mut command = Command::new(compiler);
    command
        .current_dir(&project.dir)
        .args(["-d", "wit", "-w", "job", "componentize", "app", "-o"])
        .arg(&project.scratch);
    tools::run(&mut command)?;
    project.compiled()
}

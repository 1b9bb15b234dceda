//! JavaScript, with componentize-js: an engine with the job's code in it, as a component.
//!
//! The component imports no more of the host than a job is given: `fetch` is left out.

use std::process::Command;

use crate::commands::plugin::project::Project;
use crate::commands::plugin::tools;

const NO_NODE: &str =
    "Node.js is missing: install node 20 or later (Debian: apt-get install nodejs npm)";
const NO_COMPILER: &str = "componentize-js is missing: run `npm install` in the project";

/// Script to run: the compiler is a library.
const SCRIPT: &str = r#"
const [tools, source, wit, out] = process.argv.slice(1);
const { pathToFileURL } = await import("node:url");
const { join } = await import("node:path");
const { readFileSync, writeFileSync } = await import("node:fs");
// Its own entry point, looked up from where it is installed; not from where this text is.
const root = join(tools, "node_modules", "@bytecodealliance", "componentize-js");
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { componentize } = await import(pathToFileURL(join(root, exports.import)).href);
const { component } = await componentize({
  sourcePath: source, witPath: wit, worldName: "job", disableFeatures: ["http", "fetch-event"],
});
writeFileSync(out, component);
"#;

pub(super) fn build(project: &Project) -> Result<Vec<u8>, String> {
    let node = tools::on_path("node").ok_or(NO_NODE)?;
    let is_there = |dir: &std::path::PathBuf| {
        dir.join("node_modules/@bytecodealliance/componentize-js/package.json")
            .is_file()
    };
    let own = Some(project.dir.clone()).filter(is_there);
    let home = own
        .or_else(|| tools::shared("js").filter(is_there))
        .ok_or(NO_COMPILER)?;

    let mut command = Command::new(node);
    command
        .current_dir(&project.dir)
        .args(["--input-type=module", "--eval", SCRIPT, "--"])
        .arg(home)
        .args(["job.js", "wit"])
        .arg(&project.scratch);
    tools::run_as("node: componentize-js job.js", &mut command)?;
    project.compiled()
}

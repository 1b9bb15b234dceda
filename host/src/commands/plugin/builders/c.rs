//! C, with clang and wasi-libc: a typed job if the project has `wit/job.wit`, else a plain command.
//!
//! A module without its types is never passed on: a host would take it for a library.

use std::path::PathBuf;
use std::process::Command;

use crate::commands::plugin::project::{Project, read_text};
use crate::commands::plugin::{section, tools};

const MISSING: &str = "clang for WebAssembly is missing\n  \
    on Debian:  apt-get install clang lld wasi-libc libclang-rt-dev-wasm32\n  \
    on macOS:   brew install llvm lld wasi-libc wasi-runtimes";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, String> {
    let clang = tools::on_path("clang").ok_or(MISSING)?;
    let linker = linker().ok_or(MISSING)?;
    let wit = read_text(&project.dir.join("wit/job.wit"))?;

    let mut command = Command::new(clang);
    command
        .current_dir(&project.dir)
        .args([
            "--target=wasm32-wasi",
            "-std=gnu17",
            "-O2",
            "-Wall",
            "-Wextra",
        ])
        .arg(format!("-fuse-ld={}", linker.display()))
        .arg("-Wl,--strip-debug");
    if wit.is_some() {
        // No `main`: the host calls the functions of the contract.
        command.arg("-mexec-model=reactor");
    }
    command.args(["-I", "bindings"]).args(sources(project)?);
    command.arg("-o").arg(&project.scratch);
    tools::run(&mut command).map_err(|error| format!("{error}\n{MISSING}"))?;

    let module = project.compiled()?;
    match wit {
        Some(wit) => section::with_types(module, &wit),
        None => Ok(module),
    }
}

/// Lists the project's own source files, and the bindings.
fn sources(project: &Project) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for folder in ["", "src", "bindings"] {
        let Ok(entries) = std::fs::read_dir(project.dir.join(folder)) else {
            continue;
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let files = names.map(|name| PathBuf::from(folder).join(name));
        found.extend(files.filter(|file| file.extension().is_some_and(|ext| ext == "c")));
    }
    if found.is_empty() {
        return Err(format!("{} has no .c file", project.dir.display()));
    }
    // The order of a folder is arbitrary; the build must not depend on it.
    found.sort();
    Ok(found)
}

/// Finds the linker with the highest version in its name, or the one without: Debian adds a
/// version.
fn linker() -> Option<PathBuf> {
    let version = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("wasm-ld")?;
        name.strip_prefix('-')
            .map_or(Some(0), |version| version.parse::<u32>().ok())
    };
    let all = tools::all_on_path("wasm-ld").into_iter();
    let known = all.filter_map(|path| Some((version(&path)?, path)));
    known
        .max_by_key(|(version, _)| *version)
        .map(|(_, path)| path)
}

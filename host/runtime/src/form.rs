//! Determines which of the three forms a plugin has, and checks that its imports may be linked.
//!
//! Both are decided from names alone, before compiling, so that a refusal can name the config line
//! that would change it. An unknown name is refused.

use super::contract;
use super::entry::Start;
use super::error::LoadProblem;
use super::survey::{BinaryKind, Survey};
use leasehold_config::allow::Allow as Grants;

/// Form of a plugin, which determines how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A component that exports `leasehold:job/guest`.
    Job,
    /// A component that exports `wasi:cli/run`.
    Command,
    /// A core module with `_start` on WASI preview 1. It is run unchanged, so that exit codes survive.
    CoreCommand,
}

impl Form {
    /// Returns the name shown to users.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job component",
            Self::Command => "command component",
            Self::CoreCommand => "preview-1 command",
        }
    }
}

/// WASI packages that every guest may import.
const WASI: &[&str] = &[
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];
/// The package for requests, which needs a grant.
const HTTP: &str = "wasi:http";
/// Interfaces for sending requests. Receiving requests is not offered.
const SENDING: &[&str] = &["types", "outgoing-handler"];
/// Interfaces of the contract that every plugin may import.
const OPEN: &[&str] = &["types", "lock", "job-context", "progress", "log"];
/// The interface of the contract that needs a grant.
const GRANTED: &str = "fenced-kv";
/// The module of preview 1.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// `package/interface@version`, as far as present.
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Self {
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let (package, interface) = path.split_once('/').unwrap_or((path, ""));
        Self {
            package,
            interface,
            version,
        }
    }

    fn speaks_our_contract(&self) -> bool {
        let major = self.version.and_then(|v| v.split('.').next());
        major.is_some_and(|major| major == contract::MAJOR.to_string())
    }

    /// Returns true for an interface of this host's major version and a later minor version.
    fn is_newer_contract(&self) -> bool {
        let minor = |version: &str| {
            version
                .split('.')
                .nth(1)
                .and_then(|n| n.parse::<u64>().ok())
        };
        self.package == contract::PACKAGE
            && self.speaks_our_contract()
            && self.version.and_then(minor) > minor(contract::VERSION)
    }

    fn is_wasi_0_2(&self) -> bool {
        self.version
            .is_some_and(|v| v == "0.2" || v.starts_with("0.2."))
    }
}

/// Returns the form and, for jobs, the contract version that the plugin was built for.
pub(crate) fn form_of(survey: &Survey) -> Result<(Form, Option<String>), LoadProblem> {
    match survey.kind {
        BinaryKind::Core => {
            check_core_entry(survey)?;
            Ok((Form::CoreCommand, None))
        }
        BinaryKind::Component => form_of_component(survey),
    }
}

/// Checks conditions that the engine checks only when it calls `_start`, under the lock.
fn check_core_entry(survey: &Survey) -> Result<(), LoadProblem> {
    match &survey.start {
        None => Err(no_entry(survey)),
        Some(Start::Other(found)) => Err(LoadProblem::Start {
            found: found.clone(),
        }),
        Some(Start::Callable)
            if !survey.exports_memory && survey.imports.iter().any(|name| name == PREVIEW1) =>
        {
            Err(LoadProblem::NoMemory)
        }
        Some(Start::Callable) => Ok(()),
    }
}

fn form_of_component(survey: &Survey) -> Result<(Form, Option<String>), LoadProblem> {
    let mut command = false;
    for export in &survey.exports {
        let name = Name::of(export);
        if name.package == contract::PACKAGE && name.interface == "guest" {
            if !name.speaks_our_contract() {
                return Err(LoadProblem::Contract {
                    found: export.clone(),
                });
            }
            return Ok((Form::Job, name.version.map(str::to_owned)));
        }
        command |= name.package == "wasi:cli" && name.interface == "run" && name.is_wasi_0_2();
    }
    if command {
        Ok((Form::Command, None))
    } else {
        Err(no_entry(survey))
    }
}

fn no_entry(survey: &Survey) -> LoadProblem {
    let found = match survey.exports.as_slice() {
        [] => "nothing".to_owned(),
        some => some.iter().take(5).cloned().collect::<Vec<_>>().join(", "),
    };
    LoadProblem::NoEntry { found }
}

/// Checks every import against what this host offers and the job was granted.
pub(crate) fn check_imports(
    survey: &Survey,
    job: &str,
    grants: &Grants,
) -> Result<(), LoadProblem> {
    survey
        .imports
        .iter()
        .try_for_each(|import| check_import(survey.kind, import, job, grants))
}

/// Checks one import of a plugin of this kind.
pub(crate) fn check_import(
    kind: BinaryKind,
    import: &str,
    job: &str,
    grants: &Grants,
) -> Result<(), LoadProblem> {
    match kind {
        BinaryKind::Core => check_core(import),
        BinaryKind::Component => check_interface(import, job, grants),
    }
}

/// Replaces the linker's error if the plugin was built for a later version of the contract.
///
/// A plugin of a later minor version is linked like any other, because it may use no new function.
pub(crate) fn explain(problem: LoadProblem, survey: &Survey) -> LoadProblem {
    let LoadProblem::Link { reason } = problem else {
        return problem;
    };
    let mut imports = survey.imports.iter();
    // The linker names the instance and, later in its text, the missing export.
    let newer = imports.find(|import| {
        Name::of(import).is_newer_contract() && reason.contains(&format!("`{import}`"))
    });
    let Some(found) = newer.cloned() else {
        return LoadProblem::Link { reason };
    };
    let missing = reason.split_once("instance export `");
    let function = missing.and_then(|(_, rest)| rest.split('`').next());
    LoadProblem::Newer {
        function: function.map_or_else(
            || "a function added in it".to_owned(),
            |name| format!("`{name}`"),
        ),
        found,
    }
}

fn check_core(import: &str) -> Result<(), LoadProblem> {
    let remedy = match import {
        PREVIEW1 => return Ok(()),
        "wasi_unstable" => "this is the WASI of 2019: rebuild it with a current toolchain",
        "env" => {
            "build it for wasm32-wasip1; `env` comes from toolchains for browsers or from an undefined symbol"
        }
        "wbg" | "__wbindgen_placeholder__" => {
            "this was built for JavaScript: build it for wasm32-wasip1"
        }
        _ => "a plain command may import wasi_snapshot_preview1 only",
    };
    Err(LoadProblem::UnknownImport {
        import: import.to_owned(),
        remedy,
    })
}

fn check_interface(import: &str, job: &str, grants: &Grants) -> Result<(), LoadProblem> {
    let name = Name::of(import);
    if name.package == contract::PACKAGE {
        return check_contract(import, &name, job, grants);
    }
    if name.package == HTTP && name.is_wasi_0_2() && SENDING.contains(&name.interface) {
        return if grants.http.is_empty() {
            Err(LoadProblem::NotGranted {
                job: job.to_owned(),
                import: import.to_owned(),
                line: "http = [\"https://…\"]".to_owned(),
                otherwise: ", or build the plugin without it if it sends no requests (JavaScript: disable the features `http` and `fetch-event`)",
            })
        } else {
            Ok(())
        };
    }
    let remedy = if WASI.contains(&name.package) {
        if name.is_wasi_0_2() {
            return Ok(());
        }
        "this host offers WASI 0.2: build it for wasm32-wasip2"
    } else if name.package.starts_with("wasi:") {
        "of WASI it offers cli, clocks, filesystem, io, random, sockets and the sending part of http: build it without this interface"
    } else {
        "compose it with a component that exports this interface"
    };
    Err(LoadProblem::UnknownImport {
        import: import.to_owned(),
        remedy,
    })
}

fn check_contract(
    import: &str,
    name: &Name<'_>,
    job: &str,
    grants: &Grants,
) -> Result<(), LoadProblem> {
    if !name.speaks_our_contract() {
        return Err(LoadProblem::Contract {
            found: import.to_owned(),
        });
    }
    if name.interface == GRANTED && grants.kv.is_empty() {
        return Err(LoadProblem::NotGranted {
            job: job.to_owned(),
            import: import.to_owned(),
            line: format!("kv = [\"{job}/\"]"),
            otherwise: "",
        });
    }
    if name.interface == GRANTED || OPEN.contains(&name.interface) {
        return Ok(());
    }
    Err(LoadProblem::UnknownImport {
        import: import.to_owned(),
        remedy: "the plugin was built for a newer contract: use a newer host",
    })
}

//! The files of the projects, as they are in this repository; everything is in the binary.
//!
//! `NAME` stands for the job's name and `CONTRACT` for the contract's version. All files are
//! embedded in the program, so that a project matches the version of the program that wrote it.

use super::language::Language;
use leasehold_runtime::CONTRACT_VERSION;

/// Path of a file in a project, and its content.
type File = (&'static str, &'static str);

macro_rules! template {
    ($($path:literal from $source:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("templates/", $source)))),*]
    };
}

macro_rules! sdk {
    ($($file:literal),* $(,)?) => {
        &[$((
            concat!("vendor/leasehold-job/src/", $file),
            include_str!(concat!("../../../../plugins/sdk/src/", $file)),
        )),*]
    };
}

const RUST: &[File] = template! {
    "Cargo.toml" from "rust/Cargo.toml",
    "Cargo.lock" from "rust/Cargo.lock.txt",
    "src/lib.rs" from "rust/src/lib.rs",
    "README.md" from "rust/README.md",
    "vendor/leasehold-job/Cargo.toml" from "rust/sdk.toml",
};
const SDK: &[File] = sdk! {
    "bindings.rs", "context.rs", "entry.rs", "error.rs", "host.rs", "kv.rs", "lib.rs", "lock.rs",
    "log.rs", "manifest.rs", "mock.rs", "outcome.rs", "types.rs", "mock/calls.rs", "mock/output.rs",
    "mock/script.rs", "mock/state.rs", "mock/store.rs", "mock/tests.rs",
};
const C: &[File] = template! {
    "job.c" from "c/job.c",
    "bindings/leasehold.c" from "c/bindings/leasehold.c",
    "bindings/leasehold.h" from "c/bindings/leasehold.h",
    "bindings/component_type.c" from "c/bindings/component_type.c",
    "README.md" from "c/README.md",
};
const JS: &[File] = template! {
    "job.js" from "js/job.js",
    "package.json" from "js/package.json",
    "README.md" from "js/README.md",
};
const PYTHON: &[File] = template! {
    "app.py" from "python/app.py",
    "requirements.txt" from "python/requirements.txt",
    "README.md" from "python/README.md",
};
const GO: &[File] = template! {
    "main.go" from "go/main.go",
    "go.mod" from "go/go.mod",
    "README.md" from "go/README.md",
};

/// The contract, which generators and compilers read.
pub(super) const WIT: &str = include_str!("../../../../plugins/wit/job.wit");
const MANIFEST: &str = include_str!("templates/job.toml");
const COMMAND_MANIFEST: &str = include_str!("templates/job-command.toml");
const HOST: &str = include_str!("templates/leasehold.toml");
const GRANTS: &str = include_str!("templates/leasehold-grants.toml");
const IGNORED: &str = include_str!("templates/gitignore");

/// All files of a project, by their paths in it.
pub(super) fn files(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let named = |text: &str| {
        text.replace("NAME", name)
            .replace("CONTRACT", CONTRACT_VERSION)
    };
    let (own, wit) = match language {
        Language::Rust => (RUST, Some("vendor/wit/job.wit")),
        Language::C => (C, Some("wit/job.wit")),
        Language::Js => (JS, Some("wit/job.wit")),
        Language::Python => (PYTHON, Some("wit/job.wit")),
        Language::Go => (GO, None),
    };
    let mut files: Vec<(&str, String)> = own
        .iter()
        .map(|&(path, text)| (path, named(text)))
        .collect();
    if language == Language::Rust {
        // The SDK is code and not a template: nothing in it is replaced.
        files.extend(SDK.iter().map(|&(path, text)| (path, text.to_owned())));
    }
    files.extend(wit.map(|path| (path, WIT.to_owned())));
    let (manifest, config) = if wit.is_some() {
        (MANIFEST, format!("{HOST}{GRANTS}"))
    } else {
        (COMMAND_MANIFEST, HOST.to_owned())
    };
    files.push(("job.toml", named(manifest)));
    files.push(("leasehold.toml", named(&config)));
    files.push((".gitignore", IGNORED.to_owned()));
    files
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_whole_sdk_goes_into_a_project() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk/src");
        let mut there = BTreeSet::new();
        for folder in ["", "mock"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|ext| ext == "rs") {
                    let path = path.strip_prefix(&root).unwrap();
                    there.insert(format!("vendor/leasehold-job/src/{}", path.display()));
                }
            }
        }
        let packed = SDK.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(there, packed);
    }

    #[test]
    fn the_sdk_asks_for_the_same_crates_in_a_project_as_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/Cargo.toml");
        let ours: toml::Table = std::fs::read_to_string(root).unwrap().parse().unwrap();
        let ours = ours["workspace"]["dependencies"].as_table().unwrap();
        let vendored = files(Language::Rust, "demo");
        let find = |wanted: &str| &vendored.iter().find(|(path, _)| *path == wanted).unwrap().1;
        let sdk: toml::Table = find("vendor/leasehold-job/Cargo.toml").parse().unwrap();
        for (name, wanted) in sdk["dependencies"].as_table().unwrap() {
            assert_eq!(Some(wanted), ours.get(name), "{name}");
        }
        assert_eq!(sdk["package"]["version"].as_str(), Some(CONTRACT_VERSION));
        let version =
            &toml::from_str::<toml::Table>(include_str!("../../../../plugins/Cargo.toml")).unwrap()
                ["workspace"]["package"]["version"];
        assert_eq!(
            version.as_str(),
            Some(CONTRACT_VERSION),
            "the SDK's version is the contract's"
        );
    }

    #[test]
    fn bindings_in_c_are_of_this_contract() {
        let bindings = include_str!("templates/c/bindings/leasehold.c");
        let import = format!("__import_module__(\"leasehold:job/lock@{CONTRACT_VERSION}\")");
        assert!(
            bindings.contains(&import),
            "wit-bindgen c plugins/wit --rename-world leasehold --no-object-file"
        );
    }

    #[test]
    fn no_placeholder_is_left_in_a_project() {
        for language in [
            Language::Rust,
            Language::C,
            Language::Js,
            Language::Python,
            Language::Go,
        ] {
            for (path, text) in files(language, "demo") {
                if !path.starts_with("vendor/") && !path.starts_with("bindings/") {
                    assert!(
                        !text.contains("NAME") && !text.contains("CONTRACT"),
                        "{path}"
                    );
                }
            }
        }
    }
}

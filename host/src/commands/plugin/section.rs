//! Sections that a compiler cannot write: the manifest, and for C the types of the component.
//!
//! The rest of a plugin is unchanged, and the result is always valid.

use wasmparser::{Encoding, Parser, Payload};

/// Name of the manifest's section; `plugins/MANIFEST.md` describes its contents.
const MANIFEST: &str = "leasehold:manifest";
/// Largest manifest that a host reads, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// Puts the manifest at the end of a module or component, unless it has one already.
pub(super) fn with_manifest(mut plugin: Vec<u8>, manifest: &str) -> Result<Vec<u8>, String> {
    if manifest.trim().is_empty() {
        return Err("job.toml is empty: remove it, or describe the job in it".to_owned());
    }
    if manifest.len() > MOST_BYTES {
        return Err(format!(
            "job.toml is larger than {MOST_BYTES} bytes: a host would refuse it"
        ));
    }
    if let Err(error) = manifest.parse::<toml::Table>() {
        return Err(format!(
            "job.toml is not TOML: {}",
            error.to_string().trim_end()
        ));
    }
    if has(&plugin, |name| name == MANIFEST)? {
        return Ok(plugin);
    }
    append(&mut plugin, MANIFEST, manifest.as_bytes());
    valid(&plugin)?;
    Ok(plugin)
}

/// Puts the types of the contract into a module, so that a host can turn it into the component.
pub(super) fn with_types(mut module: Vec<u8>, wit: &str) -> Result<Vec<u8>, String> {
    if has(&module, |name| name.starts_with("component-type"))? {
        return Ok(module);
    }
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve
        .push_str("wit/job.wit", wit)
        .map_err(|error| failed("wit/job.wit", &format!("{error:#}")))?;
    let world = resolve
        .select_world(&[package], Some("job"))
        .map_err(|error| failed("wit/job.wit", &format!("{error:#}")))?;
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding)
        .map_err(|error| failed("the types of the component", &format!("{error:#}")))?;
    valid(&module)?;
    Ok(module)
}

/// Returns true if it has a custom section with such a name, at any depth.
fn has(plugin: &[u8], wanted: impl Fn(&str) -> bool) -> Result<bool, String> {
    for payload in Parser::new(0).parse_all(plugin) {
        if let Payload::CustomSection(section) = payload.map_err(|error| invalid(&error))?
            && wanted(section.name())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn append(plugin: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = Vec::with_capacity(name.len() + data.len() + 5);
    put_length(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    plugin.push(0);
    put_length(plugin, body.len());
    plugin.extend_from_slice(&body);
}

/// Appends a length as LEB128.
fn put_length(into: &mut Vec<u8>, mut length: usize) {
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            return into.push(low & 0x7f);
        }
        into.push(low | 0x80);
    }
}

/// Checks a plugin as a host does, as far as that is possible without compiling.
fn valid(plugin: &[u8]) -> Result<(), String> {
    leasehold_runtime::validate(plugin).map_err(|problem| format!("the compiled plugin {problem}"))
}

fn invalid(error: &wasmparser::BinaryReaderError) -> String {
    format!("the compiled plugin is not valid WebAssembly: {error}")
}

/// Returns its kind, for people.
pub(super) fn kind(plugin: &[u8]) -> &'static str {
    match Parser::new(0).parse_all(plugin).next() {
        Some(Ok(Payload::Version {
            encoding: Encoding::Component,
            ..
        })) => "component",
        _ => "module",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(plugin: &[u8]) -> Vec<(String, Vec<u8>)> {
        let all = Parser::new(0).parse_all(plugin);
        all.filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(section) => {
                Some((section.name().to_owned(), section.data().to_vec()))
            }
            _ => None,
        })
        .collect()
    }

    #[test]
    fn module_or_component_with_a_manifest_stays_valid() {
        for wat in [
            "(module (func (export \"_start\")))",
            "(component (core module (memory 1)))",
        ] {
            let plain = wat::parse_str(wat).unwrap();
            // Long enough that its length takes more than one byte.
            let manifest = format!("name = \"demo\"\n# {}\n", "x".repeat(20_000));
            let made = with_manifest(plain.clone(), &manifest).unwrap();
            assert!(made.starts_with(&plain));
            assert_eq!(
                sections(&made),
                [(MANIFEST.to_owned(), manifest.clone().into_bytes())]
            );
            assert_eq!(
                with_manifest(made.clone(), "name = \"other\"").unwrap(),
                made,
                "there is one already"
            );
        }
    }

    #[test]
    fn a_manifest_that_no_host_would_take_is_refused() {
        let module = wat::parse_str("(module)").unwrap();
        let refusal = |manifest: &str| with_manifest(module.clone(), manifest).unwrap_err();
        assert!(refusal(" \n").contains("is empty"));
        assert!(refusal("name = ").starts_with("job.toml is not TOML: "));
        assert!(refusal(&"#\n".repeat(40_000)).contains("larger than"));
        assert!(
            with_manifest(b"no module".to_vec(), "a = 1")
                .unwrap_err()
                .contains("not valid")
        );
    }

    #[test]
    fn a_module_becomes_the_component_of_the_contract() {
        let module = wat::parse_str(
            r#"(module (memory (export "memory") 1)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "leasehold:job/guest@CONTRACT#run") (result i32) (i32.const 0)))"#
                .replace("CONTRACT", leasehold_runtime::CONTRACT_VERSION),
        )
        .unwrap();
        let typed = with_types(module, super::super::templates::WIT).unwrap();
        assert_eq!(
            with_types(typed.clone(), "no WIT at all").unwrap(),
            typed,
            "it has them already"
        );
        let component = wit_component::ComponentEncoder::default()
            .module(&typed)
            .unwrap()
            .encode()
            .unwrap();
        assert_eq!((kind(&typed), kind(&component)), ("module", "component"));
        let error = with_types(wat::parse_str("(module)").unwrap(), "package a:b;").unwrap_err();
        assert!(error.starts_with("wit/job.wit: "), "{error}");
    }
}

//! Import circles between the modules of a crate.
//!
//! Rule: module A has an arrow to module B of the same crate if code of A that ships names an item of B, by a `use`
//! or by a path that begins with `crate`, `super`, `self`, a child module or an imported module. A name that a module
//! only re-exports or imports leads to the module that defines it. A parent has no arrow to modules below it: it is
//! made of them, whether it declares, re-exports or calls them. A child that names an item of its parent has one. A
//! module is a file; inline modules belong to theirs. A circle is two or more modules that reach one another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{is_test_file, root, shipped, sources};

/// Path of a module from its crate's root, which is the empty path.
type ModulePath = Vec<String>;

/// One module's code, and the paths that its names stand for.
#[derive(Default)]
struct Module {
    /// Code without `use` items.
    code: String,
    /// Names brought in by `use`, with their paths.
    names: BTreeMap<String, Vec<String>>,
    /// Paths of all `use` items.
    uses: Vec<Vec<String>>,
}

type Modules = BTreeMap<ModulePath, Module>;

/// The crates that ship: the workspace's, without the tests, and the SDK.
fn crates() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace is read");
    let workspace: toml::Table = text.parse().expect("the workspace is TOML");
    let members = workspace["workspace"]["members"].as_array();
    let members = members.into_iter().flatten().filter_map(|it| it.as_str());
    let ours = members.filter(|member| *member != "tests");
    ours.chain(["plugins/sdk"]).map(str::to_owned).collect()
}

/// The modules of a crate. A program beside a library is not part of it.
fn modules(name: &str) -> Modules {
    let folder = format!("{name}/src/");
    let files = sources(&folder);
    let is_library = files
        .iter()
        .any(|(file, _)| *file == format!("{folder}lib.rs"));
    files
        .iter()
        .filter(|(file, _)| !is_test_file(file))
        .filter_map(|(file, text)| Some((file.strip_prefix(&folder)?.strip_suffix(".rs")?, text)))
        .filter(|(file, _)| !(file.starts_with("bin/") || is_library && *file == "main"))
        .map(|(file, text)| {
            let mut path: ModulePath = file.split('/').map(str::to_owned).collect();
            let last = path.last().map(String::as_str);
            if matches!(last, Some("mod")) || matches!(file, "lib" | "main") {
                path.pop();
            }
            (path, read(&shipped(text)))
        })
        .collect()
}

/// Splits a module's text into its `use` items and the rest.
fn read(text: &str) -> Module {
    let mut module = Module::default();
    let mut item: Option<String> = None;
    let mut is_inline = false;
    for line in text.lines() {
        let line = line.split(" // ").next().unwrap_or(line);
        is_inline = match line {
            "}" => false,
            _ => {
                is_inline || line.contains("mod ") && line.ends_with('{') && !line.starts_with(' ')
            }
        };
        // In an inline module `super` is the file's module.
        let line = if is_inline {
            line.replace("super::", "self::")
        } else {
            line.to_owned()
        };
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "use" || first.starts_with("pub") && words.next() == Some("use") {
            item = Some(String::new());
        }
        if let Some(text) = &mut item {
            text.push_str(&line);
        } else {
            module.code.push_str(&line);
            module.code.push('\n');
        }
        if let Some(text) = item.take_if(|text| text.ends_with(';')) {
            let tree = text.split_once("use ").map_or("", |(_, tree)| tree);
            for (path, name) in leaves(tree.trim_end_matches(';')) {
                module.names.insert(name, path.clone());
                module.uses.push(path);
            }
        }
    }
    module
}

/// The paths of a tree such as `a::{b, c::{self, d as e}}`, each with the name that it gives.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let Some((head, body)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let mut path: Vec<String> = path.split("::").map(|it| it.trim().to_owned()).collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = if alias.is_empty() {
            path.last().cloned().unwrap_or_default()
        } else {
            alias.trim().to_owned()
        };
        return vec![(path, name)];
    };
    let mut depth = 0;
    let body = body.trim_end().strip_suffix('}').unwrap_or(body);
    let branches = body.split(|c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    branches
        .filter(|branch| !branch.trim().is_empty())
        .flat_map(|branch| leaves(&format!("{}{}", head.trim(), branch.trim())))
        .collect()
}

/// The paths in code, as far as `::` leads.
fn inline_paths(code: &str) -> impl Iterator<Item = Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(move |c| !is_word(c))
        .filter(|path| path.contains("::") && !path.starts_with(':'))
        .map(|path| path.split("::").map(str::to_owned).collect())
}

/// The module that defines the item at a path named in the module `at`, or whose name the path is.
fn resolve(
    modules: &Modules,
    at: &ModulePath,
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    let (first, mut rest) = path.split_first()?;
    let mut here = at.clone();
    match first.as_str() {
        "crate" => here.clear(),
        "self" => {}
        "super" => {
            here.pop();
            while let Some(("super", more)) =
                rest.split_first().map(|(it, more)| (it.as_str(), more))
            {
                here.pop();
                rest = more;
            }
        }
        name => {
            let child = [at.as_slice(), &[name.to_owned()]].concat();
            let known = modules
                .get(at)
                .is_some_and(|module| module.names.contains_key(name));
            if !known && !modules.contains_key(&child) {
                return None;
            }
            rest = path;
        }
    }
    for (index, segment) in rest.iter().enumerate() {
        let child = [here.as_slice(), std::slice::from_ref(segment)].concat();
        if modules.contains_key(&child) {
            here = child;
            continue;
        }
        let target = modules
            .get(&here)
            .and_then(|module| module.names.get(segment));
        let Some(target) = target.filter(|target| depth > 0 && *target != path) else {
            return Some(here);
        };
        let longer = [target.as_slice(), &rest[index + 1..]].concat();
        return resolve(modules, &here, &longer, depth - 1).or(Some(here));
    }
    Some(here)
}

/// The arrows between the modules of a crate.
fn arrows(modules: &Modules) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
    let mut found = BTreeMap::new();
    for (at, module) in modules {
        let uses = module.uses.iter().filter_map(|path| {
            let target = resolve(modules, at, path, 8)?;
            // A module that is only brought in is an arrow where its name is used.
            (path.last() != target.last()).then_some(target)
        });
        let inline = inline_paths(&module.code);
        let inline = inline.filter_map(|path| resolve(modules, at, &path, 8));
        // Every module starts with its own path, so this leaves out the module itself too.
        let targets = uses.chain(inline).filter(|target| !target.starts_with(at));
        found.insert(at.clone(), targets.collect::<BTreeSet<_>>());
    }
    found
}

/// The shortest way from a module back to itself.
fn circle(
    arrows: &BTreeMap<ModulePath, BTreeSet<ModulePath>>,
    from: &ModulePath,
) -> Option<Vec<ModulePath>> {
    let mut ways = VecDeque::from([vec![from.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way
            .last()
            .and_then(|last| arrows.get(last))
            .into_iter()
            .flatten()
        {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// One circle for each module that is on one, each circle once.
fn circles(modules: &Modules) -> Vec<String> {
    let arrows = arrows(modules);
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for module in modules.keys() {
        let Some(way) = circle(&arrows, module) else {
            continue;
        };
        if known.insert(way.iter().cloned().collect::<BTreeSet<_>>()) {
            let names = way.iter().map(|path| format!("crate::{}", path.join("::")));
            found.push(names.collect::<Vec<_>>().join(" -> "));
        }
    }
    found
}

#[test]
fn no_modules_of_a_crate_import_one_another_in_a_circle() {
    let found: Vec<String> = crates()
        .iter()
        .flat_map(|name| {
            let circles = circles(&modules(name));
            circles
                .into_iter()
                .map(move |circle| format!("{name}: {circle}"))
        })
        .collect();
    assert!(
        found.is_empty(),
        "{} circles:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// A crate made of texts.
fn made(files: &[(&str, &str)]) -> Modules {
    let path = |name: &str| {
        name.split('/')
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    };
    files
        .iter()
        .map(|(name, text)| (path(name), read(text)))
        .collect()
}

#[test]
fn a_circle_is_found_over_uses_inline_paths_and_reexports() {
    let made = made(&[
        ("", "mod a;\nmod b;\nmod c;\npub use c::Thing;\n"),
        ("a", "use crate::{b::{self, Other}, x};\n"),
        ("b", "fn f() { super::c::g() }\n"),
        ("c", "fn g(thing: crate::a::Name) {}\npub struct Thing;\n"),
    ]);
    assert_eq!(
        circles(&made),
        ["crate::a -> crate::b -> crate::c -> crate::a"]
    );
}

#[test]
fn a_parent_and_its_child_are_no_circle_but_two_children_are() {
    let parent = (
        "a",
        "mod x;\nmod y;\npub use x::Made;\nfn f() { y::g() }\npub struct Shared;\n",
    );
    let child = ("a/x", "use super::Shared;\npub struct Made;\n");
    assert_eq!(
        circles(&made(&[parent, child, ("a/y", "")])),
        Vec::<String>::new()
    );
    let user = ("a/x", "use super::y;\nfn f() { y::g() }\n");
    let other = ("a/y", "use super::{Made, x};\n");
    assert_eq!(
        circles(&made(&[parent, user, other])),
        ["crate::a::x -> crate::a::y -> crate::a::x"]
    );
}

#[test]
fn a_name_of_the_root_leads_to_the_module_that_defines_it() {
    let made = made(&[
        ("", "mod a;\nmod b;\npub use a::Thing;\n"),
        ("a", "use crate::b::f;\n"),
        ("b", "use crate::Thing;\n"),
    ]);
    assert_eq!(circles(&made), ["crate::a -> crate::b -> crate::a"]);
}

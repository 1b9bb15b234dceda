//! Measures the nesting depth of component types.
//!
//! The parser reads a type inside a type by recursion, and 300 KB of them overflow any stack. This file uses no
//! recursion: it keeps a list of the open types.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentType, ComponentTypeDeclaration,
    InstanceTypeDeclaration,
};

/// The byte that begins a component type, and the one that begins an instance type.
const COMPONENT: u8 = 0x41;
const INSTANCE: u8 = 0x42;
/// The byte that begins a declaration of a type.
const TYPE: u8 = 0x01;

/// List that may contain types.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Section,
    Component,
    Instance,
}

/// Returns the nesting depth of a section of types. Stops once it is deeper than `most`.
///
/// It also stops where the section cannot be read. The parser stops at the same place.
pub(crate) fn depth(section: &[u8], most: u64) -> u64 {
    let mut deepest = 0;
    // The parser reports this error when it reaches the same place.
    let _ = walk(BinaryReader::new(section, 0), most, &mut deepest);
    deepest
}

fn walk(
    mut reader: BinaryReader<'_>,
    most: u64,
    deepest: &mut u64,
) -> Result<(), BinaryReaderError> {
    let mut open = vec![(List::Section, reader.read_var_u32()?)];
    while let Some((list, left)) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let mut ahead = reader.clone();
        if *list != List::Section && ahead.read_u8()? != TYPE {
            if *list == List::Component {
                reader.read::<ComponentTypeDeclaration<'_>>().map(drop)?;
            } else {
                reader.read::<InstanceTypeDeclaration<'_>>().map(drop)?;
            }
            continue;
        }
        let inner = match ahead.clone().read_u8()? {
            COMPONENT => List::Component,
            INSTANCE => List::Instance,
            _ => {
                ahead.read::<ComponentType<'_>>().map(drop)?;
                reader = ahead;
                continue;
            }
        };
        ahead.read_u8()?;
        open.push((inner, ahead.read_var_u32()?));
        reader = ahead;
        *deepest = (*deepest).max(open.len() as u64 - 1);
        if *deepest > most {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    fn depth_of(text: &str) -> u64 {
        let bytes = wat::parse_str(text).unwrap();
        let sections = Parser::new(0).parse_all(&bytes);
        let depths = sections.filter_map(|payload| match payload.unwrap() {
            Payload::ComponentTypeSection(types) => Some(depth(&bytes[types.range()], 100)),
            _ => None,
        });
        depths.max().unwrap_or(0)
    }

    #[test]
    fn types_are_measured_after_any_preceding_items() {
        assert_eq!(depth_of("(component (type u8))"), 0);
        let leaves = r#"
            (type $r (record (field "a" u8) (field "b" string)))
            (type $f (func (param "x" $r) (result (list u8))))
            (core type (module (import "a" "b" (func (param i32))) (export "c" (memory 1))))
            (export "f" (func (type $f)))
            (export "res" (type (sub resource)))"#;
        let text = format!(
            r#"(component (type $before (instance {leaves}))
                (type (component {leaves}
                    (alias outer 1 $before (type))
                    (import "i" (instance (export "g" (func))))
                    (type (instance {leaves} (type (component (type (instance)))))))))"#
        );
        assert_eq!(depth_of(&text), 4);
    }

    #[test]
    fn a_measure_ends_one_level_past_the_most() {
        let mut section = vec![1];
        for _ in 0..100_000 {
            section.extend([INSTANCE, 1, TYPE]);
        }
        assert_eq!(depth(&section, 32), 33);
        assert_eq!(depth(&section, u64::MAX), 100_000);
    }
}

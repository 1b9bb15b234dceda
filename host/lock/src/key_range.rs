//! Ranges of keys that prefixes stand for.

/// A range of keys: from the first up to but not including the second. `\0` as the end is the end of all keys.
pub(crate) type KeyRange = (Vec<u8>, Vec<u8>);

/// What begins with one of `prefixes` and none of `except`, as ranges of keys.
pub(crate) fn key_ranges(prefixes: &[String], except: &[String]) -> Vec<KeyRange> {
    let mut except: Vec<&String> = except.iter().collect();
    except.sort();
    let mut ranges = Vec::new();
    for prefix in prefixes {
        let mut from = prefix.clone().into_bytes();
        if from.is_empty() {
            from.push(0);
        }
        for hole in &except {
            if hole.starts_with(prefix.as_str()) && hole.as_bytes() >= from.as_slice() {
                ranges.push((from, hole.as_bytes().to_vec()));
                from = prefix_end(hole);
            }
        }
        ranges.push((from, prefix_end(prefix)));
    }
    // The same key at both ends would ask for that key alone, but for `\0`, which is all keys there are.
    ranges.retain(|(from, end)| from != end || end.as_slice() == b"\0");
    ranges
}

/// The first key after all that begin with `prefix`, as etcd counts: its last byte that can grow, grown.
/// No text ends in a byte that cannot, so only the empty prefix has none, and `\0` stands for the end.
pub(crate) fn prefix_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => *last = last.saturating_add(1),
        None => end.push(0),
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_in_a_prefix_leaves_what_is_before_and_what_is_after() {
        let ranges = key_ranges(&["/l/".into()], &["/l/kv/".into(), "/else/".into()]);
        let texts: Vec<(String, String)> = ranges
            .into_iter()
            .map(|(from, end)| {
                let text = |bytes| String::from_utf8(bytes).unwrap();
                (text(from), text(end))
            })
            .collect();
        let expected = [("/l/", "/l/kv/"), ("/l/kv0", "/l0")];
        assert_eq!(texts, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn an_empty_prefix_is_every_key() {
        assert_eq!(key_ranges(&[String::new()], &[]), [(vec![0], vec![0])]);
    }

    #[test]
    fn what_begins_with_a_prefix_comes_before_its_end_and_all_else_outside() {
        assert_eq!(prefix_end("/locks/"), b"/locks0");
        assert_eq!(prefix_end(""), b"\0");
        let end = prefix_end("é");
        assert!("é/x".as_bytes() < end.as_slice() && end.as_slice() <= "ê".as_bytes());
    }
}

//! Ranges of keys, made of prefixes.

/// A range of keys: from the first up to but not including the second. `\0` as the end is the end of all keys.
pub(crate) type KeyRange = (Vec<u8>, Vec<u8>);

/// The keys that begin with one of `prefixes` and none of `except`, as ranges.
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
    // The same key at both ends is a request for that key alone, except for `\0`, which is all keys.
    ranges.retain(|(from, end)| from != end || end.as_slice() == b"\0");
    ranges
}

/// The first key after all that begin with `prefix`, by etcd's rule: the last byte below its maximum, increased. No
/// text ends in a byte at the maximum, so only the empty prefix has no such key, and `\0` stands for the end.
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
    fn prefix_end_is_after_all_its_keys_and_before_all_others() {
        assert_eq!(prefix_end("/locks/"), b"/locks0");
        assert_eq!(prefix_end(""), b"\0");
        let end = prefix_end("é");
        assert!("é/x".as_bytes() < end.as_slice() && end.as_slice() <= "ê".as_bytes());
    }
}

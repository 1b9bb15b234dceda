//! Changes as bytes and back.

use super::model::{delete, put};
use crate::change::{ChangeKind, KeyChange, SharedKey};
use crate::disk::change_bytes::{decode, encode};

fn bytes(change: &KeyChange) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(change, &mut bytes);
    bytes
}

fn own(bytes: &[u8]) -> SharedKey {
    bytes.into()
}

#[test]
fn a_change_reads_back_unchanged() {
    let leased = KeyChange {
        key: b"\0\xff"[..].into(),
        revision: i64::MAX,
        sub: u32::MAX,
        kind: ChangeKind::Put {
            create_revision: 2,
            version: i64::MAX,
            lease: -1,
            value: Box::default(),
        },
    };
    for change in [
        leased,
        (*put("", 2, 0, b"value")).clone(),
        (*put("key", 3, 1, &[0; 5000])).clone(),
        (*delete("key", 4, 2)).clone(),
    ] {
        let at = (change.revision, change.sub);
        assert_eq!(decode(at, &bytes(&change), own), Some(change));
    }
}

#[test]
fn the_form_on_the_disk_stays_what_it_is() {
    // Other versions read these bytes: they change only together with the format's number.
    assert_eq!(
        bytes(&put("k", 0x0102, 0, b"v")),
        [
            1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
            b'k', b'v'
        ]
    );
    assert_eq!(bytes(&delete("k", 9, 0)), [2, b'k']);
}

#[test]
fn bytes_that_are_not_a_whole_change_are_refused() {
    let whole = bytes(&put("key", 2, 0, b""));
    for length in 0..whole.len() {
        assert_eq!(decode((2, 0), &whole[..length], own), None);
    }
    assert_eq!(decode((2, 0), &[3, 1, 1], own), None);
}

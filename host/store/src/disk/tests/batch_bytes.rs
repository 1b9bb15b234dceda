//! Batches as bytes and back.

use fastrand::Rng;

use super::model::{self, Model};
use crate::disk::batch_bytes::{decode, encode};
use crate::disk::{CommitBatch, change_bytes};

fn bytes(batch: &CommitBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(batch, &mut bytes);
    bytes
}

#[test]
fn a_batch_reads_back_and_a_part_of_one_does_not() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let mut batch = model::random(&Model::new(), &mut rng);
        (batch.compacted, batch.dropped) = (None, Vec::new());
        let whole = bytes(&batch);
        assert!(decode(&whole) == Some(batch));
        let cut = rng.usize(..whole.len());
        assert!(decode(&whole[..cut]).is_none());
        assert!(decode(&[whole, vec![0]].concat()).is_none());
    }
}

#[test]
fn the_form_in_the_log_stays_what_it_is() {
    // Other versions read these bytes: they change only together with the format's number.
    let mut batch = model::batch(vec![model::revision(3, [model::delete("k", 3, 0)])]);
    batch.granted.push((4, 5));
    batch.ended.push(6);
    let mut expected = vec![1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    expected.extend([0, 0, 0, 0, 2, 0, 0, 0, 2, b'k']);
    expected.extend([1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(&batch), expected);
}

#[test]
fn the_encoded_length_of_a_change_is_exact() {
    for change in [
        model::put("key", 2, 0, &[1; 70]),
        model::delete("key", 3, 1),
    ] {
        let mut bytes = Vec::new();
        change_bytes::encode(&change, &mut bytes);
        assert_eq!(change_bytes::encoded_length(&change), bytes.len());
    }
}

//! Requests with other authorities, in every encoding that a client may use.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `www.example.com`, Huffman-coded (RFC 7541, C.4.1).
const PACKED: [u8; 12] = [
    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
];

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
    frame.extend_from_slice(payload);
    frame
}

/// Returns the rewritten bytes when they arrive in pieces of this size.
fn fed(bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut frames = Frames::Greeting(0);
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        frames.feed(piece, &mut out);
    }
    out
}

#[test]
fn the_length_of_a_huffman_text_is_decoded() {
    assert_eq!(unpacked_length(&PACKED), Some(15));
    // `302` and `Mon, 21 Oct 2013 20:13:21 GMT` (C.6.1).
    assert_eq!(unpacked_length(&[0x64, 0x02]), Some(3));
    let date = [
        0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81,
        0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
    ];
    assert_eq!(unpacked_length(&date), Some(29));
    assert_eq!(CODES.iter().sum::<u32>(), 257);
}

#[test]
fn an_authority_is_replaced_by_one_of_the_same_length() {
    let packed = [&[0x83, 0x86, 0x41, 0x8c][..], &PACKED, &[0x84]].concat();
    let plain = [&[0x83, 0x86, 0x01, 15][..], b"/run/store.sock", &[0x84]].concat();
    let wanted = |name: u8| [&[0x83, 0x86, name, 15][..], &[b'x'; 15], &[0x84]].concat();
    for (block, wanted) in [(packed, wanted(0x41)), (plain, wanted(0x01))] {
        let prioritised = [&[0, 0, 0, 0, 7][..], &block].concat();
        let prioritised_wanted = [&[0, 0, 0, 0, 7][..], &wanted].concat();
        let padded = [&[2][..], &block, &[0, 0]].concat();
        let padded_wanted = [&[2][..], &wanted, &[0, 0]].concat();
        let data = frame(0, 1, b"\x41\x01/");
        let came = [
            PREFACE.to_vec(),
            frame(4, 0, b""),
            frame(1, 4, &block),
            data.clone(),
            frame(1, 4 | PRIORITY, &prioritised),
            frame(1, 4 | PADDED, &padded),
        ];
        let went = [
            PREFACE.to_vec(),
            frame(4, 0, b""),
            frame(1, 4, &wanted),
            data,
            frame(1, 4 | PRIORITY, &prioritised_wanted),
            frame(1, 4 | PADDED, &padded_wanted),
        ];
        for piece in [1, 2, 7, 1000] {
            assert_eq!(fed(&came.concat(), piece), went.concat(), "in {piece}s");
        }
    }
}

#[test]
fn a_frame_without_authority_or_malformed_is_passed_on() {
    for payload in [
        &[0x83, 0x86, 0x84, 0xbe][..],
        &[0x41],
        &[0x41, 0x8c, 1, 2],
        &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x00, 0x03, b'a'],
        &[0x3f, 0xff],
    ] {
        for flags in [4, 4 | PADDED, 4 | PRIORITY, 4 | PADDED | PRIORITY] {
            let came = [PREFACE, &frame(1, flags, payload)].concat();
            assert_eq!(fed(&came, 3), came, "{payload:?} {flags}");
        }
    }
}

#[test]
fn random_bytes_do_not_panic_and_are_passed_on() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut block = vec![0; random.usize(0..60)];
        random.fill(&mut block);
        let _ = authority(&block);
        let came = [PREFACE, &frame(1, random.u8(..), &block)].concat();
        let _ = fed(&came, 1 + random.usize(0..70));
        let other = [PREFACE, &frame(9, random.u8(..), &block)].concat();
        assert_eq!(fed(&other, 1 + random.usize(0..70)), other);
    }
}

#[test]
fn long_names_keep_their_length() {
    for length in [126, 127, 128, 254, 255, 300, 4000] {
        let mut written = Vec::new();
        put_number(&mut written, length);
        let mut at = 0;
        assert_eq!(number(&written, &mut at, 7), Some(length));
        assert_eq!(at, written.len());
    }
}

#[test]
fn a_connection_of_another_protocol_is_passed_on_whole() {
    let request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:2379\r\nAccept: */*\r\n\r\n";
    for piece in [1, 7, request.len()] {
        assert_eq!(fed(request, piece), request);
    }
}

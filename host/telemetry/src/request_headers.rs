//! Headers of requests, from the file of `headers_file`. No error repeats a value.

use std::io::Read as _;
use std::path::Path;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use leasehold_config::owned::open as open_regular;

/// Largest file, in bytes.
const LARGEST: u64 = 16 * 1024;

/// Reads the headers on another thread; none without a file.
pub(crate) async fn read_aside(path: Option<&Path>) -> Result<HeaderMap, String> {
    let Some(path) = path.map(ToOwned::to_owned) else {
        return Ok(HeaderMap::new());
    };
    let reading = tokio::task::spawn_blocking(move || read(&path)).await;
    reading.map_err(|error| error.to_string())?
}

/// Reads the headers, one a line. It blocks for as long as the file system does.
fn read(path: &Path) -> Result<HeaderMap, String> {
    let name = path.display();
    let file = open_regular(path).map_err(|refusal| {
        let (what, help) = refusal.explain();
        format!("header file {name} {what}: {help}")
    })?;
    let mut text = String::new();
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("header file {name} cannot be read: {error}"))?;
    if text.len() as u64 > LARGEST {
        return Err(format!(
            "header file {name} is longer than {} KiB: keep headers alone in it",
            LARGEST >> 10
        ));
    }
    parse(&text).map_err(|line| {
        format!("line {line} of header file {name} is not a header: write it as in `Authorization: Bearer TOKEN`")
    })
}

/// Parses lines `Name: value`; the error is the number of a line.
fn parse(text: &str) -> Result<HeaderMap, usize> {
    let mut headers = HeaderMap::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(at + 1)?;
        let name: HeaderName = name.trim().parse().map_err(|_| at + 1)?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| at + 1)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_header() {
        let headers =
            parse("Authorization: Bearer a:b\n\n X-Team : on-call \r\n").expect("headers");
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert_eq!(headers["x-team"], "on-call");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn file_that_is_too_long_is_refused_and_not_cut() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("headers");
        let length = usize::try_from(LARGEST - 20).expect("a length");
        let mut text = format!("{:<1$}\n", "X-Team: on-call", length);
        text.push_str("Authorization: Bea");
        std::fs::write(&path, &text).expect("a file");
        let headers = read(&path).expect("the longest file");
        assert_eq!(headers["authorization"], "Bea");
        std::fs::write(&path, text + "rer hunter2").expect("a file");
        let refused = read(&path).expect_err("a file that is too long");
        let refused = refused.replace(&path.display().to_string(), "FILE");
        insta::assert_snapshot!(refused, @"header file FILE is longer than 16 KiB: keep headers alone in it");
    }

    #[test]
    fn line_that_is_not_a_header_is_named_by_number() {
        assert_eq!(parse("A: b\nhunter2\n"), Err(2));
        assert_eq!(parse("A b: c\n"), Err(1));
    }
}

//! Draws a moment of a recording as an SVG on standard output; `scripts/picture` makes the README's with it.
//!
//!     cargo run -p leasehold-tui --example still -- FILE SECONDS [WIDTHxHEIGHT]

use std::process::ExitCode;

use leasehold_tui::View;
use leasehold_tui::probe::still;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let size = args.get(2).map_or("120x35", String::as_str);
    let size = size.split_once('x');
    let size = size.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let after = args.get(1).and_then(|seconds| seconds.parse::<f64>().ok());
    let (Some(file), Some(after), Some(size)) = (args.first(), after, size) else {
        eprintln!("usage: still FILE SECONDS [WIDTHxHEIGHT]");
        return ExitCode::from(2);
    };
    let after = std::time::Duration::from_secs_f64(after.max(0.0));
    let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    match still(file.as_ref(), after, size, View::Locks) {
        Ok(picture) => {
            print!("{picture}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

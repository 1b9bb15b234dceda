//! Time of a frame with ten thousand locks and twenty thousand waiters. The budget: a median of 1 ms, and a 99th
//! percentile of 16 ms.

fn main() {
    println!("frames of 120x35, 10,000 locks, 20,000 waiters, in microseconds of processor time");
    println!(
        "{:<10} {:>24} {:>24}",
        "view", "cursor moves", "something changes"
    );
    println!(
        "{:<10} {:>8}{:>8}{:>8} {:>8}{:>8}{:>8}",
        "", "p50", "p99", "most", "p50", "p99", "most"
    );
    for frames in leasehold_tui::probe::frames(10_000, 20_000, 300) {
        let (moves, changes) = (frames.moves, frames.changes);
        println!(
            "{:<10} {:>8}{:>8}{:>8} {:>8}{:>8}{:>8}",
            frames.view, moves.p50, moves.p99, moves.most, changes.p50, changes.p99, changes.most
        );
    }
    println!("\nfiltering 10,000 rows, in microseconds of processor time");
    for (text, took) in leasehold_tui::probe::filters() {
        println!("{text:<20} {took:>8}");
    }
}

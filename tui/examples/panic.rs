//! Takes the terminal as the dashboard does, draws, and panics: the terminal must be given back all the same,
//! and the panic's message be there to read.

fn main() -> std::io::Result<()> {
    leasehold_tui::probe::panic_on_screen()
}

//! Captures the terminal like the dashboard, draws, and panics: the terminal must still be restored, with the panic's
//! message on it.

fn main() -> std::io::Result<()> {
    leasehold_tui::probe::panic_on_screen()
}

//! The dashboard as a program of its own, for an etcd without a host: it runs no jobs.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use leasehold_tui::{DashboardArgs, StoreArgs, top};

/// See who holds an etcd's locks, who waits and in what order, for how long, and at which revision.
///
/// Shows every lock that follows etcd's own convention: those of Leasehold under its root, and those of
/// any other client under each --prefix.
///
/// Exit codes: 0 done; 2 usage; 3 the file of keys has errors; 5 the store refused or could not be reached;
/// 70 the rest.
#[derive(Parser)]
#[command(name = "leasehold-tui", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    look: DashboardArgs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = async move {
        let options = cli.store.options()?;
        top(options, cli.store.root, cli.look).await
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: cannot start: {error}");
            return ExitCode::from(70);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = leasehold_records::printable::lines(&format!("error: {error}"));
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn help_text() {
        let mut command = Cli::command().term_width(100);
        insta::assert_snapshot!("help", command.render_long_help());
    }
}

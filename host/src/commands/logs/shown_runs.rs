//! The output that is printed, and the runs that were.

use std::collections::BTreeSet;
use std::path::PathBuf;

use leasehold_follow::OutputItem;
use leasehold_records::{RunKey, RunRecord};

use super::kept_files::{self, KeptRun};
use crate::failure::Failure;
use crate::output_printer::OutputPrinter;
use crate::sink;

/// Where output is printed, and the runs that were.
pub(super) struct ShownRuns {
    pub(super) printer: OutputPrinter,
    /// True if runs are told apart by notes.
    pub(super) notes: bool,
    /// Runs that were printed from their records or from files.
    pub(super) printed: BTreeSet<RunKey>,
    /// The oldest run to print.
    pub(super) oldest: Option<RunKey>,
    /// False once the reader of standard output has gone.
    pub(super) is_read: bool,
    /// The host whose files are on this machine, and the directory of its files.
    pub(super) host: String,
    pub(super) data_dir: PathBuf,
}

impl ShownRuns {
    /// Prints a recorded run, once.
    pub(super) fn record(&mut self, run: &RunRecord) -> Result<(), Failure> {
        if run.is_over() && !self.printed.insert(run.key()) {
            return Ok(());
        }
        if run.output_truncated_bytes > 0 && self.print_kept(run)? {
            return Ok(());
        }
        let printed = self.printer.print_record(run, self.notes);
        self.is_read &= printed.map_err(|error| Failure::internal(&error))?;
        Ok(())
    }

    /// Prints a cut run from the files of a host on this machine. Returns false if they do not have more of it than its
    /// record.
    fn print_kept(&mut self, run: &RunRecord) -> Result<bool, Failure> {
        let Some(folder) = kept_files::folder_of(run, &self.host, &self.data_dir) else {
            if !run.output_kept_in.is_empty() {
                sink::print_warning(&format!(
                    "leasehold: host {} keeps all output of this job in {}\n",
                    run.host, run.output_kept_in
                ));
            }
            return Ok(false);
        };
        let shown = folder.display();
        let mut kept = match KeptRun::find(&folder, run.key()) {
            Ok(kept) if kept.completes(run) => kept,
            Ok(_) => return Ok(false),
            Err(error) => {
                sink::print_warning(&format!(
                    "leasehold: cannot read {shown}: {error}; the end of the output, as it is recorded, is shown\n"
                ));
                return Ok(false);
            }
        };
        let mut read = Ok(());
        let printed = self.printer.print_run(run, self.notes, |each| {
            read = kept.read(run, each);
        });
        self.is_read &= printed.map_err(|error| Failure::internal(&error))?;
        sink::print_warning(&match read {
            Ok(()) => format!("leasehold: read from {shown}\n"),
            Err(error) => format!("leasehold: {shown}: {error}; the output is not whole\n"),
        });
        Ok(true)
    }

    /// Prints an item, unless its run was printed, or is older than those to print.
    pub(super) fn item(&mut self, item: &OutputItem) -> Result<(), Failure> {
        let is_left_out =
            |run| self.printed.contains(run) || self.oldest.as_ref().is_some_and(|from| run < from);
        if item.run().is_some_and(is_left_out) {
            return Ok(());
        }
        let is_note = matches!(item, OutputItem::Began(_) | OutputItem::Ended(..));
        if is_note && !self.notes {
            self.printer.skip(item);
            return Ok(());
        }
        let printed = self.printer.print(item);
        self.is_read &= printed.map_err(|error| Failure::internal(&error))?;
        Ok(())
    }
}

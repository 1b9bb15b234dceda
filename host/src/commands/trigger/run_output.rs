//! The output of a requested run: live as its host sends it, and the rest from its record.

use std::time::Duration;

use leasehold_follow::{OutputItem, OutputReader, ReadRequest};
use leasehold_lock::Token;
use leasehold_orders::OrderDesk;
use leasehold_records::{RunName, RunRecord};
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::output_printer::{OutputFormat, OutputPrinter};
use crate::record_reader::is_denied;
use crate::sink;

/// Longest wait for the host's last output, once the end of the run is recorded.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Printer of a requested run's output.
pub(super) struct RequestedOutput {
    printer: OutputPrinter,
    source: OutputSource,
    /// True once the output was printed to its end.
    is_ended: bool,
    /// False once the reader of standard output has gone.
    is_read: bool,
}

/// Source of the output.
enum OutputSource {
    /// None: no run is known.
    Closed,
    /// Its host.
    Live(Box<OutputReader>),
    /// Its record: live output cannot be requested.
    RecordAlone,
}

impl RequestedOutput {
    pub(super) fn new() -> Self {
        Self {
            printer: OutputPrinter::new(OutputFormat::Text, false),
            source: OutputSource::Closed,
            is_ended: false,
            is_read: true,
        }
    }

    /// Requests the output of the run under this token.
    pub(super) async fn open(&mut self, desk: &OrderDesk, job: &str, token: Token) {
        let request = ReadRequest {
            job: job.to_owned(),
            host: None,
            run: Some(RunName {
                token,
                sequence: Some(0),
            }),
            by: desk.by().to_owned(),
        };
        let reader = OutputReader::open(desk.locks().clone(), desk.root().clone(), request);
        self.source = match reader.await {
            Ok(reader) => OutputSource::Live(Box::new(reader)),
            Err(error) => {
                let why = if is_denied(&error) {
                    "this user may not write under `follow/`, where readers request it".to_owned()
                } else {
                    error.to_string()
                };
                sink::print_warning(&format!(
                    "live output is not available: {why}; the output is printed when the run has ended\n"
                ));
                OutputSource::RecordAlone
            }
        };
    }

    /// Waits for the next item, and prints it. Never ends where none comes any more. Safe to cancel.
    pub(super) async fn print_next(&mut self) -> Result<(), Failure> {
        match &mut self.source {
            OutputSource::Live(reader) if !self.is_ended => match reader.next().await {
                Some(item) => self.print(&item),
                None => std::future::pending().await,
            },
            _ => std::future::pending().await,
        }
    }

    /// Prints the rest of the output of the run, which is over.
    pub(super) async fn finish(&mut self, record: RunRecord) -> Result<(), Failure> {
        let deadline = Instant::now() + LAST_WORDS;
        while !self.is_ended {
            let items = match &mut self.source {
                OutputSource::Live(reader) => match timeout_at(deadline, reader.next()).await {
                    Ok(Some(item)) => vec![item],
                    _ => reader.complete(record.clone()),
                },
                OutputSource::Closed => return Ok(()),
                OutputSource::RecordAlone => {
                    self.is_ended = true;
                    let printed = self.printer.print_record(&record, false);
                    return printed.map(drop).map_err(|error| Failure::internal(&error));
                }
            };
            self.is_ended |= items.is_empty();
            for item in &items {
                self.print(item)?;
            }
        }
        Ok(())
    }

    /// Withdraws the request for live output.
    pub(super) async fn close(&mut self) {
        let source = std::mem::replace(&mut self.source, OutputSource::Closed);
        if let OutputSource::Live(reader) = source {
            reader.close().await;
        }
    }

    fn print(&mut self, item: &OutputItem) -> Result<(), Failure> {
        match item {
            OutputItem::Began(_) => self.printer.skip(item),
            OutputItem::Ended(..) => self.is_ended = true,
            _ if self.is_read => {
                let printed = self.printer.print(item);
                self.is_read = printed.map_err(|error| Failure::internal(&error))?;
            }
            _ => {}
        }
        Ok(())
    }
}

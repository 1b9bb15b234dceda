//! `leasehold schema`: the JSON schema of the configuration, for editors and validators.

use leasehold_config::json_schema;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print_json;

/// Prints the schema.
pub(crate) fn run() -> Result<Exit, Failure> {
    print_json(&json_schema())
}

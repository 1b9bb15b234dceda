//! Files dropped into the folder that break their readers.

use anyhow::Result;

use crate::SLACK;
use crate::neighbour::{Neighbour, file};

#[test]
fn a_component_type_that_breaks_its_decoder_is_refused() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    for name in [
        "component-type-panic-1.wasm",
        "component-type-panic-2.wasm",
        "component-type-panic-3.wasm",
    ] {
        let mark = beside.host.mark();
        beside.drop_in(name, &file(name)?)?;
        beside
            .host
            .wait_after(mark, SLACK, |event| event.is("plugin-refused"))?;
    }
    beside.untouched().map(drop)
}

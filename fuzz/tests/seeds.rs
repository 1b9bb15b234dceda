//! Every seed, and every input that once broke something, through its target.

use std::path::Path;

#[test]
fn seeds_pass_through_their_targets() -> std::io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (name, target) in leasehold_fuzz::TARGETS {
        target(b"");
        let mut count = 0;
        for entry in std::fs::read_dir(seeds.join(name))? {
            target(&std::fs::read(entry?.path())?);
            count += 1;
        }
        assert!(count > 0, "{name} has no seed");
    }
    Ok(())
}

//! Messages of all disk errors.

use std::io;

use rustix::io::Errno;

use crate::disk::DiskError;
use crate::disk::location::DiskLocation;

#[test]
fn every_message_names_failure_location_and_remedy() {
    let location = DiskLocation::Directory("/var/lib/leasehold".into());
    let redb = |cause: redb::Error| DiskError::redb(&location, "write to", cause);
    let io = |errno: Errno| redb(redb::Error::Io(io::Error::from(errno)));
    let errors = [
        redb(redb::Error::DatabaseAlreadyOpen),
        DiskError::NotAStore {
            location: location.file(),
            found: "it does not begin as a store's file does".to_owned(),
        },
        redb(redb::Error::TableDoesNotExist("leases".to_owned())),
        redb(redb::Error::UpgradeRequired(2)),
        DiskError::NewerFormat {
            location: location.file(),
            found: 2,
            known: 1,
        },
        redb(redb::Error::Corrupted("all roots are corrupted".to_owned())),
        redb(redb::Error::Io(io::ErrorKind::UnexpectedEof.into())),
        DiskError::LogCorrupt {
            location: location.log(),
            damage: "record 7 is whole, and record 6 before it is not".to_owned(),
        },
        DiskError::Mismatch {
            file: location.file(),
            log: location.log(),
            difference:
                "the file has generation 9 and the log has generation 7, so one of them is older"
                    .to_owned(),
            remedy: "restore both files from one backup",
        },
        io(Errno::NOSPC),
        io(Errno::DQUOT),
        io(Errno::FBIG),
        io(Errno::IO),
        redb(redb::Error::PreviousIo),
        DiskError::from(io::Error::from(Errno::ACCESS)),
    ];
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}

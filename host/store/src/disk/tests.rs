//! Promises of the disk, tested on a disk that fails and on real files.

mod batch_bytes;
mod change_bytes;
mod crash;
mod damage;
mod defragment;
mod errors;
mod failure;
mod files;
mod model;

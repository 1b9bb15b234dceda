//! What the disk promises, on a disk that breaks and on real files.

mod batch_bytes;
mod change_bytes;
mod crash;
mod damage;
mod defragment;
mod errors;
mod failure;
mod files;
mod model;

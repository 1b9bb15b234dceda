//! What the disk promises, on a disk that breaks and on real files.

mod crash;
mod damage;
mod defragment;
mod entry;
mod errors;
mod failure;
mod files;
mod model;
mod record;

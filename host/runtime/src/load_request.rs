//! A plugin to load, and its bytes: read from the file, within the size limit, and compared with the pinned digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::LoadProblem;
use leasehold_config::allow::Allow;
use leasehold_config::limits::Limits;
use leasehold_config::owned::{OpenRefusal, open};
use leasehold_config::{JobSource, hex};

/// One plugin to load.
#[derive(Clone, Debug)]
pub(crate) struct LoadRequest {
    pub(crate) job: JobSource,
    pub(crate) path: PathBuf,
    /// Contents of the file, if it was already read.
    pub(crate) bytes: Option<Arc<[u8]>>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) limits: Limits,
    pub(crate) grants: Allow,
}

/// Bytes of a plugin's file, and their digest.
#[derive(Clone)]
pub(crate) struct PluginFile {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) digest: [u8; 32],
}

/// Returns the bytes and their digest, if the file is within the size limit and matches the pinned digest.
pub(crate) fn read_file(order: &LoadRequest) -> Result<PluginFile, LoadProblem> {
    let bytes = match &order.bytes {
        Some(bytes) if bytes.len() as u64 > order.limits.plugin_bytes => {
            return Err(LoadProblem::TooBig {
                most: order.limits.plugin_bytes,
            });
        }
        Some(bytes) => bytes.clone(),
        None => read(&order.path, order)?.into(),
    };
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    check_digest(order, &digest)?;
    Ok(PluginFile { bytes, digest })
}

/// Reads the plugin's file, up to the size limit. Only a regular file is read.
fn read(path: &Path, order: &LoadRequest) -> Result<Vec<u8>, LoadProblem> {
    let most = order.limits.plugin_bytes;
    let file = open(path).map_err(|refusal| match refusal {
        OpenRefusal::Unreadable(error) => LoadProblem::Unreadable(error),
        OpenRefusal::Directory => LoadProblem::NotAFile("directory"),
        OpenRefusal::Special => LoadProblem::NotAFile("pipe, socket or device"),
        other => {
            let (what, help) = other.explain();
            LoadProblem::Exposed(format!("{what}: {help}"))
        }
    })?;
    let meta = file.metadata().map_err(LoadProblem::Unreadable)?;
    let too_big = || LoadProblem::TooBig { most };
    if meta.len() > most {
        return Err(too_big());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    // The file may have grown since its size was read.
    read_at_most(file, most.saturating_add(1), &mut bytes).map_err(LoadProblem::Unreadable)?;
    if bytes.len() as u64 > most {
        return Err(too_big());
    }
    Ok(bytes)
}

fn read_at_most(file: File, most: u64, into: &mut Vec<u8>) -> io::Result<usize> {
    file.take(most).read_to_end(into)
}

fn check_digest(order: &LoadRequest, found: &[u8; 32]) -> Result<(), LoadProblem> {
    match &order.sha256 {
        Some(expected) if expected != found => Err(LoadProblem::Digest {
            expected: hex(expected),
            found: hex(found),
        }),
        _ => Ok(()),
    }
}

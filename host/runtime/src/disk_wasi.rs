//! The WASI functions by which a component changes its directories, checked by the disk meter.
//!
//! Each function calls the meter, then the engine's library. A change that the meter refuses does not happen.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorType, DirectoryEntryStream, ErrorCode, HostDescriptor as _, PathFlags,
};
use wasmtime_wasi::p2::{
    DynOutputStream, FsResult, OutputStream, Pollable, StreamError, StreamResult,
};

use super::disk::{DiskMeter, DiskRefusal};
use super::host_state::HostState;

/// Name of the interface in the engine's library.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
/// The system's number for "no space left on device".
const NO_SPACE: i32 = rustix::io::Errno::NOSPC.raw_os_error();

type Handle = Resource<Descriptor>;
type Answer<T> = (Result<T, ErrorCode>,);

impl From<DiskRefusal> for ErrorCode {
    fn from(refusal: DiskRefusal) -> Self {
        match refusal {
            DiskRefusal::Bytes | DiskRefusal::Files => Self::InsufficientSpace,
            DiskRefusal::Open | DiskRefusal::HostOpen => Self::Quota,
            DiskRefusal::Link => Self::NotPermitted,
            DiskRefusal::Names => Self::InsufficientMemory,
        }
    }
}

/// Links metered functions for changes to files, directories and links. The library's own functions must already be
/// linked.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    link_files(&mut types)?;
    link_names(&mut types)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn link_files(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap_async(
        "[method]descriptor.write",
        |mut store, (file, bytes, at): (Handle, Vec<u8>, u64)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                let growing = host.grows(&file, Some(at), bytes.len() as u64);
                if let Err(refusal) = growing {
                    return Ok((Err(ErrorCode::from(refusal)),));
                }
                lower(host.filesystem().write(file, bytes, at).await)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.set-size",
        |mut store, (file, size): (Handle, u64)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                let before = host
                    .file(&file)
                    .and_then(|file| file.metadata().ok())
                    .map_or(size, |found| found.len());
                if let Err(refusal) = host.disk.grow(size.saturating_sub(before)) {
                    return Ok((Err(ErrorCode::from(refusal)),));
                }
                let set = host.filesystem().set_size(file, size).await;
                if set.is_ok() {
                    host.disk.shrink(before.saturating_sub(size));
                }
                lower(set)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, HostState>, (file, at): (Handle, u64)| {
            let host = store.data_mut();
            let metered = host.file(&file);
            let stream = host.filesystem().write_via_stream(file, at);
            lower(stream.and_then(|stream| host.metered(stream, metered, Some(at))))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, HostState>, (file,): (Handle,)| {
            let host = store.data_mut();
            let metered = host.file(&file);
            let stream = host.filesystem().append_via_stream(file);
            lower(stream.and_then(|stream| host.metered(stream, metered, None)))
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.read-directory",
        |mut store, (directory,): (Handle,)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                if let Some(listed) = host.file(&directory)
                    && let Err(refusal) = host.disk.list(listed).await
                {
                    return Ok((Err(ErrorCode::from(refusal)),));
                }
                host.gate.still()?;
                let stream = host.filesystem().read_directory(directory).await;
                lower::<Resource<DirectoryEntryStream>>(stream)
            })
        },
    )
}

fn link_names(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap_async(
        "[method]descriptor.create-directory-at",
        |mut store, (directory, path): (Handle, String)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                if let Err(refusal) = host.disk.make() {
                    return Ok((Err(ErrorCode::from(refusal)),));
                }
                let mut view = host.filesystem();
                let made = view.create_directory_at(directory, path).await;
                host.made(made)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.link-at",
        |mut store, (old, flags, path, new, name): (Handle, PathFlags, String, Handle, String)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                if let Err(refusal) = host.disk.make() {
                    return Ok((Err(ErrorCode::from(refusal)),));
                }
                let made = host.filesystem().link_at(old, flags, path, new, name).await;
                host.made(made)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.symlink-at",
        |mut store, (directory, target, path): (Handle, String, String)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                let admitted = host.disk.link(&target).and_then(|()| host.disk.make());
                if let Err(refusal) = admitted {
                    return Ok((Err(ErrorCode::from(refusal)),));
                }
                let made = host.filesystem().symlink_at(directory, target, path).await;
                host.made(made)
            })
        },
    )?;
    link_removals(types)
}

/// Links functions that remove or replace a name.
fn link_removals(types: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    types.func_wrap_async(
        "[method]descriptor.unlink-file-at",
        |mut store, (directory, path): (Handle, String)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                let freed = host.size_at(&directory, &path).await;
                host.gate.still()?;
                let deleted = host.filesystem().unlink_file_at(directory, path).await;
                host.freed(freed, deleted)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.remove-directory-at",
        |mut store, (directory, path): (Handle, String)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                let deleted = host.filesystem().remove_directory_at(directory, path).await;
                host.freed(Some(0), deleted)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.rename-at",
        |mut store, (old, path, new, name): (Handle, String, Handle, String)| {
            Box::new(async move {
                let host: &mut HostState = store.data_mut();
                let freed = host.size_at(&new, &name).await;
                host.gate.still()?;
                let renamed = host.filesystem().rename_at(old, path, new, name).await;
                host.freed(freed, renamed)
            })
        },
    )
}

fn lower<T>(result: FsResult<T>) -> wasmtime::Result<Answer<T>> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

impl HostState {
    /// Returns the open file or directory behind a handle.
    pub(crate) fn file(&mut self, handle: &Handle) -> Option<Arc<File>> {
        let view = self.filesystem();
        Some(match view.table.get(handle).ok()? {
            Descriptor::File(file) => file.file.clone(),
            Descriptor::Dir(directory) => directory.dir.clone(),
        })
    }

    fn grows(&mut self, handle: &Handle, at: Option<u64>, length: u64) -> Result<(), DiskRefusal> {
        match self.file(handle) {
            Some(file) => self.disk.write(&file, at, length),
            None => Ok(()),
        }
    }

    /// Takes back the count if nothing was made.
    fn made(&self, made: FsResult<()>) -> wasmtime::Result<Answer<()>> {
        if made.is_err() {
            self.disk.unmake();
        }
        lower(made)
    }

    /// Returns the bytes freed by deleting the name at `path`; `None` if that frees nothing.
    async fn size_at(&mut self, directory: &Handle, path: &str) -> Option<u64> {
        let same = Resource::new_borrow(directory.rep());
        let mut view = self.filesystem();
        let found = view
            .stat_at(same, PathFlags::empty(), path.to_owned())
            .await;
        let found = found.ok()?;
        match found.type_ {
            DescriptorType::RegularFile if found.link_count == 1 => Some(found.size),
            DescriptorType::SymbolicLink => Some(0),
            _ => None,
        }
    }

    fn freed(&self, bytes: Option<u64>, deleted: FsResult<()>) -> wasmtime::Result<Answer<()>> {
        if let (Some(bytes), Ok(())) = (bytes, &deleted) {
            self.disk.deleted(bytes);
        }
        lower(deleted)
    }

    /// Wraps a stream into a file in one that is metered.
    fn metered(
        &mut self,
        stream: Resource<DynOutputStream>,
        file: Option<Arc<File>>,
        at: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let disk = self.disk.clone();
        let view = self.filesystem();
        let inner = view.table.delete(stream)?;
        let stream: DynOutputStream = match file {
            Some(file) => Box::new(MeteredStream {
                inner,
                file,
                at,
                disk,
            }),
            None => inner,
        };
        Ok(view.table.push(stream)?)
    }
}

/// A stream into a file, whose growth is counted.
struct MeteredStream {
    inner: DynOutputStream,
    file: Arc<File>,
    /// Offset of the next write. `None` is the end of the file.
    at: Option<u64>,
    disk: DiskMeter,
}

impl MeteredStream {
    /// Counts a write. The previous write has ended, because the stream is ready.
    fn count(&mut self, length: usize) -> StreamResult<()> {
        let length = length as u64;
        if self.disk.write(&self.file, self.at, length).is_err() {
            let full = io::Error::from_raw_os_error(NO_SPACE);
            return Err(StreamError::LastOperationFailed(full.into()));
        }
        self.at = self.at.map(|at| at.saturating_add(length));
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for MeteredStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for MeteredStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.count(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.inner.ready().await;
        self.count(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

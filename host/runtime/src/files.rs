//! Directories that a guest was granted.
//!
//! The engine's library resolves paths beneath the directory, link by link. So neither `..` nor a link nor a
//! full path leads out, also if a link is replaced meanwhile. This file adds a check: pipes, sockets and
//! devices are not opened. Opening a pipe waits for its other end, on a thread that cannot be stopped.
//! This file itself opens granted directories only.

use std::fs::File;
use std::sync::Arc;

use leasehold_records::printable;
use wasmtime::component::{Linker as ComponentLinker, Resource};
use wasmtime::{Caller, Linker, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, FsPerms, WasiFilesystemView as _};
use wasmtime_wasi::p1::types::{Fd, Filetype, Lookupflags};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};
use wiggle::{GuestMemory, GuestPtr};

use super::disk::{DiskMeter, DiskRefusal};
use super::disk_preview1::{APPEND, parts};
use super::host_state::HostState;
use leasehold_config::allow::Dir;

/// Name of the interface in the engine's library. It serves guests of all 0.2 versions.
const TYPES: &str = "wasi:filesystem/types@0.2.12";
/// Preview 1's flags for an open that makes a file, and for one that truncates it.
const CREATE: i32 = 1;
const TRUNCATE: i32 = 8;
/// Preview 1's number for "operation not permitted".
const NOT_PERMITTED: i32 = 63;

/// Opens `dir` for the guest. The error names the directory and the reason.
pub(crate) fn grant(builder: &mut WasiCtxBuilder, dir: &Dir) -> Result<(), String> {
    let rights = if dir.write {
        FsPerms::ReadWrite
    } else {
        FsPerms::ReadOnly
    };
    let opened = builder.preopened_dir(&dir.host, &dir.guest, rights);
    opened.map(|_| ()).map_err(|error| {
        format!(
            "directory {} (`dirs` in the job's `allow`) cannot be opened: {error:#}",
            dir.host.display()
        )
    })
}

/// Opens every directory and closes it again. The error names the first that cannot be opened.
pub(super) fn check(dirs: &[Dir]) -> Result<(), String> {
    let mut builder = WasiCtxBuilder::new();
    dirs.iter().try_for_each(|dir| grant(&mut builder, dir))
}

type OpenAt = (
    Resource<Descriptor>,
    PathFlags,
    String,
    OpenFlags,
    DescriptorFlags,
);
type Opened = (Result<Resource<Descriptor>, ErrorCode>,);

/// Links an `open-at` for components that first checks the file's type. The library's own functions must already be
/// linked.
pub(crate) fn link(linker: &mut ComponentLinker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker
        .instance(TYPES)?
        .func_wrap_async("[method]descriptor.open-at", |store, how: OpenAt| {
            Box::new(open_at(store, how))
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn open_at(
    mut store: StoreContextMut<'_, HostState>,
    (dir, path_flags, path, open_flags, flags): OpenAt,
) -> wasmtime::Result<Opened> {
    let host = store.data_mut();
    let mut view = host.filesystem();
    let same = Resource::new_borrow(dir.rep());
    let found = view.stat_at(same, path_flags, path.clone()).await;
    // For a file that is missing or may not be examined, the open returns the error.
    let found = found.ok();
    if found.as_ref().is_some_and(|found| is_special(found.type_)) {
        host.say_not_opened(&path);
        return Ok((Err(ErrorCode::NotPermitted),));
    }
    host.gate.still()?;
    let opening = Opening {
        makes: open_flags.contains(OpenFlags::CREATE) && found.is_none(),
        freed: found
            .filter(|_| open_flags.contains(OpenFlags::TRUNCATE))
            .map_or(0, |found| found.size),
    };
    if let Err(refusal) = opening.admit(&host.disk) {
        return Ok((Err(refusal.into()),));
    }
    let mut view = host.filesystem();
    let opened = view.open_at(dir, path_flags, path, open_flags, flags).await;
    let file = opened.as_ref().ok().and_then(|opened| host.file(opened));
    opening.end(&host.disk, file.as_ref());
    match opened {
        Ok(file) => Ok((Ok(file),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// Changes that an open makes if it succeeds.
struct Opening {
    /// True if the open makes a new file.
    makes: bool,
    /// Bytes that a truncation frees.
    freed: u64,
}

impl Opening {
    fn admit(&self, disk: &DiskMeter) -> Result<(), DiskRefusal> {
        if self.makes {
            disk.make()?;
        }
        disk.admit().inspect_err(|_| {
            if self.makes {
                disk.unmake();
            }
        })
    }

    fn end(&self, disk: &DiskMeter, file: Option<&Arc<File>>) {
        disk.opened(file);
        match file {
            Some(_) => disk.shrink(self.freed),
            None if self.makes => disk.unmake(),
            None => {}
        }
    }
}

const fn is_special(kind: DescriptorType) -> bool {
    !matches!(
        kind,
        DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink
    )
}

type PathOpen = (i32, i32, i32, i32, i32, i64, i64, i32, i32);

/// Links a checked `path_open` for core modules, like [`link`] for components.
pub(crate) fn link_preview1(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "path_open",
        |caller: Caller<'_, HostState>, how: PathOpen| Box::new(path_open(caller, how)),
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn path_open(mut caller: Caller<'_, HostState>, how: PathOpen) -> wasmtime::Result<i32> {
    let (dir, lookup, path, length, open, rights, inherited, flags, opened) = how;
    let (mut bytes, host) = parts(&mut caller)?;
    let text = GuestPtr::<str>::new((path.cast_unsigned(), length.cast_unsigned()));
    let mut found = None;
    if let Ok(lookup) = Lookupflags::try_from(lookup) {
        let looked = host
            .wasi
            .path_filestat_get(&mut bytes, Fd::from(dir), lookup, text)
            .await;
        found = looked.ok();
        if found
            .as_ref()
            .is_some_and(|found| is_special1(found.filetype))
        {
            let path = bytes.as_cow_str(text).map(String::from).unwrap_or_default();
            host.say_not_opened(&path);
            return Ok(NOT_PERMITTED);
        }
    }
    host.gate.still()?;
    let opening = Opening {
        makes: open & CREATE != 0 && found.is_none(),
        freed: found
            .filter(|_| open & TRUNCATE != 0)
            .map_or(0, |found| found.size),
    };
    if let Err(refusal) = opening.admit(&host.disk) {
        return Ok(refusal.errno());
    }
    let handle = host.next_handle()?;
    let wasi = host.called_preview1();
    let answer = preview1::path_open(
        wasi, &mut bytes, dir, lookup, path, length, open, rights, inherited, flags, opened,
    )
    .await?;
    let file = if answer == 0 {
        host.file(&handle)
    } else {
        None
    };
    opening.end(&host.disk, file.as_ref());
    if let Some(file) = file
        && let Ok(number) = bytes.read(GuestPtr::<u32>::new(opened.cast_unsigned()))
    {
        host.disk
            .number(number.cast_signed(), &file, flags & APPEND != 0);
    }
    Ok(answer)
}

const fn is_special1(kind: Filetype) -> bool {
    !matches!(
        kind,
        Filetype::RegularFile | Filetype::Directory | Filetype::SymbolicLink
    )
}

impl HostState {
    /// Returns the handle that the next file will have. The library gives no other access to the files of a core module.
    /// Its table reuses the slot that was freed last.
    fn next_handle(&mut self) -> wasmtime::Result<Resource<Descriptor>> {
        // The first use of any number gives granted directories their handles.
        let mut none = GuestMemory::Unshared(&mut []);
        let _ = self.wasi.fd_tell(&mut none, Fd::from(0));
        let table = WasiView::ctx(&mut self.wasi).table;
        let probe = table.push(())?;
        let at = probe.rep();
        table.delete(probe)?;
        Ok(Resource::new_borrow(at))
    }

    fn say_not_opened(&self, path: &str) {
        let path = printable::head(path).0;
        self.output.remark(&format!(
            "{path:?} was not opened: it is a pipe, a socket or a device, and a guest gets files only"
        ));
    }
}
